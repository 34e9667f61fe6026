//! What a query asks for (docs/contract.md#query), cut at its separators and decoded by hand.

use backup_sharing_count::filters::{FilterRules, Filters, parse};
use backup_sharing_count::reply::Reply;
use backup_sharing_count::values::StatusWord;

use crate::filters::{DOCUMENTED, FILTERS, Filter, LENIENT, Rules};
use crate::{percent, reply};

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

/// Asserts that the filter reads `query` as the contract does, under either rules.
pub fn check(query: &[u8]) {
    for rules in [DOCUMENTED, LENIENT] {
        let statuses = rules.statuses.iter().filter_map(|word| StatusWord::parse(word)).collect();
        let found = parse(query, &FilterRules { reject_unknown: rules.reject_unknown, statuses });
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
            // A quoted name, with its quotation marks, may be as long as a value's beginning, and the same.
            let name = format!("\"{}\"", start(parameter, 64));
            let by_name = quoted == value && (parameter.contains(&cut) || name.contains(&cut));
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
    let mut given: [Option<String>; FILTERS.len()] = Default::default();
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
        let is_called = |filter: &Filter| filter.name == name || filter.aliases.contains(&&*name);
        let Some(place) = FILTERS.iter().position(is_called) else {
            if rules.reject_unknown || !is_well_formed(raw_value) {
                return wrong(&name, raw_value);
            }
            continue;
        };
        let filter = &FILTERS[place];
        // A message may name either spelling; they share this end.
        let said = if filter.aliases.is_empty() { filter.name } else { "ability_zone" };
        if given[place].is_some() {
            return wrong(said, b"");
        }
        let normal = Some(value.as_str()).filter(|_| is_well_formed(raw_value));
        match normal.and_then(|value| filter.domain.read(value, rules)) {
            Some(value) => given[place] = Some(value),
            None => return wrong(said, value.as_bytes()),
        }
    }
    let given = FILTERS.iter().zip(given);
    Reading::Filters(given.filter_map(|(filter, value)| Some((filter.name, value?))).collect())
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
