//! Random calls: what each means, and one of the many ways to write it.

use fastrand::Rng;

use super::rows::{self, Row};
use super::{once_in, pick};
use crate::filters::{Domain, FILTERS, Filter, Meaning};

/// A valid call, as the documentation describes it.
#[derive(Debug)]
pub struct Call {
    project: String,
    /// The filters, and the value of each.
    pub given: Vec<(&'static Filter, String)>,
}

impl Call {
    /// A call with any of the filters. Most of their values are those of one row,
    /// so that many of them together still count something.
    pub fn generate(random: &mut Rng, rows: &[Row]) -> Call {
        let row = pick(random, rows);
        let mut given = Vec::new();
        for filter in &FILTERS {
            let times = if matches!(filter.domain, Domain::Text) { 2 } else { 4 };
            if filter.meaning == Meaning::Side && random.bool() || once_in(random, times) {
                given.extend(value(filter, random, row).map(|value| (filter, value)));
            }
        }
        Call::about(given, random, row)
    }

    /// A call with this filter alone.
    pub fn with(filter: &'static Filter, random: &mut Rng, rows: &[Row]) -> Call {
        let row = pick(random, rows);
        let given = value(filter, random, row).map(|value| (filter, value));
        Call::about(given.into_iter().collect(), random, row)
    }

    /// A call for one of the projects of `row`, mostly.
    fn about(given: Vec<(&'static Filter, String)>, random: &mut Rng, row: &Row) -> Call {
        let mut call = Call { project: String::new(), given };
        call.project = match once_in(random, 6) {
            true => rows::project(random),
            false => row[call.side()].clone(),
        };
        call
    }

    fn side(&self) -> &'static str {
        let is_true = |(filter, value): &(&Filter, String)| {
            filter.meaning == Meaning::Side && value == "true"
        };
        if self.given.iter().any(is_true) { "to_project_id" } else { "from_project_id" }
    }

    /// The plain loop: how many of the rows are counted.
    pub fn count(&self, rows: &[Row]) -> u64 {
        let counts = |row: &&Row| {
            row[self.side()] == self.project
                && self.given.iter().all(|(filter, value)| match filter.meaning {
                    Meaning::Side => true,
                    Meaning::Equals(column) => row[column] == *value,
                    Meaning::Contains(column) => {
                        row[column].to_ascii_lowercase().contains(&value.to_ascii_lowercase())
                    }
                })
        };
        rows.iter().filter(counts).count() as u64
    }

    /// A path and query that say this: in any order, case and encoding.
    pub fn target(&self, random: &mut Rng) -> String {
        let mut pieces = Vec::new();
        for (filter, value) in &self.given {
            let names = [&[filter.name], filter.aliases].concat();
            let value = match (filter.domain, filter.meaning) {
                (Domain::Boolean, _) => {
                    let words = match value == "true" {
                        true => ["1", "t", "true", "on", "y", "yes"],
                        false => ["0", "f", "false", "off", "n", "no"],
                    };
                    let word = *pick(random, &words);
                    any_case(random, word)
                }
                (Domain::Uuid | Domain::Status, _) | (_, Meaning::Contains(_)) => {
                    any_case(random, value)
                }
                _ => value.clone(),
            };
            let name = *pick(random, &names);
            let name = encode(random, name);
            pieces.push(format!("{name}={}", encode(random, &value)));
        }
        if once_in(random, 10) {
            pieces.push(String::new());
        }
        random.shuffle(&mut pieces);
        let path = format!("/v2/{}/os-vendor-backup-sharing/count", self.project);
        match pieces.is_empty() {
            true => path,
            false => format!("{path}?{}", pieces.join("&")),
        }
    }
}

/// What to ask of a filter: mostly what `row` has, unless that is nothing, which no filter takes.
fn value(filter: &Filter, random: &mut Rng, row: &Row) -> Option<String> {
    let value = match filter.meaning {
        Meaning::Equals(column) | Meaning::Contains(column) if !once_in(random, 6) => {
            row[column].clone()
        }
        _ => rows::value(filter, random),
    };
    let value = match filter.meaning {
        Meaning::Contains(_) => part(random, &value),
        _ => value,
    };
    Some(value).filter(|value| !value.is_empty())
}

/// A substring, at times with a letter in the other case of Unicode, which must
/// not match, or as a pattern of LIKE would write it, which must not either.
fn part(random: &mut Rng, text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let start = random.usize(..=letters.len());
    let end = random.usize(start..=letters.len());
    let part: String = letters[start..end].iter().collect();
    match random.u8(..8) {
        0 => part.to_uppercase(),
        1 => part.to_lowercase(),
        2 => format!("%{part}"),
        3 => part.replace('a', "_"),
        _ => part,
    }
}

/// `text` with its ASCII letters in either case.
fn any_case(random: &mut Rng, text: &str) -> String {
    let flip = |letter: char| match random.bool() {
        true => letter.to_ascii_uppercase(),
        false => letter.to_ascii_lowercase(),
    };
    text.chars().map(flip).collect()
}

fn encode(random: &mut Rng, text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if byte == b' ' && random.bool() {
            encoded.push('+');
        } else if unreserved && !once_in(random, 10) {
            encoded.push(char::from(byte));
        } else if random.bool() {
            encoded += &format!("%{byte:02x}");
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}
