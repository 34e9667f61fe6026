//! Random rows: few values, so that calls hit, and every trap for a comparison.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::{once_in, pick};
use crate::filters::DOCUMENTED;
use crate::filters::{Domain, FILTERS, Filter, Meaning};

/// One row of `backup_sharing`: the value of each column.
pub type Row = BTreeMap<&'static str, String>;

/// Two differ by case alone, two by what LIKE takes for any character, and one
/// begins with another.
const PROJECTS: [&str; 7] = ["p1", "P1", "p_1", "p-1", "p11", "17fbda95add24720", "Z"];

/// Cases differ here too, and a text that is not searched in compares as it is.
const TEXTS: [&str; 7] =
    ["eu-de-01", "eu-de-02", "EU-DE-01", "eu_de-01", "eu%", "Zürich", "zürich"];

/// What texts that are searched in are made of: wildcards and escapes of LIKE and GLOB, quotes,
/// what a query encodes, numbers that a column could take for one, and letters whose case
/// ASCII does not know: `É` and `é` differ, and neither `K` (the Kelvin sign) nor `ſ` is a `k` or an `s`.
const PIECES: [&str; 40] = [
    "a", "B", "db", "DB", "k", "s", "i", "prod", "%", "_", "%%", "\\", "*", "?", "[a]", "'", "\"",
    "''", ";--", " ", "+", "&", "=", "#", "/", "0", "00", "1e3", "É", "é", "e\u{301}", "ß",
    "\u{1E9E}", "\u{212A}", "\u{17F}", "İ", "ı", "Σς", "名前", "😀",
];

pub fn generate(random: &mut Rng, count: usize) -> Vec<Row> {
    // All columns have the same UUIDs, each in other rows: to compare the wrong one is seen.
    let uuids: Vec<String> = (0..40).map(|_| uuid(random)).collect();
    let mut row = || {
        let mut row = Row::from([("id", uuid(random))]);
        for filter in &FILTERS {
            let (Meaning::Equals(column) | Meaning::Contains(column)) = filter.meaning else {
                continue;
            };
            let value = match filter.domain {
                Domain::Uuid => pick(random, &uuids).clone(),
                // A backup need not have a name or a zone.
                Domain::Text if once_in(random, 8) => String::new(),
                _ => value(filter, random),
            };
            row.insert(column, value);
        }
        row
    };
    (0..count).map(|_| row()).collect()
}

/// A value that some row may have, in the column that the filter asks about.
pub fn value(filter: &Filter, random: &mut Rng) -> String {
    match (filter.domain, filter.meaning) {
        (Domain::Boolean, _) => random.bool().to_string(),
        (Domain::Uuid, _) => uuid(random),
        (Domain::Project, _) => project(random),
        (Domain::Status, _) => (*pick(random, DOCUMENTED.statuses)).to_owned(),
        (Domain::Text, Meaning::Contains(_)) => {
            (0..random.usize(1..7)).map(|_| *pick(random, &PIECES)).collect()
        }
        (Domain::Text, _) => (*pick(random, &TEXTS)).to_owned(),
    }
}

pub fn project(random: &mut Rng) -> String {
    (*pick(random, &PROJECTS)).to_owned()
}

fn uuid(random: &mut Rng) -> String {
    let digits = format!("{:032x}", random.u128(..));
    let (groups, last) = ([0..8, 8..12, 12..16, 16..20], &digits[20..]);
    groups.map(|group| digits[group].to_owned() + "-").concat() + last
}
