"""What golangsdk 2.0.0 (gophercloud's family) puts on the wire and makes of an answer, in Python:
the header fields and their order, `url.Values.Encode`, zero values left out, ErrDefault…."""

import http.client
import json
from types import SimpleNamespace
from urllib.parse import quote_plus, urlsplit

from driver import serve

# The statuses that golangsdk has a type for.
TYPED = {400, 401, 403, 404, 405, 408, 409, 429, 500, 503}


class ErrUnexpectedResponseCode(Exception):
    """Any other status; every type of the family keeps the body, and few show it."""

    def __init__(self, says, body):
        super().__init__(says)
        self.response = SimpleNamespace(text=body)


ERRORS = {
    status: type(f"ErrDefault{status}", (ErrUnexpectedResponseCode,), {}) for status in TYPED
}


def encode(filters):
    """Sorted, a space as `+`, `~` as it is; false and "" are zero values, which are not sent."""
    words = {True: "true"}
    given = {name: words.get(value, value) for name, value in filters.items() if value}
    return "&".join(f"{quote_plus(name)}={quote_plus(given[name])}" for name in sorted(given))


def ask(service, path, method, filters, accept, token):
    url = urlsplit(service)
    query = encode(filters)
    target = url.path + path + ("?" + query if query else "")
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    fields = [("Host", url.netloc), ("User-Agent", "golangsdk/2.0.0"), ("Connection", "close")]
    if method == "POST":
        fields.append(("Content-Length", "0"))
    fields.append(("Accept", accept or "application/json"))
    if token:
        fields.append(("X-Auth-Token", token))
    fields.append(("Accept-Encoding", "gzip"))
    for field in fields:
        connection.putheader(*field)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    if answer.status != 200:
        raise ERRORS.get(answer.status, ErrUnexpectedResponseCode)(
            f"Expected HTTP response code [200] when accessing [{method} {service}{path}], "
            f"but got {answer.status} instead",
            body,
        )
    return json.loads(body)["count"]


serve(ask)
