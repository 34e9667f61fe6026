//! `docs/callers.md`: its examples, with Envoy's own filters before this one, and clients that name their project
//! themselves.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::fs;

use serde_json::{Value, json};
use testkit::edge::{FILTER, Fixture, listener_with};
use testkit::envoy::Envoy;
use testkit::envoy::config::{Cluster, Listener, to_cluster, typed};
use testkit::http::Response;
use testkit::store::{Behaviour, ScriptedStore};
use testkit::workspace;

const CALL: &str = "/v2/p1/os-vendor-backup-sharing/count";
const MISSING: (u16, &str) = (401, "auth_missing");
const ANOTHERS: (u16, &str) = (403, "auth_project");
const COUNTED: (u16, &str) = (200, "store_count");
const PASSED: (u16, &str) = (200, "via_upstream");
const JWT: (u16, &str) = (401, "jwt_authn_access_denied");
const DENIED: (u16, &str) = (401, "ext_authz_denied");

/// What the client says of its project.
const FORGED: [&[&str]; 3] = [&["p1"], &["p1", "p1"], &["p2", "p1"]];

/// The page's YAML: jwt_authn with what stands around it, ext_authz with what stands before it, and the plugin
/// configuration for Keystone.
fn examples() -> [Value; 3] {
    let page = fs::read_to_string(workspace::root().join("docs/callers.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let blocks: Vec<Value> = blocks.map(|yaml| serde_saphyr::from_str(yaml).unwrap()).collect();
    blocks.try_into().unwrap()
}

/// Keys, and tokens that were signed once and are good until 2100: no test needs a private key.
fn tokens() -> Value {
    let file = workspace::root().join("tests/tokens.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// The example with jwt_authn, with the files of this machine, and time for a busy one.
fn with_jwt_authn() -> [Value; 3] {
    let [example, ..] = examples();
    let mut filters: [Value; 3] = serde_json::from_value(example).unwrap();
    let jwks = &mut filters[1]["typed_config"]["providers"]["issuer"]["local_jwks"];
    assert_eq!(jwks.take(), json!({"filename": "/etc/envoy/jwks.json"}));
    *jwks = json!({"inline_string": tokens()["jwks"].to_string()});
    let plugin = &mut filters[2]["typed_config"]["config"];
    plugin["vm_config"]["code"]["local"]["filename"] =
        workspace::filter_module().unwrap().to_str().unwrap().into();
    plugin["configuration"]["value"]["store"]["timeout"] = "20s".into();
    filters
}

/// The example with ext_authz.
fn with_ext_authz() -> [Value; 3] {
    let [_, example, _] = examples();
    let [first, mut second]: [Value; 2] = serde_json::from_value(example).unwrap();
    second["typed_config"]["http_service"]["server_uri"]["timeout"] = "20s".into();
    let [_, _, third] = with_jwt_authn();
    [first, second, third]
}

fn configuration(filters: &mut [Value; 3]) -> &mut Value {
    &mut filters[2]["typed_config"]["config"]["configuration"]["value"]
}

/// One Envoy, and what stands behind it.
struct Edge {
    fixture: Fixture,
    counts: ScriptedStore,
    authz: ScriptedStore,
    /// How many requests there were.
    asked: usize,
}

impl Edge {
    /// With listeners for these filters: `count`, `validate`, and `unstripped` without the first. A request with
    /// `x-route: open` takes a route on which the second, of this name, is off.
    fn start(
        filters: &[Value; 3],
        off: (&str, Value),
        more: impl IntoIterator<Item = Listener>,
    ) -> Edge {
        let mut validate = filters.clone();
        configuration(&mut validate)["mode"] = "validate".into();
        let mut open = to_cluster("/", "upstream");
        open["match"]["headers"] = json!([{"name": "x-route", "string_match": {"exact": "open"}}]);
        open["typed_per_filter_config"] = json!({off.0: off.1});
        let listeners = [
            chain("count", filters).first_route(open.clone()),
            chain("validate", &validate).first_route(open.clone()),
            chain("unstripped", &filters[1..]).first_route(open),
        ];
        Edge::with(listeners.into_iter().chain(more))
    }

    fn with(listeners: impl IntoIterator<Item = Listener>) -> Edge {
        let [counts, authz] = [(); 2].map(|()| ScriptedStore::start().unwrap());
        counts.set(Behaviour::json(200, r#"{"count":7}"#));
        let clusters =
            [Cluster::new("count_store", counts.address()), Cluster::new("authz", authz.address())];
        let options = Envoy::options().arg("--file-flush-interval-msec").arg("20");
        let listeners =
            listeners.into_iter().map(|one| one.log_requests("%RESPONSE_CODE_DETAILS%"));
        let fixture = Fixture::start_with(options, listeners, clusters).unwrap();
        Edge { fixture, counts, authz, asked: 0 }
    }

    /// Envoy's release, without the patch.
    fn release(&self) -> (u32, u32) {
        let info = self.fixture.edge.envoy.admin_get("/server_info").unwrap();
        let info: Value = serde_json::from_str(&info).unwrap();
        let release = info["version"].as_str().unwrap().split('/').nth(1).unwrap();
        let (major, rest) = release.split_once('.').unwrap();
        let (minor, _) = rest.split_once('.').unwrap();
        (major.parse().unwrap(), minor.parse().unwrap())
    }

    /// Asks, with these headers besides what the client says of its project.
    #[track_caller]
    fn ask(
        &mut self,
        listener: &str,
        headers: &[(&str, &str)],
        forged: &[&str],
        (status, details): (u16, &str),
    ) -> Response {
        let forged = forged.iter().map(|value| ("x-project-id", value.as_bytes()));
        let headers = headers.iter().map(|&(name, value)| (name, value.as_bytes()));
        let headers: Vec<_> = forged.chain(headers).collect();
        let response = self.fixture.request(listener, "GET", CALL, &headers).unwrap();
        let logged = self.fixture.edge.logged(self.asked).unwrap();
        self.asked += 1;
        assert!(logged.starts_with(details), "{logged}, {details} was expected");
        assert_eq!(response.status, status, "{logged}");
        if (status, details) == MISSING {
            assert_eq!(response.header("www-authenticate"), Some(r#"Bearer realm="counts""#));
        }
        response
    }

    /// The same, whatever the client says of its project, or nothing.
    #[track_caller]
    fn always(&mut self, listener: &str, headers: &[(&str, &str)], expected: (u16, &str)) {
        for forged in FORGED.into_iter().chain([&[][..]]) {
            self.ask(listener, headers, forged, expected);
        }
    }

    /// The right credential: it is counted, or passes, as the caller of the path's project.
    #[track_caller]
    fn is_admitted(&mut self, headers: &[(&str, &str)]) {
        assert_eq!(self.counts.take_requests().len(), 0, "nobody was admitted before");
        assert_eq!(self.fixture.upstream.take_requests().len(), 0);
        self.always("count", headers, COUNTED);
        let callouts = self.counts.take_requests();
        assert_eq!(callouts.len(), 4);
        assert!(callouts.iter().all(|callout| callout.header("x-project-id").is_none()));
        self.always("validate", headers, PASSED);
        let passed = self.fixture.upstream.take_requests();
        assert_eq!(passed.len(), 4);
        for request in passed {
            assert_eq!(request.header_values("x-project-id"), [b"p1"], "the vouched one alone");
        }
    }
}

/// A listener with these filters.
fn chain(name: &str, filters: &[Value]) -> Listener {
    let (first, rest) = filters.split_first().unwrap();
    let listener = listener_with(name, first.clone());
    rest.iter().fold(listener, |listener, filter| listener.filter(filter.clone()))
}

#[test]
fn jwt_authn() {
    let filters = with_jwt_authn();
    let mut no_rule = filters.clone();
    no_rule[1]["typed_config"]["rules"].take();
    // Another issuer, whose tokens make no header, may vouch too, and is tried first.
    let mut two_issuers = filters.clone();
    let jwt = &mut two_issuers[1]["typed_config"];
    jwt["providers"]["another"] = jwt["providers"]["issuer"].clone();
    jwt["providers"]["another"]["claim_to_headers"].take();
    let any = ["another", "issuer"].map(|name| json!({"provider_name": name}));
    jwt["rules"][0]["requires"] = json!({"requires_any": {"requirements": any}});
    let off = typed(
        "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
        json!({"disabled": true}),
    );
    let off = ("envoy.filters.http.jwt_authn", off);
    let mut edge = Edge::start(
        &filters,
        off,
        [
            chain("no_rule", &no_rule),
            chain("unstripped_no_rule", &no_rule[1..]),
            chain("two_issuers", &two_issuers),
            chain("unstripped_two_issuers", &two_issuers[1..]),
        ],
    );
    let tokens = tokens();
    let bearer = |name: &str| format!("Bearer {}", tokens[name].as_str().unwrap());
    let (own, anothers, nobodys) = (bearer("p1"), bearer("p2"), bearer("without_project"));
    for listener in ["count", "validate"] {
        edge.always(listener, &[], JWT);
        for bad in ["expired", "of_another_key"] {
            edge.always(listener, &[("authorization", &bearer(bad))], JWT);
        }
        let bad = bearer("for_another_audience");
        edge.always(listener, &[("authorization", &bad)], (403, JWT.1));
        edge.always(listener, &[("authorization", &anothers)], ANOTHERS);
        edge.always(listener, &[("authorization", &nobodys)], MISSING);
        // On a route without a rule no token is looked at.
        for token in [&own, &anothers, "Bearer bad"] {
            edge.always(listener, &[("x-route", "open"), ("authorization", token)], MISSING);
        }
    }
    edge.always("no_rule", &[], MISSING);
    edge.always("no_rule", &[("authorization", &own)], MISSING);
    edge.always("two_issuers", &[("authorization", &anothers)], MISSING);

    // Why the header is stripped: where no rule applies, or another issuer's token will do, Envoy before 1.40 believes a client
    // that names its project.
    let believed = if edge.release() < (1, 40) { COUNTED } else { MISSING };
    edge.ask("unstripped", &[("x-route", "open")], &["p1"], believed);
    edge.ask("unstripped_no_rule", &[], &["p1"], believed);
    edge.ask("unstripped_two_issuers", &[("authorization", &anothers)], &["p1"], believed);
    assert_eq!(edge.counts.take_requests().len(), if believed == COUNTED { 3 } else { 0 });
    // Under a rule of one issuer jwt_authn strips too.
    edge.ask("unstripped", &[("authorization", &nobodys)], &["p1"], MISSING);
    edge.ask("unstripped", &[("authorization", &anothers)], &["p1"], ANOTHERS);

    edge.is_admitted(&[("authorization", &own)]);
    edge.fixture.stop().unwrap();
}

#[test]
fn ext_authz() {
    let off = typed(
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        json!({"disabled": true}),
    );
    let off = ("envoy.filters.http.ext_authz", off);
    let mut edge = Edge::start(&with_ext_authz(), off, []);
    edge.authz.set(Behaviour::by_request(|request| {
        assert_eq!(request.target_text(), format!("/check{CALL}"));
        let answer = |status, headers: &[(&str, &str)]| Behaviour::Answer {
            status,
            headers: headers.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect(),
            body: Vec::new(),
        };
        match (request.header("x-project-id"), request.header("x-auth-token")) {
            // What the client says of its project is not the service's business.
            (Some(_), _) => answer(500, &[]),
            (None, Some("own")) => answer(200, &[("x-project-id", "p1"), ("x-role", "admin")]),
            (None, Some("anothers")) => answer(200, &[("x-project-id", "p2")]),
            (None, Some("nobodys")) => answer(200, &[]),
            (None, Some("crash")) => Behaviour::ResetBeforeHeaders,
            _ => answer(401, &[("www-authenticate", "Own")]),
        }
    }));
    // 1.37.0 does not heed `status_on_error`.
    let failed = if edge.release() == (1, 37) { 403 } else { 503 };
    for listener in ["count", "validate"] {
        edge.always(listener, &[], DENIED);
        edge.always(listener, &[("x-auth-token", "bad")], DENIED);
        edge.always(listener, &[("x-auth-token", "anothers")], ANOTHERS);
        edge.always(listener, &[("x-auth-token", "nobodys")], MISSING);
        edge.always(listener, &[("x-auth-token", "crash")], (failed, "ext_authz_error"));
        for token in ["own", "anothers", "bad"] {
            edge.always(listener, &[("x-route", "open"), ("x-auth-token", token)], MISSING);
        }
    }

    // Why the header is stripped: a client that names its project is believed.
    edge.ask("unstripped", &[("x-route", "open")], &["p1"], COUNTED);
    edge.ask("unstripped", &[("x-auth-token", "nobodys")], &["p1"], COUNTED);
    assert_eq!(edge.counts.take_requests().len(), 2);
    edge.ask("unstripped", &[("x-auth-token", "anothers")], &["p1"], ANOTHERS);

    edge.is_admitted(&[("x-auth-token", "own")]);
    edge.fixture.stop().unwrap();
}

#[test]
fn keystone() {
    let [_, _, mut example] = examples();
    example["store"]["timeout"] = "20s".into();
    example["auth"]["keystone"]["timeout"] = "20s".into();
    let filter =
        testkit::edge::filter(&workspace::filter_module().unwrap(), FILTER, &example.to_string());
    let mut edge = Edge::with([listener_with("count", filter)]);
    edge.fixture.keystone.set(Behaviour::by_request(|request| {
        assert_eq!(request.target_text(), "/identity/v3/auth/tokens?nocatalog");
        let (project, role) = match request.header("x-subject-token") {
            Some("own") => ("p1", "member"),
            Some("anothers") => ("p2", "member"),
            Some("without_role") => ("p1", "auditor"),
            _ => return Behaviour::status(401),
        };
        let token = json!({
            "project": {"id": project},
            "roles": [{"name": role}],
            "expires_at": "2100-01-01T00:00:00Z",
        });
        Behaviour::json(200, json!({"token": token}).to_string())
    }));
    // The header of another mode vouches for nobody.
    let refused = edge.ask("count", &[("x-auth-token", "bad")], &["p1"], (401, "auth_refused"));
    let challenge = r#"Keystone uri="https://identity.example/v3""#;
    assert_eq!(refused.header("www-authenticate"), Some(challenge));
    edge.ask("count", &[("x-auth-token", "anothers")], &["p1"], ANOTHERS);
    edge.ask("count", &[("x-auth-token", "without_role")], &["p1"], (403, "auth_role"));
    assert_eq!(edge.counts.take_requests().len(), 0);
    edge.ask("count", &[("x-auth-token", "own")], &[], COUNTED);
    let callouts = edge.counts.take_requests();
    assert!(callouts.iter().all(|callout| callout.header("x-auth-token").is_none()));
    assert_eq!((callouts.len(), edge.fixture.keystone.take_requests().len()), (1, 4));
    edge.fixture.stop().unwrap();
}
