//! The one list of columns. The schema, its indexes, the CSV header, the loader, the renewal of
//! an older database and what is said about any of them are made from it.

use backup_sharing_count::filters::{Domain, FilterRules};
use backup_sharing_count::reply::quote;
use backup_sharing_count::values::{ProjectId, StatusWord, Text, Uuid, parse_boolean};

/// One column of `backup_sharing`. All of them are text, and none is ever null.
#[derive(Debug)]
pub struct Column {
    /// Its name, in the database and in the files that `load` reads.
    pub name: &'static str,
    /// Whether a row may have nothing here; a file may then leave the column out.
    pub may_be_empty: bool,
    /// How its values are found.
    pub index: Index,
    domain: Domain,
}

/// How the rows of a project with one value of a column are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// Not at all, or as a side of the sharing, which every index begins with.
    No,
    /// By an index for each side. A value is in few rows, which are looked up in the table. Of
    /// several such columns the first decides, so the best comes first.
    FewRows,
    /// By an index for each side that holds what else may be asked, for a value is in many rows.
    ManyRows,
    /// By looking at a part of each value, in lower case: the indexes for many rows hold it.
    Part,
}

const fn column(name: &'static str, domain: Domain, index: Index) -> Column {
    Column { name, may_be_empty: false, index, domain }
}

impl Column {
    const fn or_nothing(self) -> Column {
        Column { may_be_empty: true, ..self }
    }
}

/// The columns in order.
pub static COLUMNS: [Column; 8] = [
    column("id", Domain::Uuid, Index::No),
    column("backup_id", Domain::Uuid, Index::FewRows),
    column("from_project_id", Domain::Project, Index::No),
    column("to_project_id", Domain::Project, Index::No),
    column("name", Domain::Text, Index::Part).or_nothing(),
    column("status", Domain::Status, Index::ManyRows),
    column("volume_id", Domain::Uuid, Index::FewRows),
    column("availability_zone", Domain::Text, Index::ManyRows).or_nothing(),
];

/// The values of a row, one for each of [`COLUMNS`], each checked.
pub type Row = [String; COLUMNS.len()];

impl Column {
    /// Whether its values are UUIDs.
    pub(crate) fn is_uuid(&self) -> bool {
        matches!(self.domain, Domain::Uuid)
    }

    /// What an index of a column is called by: `backup` of `backup_id`, `zone` of `availability_zone`.
    pub(crate) fn short(name: &str) -> &str {
        let name = name.trim_end_matches("_id");
        name.rsplit('_').next().unwrap_or(name)
    }

    /// The value as it is stored.
    ///
    /// # Errors
    /// The column, what it takes, and what was there instead.
    pub fn parse(&self, value: &str) -> Result<String, String> {
        let stored = match self.domain {
            _ if self.may_be_empty && value.is_empty() => Some(String::new()),
            Domain::Boolean => parse_boolean(value).map(|value| value.to_string()),
            Domain::Uuid => Uuid::parse(value).map(|uuid| uuid.as_str().to_owned()),
            Domain::Project => ProjectId::parse(value).map(|id| id.as_str().to_owned()),
            // Any of them: which ones a request may name is configured.
            Domain::Status => StatusWord::parse(value).map(|word| word.as_str().to_owned()),
            Domain::Text => Text::parse(value.into()).map(|text| text.as_str().to_owned()),
        };
        stored.ok_or_else(|| {
            let got = match value {
                "" => "nothing".to_owned(),
                // The message has to stay one line.
                _ => quote(value.replace(char::is_control, "\u{FFFD}").as_bytes()),
            };
            let nothing = if self.may_be_empty { "nothing or " } else { "" };
            let expected = match self.domain {
                Domain::Status => "a lower-case word".into(),
                domain => domain.expected(&FilterRules::default()),
            };
            format!("{}: expected {nothing}{expected}, got {got}", self.name)
        })
    }
}

/// The names of all columns, in order.
pub fn names() -> String {
    COLUMNS.each_ref().map(|column| column.name).join(", ")
}

/// The names of the columns that are found so, in order.
pub fn found_by(index: Index) -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().filter(move |column| column.index == index).map(|column| column.name)
}

#[cfg(test)]
mod tests {
    use backup_sharing_count::filters::{FILTERS, Meaning};

    use super::*;

    fn column(name: &str) -> &'static Column {
        COLUMNS.iter().find(|column| column.name == name).unwrap()
    }

    #[test]
    fn uuids_are_stored_in_lower_case_and_project_ids_as_they_are() {
        let upper = "8332443E-9866-41D8-8A58-A898CF5DB030";
        for name in ["id", "backup_id", "volume_id"] {
            assert_eq!(column(name).parse(upper), Ok(upper.to_lowercase()));
        }
        assert_eq!(column("to_project_id").parse("P1"), Ok("P1".to_owned()));
    }

    #[test]
    fn only_names_and_zones_may_be_empty() {
        for name in ["id", "from_project_id", "status", "volume_id"] {
            assert!(column(name).parse("").is_err(), "{name}");
        }
        for name in ["name", "availability_zone"] {
            assert_eq!(column(name).parse(""), Ok(String::new()));
        }
    }

    #[test]
    fn each_filter_asks_about_a_column_and_finds_its_rows_by_an_index() {
        for filter in &FILTERS {
            let (name, column) = match filter.meaning {
                Meaning::Side => continue,
                Meaning::Equals(name) | Meaning::Contains(name) => {
                    (name, COLUMNS.iter().find(|column| column.name == name))
                }
            };
            let filter = filter.name;
            let Some(column) = column else {
                panic!(
                    "count-store/src/columns.rs lacks the column {name}, which the filter {filter} \
                     of src/filters/mod.rs asks about"
                );
            };
            let is_side = ["from_project_id", "to_project_id"].contains(&name);
            assert!(
                is_side || column.index != Index::No,
                "count-store/src/columns.rs gives the column {name} no index: the filter {filter} \
                 would read all rows of a project"
            );
        }
    }

    #[test]
    fn a_refusal_says_what_was_expected() {
        let refusal = column("status").parse("Available").unwrap_err();
        assert_eq!(refusal, "status: expected a lower-case word, got \"Available\"");
        let refusal = column("id").parse("").unwrap_err();
        assert_eq!(refusal, "id: expected a UUID, got nothing");
        assert!(column("name").parse(&"é".repeat(256)).is_err());
        assert!(column("name").parse("a\u{85}").is_err());
    }
}
