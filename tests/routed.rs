//! The filter left out of requests that cannot be for it: what the README's route takes away, what it must
//! not, and when not to use it. The contract's cases hold with it too: `cases_envoy.rs`.

#![cfg(test)]

use std::fs;
use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use testkit::edge::{Edge, clusters, listener};
use testkit::envoy::Envoy;
use testkit::http::{Connection, request};
use testkit::routed::{ROUTE, routed};
use testkit::store::{Behaviour, ScriptedStore};
use testkit::workspace;

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
const CONFIGURATION: &str = r#"{"store": {"cluster": "store"}}"#;

struct Bench {
    edge: Edge,
    _store: ScriptedStore,
    _upstream: ScriptedStore,
}

impl Bench {
    /// One Envoy with these listeners, each by its name and as YAML.
    fn start(listeners: &[(&str, String)], log: &str) -> Bench {
        let (store, upstream) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
        store.set(Behaviour::json(200, r#"{"count":2}"#));
        upstream.set(Behaviour::json(200, "\"passed\""));
        let all: String = listeners.iter().map(|(_, yaml)| yaml.as_str()).collect();
        let clusters = clusters(store.address(), upstream.address());
        let yaml = format!("static_resources:\n  listeners:\n{all}{clusters}");
        let envoy = Envoy::options().component_log_level(log).start(&yaml).unwrap();
        let edge = Edge::around(envoy, listeners.iter().map(|(name, _)| *name)).unwrap();
        Bench { edge, _store: store, _upstream: upstream }
    }

    fn stop(self) {
        self.edge.check_vms().unwrap();
        self.edge.envoy.stop().unwrap();
    }
}

fn everywhere(name: &str) -> String {
    listener(name, CONFIGURATION).unwrap()
}

fn only_its_own(name: &str) -> String {
    routed(&everywhere(name)).unwrap()
}

#[test]
fn the_readme_shows_this_route() {
    let readme =
        fs::read_to_string(workspace::root().join("docs/beside-much-other-traffic.md")).unwrap();
    assert!(readme.contains(ROUTE), "the README lacks:\n{ROUTE}");
}

#[test]
fn for_another_path_no_filter_is_made() {
    let listeners = [("all", everywhere("all")), ("own", only_its_own("own"))];
    // On this level Envoy tells of each call of the module.
    let bench = Bench::start(&listeners, "wasm:trace");
    let asked = || bench.edge.envoy.log().matches("[host->vm] proxy_on_request_headers(").count();
    let mut before = 0;
    for (listener, path, made) in [
        ("all", "/v2/p1/volumes?limit=10", true),
        ("own", "/v2/p1/volumes?limit=10", false),
        ("own", "/v2/p1/volumes?name=%41", true),
        ("own", PATH, true),
    ] {
        let answer = request(bench.edge.listeners[listener], "GET", path, &[]).unwrap().text();
        assert_eq!(answer, if path == PATH { r#"{"count":2}"# } else { "\"passed\"" });
        let now = asked();
        assert_eq!(now > before, made, "{listener}: {path}");
        before = now;
    }
    bench.stop();
}

/// Some rows of these are the route, some its disguises, and most are neither.
const PIECES: &[&str] = &[
    "/", "//", "\\", "%2f", "%5C", "/./", "/../", "/x/..", ".", "..", "%2e", ";", ";a=b", ";a/b",
    "%3b", "%", "%25", "?", "?name=a", "?%", "x", "%63", "v2", "p1", "/v2/p1", "/count", PATH,
];

/// What begins no path, or ends in none: for Envoy to refuse, or to read its own way.
const ODDITIES: &[&str] = &["#", "*", "http://a", "http://a?", " ", "\t", "\x01", "\u{e9}"];

const NAMES: &[&str] =
    &["/os-vendor-backup-sharing", "/os%2Dvendor-backup-sharing", "/OS-vendor-backup-sharing", ""];

/// The route with something between its parts.
fn paths() -> impl Strategy<Value = Vec<u8>> {
    let piece = || prop_oneof![30 => select(PIECES), 1 => select(ODDITIES)];
    let between = || prop_oneof![2 => Just(vec![]), 1 => vec(piece(), 1..3)];
    let start = prop_oneof![20 => between(), 1 => vec(select(ODDITIES), 1)];
    let name = prop_oneof![3 => Just(NAMES[0]), 1 => select(NAMES)];
    let parts = (start, between(), between(), name, between(), between());
    parts.prop_map(|(a, b, c, name, d, e)| {
        let (a, b, c, d, e) = (a.concat(), b.concat(), c.concat(), d.concat(), e.concat());
        format!("{a}/v2{b}/p1{c}{name}{d}/count{e}").into_bytes()
    })
}

/// A listener whose Envoy normalises paths first.
fn normalising(yaml: &str) -> String {
    const BEFORE: &str = "          http_filters:\n";
    const NORMALISE: &str = "          normalize_path: true
          merge_slashes: true
          path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD
";
    assert!(yaml.contains(BEFORE), "{yaml}");
    yaml.replace(BEFORE, &format!("{NORMALISE}{BEFORE}"))
}

/// A client that asks on one connection for as long as it lasts.
struct Client {
    address: SocketAddr,
    connection: Connection,
}

impl Client {
    /// What a GET is answered; nothing, if Envoy hangs up.
    fn ask(&mut self, path: &[u8]) -> Option<(u16, String)> {
        let answer = self.connection.request("GET", path, &[]).ok();
        if answer.as_ref().is_none_or(|answer| answer.header("connection") == Some("close")) {
            self.connection = Connection::open(self.address).unwrap();
        }
        answer.map(|answer| (answer.status, answer.text()))
    }
}

#[test]
fn odd_paths_are_answered_as_with_the_filter_everywhere() {
    let listeners = [
        ("all", everywhere("all")),
        ("own", only_its_own("own")),
        ("normalised", normalising(&everywhere("normalised"))),
        ("own_normalised", normalising(&only_its_own("own_normalised"))),
    ];
    let bench = Bench::start(&listeners, "wasm:info");
    let mut clients = listeners.each_ref().map(|(name, _)| {
        let address = bench.edge.listeners[*name];
        Client { address, connection: Connection::open(address).unwrap() }
    });
    let mut runner = TestRunner::deterministic();
    let (mut passed, mut answered) = (0_u32, 0_u32);
    for _ in 0..3_000 {
        let path = paths().new_tree(&mut runner).unwrap().current();
        let [all, own, normalised, own_normalised] =
            clients.each_mut().map(|client| client.ask(&path));
        assert_eq!(all, own, "{}", path.escape_ascii());
        assert_eq!(normalised, own_normalised, "normalised: {}", path.escape_ascii());
        for (_, body) in [all, normalised].into_iter().flatten() {
            match body.as_str() {
                "\"passed\"" => passed = passed.saturating_add(1),
                "" => {} // Envoy's own
                _ => answered = answered.saturating_add(1),
            }
        }
    }
    println!("{passed} passed, {answered} were answered by the filter");
    assert!(passed > 1_000 && answered > 1_000, "{passed}, {answered}");
    bench.stop();
}

/// A limit of such a route, told in the README: which filters there are is settled before the first runs.
#[test]
fn a_path_rewritten_to_the_call_slips_past() {
    const LUA: &str = "          - name: lua
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
              default_source_code:
                inline_string: |
                  function envoy_on_request(handle)
                    handle:headers():replace(':path', handle:headers():get('to'))
                    handle:clearRouteCache()
                  end
";
    let filters = "          http_filters:\n";
    let after_lua = |yaml: String| yaml.replace(filters, &format!("{filters}{LUA}"));
    let listeners =
        [("all", after_lua(everywhere("all"))), ("own", after_lua(only_its_own("own")))];
    let bench = Bench::start(&listeners, "wasm:info");
    for (listener, answer) in [("all", r#"{"count":2}"#), ("own", "\"passed\"")] {
        let address = bench.edge.listeners[listener];
        let response = request(address, "GET", "/alias", &[("to", PATH.as_bytes())]).unwrap();
        assert_eq!(response.text(), answer, "{listener}");
    }
    bench.stop();
}
