//! Projects of any size, and the calls whose cost must not depend on what they do not count.

use backup_sharing_count::filters::{FILTERS, Meaning};

use super::uuid;

/// How many backups `p1` shares, and how many are shared to it.
#[derive(Clone, Copy)]
pub struct Size {
    /// Rows that every equality of [`queries`] matches.
    pub matches: u32,
    /// Rows of `p1` that none of them matches.
    pub rest: u32,
    /// Rows of other projects that all of them would match.
    pub foreign: u32,
}

/// What tells a row's value of a column.
pub type Row<'a> = &'a dyn Fn(&str) -> String;

/// The value of a column in the rows that match, and in the others.
fn value(column: &str, is_match: bool) -> String {
    match column {
        "name" => "backup".to_owned(),
        "status" => (if is_match { "error" } else { "available" }).to_owned(),
        "availability_zone" => (if is_match { "z1" } else { "z2" }).to_owned(),
        _ => uuid(u32::from(is_match)),
    }
}

/// The equalities, each with the value that matches.
fn equalities(side: &str) -> Vec<String> {
    let equal = FILTERS.iter().filter_map(|filter| match filter.meaning {
        Meaning::Equals(column) if column == side => None,
        Meaning::Equals("from_project_id" | "to_project_id") => Some(format!("{}=p2", filter.name)),
        Meaning::Equals(column) => Some(format!("{}={}", filter.name, value(column, true))),
        Meaning::Side | Meaning::Contains(_) => None,
    });
    equal.collect()
}

/// A call for each filter of a project's rows, and some for two.
pub fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for (side, column) in [("", "from_project_id"), ("share_to_me=true", "to_project_id")] {
        let mut add = |query: &str| queries.push([side, query].join("&"));
        let equalities = equalities(column);
        for filter in &equalities {
            add(filter);
            add(&format!("{filter}&name=BACKUP"));
        }
        add(&equalities.join("&"));
        add("name=BACKUP");
        add("");
    }
    queries
}

/// Whether a call has an equality, beside the side.
pub fn has_equality(query: &str) -> bool {
    let mut filters = query.split('&').filter(|filter| !filter.is_empty());
    !filters.all(|filter| ["share_to_me=true", "name=BACKUP"].contains(&filter))
}

impl Size {
    /// Tells each row, in between each other as time brings them.
    pub fn each_row(self, mut add: impl FnMut(Row)) {
        let mut numbers = 2..;
        let mut add_row = |from: &str, to: &str, is_match: bool| {
            let number = numbers.next().unwrap();
            add(&|column| match column {
                "id" => uuid(number),
                "from_project_id" => from.to_owned(),
                "to_project_id" => to.to_owned(),
                // Few rows have one value of such a column.
                "backup_id" | "volume_id" if !is_match => uuid(number),
                column => value(column, is_match),
            });
        };
        for round in 0..self.matches.max(self.rest).max(self.foreign) {
            if round < self.foreign {
                add_row(&format!("a{}", round % 100), &format!("z{}", round % 100), true);
            }
            for (exists, other) in [(round < self.matches, "p2"), (round < self.rest, "p3")] {
                if exists {
                    add_row("p1", other, other == "p2");
                    add_row(other, "p1", other == "p2");
                }
            }
        }
    }
}
