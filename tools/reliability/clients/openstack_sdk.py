"""openstacksdk: a Proxy's request (`proxy`), or a Resource's `fetch` or `list`."""

import sys

import openstack
from driver import only, serve
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


def connect(service, token):
    auth = {"auth_type": "none", "auth": {"endpoint": service}}
    if token:
        auth = {"auth_type": "admin_token", "auth": {"endpoint": service, "token": token}}
    connection = openstack.connection.Connection(
        **auth, vbs_endpoint_override=service, vbs_api_version="2"
    )
    connection.add_service(Description("vbs"))
    return connection.vbs


def ask(kind, service, path, method, filters, accept, token):
    vbs = connect(service, token)
    if kind == "fetch":
        return Count().fetch(vbs, requires_id=False, base_path=path, **filters).count
    if kind == "list":
        [found] = Count.list(vbs, base_path=path, **filters)
        return found.count
    answer = vbs.request(path, method, params=filters, headers=only(accept=accept))
    exceptions.raise_from_response(answer)
    return answer.json()["count"]


serve(lambda **request: ask(sys.argv[1], **request))
