//! What the release module may cost: bytes, host calls, instructions, in the wasm host.
//!
//! `cargo test --test budgets -- --nocapture --test-threads 1` prints the figures of docs/performance.md.

// Clippy takes helpers outside `#[test]` functions for production code unless told otherwise.
#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::path::PathBuf;

use testkit::wasm::{End, Host, Step};
use testkit::workspace;

const PATH: &str = "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count";
const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}}"#;
const ANSWER: [(&[u8], &[u8]); 3] = [
    (b":status", b"200"),
    (b"content-type", b"application/json"),
    (b"x-envoy-upstream-service-time", b"1"),
];

fn module() -> PathBuf {
    workspace::filter_module().unwrap()
}

fn host() -> Host {
    Host::load(&module(), CONFIGURATION).unwrap()
}

/// The contract's: shown, and no goal of its own.
#[test]
fn the_module_has_400_kib_at_most() {
    let bytes = std::fs::metadata(module()).unwrap().len();
    println!("| module | {bytes} bytes |");
    assert!(bytes <= 400 << 10, "{bytes} bytes");
}

const VALUE: &str = "proxy_get_header_map_value";
const PAIRS: &str = "proxy_get_header_map_pairs";
const SEND: &str = "proxy_send_local_response";
const TIME: &str = "proxy_get_current_time_nanoseconds";
const CALL: &str = "proxy_http_call";
const COUNT_UP: &str = "proxy_increment_metric";
const RECORD: &str = "proxy_record_metric";
const CONTEXT: &str = "proxy_set_effective_context";
const BODY: &str = "proxy_get_buffer_bytes";

/// An event, its host calls, and its instructions, bytes in and bytes out. Instructions may be a fiftieth more.
type Budget = (&'static str, &'static [&'static str], [u64; 3]);

const BUDGETS: [Budget; 11] = [
    ("another path", &[PAIRS], [3_960, 374, 0]),
    ("another path, many headers", &[VALUE], [3_832, 60, 5]),
    ("disguise: 404", &[PAIRS, COUNT_UP, SEND], [37_015, 382, 125]),
    ("method: 405", &[PAIRS, COUNT_UP, SEND], [5_724, 382, 142]),
    ("method: 405, many headers", &[VALUE, PAIRS, COUNT_UP, SEND], [8_727, 3_629, 147]),
    ("accept: 406", &[PAIRS, COUNT_UP, SEND], [7_032, 387, 161]),
    ("filter: 400", &[PAIRS, COUNT_UP, SEND], [12_370, 399, 143]),
    ("count: request", &[PAIRS, TIME, CALL], [17_773, 428, 314]),
    ("count, all filters: request", &[PAIRS, TIME, CALL], [33_863, 602, 489]),
    ("count: answer", &[CONTEXT, TIME, RECORD, VALUE, BODY, COUNT_UP, SEND], [4_790, 14, 71]),
    ("end of a request", &[], [703, 0, 0]),
];

const KEYSTONE: &str = r#"{"store": {"cluster": "store", "timeout": "2s"},
    "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "roles": ["member"]}}}"#;

/// The same with `auth.mode` `keystone`, for requests of five headers with a token of 183 bytes.
const CALLERS: [Budget; 8] = [
    ("no token: 401", &[PAIRS, COUNT_UP, SEND], [12_290, 192, 163]),
    ("new token: request", &[PAIRS, TIME, CALL], [42_788, 375, 545]),
    (
        "new token: Keystone's answer",
        &[CONTEXT, TIME, RECORD, VALUE, BODY, CALL],
        [35_725, 588, 380],
    ),
    (
        "new token: the store's answer",
        &[CONTEXT, TIME, RECORD, VALUE, BODY, COUNT_UP, SEND],
        [5_404, 14, 71],
    ),
    ("known token: request", &[PAIRS, TIME, CALL], [38_879, 375, 373]),
    ("known token: answer", &[CONTEXT, TIME, RECORD, VALUE, BODY, COUNT_UP, SEND], [5_105, 14, 71]),
    ("known token, another project: 403", &[PAIRS, TIME, COUNT_UP, SEND], [36_364, 375, 129]),
    ("refused token: 401", &[PAIRS, TIME, COUNT_UP, SEND], [38_068, 375, 163]),
];

/// Where counts are remembered, of the same requests.
const REMEMBERED: [Budget; 3] = [
    ("new question: request", &[PAIRS, TIME, CALL], [21_749, 375, 373]),
    (
        "new question: answer",
        &[CONTEXT, TIME, RECORD, VALUE, PAIRS, BODY, COUNT_UP, SEND],
        [22_516, 116, 71],
    ),
    ("remembered count", &[PAIRS, TIME, COUNT_UP, SEND], [22_996, 375, 76]),
];
const KNOWN_TOO: Budget =
    ("remembered count, known token", &[PAIRS, TIME, COUNT_UP, SEND], [47_831, 375, 76]);

/// As Keystone answers about a token of one project: 588 bytes.
const KNOWN: &str = r#"{"token": {"methods": ["password"], "user": {"domain": {"id": "default", "name": "Default"}, "id":
"62aa6c8ef8f5416db0c1a85b6b4aca23", "name": "demo", "password_expires_at": null}, "audit_ids":
["9dH2eEdxTsmjPSEsPRd0VQ"], "expires_at": "2099-11-25T19:44:54.000000Z", "issued_at": "2026-11-25T18:44:54.000000Z",
"project": {"domain": {"id": "default", "name": "Default"}, "id": "17fbda95add24720a4038ba4b1c705ed", "name": "demo"},
"is_domain": false, "roles": [{"id": "e9c3d7a7a2a54b0c8a4d1f2b9e0c6d5f", "name": "reader"}, {"id":
"c3a1f2b9e0c6d5fe9c3d7a7a2a54b0c8", "name": "member"}]}}"#;

/// A body, and the status it comes with.
type Answer = (u32, &'static str);

const COUNT: Answer = (200, r#"{"count":2}"#);

/// A request of five headers, and these answers to its callouts: a step for each name.
fn ask(
    host: &mut Host,
    path: &str,
    token: &str,
    answers: &[Answer],
    names: &[&'static str],
) -> Vec<(&'static str, Step)> {
    let fields = [
        (":authority", "edge.example"),
        (":path", path),
        (":method", "GET"),
        ("accept", "application/json"),
        ("x-auth-token", token),
    ];
    let fields = fields.map(|(name, value): (&str, &str)| (name.as_bytes(), value.as_bytes()));
    let begun = host.request(&fields).unwrap();
    let stream = begun.stream;
    let mut all = vec![begun];
    for (status, body) in answers {
        let status = status.to_string();
        let mut headers = ANSWER;
        headers[0].1 = status.as_bytes();
        all.push(host.callout_response(stream, &headers, body.as_bytes()).unwrap());
    }
    host.finish(stream).unwrap();
    names.iter().copied().zip(all).collect()
}

/// One event of each kind.
fn callers(host: &mut Host, token: char) -> Vec<(&'static str, Step)> {
    let token = token.to_string().repeat(183);
    let (other, refused) = (PATH.replace("17fb", "27fb"), format!("0{}", &token[1..]));
    let new =
        ["new token: request", "new token: Keystone's answer", "new token: the store's answer"];
    [
        ask(host, PATH, "", &[], &["no token: 401"]),
        ask(host, PATH, &token, &[(200, KNOWN), COUNT], &new),
        ask(host, PATH, &token, &[COUNT], &["known token: request", "known token: answer"]),
        ask(host, &other, &token, &[], &["known token, another project: 403"]),
        ask(host, PATH, &refused, &[(401, "")], &[]),
        ask(host, PATH, &refused, &[], &["refused token: 401"]),
    ]
    .concat()
}

/// A kind of request.
struct Kind {
    what: &'static str,
    method: &'static str,
    path: String,
    accept: &'static str,
    /// Has 60 header fields more, as behind a browser, two tracers and three proxies.
    has_many_headers: bool,
    end: Ends,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Passes,
    Refused(u32),
    Counted,
}

/// A request as an Envoy's filters get it from an ordinary client.
fn request<'a>(method: &'a str, path: &'a str, accept: &'a str) -> [(&'a [u8], &'a [u8]); 9] {
    [
        (":authority", "edge.example"),
        (":path", path),
        (":method", method),
        (":scheme", "https"),
        ("user-agent", "openstacksdk/4.0.0 keystoneauth1/5.6.0"),
        ("accept", accept),
        ("x-auth-token", "gAAAAABmXoVnK3X9cQJm0v1yTqzZr5h8"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "6f1d2c3b-5a49-4e87-9b60-1f2e3d4c5b6a"),
    ]
    .map(|(name, value): (&str, &str)| (name.as_bytes(), value.as_bytes()))
}

/// All kinds of requests.
fn kinds() -> [Kind; 9] {
    let elsewhere = || "/v2/17fbda95add24720a4038ba4b1c705ed/backups/detail?limit=10".to_owned();
    let route = || PATH.to_owned();
    let disguise =
        "/v2/17fbda95add24720a4038ba4b1c705ed//os-vendor-backup-sharing/count".to_owned();
    let few = format!("{PATH}?share_to_me=true&status=available");
    let uuid = "8332443e-9866-41d8-8a58-a898cf5db030";
    let all = format!(
        "{PATH}?share_to_me=true&volume_id={uuid}&name=my%20backup&status=available&backup_id={uuid}\
         &from_project_id=p2&to_project_id=p1&availability_zone=eu-de-01"
    );
    let json = "application/json";
    let kind = |what, method, path, accept, end| {
        let has_many_headers = false;
        Kind { what, method, path, accept, has_many_headers, end }
    };
    let large = |kind| Kind { has_many_headers: true, ..kind };
    let refused = Ends::Refused;
    [
        kind("another path", "GET", elsewhere(), "*/*", Ends::Passes),
        large(kind("another path, many headers", "GET", elsewhere(), "*/*", Ends::Passes)),
        kind("disguise: 404", "GET", disguise, "*/*", refused(404)),
        kind("method: 405", "POST", route(), "*/*", refused(405)),
        large(kind("method: 405, many headers", "POST", route(), "*/*", refused(405))),
        kind("accept: 406", "GET", route(), "text/html", refused(406)),
        kind("filter: 400", "GET", format!("{PATH}?share_to_me=maybe"), "*/*", refused(400)),
        kind("count: request", "GET", few, json, Ends::Counted),
        kind("count, all filters: request", "GET", all, json, Ends::Counted),
    ]
}

/// One event of each kind, by its name: the headers of each request, an answer of the store, and the end of a request.
fn each(host: &mut Host) -> Vec<(&'static str, Step)> {
    let (mut begun, mut rest) = (Vec::new(), Vec::new());
    for kind in kinds() {
        let mut events = kind.run(host).into_iter();
        begun.extend(events.next().map(|step| (kind.what, step)));
        rest = events.collect();
    }
    begun.extend(["count: answer", "end of a request"].into_iter().zip(rest));
    begun
}

// === impl Kind ===

impl Kind {
    /// Sends one and sees it through: its headers, the store's answer if it is counted, its end.
    fn run(&self, host: &mut Host) -> Vec<Step> {
        let mut headers = request(self.method, &self.path, self.accept).to_vec();
        if self.has_many_headers {
            headers.extend([(&b"x-some-header"[..], &b"some thirty bytes of its value"[..]); 60]);
        }
        let begun = host.request(&headers).unwrap();
        let stream = begun.stream;
        self.check(&begun.end);
        let mut steps = vec![begun];
        if self.end == Ends::Counted {
            let answer = host.callout_response(stream, &ANSWER, br#"{"count":2}"#).unwrap();
            let End::Reply(reply) = &answer.end else { panic!("{answer:?}") };
            assert_eq!(reply.body, br#"{"count":2}"#);
            steps.push(answer);
        }
        steps.push(host.finish(stream).unwrap());
        steps
    }

    fn check(&self, end: &End) {
        match (self.end, end) {
            (Ends::Passes, End::Continue) => {}
            (Ends::Refused(status), End::Reply(reply)) if reply.status == status => {}
            (Ends::Counted, End::Callout(callout)) => {
                assert_eq!((callout.cluster.as_str(), callout.timeout_ms), ("store", 2000));
            }
            (_, end) => panic!("{}: {end:?}", self.what),
        }
    }
}

#[test]
fn each_kind_of_request_costs_what_it_did_and_no_more() {
    let mut host = host();
    // The first also make room for those to come, and begin the ticks.
    each(&mut host);
    check(&each(&mut host), &BUDGETS);
}

#[test]
fn who_the_caller_is_costs_what_it_did_and_no_more() {
    let mut host = Host::load(&module(), KEYSTONE).unwrap();
    callers(&mut host, '1');
    check(&callers(&mut host, '2'), &CALLERS);
}

#[test]
fn a_remembered_count_costs_what_it_did_and_no_more() {
    let with_cache =
        |configuration: &str| configuration.replacen('{', r#"{"cache": {"ttl": "60s"}, "#, 1);
    let new = ["new question: request", "new question: answer"];
    let mut host = Host::load(&module(), &with_cache(CONFIGURATION)).unwrap();
    let mut each = |token: char| {
        let token = token.to_string().repeat(183);
        let asked = ask(&mut host, PATH, &token, &[COUNT], &new);
        [asked, ask(&mut host, PATH, &token, &[], &["remembered count"])].concat()
    };
    each('1');
    check(&each('2'), &REMEMBERED);

    // The token is remembered too.
    let mut host = Host::load(&module(), &with_cache(KEYSTONE)).unwrap();
    let token = "1".repeat(183);
    ask(&mut host, PATH, &token, &[(200, KNOWN), COUNT], &[]);
    check(&ask(&mut host, PATH, &token, &[], &[KNOWN_TOO.0]), &[KNOWN_TOO]);
}

#[test]
fn without_metrics_nothing_is_done_for_them() {
    const OFF: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}, "metrics": "off"}"#;
    let mut host = Host::load(&module(), OFF).unwrap();
    each(&mut host);
    assert!(host.metrics().is_empty(), "none is defined");
    for ((event, step), (_, calls, [instructions, ..])) in each(&mut host).iter().zip(&BUDGETS) {
        // The clock is asked for how long a callout took.
        let is_for_metrics = |call: &str| {
            [COUNT_UP, RECORD].contains(&call) || (calls[0] == CONTEXT && call == TIME)
        };
        let others = calls.iter().filter(|call| !is_for_metrics(call)).copied();
        assert_eq!(step.calls, others.collect::<Vec<_>>(), "{event}");
        // What is not counted is not looked up either.
        let spared = if calls.contains(&COUNT_UP) { 300 } else { 0 };
        assert!(step.fuel + spared <= instructions * 51 / 50, "{event}: {}", step.fuel);
    }
}

fn check(steps: &[(&str, Step)], budgets: &[Budget]) {
    println!("| event | host calls | instructions | bytes in | bytes out |");
    println!("|---|---:|---:|---:|---:|");
    for (what, Step { calls, fuel, bytes_in, bytes_out, .. }) in steps {
        println!("| {what} | {} | {fuel} | {bytes_in} | {bytes_out} |", calls.len());
    }
    let mut spent = Vec::new();
    assert_eq!(steps.len(), budgets.len());
    for ((event, step), (what, calls, [instructions, bytes_in, bytes_out])) in
        steps.iter().zip(budgets)
    {
        let Step { fuel, .. } = step;
        assert_eq!(event, what);
        assert_eq!(step.calls, *calls, "{what}");
        assert_eq!([step.bytes_in, step.bytes_out], [*bytes_in, *bytes_out], "{what}");
        if fuel * 50 > instructions * 51 {
            spent.push(format!("{what} took {instructions} instructions, takes {fuel}"));
        }
    }
    assert!(spent.is_empty(), "{}", spent.join("\n"));
}

#[test]
fn what_a_stranger_sends_costs_by_its_length() {
    let sixty = |piece: &str| piece.repeat(60_000 / piece.len());
    let (before, after) = ("/v2/p1/os-vendor-backup-sharing", "/count/x");
    let mut host = host();
    println!("| 60 KB of | instructions for a byte |");
    println!("|---|---:|");
    let mut most = 0;
    for piece in [
        "a", "/", "/.", "/x/..", "//", "/..", "%41", "%2F", "%2f..", "\\", ";", ";a", "/;%2F\\..",
        "/a;b\\%2e%2e",
    ] {
        let path = format!("{before}{}{after}", sixty(piece));
        let step = host.request(&request("GET", &path, "*/*")).unwrap();
        let each = step.fuel / 60_000;
        println!("| path `{piece}` | {each} |");
        most = most.max(each);
    }
    for piece in ["a", "&", "%41", "a=&", "name=", "%C3%A9", "+"] {
        let path = format!("{PATH}?name={}", sixty(piece));
        let step = host.request(&request("GET", &path, "*/*")).unwrap();
        let each = step.fuel / 60_000;
        println!("| query `{piece}` | {each} |");
        most = most.max(each);
    }
    for piece in ["a", ",", "a/b,", "a/b;c=d,", "*/*;q=0.001,", "\"", "a/b;c=\"\\", ";", " "] {
        let step = host.request(&request("GET", PATH, &sixty(piece))).unwrap();
        let each = step.fuel / 60_000;
        println!("| accept `{piece}` | {each} |");
        most = most.max(each);
    }
    assert!(most <= 350, "{most} instructions for a byte");

    // Short paths are read in every spelling there is.
    let mut most = 0;
    for piece in ["/a;b\\%2e%2e", "\\/..;", "//%5C;/..", "%2F..;a\\b"] {
        for times in [1, 3, 10, 30, 100, 300] {
            let path = format!("{before}{}/x", piece.repeat(times));
            let step = host.request(&request("GET", &path, "*/*")).unwrap();
            println!("| path of {} bytes, `{piece}`, in all | {} |", path.len(), step.fuel);
            most = most.max(step.fuel);
        }
    }
    assert!(most <= 2_000_000, "{most} instructions");
}
