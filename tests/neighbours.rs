//! `docs/where-the-filter-goes.md`: each of its sentences, with Envoy's own filters around this one.

#![cfg(test)]

use testkit::edge::{Edge, clusters, listener};
use testkit::envoy::Envoy;
use testkit::http::{Connection, Response, request};
use testkit::store::{Behaviour, Request, ScriptedStore};
use testkit::workspace;

const CALL: &str = "/v2/p1/os-vendor-backup-sharing/count";
const OTHER: &str = "/v2/p1/volumes";
const COUNT: &str = r#"{"store": {"cluster": "store"}}"#;
const VALIDATE: &str = r#"{"mode": "validate"}"#;
const COUNTED: &str = r#"{"count":2}"#;
const PASSED: &str = r#""passed""#;

/// One Envoy, and what stands behind it.
struct Bench {
    edge: Edge,
    store: ScriptedStore,
    upstream: ScriptedStore,
    /// The service that ext_authz asks, and where traces go. It has nothing against anybody.
    service: ScriptedStore,
}

impl Bench {
    /// With these listeners, each by its name and as YAML.
    fn start(listeners: &[(&str, String)]) -> Bench {
        let start = || ScriptedStore::start().unwrap();
        let (store, upstream, service) = (start(), start(), start());
        store.set(Behaviour::json(200, COUNTED));
        upstream.set(Behaviour::json(200, PASSED));
        let all: String = listeners.iter().map(|(_, yaml)| yaml.as_str()).collect();
        let clusters = clusters(store.address(), upstream.address());
        let port = service.address().port();
        let yaml = format!(
            "static_resources:\n  listeners:\n{all}{clusters}  - name: service
    load_assignment:
      cluster_name: service
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]
"
        );
        let envoy = Envoy::start(&yaml).unwrap();
        let edge = Edge::around(envoy, listeners.iter().map(|(name, _)| *name)).unwrap();
        Bench { edge, store, upstream, service }
    }

    fn ask(&self, listener: &str, method: &str, path: &str, headers: &[(&str, &[u8])]) -> Response {
        request(self.edge.listeners[listener], method, path, headers).unwrap()
    }

    /// What a GET is answered.
    fn get(&self, listener: &str, path: &str) -> (u16, String) {
        let response = self.ask(listener, "GET", path, &[]);
        (response.status, response.text())
    }

    /// The one request that passed.
    fn passed(&self) -> Request {
        only(self.upstream.take_requests())
    }

    /// The one callout.
    fn callout(&self) -> Request {
        only(self.store.take_requests())
    }

    fn stop(self) {
        self.edge.check_vms().unwrap();
        self.edge.envoy.stop().unwrap();
    }
}

fn only(mut requests: Vec<Request>) -> Request {
    assert_eq!(requests.len(), 1);
    requests.pop().unwrap()
}

fn replaced(yaml: &str, from: &str, to: &str) -> String {
    assert!(yaml.contains(from), "no {from} in:\n{yaml}");
    yaml.replace(from, to)
}

fn indented(yaml: &str, columns: usize) -> String {
    yaml.lines().map(|line| format!("{:columns$}{line}\n", "")).collect()
}

const FILTERS: &str = "          http_filters:\n";
const ROUTER: &str = "          - name: router\n";
const ROUTES: &str = "              routes:\n";

fn before(name: &str, configuration: &str, filter: &str) -> String {
    let yaml = listener(name, configuration).unwrap();
    replaced(&yaml, FILTERS, &format!("{FILTERS}{}", indented(filter, 10)))
}

fn behind(name: &str, configuration: &str, filter: &str) -> String {
    let yaml = listener(name, configuration).unwrap();
    replaced(&yaml, ROUTER, &format!("{}{ROUTER}", indented(filter, 10)))
}

const RBAC: &str = r#"- name: rbac
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
    rules: {action: ALLOW, policies: {}}
"#;

const JWT_AUTHN: &str = r#"- name: jwt_authn
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
    providers:
      tokens: {local_jwks: {inline_string: '{"keys":[{"kty":"oct","alg":"HS256","k":"c2VjcmV0"}]}'}}
    rules:
    - {match: {prefix: /}, requires: {provider_name: tokens}}
"#;

const EXT_AUTHZ: &str = r#"- name: ext_authz
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
    http_service: {server_uri: {uri: http://service, cluster: service, timeout: 1s}}
"#;

/// One request a day.
const LOCAL_RATELIMIT: &str = r#"- name: local_ratelimit
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
    stat_prefix: limit
    token_bucket: {max_tokens: 1, tokens_per_fill: 1, fill_interval: 86400s}
    filter_enabled: {default_value: {numerator: 100}}
    filter_enforced: {default_value: {numerator: 100}}
"#;

#[test]
fn what_refuses_before_it_keeps_the_store_from_being_asked_and_behind_it_is_not_asked() {
    for (filter, status) in
        [(RBAC, 403), (JWT_AUTHN, 401), (EXT_AUTHZ, 403), (LOCAL_RATELIMIT, 429)]
    {
        let bench = Bench::start(&[
            ("before", before("before", COUNT, filter)),
            ("behind", behind("behind", COUNT, filter)),
            ("validate", behind("validate", VALIDATE, filter)),
        ]);
        bench.service.set(Behaviour::status(403));
        if filter == LOCAL_RATELIMIT {
            // The one request that each may have.
            assert_eq!(bench.get("before", CALL).0, 200);
            assert_eq!(bench.get("behind", OTHER).0, 200);
            assert_eq!(bench.get("validate", OTHER).0, 200);
            bench.store.take_requests();
        }
        assert_eq!(bench.get("before", CALL).0, status, "{filter}");
        assert_eq!(bench.store.take_requests().len(), 0, "{filter}");

        bench.service.take_requests();
        for _ in 0..2 {
            assert_eq!(bench.get("behind", CALL), (200, COUNTED.to_owned()), "{filter}");
        }
        assert_eq!(bench.service.take_requests().len(), 0, "{filter}");
        assert_eq!(bench.get("behind", OTHER).0, status, "{filter}");
        assert_eq!(bench.get("validate", CALL).0, status, "{filter}");
        bench.stop();
    }
}

#[test]
fn a_route_that_rewrites_makes_a_call_that_nobody_checks() {
    let rewriting = |name: &str, configuration: &str| {
        let routes = format!(
            "{ROUTES}              - match: {{path: /alias}}
                route: {{cluster: upstream, prefix_rewrite: {CALL}}}
              - match: {{prefix: /old/}}
                route: {{cluster: upstream, regex_rewrite: {{pattern: {{regex: '^/old/([^/?]*)'}}, substitution: '/v2/\\1/os-vendor-backup-sharing/count'}}}}
"
        );
        replaced(&listener(name, configuration).unwrap(), ROUTES, &routes)
    };
    let lua = format!(
        r#"- name: lua
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
    default_source_code:
      inline_string: |
        function envoy_on_request(handle)
          local path = handle:headers():get(":path"):gsub("^/alias", "{CALL}")
          handle:headers():replace(":path", path)
        end
"#
    );
    let bench = Bench::start(&[
        ("count", rewriting("count", COUNT)),
        ("validate", rewriting("validate", VALIDATE)),
        ("filter", before("filter", COUNT, &lua)),
    ]);
    for listener in ["count", "validate"] {
        for path in ["/alias?x=1", "/old/p1?x=1"] {
            assert_eq!(bench.get(listener, path), (200, PASSED.to_owned()), "{listener} {path}");
            assert_eq!(bench.passed().target_text(), format!("{CALL}?x=1"), "unchecked");
        }
    }
    assert_eq!(bench.store.take_requests().len(), 0, "and uncounted");

    // In a filter before this one.
    assert_eq!(bench.get("filter", "/alias"), (200, COUNTED.to_owned()));
    assert_eq!(bench.get("filter", "/alias?x=1").0, 400);
    assert_eq!(bench.upstream.take_requests().len(), 0);
    bench.stop();
}

/// The page's YAML: the policy, and the filter.
fn cors() -> [String; 2] {
    let page = workspace::root().join("docs/where-the-filter-goes.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```yaml\n").skip(1);
    let blocks: Vec<String> =
        blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect();
    blocks.try_into().unwrap()
}

#[test]
fn cors_before_it_answers_the_preflight_and_lets_pages_read_refusals() {
    const DOMAINS: &str = "              domains: ['*']\n";
    let [policy, filter] = cors();
    let with_policy =
        |yaml: String| replaced(&yaml, DOMAINS, &format!("{DOMAINS}{}", indented(&policy, 14)));
    let bench = Bench::start(&[
        ("before", with_policy(before("before", COUNT, &filter))),
        ("behind", with_policy(behind("behind", COUNT, &filter))),
    ]);
    let page = b"https://console.example";
    let preflight = |listener: &str, origin: &[u8]| {
        let headers: [(&str, &[u8]); 3] = [
            ("origin", origin),
            ("access-control-request-method", b"GET"),
            ("access-control-request-headers", b"x-auth-token"),
        ];
        bench.ask(listener, "OPTIONS", CALL, &headers)
    };
    let answer = preflight("before", page);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://console.example"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-auth-token"));
    for (listener, origin) in [("behind", &page[..]), ("before", b"https://other.example")] {
        let answer = preflight(listener, origin);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")), "{listener}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{listener}");
    }

    for (path, status) in [(CALL.to_owned(), 200), (format!("{CALL}?x=1"), 400)] {
        let headers: [(&str, &[u8]); 2] = [("origin", page), ("x-auth-token", b"t")];
        for (listener, origin) in [("before", Some("https://console.example")), ("behind", None)] {
            let answer = bench.ask(listener, "GET", &path, &headers);
            assert_eq!(answer.status, status, "{listener} {path}");
            let allowed = answer.header("access-control-allow-origin");
            assert_eq!(allowed, origin, "{listener} {path}");
        }
    }
    bench.stop();
}

#[test]
fn what_mode_validate_lets_through_and_what_not() {
    let bench = Bench::start(&[
        ("validate", listener("validate", VALIDATE).unwrap()),
        ("count", listener("count", COUNT).unwrap()),
    ]);
    let id = "0A1B2C3D-0000-4000-8000-00000000ABCD";
    for target in [
        format!("{CALL}?share_to_me=YES&&volume_id={id}&"),
        format!("{CALL}?%6eame=a+b"),
        format!("{CALL}?availability_zone=z"),
        format!("{CALL}?avalilability_zone=z"),
    ] {
        assert_eq!(bench.get("validate", &target), (200, PASSED.to_owned()), "{target}");
        assert_eq!(bench.passed().target_text(), target);
    }
    for path in [CALL.replace("/v2/", "/V2/"), CALL.replace("/count", "/COUNT")] {
        for listener in ["validate", "count"] {
            let target = format!("{path}?share_to_me=maybe");
            assert_eq!(bench.get(listener, &target), (200, PASSED.to_owned()), "{listener}");
            assert_eq!(bench.passed().target_text(), target);
        }
    }

    let mut connection = Connection::open(bench.edge.listeners["validate"]).unwrap();
    let chunked: [(&str, &[u8]); 1] = [("transfer-encoding", b"chunked")];
    let body = b"5\r\nhello\r\n0\r\n\r\n";
    let response = connection.request_with_body("GET", CALL, &chunked, body).unwrap();
    assert_eq!(response.text(), PASSED);
    let passed = bench.passed();
    assert_eq!((passed.body.as_slice(), passed.header("content-length")), (&b"hello"[..], None));

    for method in ["HEAD", "OPTIONS", "POST"] {
        let response = bench.ask("validate", method, CALL, &[]);
        assert_eq!((response.status, response.header("allow")), (405, Some("GET")), "{method}");
    }
    assert_eq!(bench.upstream.take_requests().len(), 0);
    bench.stop();
}

#[test]
fn envoys_trace_ends_at_the_callout() {
    const PREFIX: &str = "          generate_request_id: false\n";
    let traced = |name: &str, tracer: &str| {
        let tracing = format!("{PREFIX}          tracing:\n            provider:\n");
        let yaml = listener(name, COUNT).unwrap();
        replaced(&yaml, PREFIX, &format!("{tracing}{}", indented(tracer, 14)))
    };
    let opentelemetry = r#"name: envoy.tracers.opentelemetry
typed_config:
  "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
  service_name: edge
  http_service: {http_uri: {uri: http://service/v1/traces, cluster: service, timeout: 1s}}
"#;
    let zipkin = r#"name: envoy.tracers.zipkin
typed_config:
  "@type": type.googleapis.com/envoy.config.trace.v3.ZipkinConfig
  collector_cluster: service
  collector_endpoint: /api/v2/spans
  collector_endpoint_version: HTTP_JSON
  shared_span_context: false
"#;
    let bench = Bench::start(&[
        ("opentelemetry", traced("opentelemetry", opentelemetry)),
        ("zipkin", traced("zipkin", zipkin)),
    ]);

    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let headers: [(&str, &[u8]); 2] =
        [("traceparent", parent.as_bytes()), ("tracestate", b"vendor=1")];
    bench.ask("opentelemetry", "GET", OTHER, &headers);
    let span = bench.passed().header("traceparent").unwrap().to_owned();
    assert!(span.contains(trace) && span != parent, "a span of Envoy's in the client's trace");
    assert_eq!(bench.ask("opentelemetry", "GET", CALL, &headers).text(), COUNTED);
    let asked = bench.callout();
    assert_eq!(asked.header_values("traceparent"), [parent.as_bytes()]);
    assert_eq!(asked.header_values("tracestate"), [b"vendor=1"]);

    let headers: [(&str, &[u8]); 3] = [
        ("x-b3-traceid", b"463ac35c9f6413ad48485a3953bb6124"),
        ("x-b3-spanid", b"a2fb4a1d1a96d312"),
        ("x-b3-sampled", b"1"),
    ];
    bench.ask("zipkin", "GET", OTHER, &headers);
    let passed = bench.passed();
    assert_eq!(passed.header_values("x-b3-traceid"), [headers[0].1]);
    assert_ne!(passed.header_values("x-b3-spanid"), [headers[1].1]);
    assert_eq!(bench.ask("zipkin", "GET", CALL, &headers).text(), COUNTED);
    let asked = bench.callout();
    for (name, value) in headers {
        assert_eq!(asked.header_values(name), [value], "{name}");
    }

    // Where the client has no trace, Envoy begins one, of which the store learns nothing.
    for (listener, name) in [("opentelemetry", "traceparent"), ("zipkin", "x-b3-traceid")] {
        bench.ask(listener, "GET", OTHER, &[]);
        assert!(bench.passed().header(name).is_some(), "{listener}");
        bench.ask(listener, "GET", CALL, &[]);
        let asked = bench.callout();
        let traces =
            asked.headers.iter().filter(|(name, _)| name.contains("trace") || name.contains("b3"));
        assert_eq!(traces.count(), 0, "{listener}: {:?}", asked.headers);
    }
    bench.stop();
}

/// Says on the way back that it was there, and on the way out who asks.
const WHO: &str = r#"- name: who
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
    default_source_code:
      inline_string: |
        function envoy_on_request(handle)
          handle:headers():replace("x-project-id", "p1")
        end
        function envoy_on_response(handle)
          handle:headers():replace("x-was-there", "yes")
        end
"#;

#[test]
fn what_a_filter_before_it_adds_reaches_the_store_if_the_configuration_names_it() {
    const NAMED: &str = r#"{"store": {"cluster": "store", "forward_headers": ["x-project-id"]}}"#;
    let bench =
        Bench::start(&[("named", before("named", NAMED, WHO)), ("not", before("not", COUNT, WHO))]);
    let forged: [(&str, &[u8]); 1] = [("x-project-id", b"p2")];
    for (listener, expected) in [("named", &[&b"p1"[..]][..]), ("not", &[])] {
        assert_eq!(bench.ask(listener, "GET", CALL, &forged).text(), COUNTED);
        assert_eq!(bench.callout().header_values("x-project-id"), expected, "{listener}");
    }
    bench.stop();
}

#[test]
fn the_response_side_of_a_filter_behind_it_runs_for_its_answers() {
    let bench = Bench::start(&[("behind", behind("behind", COUNT, WHO))]);
    for path in [CALL.to_owned(), format!("{CALL}?x=1")] {
        let answer = bench.ask("behind", "GET", &path, &[]);
        assert_eq!(answer.header("x-was-there"), Some("yes"), "{path}");
    }
    bench.stop();
}
