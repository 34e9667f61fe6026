//! What a query asks for (contract §2.2), cut at its separators and decoded by hand.

use backup_sharing_count::filters::{self, FilterRules, Filters};
use backup_sharing_count::reply::Reply;
use backup_sharing_count::values::StatusWord;

use crate::{percent, reply};

/// How strictly a query is read (contract §5, `filters`).
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether a name that is no filter is an error.
    pub reject_unknown: bool,
    /// The values `status` takes.
    pub statuses: &'static [&'static str],
}

/// The documented rules.
pub const DOCUMENTED: Rules = Rules {
    reject_unknown: true,
    statuses: &[
        "available",
        "creating",
        "deleting",
        "error",
        "error_deleting",
        "error_restoring",
        "restoring",
    ],
};

/// Other rules.
pub const LENIENT: Rules = Rules { reject_unknown: false, statuses: &["ok", "gone-2"] };

/// What a query is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The filters in the order of the documentation, as the store receives them.
    Filters(Vec<(&'static str, String)>),
    /// 400: the first piece that is wrong.
    Wrong {
        /// What the message has to name: the parameter as it came, or the filter it stands for.
        parameter: String,
        /// What the message may quote 64 characters of.
        value: String,
    },
}

/// The filters in the order of the documentation.
const NAMES: [&str; 8] = [
    "share_to_me",
    "volume_id",
    "name",
    "status",
    "backup_id",
    "from_project_id",
    "to_project_id",
    "avalilability_zone",
];

/// Asserts that the filter reads `query` as the contract does, under either rules.
pub fn check(query: &[u8]) {
    for rules in [DOCUMENTED, LENIENT] {
        let statuses = rules.statuses.iter().filter_map(|word| StatusWord::parse(word)).collect();
        let found =
            filters::parse(query, &FilterRules { reject_unknown: rules.reject_unknown, statuses });
        check_reading(query, &read(query, &rules), found);
    }
}

fn check_reading(query: &[u8], expected: &Reading, found: Result<Filters, Reply>) {
    let shown = query.escape_ascii();
    match (expected, found) {
        (Reading::Filters(expected), Ok(found)) => {
            let found =
                found.given().map(|(filter, value)| (filter.name, value.as_str().to_owned()));
            assert_eq!(*expected, found.collect::<Vec<_>>(), "{shown}");
        }
        (wrong @ Reading::Wrong { .. }, Err(reply)) => wrong.check_reply(&reply),
        (expected, found) => panic!("{shown}: expected {expected:?}, got {found:?}"),
    }
}

impl Reading {
    /// Asserts that `reply` is the 400 for what is wrong.
    pub fn check_reply(&self, reply: &Reply) {
        let Reading::Wrong { parameter, value } = self else {
            panic!("nothing is wrong, got {reply:?}");
        };
        assert_eq!((reply.status, &*reply.details, reply.headers.len()), (400, "edge_filter", 1));
        let message = reply::message(reply);
        assert!(message.contains(&start(parameter, 64)), "{message:?} names {parameter:?}");
        assert!(message.contains("expected"), "{message:?} says what was expected");
        for quoted in [parameter, value] {
            let (cut, long) = (start(quoted, 64), quoted.chars().nth(64).is_some());
            let ends = message.contains(&format!("{cut}\"…"));
            // A name may be as long as a value's beginning, and the same.
            let by_name = quoted == value && parameter.contains(&cut);
            let quotes = message.contains(&cut) && !by_name;
            assert!(!long || ends || !quotes, "{message:?} quotes too much");
        }
    }
}

fn start(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// Reads a query, left to right.
pub fn read(query: &[u8], rules: &Rules) -> Reading {
    let mut given: [Option<String>; NAMES.len()] = Default::default();
    for raw in query.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty()) {
        let equals = raw.iter().position(|&byte| byte == b'=').unwrap_or(raw.len());
        let (raw_name, raw_value) = (&raw[..equals], raw.get(equals + 1..).unwrap_or_default());
        let wrong = |parameter: &str, value: &[u8]| Reading::Wrong {
            parameter: parameter.to_owned(),
            value: String::from_utf8_lossy(value).into_owned(),
        };
        if !is_well_formed(raw_name) {
            return wrong(&String::from_utf8_lossy(raw_name), raw_name);
        }
        let (name, value) = (decode(raw_name), decode(raw_value));
        let name = if name == "availability_zone" { "avalilability_zone" } else { &name };
        let Some(place) = NAMES.iter().position(|known| *known == name) else {
            if rules.reject_unknown || !is_well_formed(raw_value) {
                return wrong(name, raw_value);
            }
            continue;
        };
        // A message may name either spelling; they share this end.
        let said = name.strip_prefix("avalil").map_or(name, |_| "ability_zone");
        if given[place].is_some() {
            return wrong(said, b"");
        }
        let normal = Some(value.as_str()).filter(|_| is_well_formed(raw_value));
        match normal.and_then(|value| domain(name, value, rules)) {
            Some(value) => given[place] = Some(value),
            None => return wrong(said, value.as_bytes()),
        }
    }
    let given = NAMES.into_iter().zip(given);
    Reading::Filters(given.filter_map(|(name, value)| Some((name, value?))).collect())
}

/// Whether two hex digits follow every `%`, and what is encoded is UTF-8.
fn is_well_formed(raw: &[u8]) -> bool {
    let mut pieces = raw.split(|&byte| byte == b'%');
    pieces.next();
    let is_escape = |piece: &[u8]| piece.len() >= 2 && piece[..2].iter().all(u8::is_ascii_hexdigit);
    pieces.all(is_escape) && str::from_utf8(&percent::decode(raw)).is_ok()
}

/// `+` is a space too. What is no UTF-8 is replaced.
fn decode(raw: &[u8]) -> String {
    let spaced: Vec<u8> = raw.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    String::from_utf8_lossy(&percent::decode(&spaced)).into_owned()
}

/// The value as the store receives it, if it is in the filter's domain.
fn domain(name: &str, value: &str, rules: &Rules) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    match name {
        "share_to_me" => match lower.as_str() {
            "1" | "t" | "true" | "on" | "y" | "yes" => Some("true".to_owned()),
            "0" | "f" | "false" | "off" | "n" | "no" => Some("false".to_owned()),
            _ => None,
        },
        "volume_id" | "backup_id" => is_uuid(value).then_some(lower),
        "status" => rules.statuses.contains(&lower.as_str()).then_some(lower),
        "from_project_id" | "to_project_id" => is_project(value).then(|| value.to_owned()),
        _ => {
            let controls = value.chars().any(|c| matches!(c, '\0'..='\x1F' | '\x7F'..='\u{9F}'));
            let fits = (1..=255).contains(&value.chars().count()) && !controls;
            fits.then(|| value.to_owned())
        }
    }
}

fn is_uuid(value: &str) -> bool {
    let groups: Vec<usize> = value.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && value.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Whether `value` is 1 to 64 of `0-9 A-Z a-z _ -`.
pub fn is_project(value: &str) -> bool {
    let characters = value.trim_matches(|c: char| c.is_ascii_alphanumeric() || "_-".contains(c));
    (1..=64).contains(&value.len()) && characters.is_empty()
}
