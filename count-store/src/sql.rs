//! What a call means to a database with the one relation `backup_sharing`.

use backup_sharing_count::filters::Meaning;
use backup_sharing_count::request::CountRequest;

use crate::columns::{Index, found_by};

/// A statement, and the values of `?1`, `?2`, … in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// One text for each side with each set of filters.
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
    let is_given = |column: &&'static str| {
        request.filters.given().any(|(filter, _)| filter.meaning == Meaning::Equals(column))
    };
    // Without ANALYZE, SQLite takes all filters for equally good; with it, averages mislead, for
    // projects differ too much in size.
    let index = found_by(Index::FewRows).find(is_given);
    let mut text = format!("SELECT count(*) FROM backup_sharing WHERE {side} = ?1");
    let mut parameters = vec![request.project.as_str().to_owned()];
    for (filter, value) in request.filters.given() {
        let next = parameters.len().saturating_add(1);
        let (condition, parameter) = match filter.meaning {
            Meaning::Side => continue,
            Meaning::Equals(column) => {
                // The plus changes no value: it keeps SQLite from an index on the column.
                let plus = if index.is_some_and(|index| index != column) { "+" } else { "" };
                (format!("{plus}{column} = ?{next}"), value.as_str().to_owned())
            }
            // SQLite's lower() knows ASCII only, which is what is meant; instr()
            // takes % and _ literally, which LIKE does not, and where a name almost
            // matches, LIKE takes 30 times as long. The indexes hold lower(name).
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
    use backup_sharing_count::filters::FilterRules;
    use backup_sharing_count::request::Validator;

    use super::*;

    fn statement(query: &str) -> Statement {
        let validator = Validator::new(FilterRules::default()).unwrap();
        let path = format!("/v2/p1/os-vendor-backup-sharing/count?{query}");
        let target = validator.locate(path.as_bytes()).unwrap();
        count(&validator.check(target, [(&b":method"[..], &b"GET"[..])].into_iter()).unwrap())
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

    #[test]
    fn the_filter_that_leaves_the_fewest_rows_chooses_the_index() {
        let uuid = "8332443e-9866-41d8-8a58-a898cf5db030";
        let statement = statement(&format!("volume_id={uuid}&status=error&backup_id={uuid}"));
        assert_eq!(
            statement.text,
            "SELECT count(*) FROM backup_sharing WHERE from_project_id = ?1 \
             AND +volume_id = ?2 AND +status = ?3 AND backup_id = ?4"
        );
    }
}
