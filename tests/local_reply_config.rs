//! `envoy.yaml` gives its own words to Envoy's own errors, and to nothing else: what other filters and
//! routes answer reaches the client as they said it.

#![cfg(test)]

use backup_sharing_count::details::{self, Details};
use serde_json::{Value, json};
use testkit::edge::capabilities;
use testkit::envoy::config::{Cluster, direct_response};
use testkit::envoy::filters;
use testkit::envoy_yaml::ShippedEnvoy;
use testkit::http::{Connection, Response};
use testkit::store::{Behaviour, ScriptedStore};
use testkit::workspace;

const COUNT: &str = "/v2/p1/os-vendor-backup-sharing/count";
const OTHER: &str = "/v2/p1/volumes";

/// Where a filter goes in: before the first, or before the router and so behind ours.
const BEFORE: &str = "          http_filters:\n";
const BEHIND: &str = "          - name: envoy.filters.http.router\n";

/// The place with the filter.
fn at(place: &str, filter: &Value) -> String {
    let filter = format!("          - {filter}\n");
    if place == BEFORE { format!("{place}{filter}") } else { format!("{filter}{place}") }
}

fn shipped(place: &str, filter: &Value) -> ShippedEnvoy {
    ShippedEnvoy::start(&[(place, &at(place, filter))]).unwrap()
}

#[track_caller]
fn says(response: &Response, status: u16, content_type: &str, body: &str) {
    assert_eq!((response.status, response.text().as_str()), (status, body));
    assert_eq!(response.header_values("content-type"), [content_type.as_bytes()]);
}

/// A filter that answers every request that reaches it.
fn refuses(filter: &Value, status: u16, content_type: &str, body: &str) {
    let before = shipped(BEFORE, filter);
    for path in [COUNT, OTHER] {
        says(&before.get(path).unwrap(), status, content_type, body);
    }
    assert_eq!(before.store.take_requests().len(), 0, "it stands before the call");
    assert_eq!(before.backend.take_requests().len(), 0);
    before.envoy.stop().unwrap();

    let behind = shipped(BEHIND, filter);
    says(&behind.get(OTHER).unwrap(), status, content_type, body);
    says(&behind.get(COUNT).unwrap(), 200, "application/json", r#"{"count":2}"#);
    behind.envoy.stop().unwrap();
}

#[test]
fn what_rbac_lua_and_jwt_authn_answer() {
    let closed = "function envoy_on_request(handle)
        local headers = {[':status'] = '503', ['content-type'] = 'text/html'}
        handle:respond(headers, '<p>Closed until \"noon\".\\n')
    end";
    refuses(&filters::rbac(), 403, "text/plain", "RBAC: access denied");
    refuses(&filters::lua(closed), 503, "text/html", "<p>Closed until \"noon\".\n");
    refuses(&filters::jwt_authn(), 401, "text/plain", "Jwt is missing");
}

/// The answer of the service reaches the client as it does where `envoy.yaml` has no words of its own: in
/// 1.37.0 with another content type, for that release's ext_authz drops the service's.
#[test]
fn what_the_service_of_ext_authz_answers() {
    let filter = filters::ext_authz("authz");
    let authz = ScriptedStore::start().unwrap();
    let cluster = Cluster::new("authz", authz.address()).json();
    let cluster = format!("  clusters:\n  - {cluster}\n");
    let clusters = ("  clusters:\n", cluster.as_str());
    let before = at(BEFORE, &filter);
    let yaml = std::fs::read_to_string(workspace::root().join("envoy.yaml")).unwrap();
    let words = &yaml[yaml.find("          local_reply_config:\n").unwrap()
        ..yaml.find("          route_config:\n").unwrap()];
    let wordless = [(BEFORE, before.as_str()), clusters, (words, ""), ("[*request_id]", "[]")];
    let wordless = ShippedEnvoy::start(&wordless).unwrap();

    let problem = r#"{"title": "No token"}"#;
    let answers = [
        (403, "text/plain; charset=utf-8", "", "Your project is suspended."),
        (401, "application/problem+json", "Keystone uri=\"https://a\"", problem),
    ];
    for place in [BEFORE, BEHIND] {
        let shipped = ShippedEnvoy::start(&[(place, &at(place, &filter)), clusters]).unwrap();
        for (status, content_type, challenge, body) in answers {
            let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let headers =
                vec![header("content-type", content_type), header("www-authenticate", challenge)];
            authz.set(Behaviour::Answer { status, headers, body: body.into() });
            let plain = wordless.get(OTHER).unwrap();
            let asked: &[&str] = if place == BEFORE { &[COUNT, OTHER] } else { &[OTHER] };
            for path in asked {
                let response = shipped.get(path).unwrap();
                assert_eq!((response.status, response.text().as_str()), (status, body), "{path}");
                for name in ["content-type", "www-authenticate"] {
                    let values = plain.header_values(name);
                    assert_eq!(response.header_values(name), values, "{path}: {name}");
                }
            }
        }
        authz.set(Behaviour::status(200));
        assert_eq!(shipped.get(COUNT).unwrap().text(), r#"{"count":2}"#);
        assert_eq!(shipped.get(OTHER).unwrap().text(), r#"{"theirs":true}"#);
        shipped.envoy.stop().unwrap();
    }
}

#[test]
fn a_routes_direct_response() {
    const ROUTES: &str = "              - match: {prefix: /v2/}\n";
    let closed = direct_response(OTHER, 403, "Your project is suspended.");
    let closed = format!("              - {closed}\n{ROUTES}");
    let shipped = ShippedEnvoy::start(&[(ROUTES, &closed)]).unwrap();
    says(&shipped.get(OTHER).unwrap(), 403, "text/plain", "Your project is suspended.");
    shipped.envoy.stop().unwrap();
}

#[test]
fn envoys_own_errors_keep_their_words_beside_other_filters() {
    // Both buffer, which makes a body too large: 413 on the way in, and 500 on the way out.
    let lua = filters::lua(
        "function envoy_on_response(handle)
        if handle:headers():get(':status') == '200' then handle:body() end
    end",
    );
    let both = format!("{}          - {lua}\n", at(BEFORE, &filters::buffer(10)));
    let shipped = ShippedEnvoy::start(&[(BEFORE, &both)]).unwrap();
    let mut connection = Connection::open(shipped.listener).unwrap();
    let large: [(&str, &[u8]); 1] = [("content-length", b"20")];
    let response = connection.request_with_body("POST", OTHER, &large, &[b'a'; 20]).unwrap();
    let message = "The request body is too large.";
    let body = format!(r#"{{"computeFault":{{"code":413,"message":"{message}"}}}}"#);
    says(&response, 413, "application/json", &body);

    shipped.backend.set(Behaviour::json(200, vec![b'1'; 200_000]));
    let message = "The request could not be served.";
    let body = format!(r#"{{"computeFault":{{"code":500,"message":"{message}"}}}}"#);
    says(&shipped.get(OTHER).unwrap(), 500, "application/json", &body);
    shipped.envoy.stop().unwrap();
}

/// Filters may answer without details. Envoy itself does so where it lacks a filter's configuration.
#[test]
fn an_answer_without_details_passes() {
    let service = json!([{"envoy_grpc": {"cluster_name": "nobody"}}]);
    let filter = json!({"name": "missing", "config_discovery": {
        "config_source": {"initial_fetch_timeout": "0.1s", "api_config_source": {
            "api_type": "GRPC", "transport_api_version": "V3", "grpc_services": service,
        }},
        "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"],
    }});
    let nobody = Cluster::empty("nobody").over_http2().json();
    let nobody = format!("  clusters:\n  - {nobody}\n");
    let before = at(BEFORE, &filter);
    let node = "node: {id: edge, cluster: edge}\nstatic_resources:\n";
    let changes =
        [(BEFORE, before.as_str()), ("  clusters:\n", &nobody), ("static_resources:\n", node)];
    let shipped = ShippedEnvoy::start(&changes).unwrap();
    let response = shipped.get(COUNT).unwrap();
    assert_eq!((response.status, response.text().as_str()), (500, ""));
    assert_eq!(shipped.access_log(1).unwrap()[0]["answered_by"], "");
    shipped.envoy.stop().unwrap();
}

#[test]
fn a_failed_vm_answers_in_the_apis_words() {
    // A filter that may not answer fails as soon as it has to.
    let callbacks = include_str!("../src/glue/exports.txt").lines();
    let may =
        callbacks.chain(["proxy_get_buffer_bytes", "proxy_get_header_map_pairs", "proxy_log"]);
    let restricted = format!(
        "capability_restriction_config: {}\n                failure_policy: FAIL_RELOAD",
        capabilities(may)
    );
    let shipped =
        ShippedEnvoy::start(&[("failure_policy: FAIL_RELOAD", restricted.as_str())]).unwrap();
    let response = shipped.get(&format!("{COUNT}?x=1")).unwrap();
    let message = "The service is unavailable. Try again later.";
    let body = format!(r#"{{"serviceUnavailable":{{"code":503,"message":"{message}"}}}}"#);
    says(&response, 503, "application/json", &body);
    let log = shipped.access_log(1).unwrap();
    assert_eq!(log[0]["answered_by"], "wasm_fail_stream");
    shipped.envoy.stop().unwrap();
}

/// What the first mapper of `envoy.yaml` says of a response's details.
struct Mapper {
    /// Prefixes that stop it before the list is looked at.
    ours: Vec<String>,
    /// Envoy's own details, and the beginnings of such.
    names: Vec<String>,
    prefixes: Vec<String>,
}

impl Mapper {
    fn read() -> Mapper {
        let yaml = std::fs::read_to_string(workspace::root().join("envoy.yaml")).unwrap();
        let (_, expression) = yaml.split_once("expression: >-\n").unwrap();
        let (expression, _) = expression.split_once("])\n").unwrap();
        let (ours, envoys) = expression.split_once("!(").unwrap();
        let (prefixes, names) = envoys.split_once(" in [").unwrap();
        let quoted = |text: &str| -> Vec<String> {
            text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
        };
        Mapper { ours: quoted(ours), names: quoted(names), prefixes: quoted(prefixes) }
    }

    fn calls_envoys_own(&self, details: &str) -> bool {
        self.names.iter().any(|name| name == details)
            || self.prefixes.iter().any(|prefix| details.starts_with(prefix))
    }
}

const OTHERS: &[&str] = &[
    "ext_authz_denied",
    "ext_authz_error",
    "rbac_access_denied_matched_policy[none]",
    "jwt_authn_access_denied{Jwt_is_missing}",
    "lua_response",
    "direct_response",
    "request_rate_limited",
    "local_rate_limited",
    "fault_filter_abort",
    "cors_response",
    "csrf_origin_mismatch",
    "via_upstream",
    "",
];

/// As they stood in the access logs of 1.36.2 and 1.40.0, and in Envoy's sources.
const ENVOYS: &[&str] = &[
    "absolute_path_rejected",
    "filter_removed_required_request_headers{missing_required_header:_:path}",
    "filter_removed_required_response_headers",
    "http.invalid_authority",
    "http1.codec_error",
    "http1.https_url_on_plaintext_connection",
    "http1.too_many_headers",
    "low_version",
    "path_normalization_failed",
    "query_missing_content_type",
    "request_header_timeout",
    "response_timeout",
    "route_not_found",
    "upgrade_failed",
    "upstream_reset_before_response_started{connection_termination}",
    "wasm_fail_stream",
];

#[test]
fn the_list_holds_envoys_own_details_and_no_others() {
    let mapper = Mapper::read();
    assert_eq!((mapper.names.len(), mapper.prefixes.len()), (32, 4), "all of it is read");
    for Details { name, .. } in details::ALL {
        for details in [(*name).to_owned(), format!("{name}:410"), format!("{name}:no_host")] {
            assert!(!mapper.calls_envoys_own(&details), "{details}");
            assert!(mapper.ours.iter().any(|ours| details.starts_with(ours)), "{details}");
        }
    }
    for details in OTHERS {
        assert!(!mapper.calls_envoys_own(details), "{details}");
        assert!(!mapper.ours.iter().any(|ours| details.starts_with(ours)), "{details}");
    }
    for details in ENVOYS {
        assert!(mapper.calls_envoys_own(details), "{details}");
    }
}
