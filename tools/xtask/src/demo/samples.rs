//! The requests the demo shows. The counts are those of `demo/sharings.csv`.

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The filter, without asking.
    Edge,
    /// The filter, after asking the store.
    Store,
    /// The filter, with a count that it remembers.
    Memory,
    /// The backend: the filter let the request pass.
    PassedOn,
    /// Envoy itself, before or behind the filter.
    Envoy,
}

/// A request, and the answer it must get.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    /// Why it is shown.
    pub about: &'static str,
    pub method: &'static str,
    pub path: &'a str,
    pub headers: &'a [(&'static str, &'a str)],
    pub status: u16,
    /// How the body begins.
    pub body: &'static str,
    pub source: Source,
}

/// A GET without headers.
pub const fn get<'a>(
    about: &'static str,
    path: &'a str,
    status: u16,
    body: &'static str,
    source: Source,
) -> Sample<'a> {
    Sample { about, method: "GET", path, headers: &[], status, body, source }
}

impl<'a> Sample<'a> {
    /// The same with these headers.
    pub fn with(self, headers: &'a [(&'static str, &'a str)]) -> Sample<'a> {
        Sample { headers, ..self }
    }
}

macro_rules! count {
    ($query:literal) => {
        concat!("/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count", $query)
    };
}

const COUNT: &str = count!("");

/// Those without Keystone.
pub const SAMPLES: &[Sample<'static>] = &[
    get("How many backups does the project share?", COUNT, 200, r#"{"count":98}"#, Source::Store),
    get(
        "The same again: the filter remembers the count for a minute",
        COUNT,
        200,
        r#"{"count":98}"#,
        Source::Memory,
    ),
    get(
        "How many are shared with it?",
        count!("?share_to_me=true"),
        200,
        r#"{"count":24}"#,
        Source::Store,
    ),
    get(
        "How many of its own, of one name, are available in one zone?",
        count!("?name=prod&status=AVAILABLE&availability_zone=eu-de-01"),
        200,
        r#"{"count":6}"#,
        Source::Store,
    ),
    get(
        "A project that shares nothing",
        "/v2/nobody/os-vendor-backup-sharing/count",
        200,
        r#"{"count":0}"#,
        Source::Store,
    ),
    get(
        "A value out of its domain",
        count!("?share_to_me=maybe"),
        400,
        r#"{"badRequest":{"code":400,"message":"share_to_me: expected true or false"#,
        Source::Edge,
    ),
    get(
        "A filter that is none",
        count!("?limit=10"),
        400,
        r#"{"badRequest":{"code":400,"message":"\"limit\" is not a filter"#,
        Source::Edge,
    ),
    Sample {
        about: "Another method",
        method: "DELETE",
        path: COUNT,
        headers: &[],
        status: 405,
        body: r#"{"badMethod":{"code":405,"#,
        source: Source::Edge,
    },
    Sample {
        about: "Another type",
        method: "GET",
        path: COUNT,
        headers: &[("accept", "text/html")],
        status: 406,
        body: r#"{"computeFault":{"code":406,"#,
        source: Source::Edge,
    },
    get(
        "Another spelling of the path",
        count!(";v=1"),
        404,
        r#"{"itemNotFound":{"code":404,"#,
        Source::Edge,
    ),
    get(
        "Another call: the filter lets it pass",
        "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/detail",
        404,
        r#"{"itemNotFound":{"code":404,"#,
        Source::PassedOn,
    ),
    get("The store's health: the filter lets it pass", "/healthz", 200, "", Source::PassedOn),
    get(
        "No such place: Envoy's own answer, in the same form",
        "/",
        404,
        r#"{"itemNotFound":{"code":404,"#,
        Source::Envoy,
    ),
];
