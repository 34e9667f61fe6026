//! The requests that are measured.

use crate::oha::Request;

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in the report.
    pub what: &'static str,
    /// What the filter makes of it.
    pub end: End,
    method: &'static str,
    target: &'static str,
    accept: &'static str,
    /// How many bytes its body has.
    pub body: usize,
}

/// What the filter makes of a request, and what Envoy alone does in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is answered; Envoy alone gives the same answer as a `direct_response`.
    Rejected,
    /// The store is asked; Envoy alone proxies to the same store.
    Counted,
    /// It goes on; Envoy alone has no filter before the same backend.
    Passed,
}

const COUNT: &str = "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count";

/// All of them.
pub const CASES: [Case; 6] = [
    Case {
        name: "method",
        what: "rejected: method (405)",
        end: End::Rejected,
        method: "DELETE",
        target: COUNT,
        accept: "application/json",
        body: 0,
    },
    Case {
        name: "accept",
        what: "rejected: accept (406)",
        end: End::Rejected,
        method: "GET",
        target: COUNT,
        accept: "text/html, application/xhtml+xml;q=0.9",
        body: 0,
    },
    Case {
        name: "filter",
        what: "rejected: a filter (400)",
        end: End::Rejected,
        method: "GET",
        target: "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count?limit=1",
        accept: "application/json",
        body: 0,
    },
    Case {
        name: "count",
        what: "count, no filter",
        end: End::Counted,
        method: "GET",
        target: COUNT,
        accept: "application/json",
        body: 0,
    },
    Case {
        name: "count8",
        what: "count, all eight filters",
        end: End::Counted,
        method: "GET",
        target: "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count?share_to_me=true\
                 &volume_id=8332443e-9866-41d8-8a58-a898cf5db030&name=nightly+backup%20%C3%A9&status=available\
                 &backup_id=1F1A9A2E-7C4B-4D19-9F6B-5B6C0D9E8A77\
                 &from_project_id=17fbda95add24720a4038ba4b1c705ed\
                 &to_project_id=9a2d5a3c1e6f4b7c8d9e0f1a2b3c4d5e&availability_zone=eu-de-01",
        accept: "application/json",
        body: 0,
    },
    Case {
        name: "pass",
        what: "passed: another path",
        end: End::Passed,
        method: "GET",
        target: "/v2/17fbda95add24720a4038ba4b1c705ed/backups/detail?limit=100&offset=200",
        accept: "application/json",
        body: 0,
    },
];

/// Others' requests with bodies: what it costs that the filter sees each piece of one. In instructions only.
pub const BODIES: [Case; 2] = [
    Case {
        name: "body1k",
        what: "passed: another path, 1 KB",
        method: "POST",
        body: 1_000,
        ..CASES[5]
    },
    Case {
        name: "body1m",
        what: "passed: another path, 1 MB",
        method: "POST",
        body: 1_000_000,
        ..CASES[5]
    },
];

/// How many header fields requests have, `host` not counted.
pub const HEADERS: [usize; 2] = [FEW, 40];

/// The fewer.
pub const FEW: usize = 5;

impl Case {
    /// Its path, without a query.
    pub fn path(&self) -> &'static str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// The request with so many header fields of [`HEADERS`].
    pub fn request(&self, headers: usize) -> Request {
        let headers = FIELDS.iter().take(headers).map(|&(name, value)| {
            let value = if name == "accept" { self.accept } else { value };
            (name, value.to_owned())
        });
        let length = (self.body > 0).then(|| ("content-length", self.body.to_string()));
        Request {
            method: self.method,
            target: self.target.to_owned(),
            headers: headers.chain(length).collect(),
            body: vec![b'a'; self.body],
        }
    }
}

/// What a case with so many header fields goes by on the command line.
pub fn names(case: &Case, headers: usize) -> [String; 2] {
    [case.name.to_owned(), format!("{}/{headers}", case.name)]
}

/// What a request to a cloud API carries: from its client, from a browser before that, and from
/// proxies and tracers on the way. The filter forwards eleven of these names.
const FIELDS: [(&str, &str); 40] = [
    ("accept", ""),
    ("user-agent", "openstacksdk/4.4.0 keystoneauth1/5.9.1 python-requests/2.32.3 CPython/3.12.3"),
    (
        "x-auth-token",
        "gAAAAABmVx0kq3m8Zk2u5yqJt1bH7o0dQ9wS4nPzE6fLrC2aXvYtUiGhBjKmNoQsWeRdTfYgUhIjOkPlAzSxDcFvGbHnJmK",
    ),
    ("x-request-id", "0c9d5f6a-3c0b-4d1e-9b59-6f2a7e8d1c34"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    ("x-openstack-request-id", "req-2b1c7d4e-5f60-4a8b-9c3d-7e6f5a4b3c2d"),
    ("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90"),
    ("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7"),
    ("x-b3-spanid", "e457b5a2e4d86bd1"),
    ("x-b3-parentspanid", "05e3ac9a4f6e3b90"),
    ("x-b3-sampled", "1"),
    ("x-b3-flags", "0"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "de-DE,de;q=0.9,en;q=0.8"),
    (
        "authorization",
        "Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
    ),
    ("cache-control", "no-cache"),
    (
        "cookie",
        "sessionid=38afes7a8; csrftoken=u32t4o3tb3gg43; theme=dark; region=eu-de; _ga=GA1.2.1.2",
    ),
    ("dnt", "1"),
    ("forwarded", "for=192.0.2.60;proto=https;by=203.0.113.43"),
    ("if-none-match", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
    ("openstack-api-version", "volume 3.70"),
    ("origin", "https://console.example.com"),
    ("pragma", "no-cache"),
    ("priority", "u=1, i"),
    ("referer", "https://console.example.com/vbs/backups?region=eu-de&tab=sharings"),
    ("sec-ch-ua", "\"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-site"),
    ("via", "1.1 edge-17.example.com"),
    ("x-correlation-id", "7d3f1b2c-9a8e-4f6d-b5c4-3e2d1f0a9b8c"),
    ("x-forwarded-for", "192.0.2.60, 203.0.113.43"),
    ("x-forwarded-host", "vbs.eu-de.example.com"),
    ("x-forwarded-port", "443"),
    ("x-project-id", "17fbda95add24720a4038ba4b1c705ed"),
    ("x-real-ip", "192.0.2.60"),
    ("x-requested-with", "XMLHttpRequest"),
];
