//! The requests that are measured.

use crate::oha::Request;

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, on the page.
    pub what: &'static str,
    /// What the filter makes of it.
    pub end: End,
    method: &'static str,
    target: &'static str,
    accept: &'static str,
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

const JSON: &str = "application/json";

/// The path of the call, followed by a query.
macro_rules! count {
    ($query:literal) => {
        concat!("/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count", $query)
    };
}

/// All of them.
#[rustfmt::skip]
pub const CASES: [Case; 6] = [
    case("method", "rejected: method (405)", End::Rejected, "DELETE", count!(""), JSON),
    case("accept", "rejected: accept (406)", End::Rejected, "GET", count!(""), "text/html, application/xhtml+xml;q=0.9"),
    case("filter", "rejected: a filter (400)", End::Rejected, "GET", count!("?limit=1"), JSON),
    case("count", "count, no filter", End::Counted, "GET", count!(""), JSON),
    case("count8", "count, all eight filters", End::Counted, "GET", count!(
        "?share_to_me=true&volume_id=8332443e-9866-41d8-8a58-a898cf5db030&name=nightly+backup%20%C3%A9&status=available\
         &backup_id=1F1A9A2E-7C4B-4D19-9F6B-5B6C0D9E8A77&from_project_id=17fbda95add24720a4038ba4b1c705ed\
         &to_project_id=9a2d5a3c1e6f4b7c8d9e0f1a2b3c4d5e&availability_zone=eu-de-01"
    ), JSON),
    case("pass", "passed: another path", End::Passed, "GET",
         "/v2/17fbda95add24720a4038ba4b1c705ed/backups/detail?limit=100&offset=200", JSON),
];

const fn case(
    name: &'static str,
    what: &'static str,
    end: End,
    method: &'static str,
    target: &'static str,
    accept: &'static str,
) -> Case {
    Case { name, what, end, method, target, accept }
}

/// How many header fields requests have, `host` not counted.
pub const HEADERS: [usize; 2] = [FEW, 40];

/// The fewer.
pub const FEW: usize = 5;

/// What a request to a cloud API carries: from its client, from a browser before that, and from
/// proxies and tracers on the way. The filter forwards eleven of these names.
const FIELDS: &str = include_str!("headers.txt");

impl Case {
    /// Its path, without a query.
    pub fn path(&self) -> &'static str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// The request with this number of header fields, one of [`HEADERS`].
    pub fn request(&self, headers: usize) -> Request {
        let fields = FIELDS.lines().filter_map(|line| line.split_once(": ")).take(headers);
        let field = |(name, value)| (name, if name == "accept" { self.accept } else { value });
        Request {
            method: self.method,
            target: self.target.to_owned(),
            headers: fields.map(field).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn requests_have_as_many_headers_as_they_say() {
        for headers in HEADERS {
            let request = CASES[0].request(headers);
            let names: BTreeSet<&str> = request.headers.iter().map(|(name, _)| *name).collect();
            assert_eq!(names.len(), headers);
            assert!(names.contains("accept") && names.contains("user-agent"));
        }
    }
}
