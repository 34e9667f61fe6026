//! What was counted, as a table.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::edge::bench::Contender;
use crate::edge::cases::Case;
use crate::edge::targets;
use crate::statistics::least;

/// A case with so many header fields.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// The number of header fields.
    pub headers: usize,
    /// Instructions per request, each time they were counted.
    pub counts: BTreeMap<Contender, Vec<f64>>,
}

// === impl Row ===

impl Row {
    /// The least of one's counts, NaN if there is none: what comes from elsewhere only adds.
    fn count(&self, of: &Contender) -> f64 {
        least(self.counts.get(of).map_or(&[], Vec::as_slice))
    }

    /// Ours as a multiple of another's.
    fn ratio(&self, to: &Contender) -> f64 {
        self.count(&Contender::Ours) / self.count(to)
    }

    /// The targets it missed: a sentence each.
    pub fn missed(&self) -> Vec<String> {
        let (native, lua) = (self.ratio(&Contender::Native), self.ratio(&Contender::Lua));
        targets::missed("instructions", &self.case, self.headers, native, lua)
    }

    /// By how much the counts of one figure differ, as a part of the least; the most of all.
    fn spread(&self) -> f64 {
        let spread = |counts: &Vec<f64>| {
            counts.iter().copied().fold(f64::NAN, f64::max) / least(counts) - 1.0
        };
        self.counts.values().map(spread).fold(0.0, f64::max)
    }
}

/// Instructions and ratios, with what the targets say of them.
pub fn counts(rows: &[Row], contenders: &[Contender]) -> String {
    let names: Vec<&str> = contenders.iter().map(Contender::name).collect();
    let mut text = format!(
        "| case | headers | {} | ours / native | target | ours / lua | target |\n\
         |---|---:|{}---:|---|---:|---|\n",
        names.join(" | "),
        "---:|".repeat(names.len())
    );
    for row in rows {
        let cells = contenders.iter().map(|contender| thousands(row.count(contender)));
        let (native, lua) = (row.ratio(&Contender::Native), row.ratio(&Contender::Lua));
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            row.case.what,
            row.headers,
            cells.collect::<Vec<_>>().join(" | "),
            judged(native, &targets::to_native(row.case.end, native)),
            judged(lua, targets::to_lua(lua)),
        ));
    }
    text
}

/// A ratio and what its target says, or two empty cells.
fn judged(ratio: f64, target: &str) -> String {
    match ratio.is_nan() {
        true => " | ".to_owned(),
        false => format!("**{ratio:.3}** | {target}"),
    }
}

/// By how much two counts of the same differ at most, as a part of the less.
pub fn spread(rows: &[Row]) -> f64 {
    rows.iter().map(Row::spread).fold(0.0, f64::max)
}

/// All counts, for programs.
pub fn data(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let counts = row.counts.iter().map(|(contender, counts)| {
            (contender.name().to_owned(), Value::from(counts.as_slice()))
        });
        let counts: serde_json::Map<String, Value> = counts.collect();
        json!({"case": row.case.name, "headers": row.headers, "instructions": counts})
    };
    rows.iter().map(row).collect()
}

/// As in `102,300`.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::cases::CASES;

    fn row(counts: [(Contender, [f64; 2]); 3]) -> Row {
        let counts = counts.map(|(contender, counts)| (contender, counts.to_vec()));
        Row { case: CASES[0], headers: 5, counts: counts.into() }
    }

    #[test]
    fn the_least_counts_and_the_most_differ() {
        let row = row([
            (Contender::Native, [101_000.0, 100_000.0]),
            (Contender::Lua, [130_000.0, 131_300.0]),
            (Contender::Ours, [125_000.0, 130_000.0]),
        ]);
        assert!((spread(std::slice::from_ref(&row)) - 0.04).abs() < 1e-9);
        let [missed] = row.missed().try_into().unwrap();
        assert!(missed.contains("instructions 1.250 of native"), "{missed}");
        let contenders = [Contender::Native, Contender::Lua, Contender::Ours];
        let text = counts(&[row], &contenders);
        let cells =
            "| 100,000 | 130,000 | 125,000 | **1.250** | missed: > 1.20 | **0.962** | < 1 |";
        assert!(text.contains(cells), "{text}");
    }

    #[test]
    fn numbers_are_grouped() {
        let numbers = [7.0, 999.6, 131_313.2, 1e6].map(thousands);
        assert_eq!(numbers, ["7", "1,000", "131,313", "1,000,000"]);
    }
}
