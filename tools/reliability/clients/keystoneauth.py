"""keystoneauth1: a Session's Adapter (`adapter`), or the one for JSON alone (`legacy`)."""

import sys

from driver import only, serve
from keystoneauth1 import adapter, noauth, session, token_endpoint


def ask(kind, service, path, method, filters, accept, token):
    auth = token_endpoint.Token(service, token) if token else noauth.NoAuth(endpoint=service)
    how = {"adapter": adapter.Adapter, "legacy": adapter.LegacyJsonAdapter}[kind]
    client = how(session.Session(auth=auth), endpoint_override=service)
    answer = client.request(path, method, params=filters, headers=only(accept=accept))
    body = answer[1] if kind == "legacy" else answer.json()
    return body["count"]


serve(lambda **request: ask(sys.argv[1], **request))
