//! What a call means to a database with the one relation `backup_sharing`.

use crate::call::CountRequest;
use crate::filters::Meaning;

/// The relation and its indexes.
pub const SCHEMA: &str = include_str!("../schema.sql");

/// A statement, and the values of `?1`, `?2`, … in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// One of 256 texts: a side, and any of seven filters.
    pub text: String,
    /// All of them are text.
    pub parameters: Vec<String>,
}

/// The statement that answers a call with one row of one integer.
///
/// The path's project always is one side, so no call can count a row that the
/// project has no part in.
pub fn count(request: &CountRequest) -> Statement {
    let side = if request.filters.share_to_me() { "to_project_id" } else { "from_project_id" };
    let mut text = format!("SELECT count(*) FROM backup_sharing WHERE {side} = ?1");
    let mut parameters = vec![request.project.as_str().to_owned()];
    for (filter, value) in request.filters.given() {
        let next = parameters.len().saturating_add(1);
        let (condition, parameter) = match filter.meaning {
            Meaning::Side => continue,
            Meaning::Equals(column) => (format!("{column} = ?{next}"), value.as_str().to_owned()),
            // SQLite's lower() knows ASCII only, which is what is meant; instr()
            // takes % and _ literally, which LIKE does not.
            Meaning::Contains(column) => (
                format!("instr(lower({column}), ?{next}) > 0"),
                value.as_str().to_ascii_lowercase(),
            ),
        };
        text.push_str(" AND ");
        text.push_str(&condition);
        parameters.push(parameter);
    }
    Statement { text, parameters }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Call;
    use crate::filters::FilterRules;

    fn statement(query: &str) -> Statement {
        let call = Call::new(FilterRules::default()).unwrap();
        let path = format!("/v2/p1/os-vendor-backup-sharing/count?{query}");
        let target = call.locate(path.as_bytes()).unwrap();
        count(&call.check(target, &[(b":method", b"GET")]).unwrap())
    }

    #[test]
    fn without_filters_the_project_is_the_sharing_side() {
        let statement = statement("");
        assert_eq!(
            statement.text,
            "SELECT count(*) FROM backup_sharing WHERE from_project_id = ?1"
        );
        assert_eq!(statement.parameters, ["p1"]);
    }

    #[test]
    fn filters_narrow_in_documented_order() {
        let statement = statement("availability_zone=AZ&name=A%25b&share_to_me=1");
        assert_eq!(
            statement.text,
            "SELECT count(*) FROM backup_sharing WHERE to_project_id = ?1 \
             AND instr(lower(name), ?2) > 0 AND availability_zone = ?3"
        );
        assert_eq!(statement.parameters, ["p1", "a%b", "AZ"]);
    }
}
