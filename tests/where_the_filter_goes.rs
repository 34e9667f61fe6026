//! `docs/where-the-filter-goes.md`: each of its sentences, with Envoy's own filters around this one.

#![cfg(test)]

use serde_json::{Value, json};
use testkit::edge::{Fixture, listener};
use testkit::envoy::Envoy;
use testkit::envoy::config::{Cluster, Listener, extension, to_cluster};
use testkit::envoy::filters::{ext_authz, jwt_authn, lua, rbac};
use testkit::http::{Connection, Response};
use testkit::store::{Behaviour, Request, ScriptedStore};
use testkit::workspace;

const CALL: &str = "/v2/p1/os-vendor-backup-sharing/count";
const OTHER: &str = "/v2/p1/volumes";
const COUNT: &str = r#"{"store": {"cluster": "store"}}"#;
const VALIDATE: &str = r#"{"mode": "validate"}"#;
const COUNTED: &str = r#"{"count":2}"#;
const PASSED: &str = r#""passed""#;

/// One Envoy, and what stands behind it.
struct Surroundings {
    fixture: Fixture,
    /// The service that ext_authz asks, and where traces go.
    service: ScriptedStore,
}

impl Surroundings {
    fn start(listeners: impl IntoIterator<Item = Listener>) -> Surroundings {
        let service = ScriptedStore::start().unwrap();
        let cluster = Cluster::new("service", service.address());
        let fixture = Fixture::start_with(Envoy::options(), listeners, [cluster]).unwrap();
        Surroundings { fixture, service }
    }

    fn ask(&self, listener: &str, method: &str, path: &str, headers: &[(&str, &[u8])]) -> Response {
        self.fixture.request(listener, method, path, headers).unwrap()
    }

    /// What a GET is answered.
    fn get(&self, listener: &str, path: &str) -> (u16, String) {
        self.fixture.get(listener, path).unwrap()
    }

    /// The one request that passed.
    fn passed(&self) -> Request {
        only(self.fixture.upstream.take_requests())
    }

    /// The one callout.
    fn callout(&self) -> Request {
        only(self.fixture.store.take_requests())
    }
}

fn only(mut requests: Vec<Request>) -> Request {
    assert_eq!(requests.len(), 1);
    requests.pop().unwrap()
}

fn before(name: &str, configuration: &str, filter: Value) -> Listener {
    listener(name, configuration).unwrap().first_filter(filter)
}

fn behind(name: &str, configuration: &str, filter: Value) -> Listener {
    listener(name, configuration).unwrap().filter(filter)
}

/// One request a day.
fn local_ratelimit() -> Value {
    let all = json!({"default_value": {"numerator": 100}});
    let config = json!({
        "stat_prefix": "limit",
        "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "86400s"},
        "filter_enabled": all,
        "filter_enforced": all,
    });
    extension("limit", "extensions.filters.http.local_ratelimit.v3.LocalRateLimit", config)
}

#[test]
fn what_refuses_before_it_keeps_the_store_from_being_asked_and_behind_it_is_not_asked() {
    for (filter, status) in
        [(rbac(), 403), (jwt_authn(), 401), (ext_authz("service"), 403), (local_ratelimit(), 429)]
    {
        let edge = Surroundings::start([
            before("before", COUNT, filter.clone()),
            behind("behind", COUNT, filter.clone()),
            behind("validate", VALIDATE, filter.clone()),
        ]);
        edge.service.set(Behaviour::status(403));
        if status == 429 {
            // The one request that each may have.
            assert_eq!(edge.get("before", CALL).0, 200);
            assert_eq!(edge.get("behind", OTHER).0, 200);
            assert_eq!(edge.get("validate", OTHER).0, 200);
            edge.fixture.store.take_requests();
        }
        assert_eq!(edge.get("before", CALL).0, status, "{filter}");
        assert_eq!(edge.fixture.store.take_requests().len(), 0, "{filter}");

        edge.service.take_requests();
        for _ in 0..2 {
            assert_eq!(edge.get("behind", CALL), (200, COUNTED.to_owned()), "{filter}");
        }
        assert_eq!(edge.service.take_requests().len(), 0, "{filter}");
        assert_eq!(edge.get("behind", OTHER).0, status, "{filter}");
        assert_eq!(edge.get("validate", CALL).0, status, "{filter}");
        edge.fixture.stop().unwrap();
    }
}

#[test]
fn a_route_that_rewrites_makes_a_call_that_nobody_checks() {
    let rewriting = |name: &str, configuration: &str| {
        let mut alias = to_cluster("/alias", "upstream");
        alias["route"]["prefix_rewrite"] = CALL.into();
        let mut old = to_cluster("/old/", "upstream");
        old["route"]["regex_rewrite"] = json!({
            "pattern": {"regex": "^/old/([^/?]*)"},
            "substitution": r"/v2/\1/os-vendor-backup-sharing/count",
        });
        listener(name, configuration).unwrap().first_route(alias).first_route(old)
    };
    let alias = format!(
        r#"function envoy_on_request(handle)
          local path = handle:headers():get(":path"):gsub("^/alias", "{CALL}")
          handle:headers():replace(":path", path)
        end"#
    );
    let edge = Surroundings::start([
        rewriting("count", COUNT),
        rewriting("validate", VALIDATE),
        before("filter", COUNT, lua(&alias)),
    ]);
    for listener in ["count", "validate"] {
        for path in ["/alias?x=1", "/old/p1?x=1"] {
            assert_eq!(edge.get(listener, path), (200, PASSED.to_owned()), "{listener} {path}");
            assert_eq!(edge.passed().target_text(), format!("{CALL}?x=1"), "unchecked");
        }
    }
    assert_eq!(edge.fixture.store.take_requests().len(), 0, "and uncounted");

    // In a filter before this one.
    assert_eq!(edge.get("filter", "/alias"), (200, COUNTED.to_owned()));
    assert_eq!(edge.get("filter", "/alias?x=1").0, 400);
    assert_eq!(edge.fixture.upstream.take_requests().len(), 0);
    edge.fixture.stop().unwrap();
}

/// The page's YAML: what a route has, and the filter.
fn cors() -> [Value; 2] {
    let page = workspace::root().join("docs/where-the-filter-goes.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```yaml\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    let blocks: Vec<Value> = blocks.map(|yaml| serde_saphyr::from_str(yaml).unwrap()).collect();
    blocks.try_into().unwrap()
}

#[test]
fn cors_before_it_answers_the_preflight_and_lets_pages_read_refusals() {
    let [policy, filters] = cors();
    let mut call = to_cluster("", "upstream");
    call["match"] = json!({"path": CALL});
    call["typed_per_filter_config"] = policy["typed_per_filter_config"].clone();
    let edge = Surroundings::start([
        before("before", COUNT, filters[0].clone()).first_route(call.clone()),
        behind("behind", COUNT, filters[0].clone()).first_route(call),
    ]);
    let page = b"https://console.example";
    let preflight = |listener: &str, origin: &[u8]| {
        let headers: [(&str, &[u8]); 3] = [
            ("origin", origin),
            ("access-control-request-method", b"GET"),
            ("access-control-request-headers", b"x-auth-token"),
        ];
        edge.ask(listener, "OPTIONS", CALL, &headers)
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
            let answer = edge.ask(listener, "GET", &path, &headers);
            assert_eq!(answer.status, status, "{listener} {path}");
            let allowed = answer.header("access-control-allow-origin");
            assert_eq!(allowed, origin, "{listener} {path}");
        }
    }
    edge.fixture.stop().unwrap();
}

#[test]
fn what_mode_validate_lets_through_and_what_not() {
    let edge = Surroundings::start([
        listener("validate", VALIDATE).unwrap(),
        listener("count", COUNT).unwrap(),
    ]);
    let id = "0A1B2C3D-0000-4000-8000-00000000ABCD";
    for target in [
        format!("{CALL}?share_to_me=YES&&volume_id={id}&"),
        format!("{CALL}?%6eame=a+b"),
        format!("{CALL}?availability_zone=z"),
        format!("{CALL}?avalilability_zone=z"),
    ] {
        assert_eq!(edge.get("validate", &target), (200, PASSED.to_owned()), "{target}");
        assert_eq!(edge.passed().target_text(), target);
    }
    for path in [CALL.replace("/v2/", "/V2/"), CALL.replace("/count", "/COUNT")] {
        for listener in ["validate", "count"] {
            let target = format!("{path}?share_to_me=maybe");
            assert_eq!(edge.get(listener, &target), (200, PASSED.to_owned()), "{listener}");
            assert_eq!(edge.passed().target_text(), target);
        }
    }

    let mut connection = Connection::open(edge.fixture.edge.listeners["validate"]).unwrap();
    let chunked: [(&str, &[u8]); 1] = [("transfer-encoding", b"chunked")];
    let body = b"5\r\nhello\r\n0\r\n\r\n";
    let response = connection.request_with_body("GET", CALL, &chunked, body).unwrap();
    assert_eq!(response.text(), PASSED);
    let passed = edge.passed();
    assert_eq!((passed.body.as_slice(), passed.header("content-length")), (&b"hello"[..], None));

    for method in ["HEAD", "OPTIONS", "POST"] {
        let response = edge.ask("validate", method, CALL, &[]);
        assert_eq!((response.status, response.header("allow")), (405, Some("GET")), "{method}");
    }
    assert_eq!(edge.fixture.upstream.take_requests().len(), 0);
    edge.fixture.stop().unwrap();
}

#[test]
fn envoys_trace_ends_at_the_callout() {
    let traced = |name: &str, of_type: &str, config: Value| {
        let provider = extension(name, &format!("config.trace.v3.{of_type}"), config);
        listener(name, COUNT).unwrap().with("tracing", json!({"provider": provider}))
    };
    let uri = json!({"uri": "http://service/v1/traces", "cluster": "service", "timeout": "1s"});
    let opentelemetry = json!({"service_name": "edge", "http_service": {"http_uri": uri}});
    let zipkin = json!({
        "collector_cluster": "service",
        "collector_endpoint": "/api/v2/spans",
        "collector_endpoint_version": "HTTP_JSON",
        "shared_span_context": false,
    });
    let edge = Surroundings::start([
        traced("opentelemetry", "OpenTelemetryConfig", opentelemetry),
        traced("zipkin", "ZipkinConfig", zipkin),
    ]);

    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let headers: [(&str, &[u8]); 2] =
        [("traceparent", parent.as_bytes()), ("tracestate", b"vendor=1")];
    edge.ask("opentelemetry", "GET", OTHER, &headers);
    let span = edge.passed().header("traceparent").unwrap().to_owned();
    assert!(span.contains(trace) && span != parent, "a span of Envoy's in the client's trace");
    assert_eq!(edge.ask("opentelemetry", "GET", CALL, &headers).text(), COUNTED);
    let asked = edge.callout();
    assert_eq!(asked.header_values("traceparent"), [parent.as_bytes()]);
    assert_eq!(asked.header_values("tracestate"), [b"vendor=1"]);

    let headers: [(&str, &[u8]); 3] = [
        ("x-b3-traceid", b"463ac35c9f6413ad48485a3953bb6124"),
        ("x-b3-spanid", b"a2fb4a1d1a96d312"),
        ("x-b3-sampled", b"1"),
    ];
    edge.ask("zipkin", "GET", OTHER, &headers);
    let passed = edge.passed();
    assert_eq!(passed.header_values("x-b3-traceid"), [headers[0].1]);
    assert_ne!(passed.header_values("x-b3-spanid"), [headers[1].1]);
    assert_eq!(edge.ask("zipkin", "GET", CALL, &headers).text(), COUNTED);
    let asked = edge.callout();
    for (name, value) in headers {
        assert_eq!(asked.header_values(name), [value], "{name}");
    }

    // Where the client has no trace, Envoy begins one, of which the store learns nothing.
    for (listener, name) in [("opentelemetry", "traceparent"), ("zipkin", "x-b3-traceid")] {
        edge.ask(listener, "GET", OTHER, &[]);
        assert!(edge.passed().header(name).is_some(), "{listener}");
        edge.ask(listener, "GET", CALL, &[]);
        let asked = edge.callout();
        let traces =
            asked.headers.iter().filter(|(name, _)| name.contains("trace") || name.contains("b3"));
        assert_eq!(traces.count(), 0, "{listener}: {:?}", asked.headers);
    }
    edge.fixture.stop().unwrap();
}

/// Says on the way back that it was there, and on the way out who asks.
fn who() -> Value {
    lua(r#"
        function envoy_on_request(handle)
          handle:headers():replace("x-project-id", "p1")
        end
        function envoy_on_response(handle)
          handle:headers():replace("x-was-there", "yes")
        end
    "#)
}

#[test]
fn what_a_filter_before_it_adds_reaches_the_store_if_the_configuration_names_it() {
    const NAMED: &str = r#"{"store": {"cluster": "store", "forward_headers": ["x-project-id"]}}"#;
    let listeners = [before("named", NAMED, who()), before("not", COUNT, who())];
    let edge = Surroundings::start(listeners);
    let forged: [(&str, &[u8]); 1] = [("x-project-id", b"p2")];
    for (listener, expected) in [("named", &[&b"p1"[..]][..]), ("not", &[])] {
        assert_eq!(edge.ask(listener, "GET", CALL, &forged).text(), COUNTED);
        assert_eq!(edge.callout().header_values("x-project-id"), expected, "{listener}");
    }
    edge.fixture.stop().unwrap();
}

#[test]
fn the_response_side_of_a_filter_behind_it_runs_for_its_answers() {
    let edge = Surroundings::start([behind("behind", COUNT, who())]);
    for path in [CALL.to_owned(), format!("{CALL}?x=1")] {
        let answer = edge.ask("behind", "GET", &path, &[]);
        assert_eq!(answer.header("x-was-there"), Some("yes"), "{path}");
    }
    edge.fixture.stop().unwrap();
}
