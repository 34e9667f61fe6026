//! The statements of SQLite.

use backup_sharing_count::request::CountRequest;

use crate::columns::{Index, found_by};
use crate::sql::{self, Condition, Dialect, Statement};

/// The statement that answers a call.
pub fn count(request: &CountRequest) -> Statement {
    sql::count(&Sqlite, request)
}

struct Sqlite;

impl Dialect for Sqlite {
    fn place(&self, number: usize) -> String {
        format!("?{number}")
    }

    fn equals(&self, column: &str, place: &str) -> String {
        format!("{column} = {place}")
    }

    fn contains(&self, column: &str, place: &str) -> String {
        // SQLite's lower() knows ASCII only, which is what is meant; instr()
        // takes % and _ literally, which LIKE does not, and where a name almost
        // matches, LIKE takes 30 times as long. The indexes hold lower(name).
        format!("instr(lower({column}), {place}) > 0")
    }

    fn select(&self, conditions: &[Condition]) -> String {
        // Without ANALYZE, SQLite takes all filters for equally good; with it, averages mislead, for
        // projects differ too much in size.
        let is_given = |column: &&str| conditions.iter().any(|one| one.column == Some(column));
        let index = found_by(Index::FewRows).find(is_given);
        let mut text = "SELECT count(*) FROM backup_sharing".to_owned();
        for (at, Condition { column, text: condition }) in conditions.iter().enumerate() {
            // The plus changes no value: it keeps SQLite from an index on the column.
            let is_other = at > 0 && index.is_some() && column.is_some() && *column != index;
            let [word, plus] =
                [if at == 0 { "WHERE" } else { "AND" }, if is_other { "+" } else { "" }];
            text.push_str(&format!(" {word} {plus}{condition}"));
        }
        text
    }
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
