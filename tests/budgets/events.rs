//! The events whose cost is known: requests, the answers to their callouts, their end.

use testkit::wasm::{End, Host, Step};

use super::{ANSWER, PATH};

/// As Keystone answers about a token of one project: 588 bytes.
pub const KNOWN: &str = r#"{"token": {"methods": ["password"], "user": {"domain": {"id": "default", "name": "Default"}, "id":
"62aa6c8ef8f5416db0c1a85b6b4aca23", "name": "demo", "password_expires_at": null}, "audit_ids":
["9dH2eEdxTsmjPSEsPRd0VQ"], "expires_at": "2099-11-25T19:44:54.000000Z", "issued_at": "2026-11-25T18:44:54.000000Z",
"project": {"domain": {"id": "default", "name": "Default"}, "id": "17fbda95add24720a4038ba4b1c705ed", "name": "demo"},
"is_domain": false, "roles": [{"id": "e9c3d7a7a2a54b0c8a4d1f2b9e0c6d5f", "name": "reader"}, {"id":
"c3a1f2b9e0c6d5fe9c3d7a7a2a54b0c8", "name": "member"}]}}"#;

/// A body, and the status it comes with.
pub type Answer = (u32, &'static str);

pub const COUNT: Answer = (200, r#"{"count":2}"#);

/// A request of five headers, and these answers to its callouts: a step for each name.
pub fn ask(
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
pub fn callers(host: &mut Host, token: char) -> Vec<(&'static str, Step)> {
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
pub struct Kind {
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
pub fn each(host: &mut Host) -> Vec<(&'static str, Step)> {
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
    pub fn run(&self, host: &mut Host) -> Vec<Step> {
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
