//! The values a valid call is made of. Each is checked once, when it is parsed.

use std::borrow::Cow;
use std::sync::Arc;

use crate::bytes;

/// Declares a value that is a checked string.
macro_rules! checked_string {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The value as the store receives it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

checked_string! {
    /// A UUID, 8-4-4-4-12 hex digits, in lower case.
    Uuid
}

checked_string! {
    /// A project id: 1 to 64 of `0-9 A-Z a-z _ -`.
    ProjectId
}

checked_string! {
    /// 1 to 255 characters, none of them a control character (Unicode Cc).
    Text
}

/// A backup status: a lower-case word of `a-z 0-9 _ -` that begins with a letter. Each request that names one
/// shares it with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusWord(Arc<str>);

impl Uuid {
    /// Parses a UUID in either case.
    pub fn parse(text: &str) -> Option<Uuid> {
        let bytes = text.as_bytes();
        let digits = bytes.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
        let well_formed = bytes.len() == 36
            && digits == 32
            && [8, 13, 18, 23].iter().all(|&at| bytes.get(at) == Some(&b'-'));
        well_formed.then(|| Uuid(text.to_ascii_lowercase()))
    }
}

impl ProjectId {
    /// What a message says was expected.
    pub const EXPECTED: &str = "1 to 64 of 0-9 A-Z a-z _ -";

    /// Parses a project id; case is kept.
    pub fn parse(text: &str) -> Option<ProjectId> {
        let well_formed = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        well_formed.then(|| ProjectId(text.to_owned()))
    }
}

impl Text {
    /// Parses a name.
    pub fn parse(text: Cow<str>) -> Option<Text> {
        let plain = || text.len() <= 255 && bytes::are_printable(text.as_bytes());
        let well_formed = !text.is_empty()
            && (plain()
                || (text.chars().nth(255).is_none() && !text.chars().any(char::is_control)));
        well_formed.then(|| Text(text.into_owned()))
    }
}

impl StatusWord {
    /// Parses a status that is in lower case already.
    pub fn parse(text: &str) -> Option<StatusWord> {
        let well_formed = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        well_formed.then(|| StatusWord(text.into()))
    }

    /// The value as the store receives it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Parses a boolean in any of the spellings that OpenStack services take
/// (`strutils.bool_from_string` of oslo.utils), without case.
pub fn parse_boolean(text: &str) -> Option<bool> {
    const TRUE: [&str; 6] = ["1", "t", "true", "on", "y", "yes"];
    const FALSE: [&str; 6] = ["0", "f", "false", "off", "n", "no"];
    let is = |word: &&str| word.eq_ignore_ascii_case(text);
    if TRUE.iter().any(is) {
        Some(true)
    } else if FALSE.iter().any(is) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_8_4_4_4_12_in_either_case() {
        let upper = "8332443E-9866-41D8-8A58-A898CF5DB030";
        assert_eq!(Uuid::parse(upper).unwrap().as_str(), upper.to_ascii_lowercase());
        for bad in [
            "", "8332443e986641d88a58a898cf5db030", "{8332443e-9866-41d8-8a58-a898cf5db030}",
            "8332443e-9866-41d8-8a58-a898cf5db03", "8332443e-9866-41d8-8a58-a898cf5db0300",
            "8332443e-9866-41d8-8a58-a898cf5db03g", "8332443e-986641d8--8a58-a898cf5db030",
            "8332443e-9866-41d8-8a58-a898cf5dbé0",
        ] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn project_ids_are_1_to_64_of_a_few_characters() {
        assert!(ProjectId::parse("aZ0_-").is_some());
        assert!(ProjectId::parse(&"a".repeat(64)).is_some());
        for bad in ["", "a b", "a.b", "a%20b", "é", &"a".repeat(65)] {
            assert_eq!(ProjectId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn text_counts_characters_and_refuses_controls() {
        assert!(Text::parse("é".repeat(255).into()).is_some());
        assert!(Text::parse("\u{200B}".into()).is_some(), "Cf is not Cc");
        for bad in ["", "a\tb", "\u{7f}", "\u{85}", &"é".repeat(256)] {
            assert_eq!(Text::parse(bad.into()), None, "{bad:?}");
        }
    }

    #[test]
    fn status_words_are_lower_case() {
        assert!(StatusWord::parse("error_deleting").is_some());
        for bad in ["", "Available", "_x", "a b", "é"] {
            assert_eq!(StatusWord::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn booleans_have_twelve_spellings_without_case() {
        for word in ["1", "t", "True", "ON", "y", "yes"] {
            assert_eq!(parse_boolean(word), Some(true), "{word}");
        }
        for word in ["0", "F", "false", "Off", "n", "NO"] {
            assert_eq!(parse_boolean(word), Some(false), "{word}");
        }
        for word in ["", "2", "tru", "yes "] {
            assert_eq!(parse_boolean(word), None, "{word}");
        }
    }
}
