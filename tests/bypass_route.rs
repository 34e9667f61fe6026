//! The filter left out of requests that cannot be for it: what the route of its page takes away, what it must
//! not, and when not to use it. The contract's cases hold with it too: `cases_envoy.rs`.

#![cfg(test)]

use std::fs;
use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use testkit::bypass_route;
use testkit::edge::{Fixture, listener};
use testkit::envoy::Envoy;
use testkit::envoy::config::Listener;
use testkit::envoy::filters::lua;
use testkit::http::Connection;
use testkit::workspace;

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
const CONFIGURATION: &str = r#"{"store": {"cluster": "store"}}"#;

fn everywhere(name: &str) -> Listener {
    listener(name, CONFIGURATION).unwrap()
}

fn only_its_own(name: &str) -> Listener {
    everywhere(name).first_route(bypass_route::route("upstream"))
}

#[test]
fn the_page_shows_this_route() {
    let page = workspace::root().join("docs/beside-much-other-traffic.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, shown) = page.split_once("```yaml\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let shown: Vec<Value> = serde_saphyr::from_str(shown).unwrap();
    assert_eq!(shown, [bypass_route::route("backend")]);
}

#[test]
fn for_another_path_no_filter_is_made() {
    // On this level Envoy tells of each call of the module.
    let options = Envoy::options().component_log_level("wasm:trace");
    let listeners = [everywhere("all"), only_its_own("own")];
    let fixture = Fixture::start_with(options, listeners, []).unwrap();
    let asked = || fixture.edge.envoy.log().matches("[host->vm] proxy_on_request_headers(").count();
    let mut before = 0;
    for (listener, path, made) in [
        ("all", "/v2/p1/volumes?limit=10", true),
        ("own", "/v2/p1/volumes?limit=10", false),
        ("own", "/v2/p1/volumes?name=%41", true),
        ("own", PATH, true),
    ] {
        let (_, answer) = fixture.get(listener, path).unwrap();
        assert_eq!(answer, if path == PATH { r#"{"count":2}"# } else { "\"passed\"" });
        let now = asked();
        assert_eq!(now > before, made, "{listener}: {path}");
        before = now;
    }
    fixture.stop().unwrap();
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
fn normalising(listener: Listener) -> Listener {
    listener
        .with("normalize_path", true.into())
        .with("merge_slashes", true.into())
        .with("path_with_escaped_slashes_action", "UNESCAPE_AND_FORWARD".into())
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
        everywhere("all"),
        only_its_own("own"),
        normalising(everywhere("normalised")),
        normalising(only_its_own("own_normalised")),
    ];
    let names = listeners.each_ref().map(|listener| listener.name().to_owned());
    let fixture = Fixture::with_listeners(listeners).unwrap();
    let mut clients = names.map(|name| {
        let address = fixture.edge.listeners[&name];
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
    fixture.stop().unwrap();
}

/// A limit of such a route, told on its page: which filters there are is settled before the first runs.
#[test]
fn a_path_rewritten_to_the_call_slips_past() {
    let rewrite = lua("function envoy_on_request(handle)
        handle:headers():replace(':path', handle:headers():get('to'))
        handle:clearRouteCache()
    end");
    let listeners = [everywhere("all"), only_its_own("own")];
    let listeners = listeners.map(|listener| listener.first_filter(rewrite.clone()));
    let fixture = Fixture::with_listeners(listeners).unwrap();
    for (listener, answer) in [("all", r#"{"count":2}"#), ("own", "\"passed\"")] {
        let to: [(&str, &[u8]); 1] = [("to", PATH.as_bytes())];
        let response = fixture.request(listener, "GET", "/alias", &to).unwrap();
        assert_eq!(response.text(), answer, "{listener}");
    }
    fixture.stop().unwrap();
}
