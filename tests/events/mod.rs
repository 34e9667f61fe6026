//! One event of each kind that has a budget, for the tests that hold them.

use testkit::wasm::{End, Host, LocalReply, Step};

pub const PATH: &str = "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count";
pub const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}}"#;
const ANSWER: [(&[u8], &[u8]); 3] = [
    (b":status", b"200"),
    (b"content-type", b"application/json"),
    (b"x-envoy-upstream-service-time", b"1"),
];

/// A kind of request.
pub struct Kind {
    pub what: &'static str,
    method: &'static str,
    path: String,
    accept: &'static str,
    /// Behind a browser, two tracers and three proxies.
    has_many_headers: bool,
    pub end: Ends,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Passes,
    Refused(u32),
    Counted,
}

/// A request as an Envoy's filters get it from an ordinary client.
pub fn request<'a>(method: &'a str, path: &'a str, accept: &'a str) -> [(&'a [u8], &'a [u8]); 9] {
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

/// The answer of the filter's own.
pub fn reply(step: Step) -> LocalReply {
    match step.end {
        End::Reply(reply) => reply,
        end => panic!("the request is not answered: {end:?}"),
    }
}

/// All kinds of requests.
pub fn kinds() -> [Kind; 9] {
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
        large(kind("another path, large head", "GET", elsewhere(), "*/*", Ends::Passes)),
        kind("disguise: 404", "GET", disguise, "*/*", refused(404)),
        kind("method: 405", "POST", route(), "*/*", refused(405)),
        large(kind("method: 405, large head", "POST", route(), "*/*", refused(405))),
        kind("accept: 406", "GET", route(), "text/html", refused(406)),
        kind("filter: 400", "GET", format!("{PATH}?limit=1"), "*/*", refused(400)),
        kind("count: request", "GET", few, json, Ends::Counted),
        kind("count, all filters: request", "GET", all, json, Ends::Counted),
    ]
}

/// One event of each kind, by its name: each request's head, an answer of the store, and the end of
/// a request. `read` is called right after each.
pub fn each<T>(
    host: &mut Host,
    mut read: impl FnMut(&mut Host, Step) -> T,
) -> Vec<(&'static str, T)> {
    let mut heads = Vec::new();
    let mut rest = Vec::new();
    for kind in kinds() {
        let mut events = kind.run(host, &mut read).into_iter();
        heads.extend(events.next().map(|head| (kind.what, head)));
        rest = events.collect();
    }
    heads.extend(["count: answer", "end of a request"].into_iter().zip(rest));
    heads
}

// === impl Kind ===

impl Kind {
    /// Sends one and sees it through: its head, the store's answer if it is counted, its end.
    pub fn run<T>(&self, host: &mut Host, read: &mut impl FnMut(&mut Host, Step) -> T) -> Vec<T> {
        let mut head = request(self.method, &self.path, self.accept).to_vec();
        if self.has_many_headers {
            head.extend([(&b"x-some-header"[..], &b"some thirty bytes of its value"[..]); 60]);
        }
        let step = host.request(&head).unwrap();
        let stream = step.stream;
        self.check(&step.end);
        let mut seen = vec![read(host, step)];
        if self.end == Ends::Counted {
            let answer = host.callout_response(stream, &ANSWER, br#"{"count":2}"#).unwrap();
            assert_eq!(reply(answer.clone()).body, br#"{"count":2}"#);
            seen.push(read(host, answer));
        }
        let end = host.finish(stream).unwrap();
        seen.push(read(host, end));
        seen
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
