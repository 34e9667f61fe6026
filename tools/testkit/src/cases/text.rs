//! The notation of texts in the file.

/// Each character as the byte of its value, repetitions expanded.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let byte = |c: char| u8::try_from(c).expect("requests in cases.toml end at U+00FF");
    repeat(text).chars().map(byte).collect()
}

/// Expands `{64*a}` to sixty-four `a`.
pub(super) fn repeat(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, from_brace)) = rest.find('{').map(|at| rest.split_at(at)) {
        expanded.push_str(before);
        match repetition(&from_brace[1..]) {
            Some((repeated, after)) => {
                expanded.push_str(&repeated);
                rest = after;
            }
            None => {
                expanded.push('{');
                rest = &from_brace[1..];
            }
        }
    }
    expanded + rest
}

fn repetition(text: &str) -> Option<(String, &str)> {
    let (count, rest) = text.split_once('*')?;
    let mut rest = rest.chars();
    let repeated = rest.next()?.to_string();
    let after = rest.as_str().strip_prefix('}')?;
    Some((repeated.repeat(count.parse().ok()?), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_expanded_and_braces_are_kept() {
        assert_eq!(repeat(r#"{"a":{3*x}}{2*[}{b*c}"#), r#"{"a":xxx}[[{b*c}"#);
        assert_eq!(bytes("a\u{ff}"), b"a\xff");
    }
}
