"""The clients of the OpenStack family, each by itself: a list of requests on standard input; on standard output, for each of
them, what every client that can send it made of the answer. The client alone decides how the request looks on the wire."""

import json
import sys

import openstack
from keystoneauth1 import adapter, noauth, session, token_endpoint
from openstack import exceptions, proxy, resource, service_description

FILTERS = """share_to_me volume_id name status backup_id from_project_id to_project_id
    avalilability_zone availability_zone""".split()


class Vbs(proxy.Proxy):
    """A service without a version document, as this one is."""

    skip_discovery = True


class Description(service_description.ServiceDescription):
    """How a Connection comes to its Proxy."""

    supported_versions = {"2": Vbs}


class Count(resource.Resource):
    """The documented call."""

    allow_fetch = allow_list = True
    count = resource.Body("count", type=int)
    _query_mapping = resource.QueryParameters(*FILTERS)


def keystoneauth(kind, service, path, method, filters, accept, token):
    auth = token_endpoint.Token(service, token) if token else noauth.NoAuth(endpoint=service)
    client = kind(session.Session(auth=auth), endpoint_override=service)
    headers = {"Accept": accept} if accept else {}
    answer = client.request(path, method, params=filters, headers=headers)
    return (answer[1] if kind is adapter.LegacyJsonAdapter else answer.json())["count"]


def openstacksdk(kind, service, path, method, filters, accept, token):
    auth = {"auth_type": "none", "auth": {"endpoint": service}}
    if token:
        auth = {"auth_type": "admin_token", "auth": {"endpoint": service, "token": token}}
    connection = openstack.connection.Connection(
        **auth, vbs_endpoint_override=service, vbs_api_version="2"
    )
    connection.add_service(Description("vbs"))
    vbs = connection.vbs
    if kind == "fetch":
        return Count().fetch(vbs, requires_id=False, base_path=path, **filters).count
    if kind == "list":
        [found] = Count.list(vbs, base_path=path, **filters)
        return found.count
    headers = {"Accept": accept} if accept else {}
    answer = vbs.request(path, method, params=filters, headers=headers)
    exceptions.raise_from_response(answer)
    return answer.json()["count"]


# Name, package, and whether it can send another method or `accept` than its own.
CLIENTS = [
    ("keystoneauth1's Adapter", keystoneauth, adapter.Adapter, True),
    ("keystoneauth1's LegacyJsonAdapter", keystoneauth, adapter.LegacyJsonAdapter, True),
    ("openstacksdk's Proxy", openstacksdk, "proxy", True),
    ("openstacksdk's Resource.fetch", openstacksdk, "fetch", False),
    ("openstacksdk's Resource.list", openstacksdk, "list", False),
]


def made(request, name, ask, kind):
    answer = {"client": name, "package": ask.__name__, "count": None, "error": "", "says": "", "body": ""}
    try:
        return answer | {"count": ask(kind, **request)}
    except Exception as error:  # which one is what the experiment wants to know
        # Should its own words leave the body out.
        body = getattr(getattr(error, "response", None), "text", None) or ""
        return answer | {"error": type(error).__name__, "says": str(error), "body": body}


def made_by_all(request):
    own = request["method"] == "GET" and not request["accept"]
    return [made(request, *client) for *client, free in CLIENTS if free or own]


json.dump([made_by_all(request) for request in json.load(sys.stdin)], sys.stdout)
