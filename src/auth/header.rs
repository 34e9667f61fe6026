//! An earlier filter has vouched for the caller, and says the project in a header.

use crate::callout::printable;
use crate::details;
use crate::reply::Reply;
use crate::request::{Header, values_of};
use crate::status;
use crate::values::ProjectId;

/// The header that says the caller's project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VouchedHeader {
    /// Its name, in lower case.
    pub name: String,
    /// The `www-authenticate` of a 401.
    pub challenge: String,
}

impl VouchedHeader {
    /// Whether the caller may ask about `project`.
    ///
    /// # Errors
    /// 401 without one readable value; 403 for another project.
    pub fn check<'h>(
        &self,
        headers: impl Iterator<Item = Header<'h>>,
        project: &ProjectId,
    ) -> Result<(), Reply> {
        let mut values = values_of(headers, &self.name);
        let value = values.next().and_then(printable).filter(|value| !value.is_empty());
        match (value, values.next()) {
            (Some(value), None) if value == project.as_str() => Ok(()),
            (Some(_), None) => Err(Reply::fault(status::FORBIDDEN, details::AUTH_PROJECT)),
            _ => Err(unauthorized(details::AUTH_MISSING, &self.challenge)),
        }
    }
}

/// The filter's own 401 (RFC 9110 §15.5.2: it has a challenge).
pub fn unauthorized(details: &'static str, challenge: &str) -> Reply {
    Reply::fault(status::UNAUTHORIZED, details).header("www-authenticate", challenge.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_value_is_the_project_byte_for_byte() {
        let header = VouchedHeader { name: "x-project-id".to_owned(), challenge: "Own".to_owned() };
        let project = ProjectId::parse("p1").unwrap();
        for (values, details) in [
            (&["p1"][..], ""),
            (&[], "auth_missing"),
            (&[""], "auth_missing"),
            (&["p1", "p1"], "auth_missing"),
            (&["p1", ""], "auth_missing"),
            (&["p\u{1}"], "auth_missing"),
            (&["é"], "auth_missing"),
            (&["P1"], "auth_project"),
            (&["p1 "], "auth_project"),
            (&["p1,p1"], "auth_project"),
            (&["p2"], "auth_project"),
        ] {
            let fields = values.iter().map(|value| (&b"x-project-id"[..], value.as_bytes()));
            let found = header.check(fields, &project).map_err(|reply| {
                let challenges: Vec<_> = reply.headers.iter().skip(1).cloned().collect();
                let own = [("www-authenticate", "Own".into())];
                assert_eq!(challenges, if reply.status == 401 { &own[..] } else { &[] });
                reply.details.into_owned()
            });
            assert_eq!(found.err().unwrap_or_default(), details, "{values:?}");
        }
    }
}
