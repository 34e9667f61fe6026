//! What the filter must not cost: a multiple of Envoy alone ([`End::target`]), and as much as Lua.

use super::cases::{Case, End};

/// The targets that these multiples of a `cost` miss: a sentence each. NaN, which is not measured,
/// misses none.
pub fn missed(cost: &str, case: &Case, headers: usize, native: f64, lua: f64) -> Vec<String> {
    let name = format!("{}, {headers} headers: {cost}", case.what);
    let target = case.end.target();
    let mut missed = Vec::new();
    if native > target {
        missed.push(format!("{name} {native:.3} of native, not {target:.2}"));
    }
    if lua >= 1.0 {
        missed.push(format!("{name} {lua:.3} of Lua, not below 1"));
    }
    missed
}

/// What the target says of this multiple of Envoy alone: nothing if it was not measured.
pub fn to_native(end: End, ratio: f64) -> String {
    let target = end.target();
    match ratio {
        _ if ratio.is_nan() => String::new(),
        _ if ratio > target => format!("missed: > {target:.2}"),
        _ => format!("≤ {target:.2}"),
    }
}

/// What the target says of this multiple of Lua: nothing if it was not measured.
pub fn to_lua(ratio: f64) -> &'static str {
    match ratio {
        _ if ratio.is_nan() => "",
        _ if ratio >= 1.0 => "missed: ≥ 1",
        _ => "< 1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::cases::CASES;

    #[test]
    fn sentence_and_table_agree() {
        let case = CASES[0];
        for (native, lua, count) in [(1.2, 0.99, 0), (1.201, 0.5, 1), (1.3, 1.0, 2)] {
            let sentences = missed("instructions", &case, 5, native, lua);
            let marks = [to_native(case.end, native), to_lua(lua).to_owned()];
            let marked = marks.iter().filter(|mark| mark.starts_with("missed")).count();
            assert_eq!((sentences.len(), marked), (count, count), "{sentences:?}");
        }
        assert!(missed("instructions", &case, 5, f64::NAN, f64::NAN).is_empty());
    }
}
