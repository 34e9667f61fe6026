//! What each fuzz target makes of its bytes, one function each. Seeds under `tools/oracles/fuzz/seeds/` are in
//! these notations too.

use crate::exchange::Exchange;
use crate::http::Answer;
use crate::{accept, configuration, exchange, path, query, sharing, store_answer};

/// A target's name, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const ALL: [Target; 9] = [
    ("path", path::check),
    ("accept", lines_of_accept),
    ("query", query::check),
    ("configuration", configuration::check),
    ("fields", lines_of_fields),
    ("store_answer", answer),
    ("keystone_answer", keystone_answer),
    ("sharing", sharing::check),
    ("exchange", exchange),
];

/// Each line is an `accept` field.
pub fn lines_of_accept(text: &[u8]) {
    accept::check(&text.split(|&byte| byte == b'\n').collect::<Vec<_>>());
}

/// Each line is a field of a configuration and its value, such as `store.timeout 1s`. In JSON, most
/// changes are to the JSON; here, they are to a value.
pub fn lines_of_fields(text: &[u8]) {
    let [mut top, mut store, mut filters, mut auth, mut keystone] = [const { Vec::new() }; 5];
    for line in String::from_utf8_lossy(text).lines() {
        let (path, value) = line.split_once(' ').unwrap_or((line, ""));
        let (section, field) = match path.split_once('.') {
            Some(("store", field)) => (&mut store, field),
            Some(("auth", field)) => match field.strip_prefix("keystone.") {
                Some(field) => (&mut keystone, field),
                None => (&mut auth, field),
            },
            Some(("filters", field)) => (&mut filters, field),
            _ => (&mut top, path),
        };
        let value = match field {
            "forward_headers" | "roles" | "statuses" => format!("[{}]", quoted(value)),
            // Numbers, and whatever else a line holds in their place.
            "retries" | "max_tokens" => value.to_owned(),
            _ => quoted(value),
        };
        section.push(format!("{}:{value}", quoted(field)));
    }
    if !store.iter().any(|member| member.starts_with("\"cluster\"")) {
        store.push("\"cluster\":\"c\"".to_owned());
    }
    top.push(format!("\"store\":{{{}}}", store.join(",")));
    if !keystone.is_empty() {
        auth.push(format!("\"keystone\":{{{}}}", keystone.join(",")));
    }
    top.push(format!("\"auth\":{{{}}}", auth.join(",")));
    top.push(format!("\"filters\":{{{}}}", filters.join(",")));
    configuration::check(format!("{{{}}}", top.join(",")).as_bytes());
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        '\0'..='\x1F' => format!("\\u{:04x}", u32::from(c)),
        _ => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// See [`Answer::read`].
pub fn answer(text: &[u8]) {
    store_answer::check(&Answer::read(text));
}

/// See [`Answer::read`].
pub fn keystone_answer(text: &[u8]) {
    exchange::check_keystone(&Answer::read(text));
}

/// See [`Exchange::read`].
pub fn exchange(text: &[u8]) {
    exchange::check(&Exchange::read(text));
}
