//! The filters: one table, and what a query makes of it (docs/contract.md#query).
//!
//! A new filter is a row of `filters!` (CONTRIBUTING, "Add a filter"). Only this folder knows
//! how a query is split and judged; what the filters mean to a database is said in the count store.

mod query;

use std::borrow::Cow;

pub use query::parse;

use crate::values::{ProjectId, StatusWord, Text, Uuid, parse_boolean};

/// One documented filter.
#[derive(Debug)]
pub struct Filter {
    /// The documented name, under which the store receives it.
    pub name: &'static str,
    /// Another name that clients send for the same filter.
    pub alias: Option<&'static str>,
    /// The values it takes.
    pub domain: Domain,
    /// What it asks of a row.
    pub meaning: Meaning,
}

/// The values a filter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Any usual spelling of true and false.
    Boolean,
    /// A UUID.
    Uuid,
    /// 1 to 255 characters without controls.
    Text,
    /// One of the configured statuses.
    Status,
    /// A project id.
    Project,
}

/// What a filter asks of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Which side of the sharing the path's project is on: true is the receiving one.
    Side,
    /// The column equals the value.
    Equals(&'static str),
    /// The column contains the value, ASCII letters without case.
    Contains(&'static str),
}

macro_rules! filters {
    ($($name:literal $(or $alias:literal)?: $domain:ident, $meaning:ident $(($column:literal))?;)*) => {
        /// The filters in the order of the documentation (docs/contract.md#query).
        pub static FILTERS: [Filter; [$($name),*].len()] = [$(Filter {
            name: $name,
            alias: filters!(alias $($alias)?),
            domain: Domain::$domain,
            meaning: Meaning::$meaning $(($column))?,
        }),*];

        /// Their names, for the answer to a request with another.
        const NAMES: &str = match concat!($(", ", $name),*).split_at_checked(2) {
            Some((_, names)) => names,
            None => "",
        };
    };
    (alias) => { None };
    (alias $alias:literal) => { Some($alias) };
}

filters! {
    "share_to_me": Boolean, Side;
    "volume_id": Uuid, Equals("volume_id");
    "name": Text, Contains("name");
    "status": Status, Equals("status");
    "backup_id": Uuid, Equals("backup_id");
    "from_project_id": Project, Equals("from_project_id");
    "to_project_id": Project, Equals("to_project_id");
    // docs/api-facts.md#the-zones-two-spellings
    "avalilability_zone" or "availability_zone": Text, Equals("availability_zone");
}

/// How strictly a query is read (`filters` of the plugin configuration).
#[derive(Clone, Debug)]
pub struct FilterRules {
    /// Whether a name that is no filter is an error.
    pub reject_unknown: bool,
    /// The statuses a backup can have.
    pub statuses: Vec<StatusWord>,
}

impl Default for FilterRules {
    /// The documented rules.
    fn default() -> FilterRules {
        // docs/api-facts.md#values
        const STATUSES: [&str; 7] = [
            "available", "creating", "deleting", "error", "error_deleting", "error_restoring",
            "restoring",
        ];
        let statuses = STATUSES.into_iter().filter_map(StatusWord::parse).collect();
        FilterRules { reject_unknown: true, statuses }
    }
}

/// A value that a filter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of `share_to_me`.
    Boolean(bool),
    /// Of `volume_id` and `backup_id`.
    Uuid(Uuid),
    /// Of `name` and the availability zone.
    Text(Text),
    /// Of `status`.
    Status(StatusWord),
    /// Of `from_project_id` and `to_project_id`.
    Project(ProjectId),
}

impl Value {
    /// The value as the store receives it.
    pub fn as_str(&self) -> &str {
        match self {
            Value::Boolean(true) => "true",
            Value::Boolean(false) => "false",
            Value::Uuid(uuid) => uuid.as_str(),
            Value::Text(text) => text.as_str(),
            Value::Status(status) => status.as_str(),
            Value::Project(project) => project.as_str(),
        }
    }
}

impl Domain {
    fn parse(self, text: Cow<str>, rules: &FilterRules) -> Option<Value> {
        match self {
            Domain::Boolean => parse_boolean(&text).map(Value::Boolean),
            Domain::Uuid => Uuid::parse(&text).map(Value::Uuid),
            Domain::Text => Text::parse(text).map(Value::Text),
            Domain::Project => ProjectId::parse(&text).map(Value::Project),
            Domain::Status => {
                let is = |status: &&StatusWord| status.as_str().eq_ignore_ascii_case(&text);
                rules.statuses.iter().find(is).cloned().map(Value::Status)
            }
        }
    }

    /// What a client is told whose value is not in the domain.
    pub fn expected(self, rules: &FilterRules) -> Cow<'static, str> {
        match self {
            Domain::Boolean => Cow::Borrowed("true or false"),
            Domain::Uuid => Cow::Borrowed("a UUID"),
            Domain::Text => Cow::Borrowed("1 to 255 characters, none of them a control character"),
            Domain::Project => Cow::Borrowed(ProjectId::EXPECTED),
            Domain::Status => {
                let words: Vec<&str> = rules.statuses.iter().map(StatusWord::as_str).collect();
                Cow::Owned(format!("one of {}", words.join(", ")))
            }
        }
    }
}

/// The filters a request gave, each at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// In the order of [`FILTERS`].
    values: [Option<Value>; FILTERS.len()],
}

impl Filters {
    /// The filters given, in the order of the documentation.
    pub fn given(&self) -> impl Iterator<Item = (&'static Filter, &Value)> {
        let values = self.values.iter();
        FILTERS.iter().zip(values).filter_map(|(filter, value)| Some((filter, value.as_ref()?)))
    }

    /// Whether the path's project is the one the backups are shared *to*.
    pub fn share_to_me(&self) -> bool {
        self.given().any(|(filter, value)| {
            filter.meaning == Meaning::Side && *value == Value::Boolean(true)
        })
    }

    /// The filter that goes by `name`, and the place of its value.
    fn slot(&mut self, name: &[u8]) -> Option<(&'static Filter, &mut Option<Value>)> {
        FILTERS.iter().zip(&mut self.values).find(|(filter, _)| {
            filter.name.as_bytes() == name
                || filter.alias.is_some_and(|alias| alias.as_bytes() == name)
        })
    }
}
