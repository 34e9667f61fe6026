//! What the filter must not cost, in instructions: a multiple of Envoy alone and, but for the shortest of its
//! answers, no more than Lua. Times are shown beside it: where others share the machine they say less.

use super::cases::{Case, End, FEW};

/// The most that a request may take, as a multiple of what it takes Envoy alone.
fn most(case: &Case, headers: usize) -> f64 {
    match (case.end, headers == FEW) {
        (End::Rejected, true) => 1.35,
        (End::Rejected, false) => 1.17,
        (End::Counted, true) => 1.57,
        (End::Counted, false) => 1.33,
        (End::Passed, true) => 1.14,
        (End::Passed, false) => 1.09,
    }
}

/// Lua looks at two headers where they lie to refuse a method; a wasm filter has all of them copied.
fn is_bound_by_lua(case: &Case) -> bool {
    case.name != "method"
}

/// The bounds that these multiples miss: a sentence each. NaN, which is not measured, misses none.
pub fn missed(case: &Case, headers: usize, native: f64, lua: f64) -> Vec<String> {
    let name = format!("{}, {headers} headers: instructions", case.what);
    let mut missed = Vec::new();
    let most = most(case, headers);
    if native > most {
        missed.push(format!("{name} {native:.3} of native, not {most:.2}"));
    }
    if lua > 1.0 && is_bound_by_lua(case) {
        missed.push(format!("{name} {lua:.3} of Lua, not 1.00"));
    }
    missed
}

/// What the bound says of this multiple of Envoy alone: nothing if it was not measured.
pub fn to_native(case: &Case, headers: usize, ratio: f64) -> String {
    let most = most(case, headers);
    match ratio {
        _ if ratio.is_nan() => String::new(),
        _ if ratio > most => format!("missed: > {most:.2}"),
        _ => format!("≤ {most:.2}"),
    }
}

/// What the bound says of this multiple of Lua: nothing if there is none, or it was not measured.
pub fn to_lua(case: &Case, ratio: f64) -> &'static str {
    match ratio {
        _ if ratio.is_nan() || !is_bound_by_lua(case) => "",
        _ if ratio > 1.0 => "missed: > 1.00",
        _ => "≤ 1.00",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::cases::CASES;

    #[test]
    fn sentence_and_table_agree() {
        let case = &CASES[1];
        for (native, lua, count) in [(1.35, 1.0, 0), (1.351, 0.5, 1), (1.4, 1.01, 2)] {
            let sentences = missed(case, FEW, native, lua);
            let marks = [to_native(case, FEW, native), to_lua(case, lua).to_owned()];
            let marked = marks.iter().filter(|mark| mark.starts_with("missed")).count();
            assert_eq!((sentences.len(), marked), (count, count), "{sentences:?}");
        }
        assert!(missed(case, FEW, f64::NAN, f64::NAN).is_empty());
        assert!(missed(&CASES[0], FEW, 1.0, 1.1).is_empty(), "a 405 may cost more than Lua's");
    }
}
