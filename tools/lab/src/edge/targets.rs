//! What the filter must not cost, in instructions: a multiple of Envoy alone and, but for the shortest of its
//! answers, no more than Lua. Times are shown beside it: where others share the machine they say less.
//! Who set these bounds, and why, stands on the page.

use super::requests::{Case, End, FEW};

/// The most that a request may take, as a multiple of what it takes Envoy alone.
pub fn of_native(case: &Case, headers: usize) -> f64 {
    match (case.end, headers == FEW) {
        (End::Rejected, true) => 1.35,
        (End::Rejected, false) => 1.17,
        (End::Counted, true) => 1.57,
        (End::Counted, false) => 1.33,
        (End::Passed, true) => 1.14,
        (End::Passed, false) => 1.09,
    }
}

/// The most that a request may take, as a multiple of what it takes Lua. Lua looks at two headers where
/// they lie to refuse a method; a wasm filter has all of them copied.
pub fn of_lua(case: &Case) -> Option<f64> {
    (case.name != "method").then_some(1.0)
}
