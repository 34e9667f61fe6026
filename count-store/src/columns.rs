//! The one list of columns. The schema, the CSV header, the loader, the renewal of
//! an older database and what is said about any of them are made from it.

use std::fmt;

use backup_sharing_count::filters::quote;
use backup_sharing_count::values::{ProjectId, StatusWord, Text, Uuid};

/// One column of `backup_sharing`. All of them are text, and none is ever null.
#[derive(Debug)]
pub struct Column {
    /// Its name, in the database and in the files that `load` reads.
    pub name: &'static str,
    domain: Domain,
}

#[derive(Clone, Copy, Debug)]
enum Domain {
    Uuid,
    Project,
    Status,
    /// Empty, or what the filter of this column takes: a backup need not have one.
    OptionalText,
}

/// The columns in order.
pub static COLUMNS: [Column; 8] = [
    Column { name: "id", domain: Domain::Uuid },
    Column { name: "backup_id", domain: Domain::Uuid },
    Column { name: "from_project_id", domain: Domain::Project },
    Column { name: "to_project_id", domain: Domain::Project },
    Column { name: "name", domain: Domain::OptionalText },
    Column { name: "status", domain: Domain::Status },
    Column { name: "volume_id", domain: Domain::Uuid },
    Column { name: "availability_zone", domain: Domain::OptionalText },
];

/// The values of a row, one for each of [`COLUMNS`], each checked.
pub type Row = [String; COLUMNS.len()];

impl Column {
    /// The value as it is stored.
    ///
    /// # Errors
    /// The column, what it takes, and what was there instead.
    pub fn parse(&self, value: &str) -> Result<String, String> {
        let stored = match self.domain {
            Domain::Uuid => Uuid::parse(value).map(|uuid| uuid.as_str().to_owned()),
            Domain::Project => ProjectId::parse(value).map(|id| id.as_str().to_owned()),
            Domain::Status => StatusWord::parse(value).map(|word| word.as_str().to_owned()),
            Domain::OptionalText if value.is_empty() => Some(String::new()),
            Domain::OptionalText => Text::parse(value.into()).map(|text| text.as_str().to_owned()),
        };
        stored.ok_or_else(|| {
            let got = match value {
                "" => "nothing".to_owned(),
                // The message shall stay one line.
                _ => quote(value.replace(char::is_control, "\u{FFFD}").as_bytes()),
            };
            format!("{}: expected {}, got {got}", self.name, self.domain)
        })
    }

    /// What the column takes.
    pub fn expected(&self) -> impl fmt::Display {
        self.domain
    }

    /// Whether a row may have nothing here.
    pub fn may_be_empty(&self) -> bool {
        matches!(self.domain, Domain::OptionalText)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Domain::Uuid => "a UUID",
            Domain::Project => "1 to 64 of 0-9 A-Z a-z _ -",
            Domain::Status => "a lower-case word",
            Domain::OptionalText => "at most 255 characters, none of them a control character",
        })
    }
}

/// The names of all columns, in order.
pub fn names() -> String {
    COLUMNS.each_ref().map(|column| column.name).join(", ")
}

#[cfg(test)]
mod tests {
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
        for column in &COLUMNS {
            let optional = ["name", "availability_zone"].contains(&column.name);
            assert_eq!(column.parse("").is_ok(), optional, "{}", column.name);
            assert_eq!(column.may_be_empty(), optional, "{}", column.name);
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
