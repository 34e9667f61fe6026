//! The documented call: from a request's headers to a [`CountRequest`].
//!
//! The filter and the count store validate a request with this module, so that it means the same to both.

use matchit::InsertError;

use crate::accept;
use crate::details;
use crate::filters::{self, FilterRules, Filters};
use crate::reply::{Reply, quote};
use crate::route::{Route, Target};
use crate::status;
use crate::values::ProjectId;

/// A header field: its name in lower case, and its value. HTTP/2
/// pseudo-headers are among them (`:method`, `:path`).
pub type Header<'a> = (&'a [u8], &'a [u8]);

/// The values of all fields called `name`.
pub fn values_of<'a>(
    headers: impl Iterator<Item = Header<'a>>,
    name: &str,
) -> impl Iterator<Item = &'a [u8]> {
    headers.filter(move |(other, _)| *other == name.as_bytes()).map(|(_, value)| value)
}

/// A valid call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountRequest {
    /// The path's project.
    pub project: ProjectId,
    /// The filters that the query gave.
    pub filters: Filters,
}

/// Validates requests for this call.
#[derive(Clone, Debug)]
pub struct Validator {
    route: Route,
    rules: FilterRules,
}

impl Validator {
    /// A validator with these rules.
    ///
    /// # Errors
    /// See [`Route::new`].
    pub fn new(rules: FilterRules) -> Result<Validator, InsertError> {
        Ok(Validator { route: Route::new()?, rules })
    }

    /// Looks at a `:path` with its query. `None`: it is another path.
    pub fn locate<'p>(&self, path: &'p [u8]) -> Option<Target<'p>> {
        self.route.locate(path)
    }

    /// Validates a request for this call: path, method, accept, body, project id, query. The first failure
    /// answers.
    ///
    /// # Errors
    /// 404, 405, 406 or 400 (docs/contract.md#requests).
    pub fn check<'h>(
        &self,
        target: Target,
        headers: impl Iterator<Item = Header<'h>> + Clone,
    ) -> Result<CountRequest, Reply> {
        let Target::Count { project_id, query } = target else {
            return Err(Reply::fault(status::NOT_FOUND, details::EDGE_PATH));
        };
        let not_get = || Reply::fault(status::METHOD_NOT_ALLOWED, details::EDGE_METHOD);
        let relevant = Relevant::read(headers.clone()).ok_or_else(not_get)?;
        let accepts = match relevant.accept {
            // What nearly every client sends needs no parser.
            Accept::Absent | Accept::Once(b"*/*" | b"application/json") => true,
            Accept::Once(value) => accept::accepts_json(std::iter::once(value)),
            Accept::Several => accept::accepts_json(values_of(headers, "accept")),
        };
        if !accepts {
            return Err(Reply::fault(status::NOT_ACCEPTABLE, details::EDGE_ACCEPT));
        }
        if relevant.announces_a_body {
            let message = ["content-length: expected 0, for this call has no body"];
            return Err(Reply::fault_saying(status::BAD_REQUEST, details::EDGE_BODY, &message));
        }
        let Some(project) = ProjectId::parse(&project_id) else {
            let got = quote(project_id.as_bytes());
            let message = ["project_id: expected ", ProjectId::EXPECTED, ", got ", &got];
            return Err(Reply::fault_saying(status::BAD_REQUEST, details::EDGE_PROJECT, &message));
        };
        let filters = filters::parse(query, &self.rules)?;
        Ok(CountRequest { project, filters })
    }
}

/// The headers of a `GET` that the checks need, read in one pass.
struct Relevant<'h> {
    accept: Accept<'h>,
    announces_a_body: bool,
}

/// The `accept` fields.
enum Accept<'h> {
    Absent,
    Once(&'h [u8]),
    Several,
}

impl<'h> Relevant<'h> {
    /// `None` unless there is one method, and it is `GET`.
    fn read(headers: impl Iterator<Item = Header<'h>>) -> Option<Relevant<'h>> {
        let mut is_get = false;
        let mut relevant = Relevant { accept: Accept::Absent, announces_a_body: false };
        for (name, value) in headers {
            match name {
                // It is among the first headers. With another method the rest need not be read.
                b":method" if is_get || value != b"GET" => return None,
                b":method" => is_get = true,
                b"accept" => {
                    relevant.accept = match relevant.accept {
                        Accept::Absent => Accept::Once(value),
                        _ => Accept::Several,
                    }
                }
                b"content-length" => relevant.announces_a_body |= announces_a_body(value),
                _ => {}
            }
        }
        is_get.then_some(relevant)
    }
}

/// Whether a `content-length` is above 0, or not a number at all.
fn announces_a_body(length: &[u8]) -> bool {
    length.is_empty() || length.iter().any(|&digit| digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";

    fn check(path: &str, headers: &[(&str, &str)]) -> Result<CountRequest, Reply> {
        let validator = Validator::new(FilterRules::default()).unwrap();
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let target = validator.locate(path.as_bytes()).unwrap();
        validator.check(target, headers)
    }

    #[test]
    fn a_valid_call_becomes_a_count_request() {
        let request = check(&format!("{PATH}?name=a"), &[(":method", "GET")]).unwrap();
        assert_eq!(request.project.as_str(), "p1");
        assert_eq!(request.filters.given().count(), 1);
    }

    #[test]
    fn the_first_failure_answers() {
        let everything_wrong =
            [(":method", "POST"), ("accept", "text/html"), ("content-length", "1")];
        let bad = "/v2/p.1/os-vendor-backup-sharing/count?x=1";
        let mut headers = everything_wrong;
        let details = |path: &str, headers: &[_]| check(path, headers).unwrap_err().details;
        assert_eq!(details(&format!("/{bad}"), &headers), details::EDGE_PATH);
        assert_eq!(details(bad, &headers), details::EDGE_METHOD);
        headers[0].1 = "GET";
        assert_eq!(details(bad, &headers), details::EDGE_ACCEPT);
        headers[1].1 = "*/*";
        assert_eq!(details(bad, &headers), details::EDGE_BODY);
        headers[2].1 = "00";
        assert_eq!(details(bad, &headers), details::EDGE_PROJECT);
        assert_eq!(details(&bad.replace('.', ""), &headers), "edge_filter");
    }

    #[test]
    fn only_get_is_allowed_to_the_letter() {
        for method in ["HEAD", "OPTIONS", "POST", "get", ""] {
            let reply = check(PATH, &[(":method", method)]).unwrap_err();
            assert_eq!(reply.status, 405, "{method}");
            assert!(reply.headers.contains(&("allow", "GET".into())));
        }
    }
}
