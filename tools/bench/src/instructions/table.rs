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
    /// The first two cells.
    fn name(&self) -> String {
        format!("{} | {}", self.case.what, self.headers)
    }

    /// Their counts, one cell each; empty if there is none.
    fn cells(&self, of: &[&Contender]) -> String {
        let cells = of.iter().map(|of| match self.count(of) {
            count if count.is_nan() => String::new(),
            count => thousands(count),
        });
        cells.collect::<Vec<_>>().join(" | ")
    }

    /// The least of one's counts, NaN if there is none: what comes from elsewhere only adds.
    fn count(&self, of: &Contender) -> f64 {
        least(self.counts.get(of).map_or(&[], Vec::as_slice))
    }

    /// One's as a multiple of another's; NaN if one was not counted.
    fn ratio(&self, of: &Contender, to: &Contender) -> f64 {
        self.count(of) / self.count(to)
    }

    /// The bounds it misses: a sentence each.
    pub fn missed(&self) -> Vec<String> {
        let of = |to| self.ratio(&Contender::Ours, to);
        let (native, lua) = (of(&Contender::Native), of(&Contender::Lua));
        targets::missed(&self.case, self.headers, native, lua)
    }

    /// By how much the counts of one figure differ, as a part of the least; the most of all.
    fn spread(&self) -> f64 {
        let spread = |counts: &Vec<f64>| {
            counts.iter().copied().fold(f64::NAN, f64::max) / least(counts) - 1.0
        };
        self.counts.values().map(spread).fold(0.0, f64::max)
    }
}

/// Instructions and ratios, with what the targets say of them; nothing if there are none.
pub fn counts(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text =
        "| case | headers | native | floor | lua | ours | floor / native | ours / native | \
                    bound | ours / lua | bound |\n\
                    |---|---:|---:|---:|---:|---:|---:|---:|---|---:|---|\n"
            .to_owned();
    let (native, floor) = (Contender::Native, Contender::Floor);
    let (lua, ours) = (Contender::Lua, Contender::Ours);
    for row in rows {
        let (to_native, to_lua) = (row.ratio(&ours, &native), row.ratio(&ours, &lua));
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            row.name(),
            row.cells(&[&native, &floor, &lua, &ours]),
            thousandths(row.ratio(&floor, &native)),
            judged(to_native, &targets::to_native(&row.case, row.headers, to_native)),
            judged(to_lua, targets::to_lua(&row.case, to_lua)),
        ));
    }
    text
}

/// The filter where a route leaves it out of other paths; nothing if nobody counted it.
pub fn routed(rows: &[Row]) -> String {
    let (native, ours, routed) = (Contender::Native, Contender::Ours, Contender::Routed);
    let rows: Vec<&Row> = rows.iter().filter(|row| row.counts.contains_key(&routed)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text =
        "\nLeft out of other paths, as in the section before; listeners of the same Envoys as \
                    above.\n\n\
                    | case | headers | native | ours | routed | ours / native | routed / native |\n\
                    |---|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for row in rows {
        let to_native = row.ratio(&routed, &native);
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            row.name(),
            row.cells(&[&native, &ours, &routed]),
            thousandths(row.ratio(&ours, &native)),
            thousandths(to_native),
        ));
    }
    text
}

/// Other builds of the filter; nothing if nobody counted them.
pub fn builds(rows: &[Row]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let builds: Vec<&Contender> =
        first.counts.keys().filter(|contender| contender.is_build()).collect();
    let names: Vec<&str> = builds.iter().map(|build| build.name()).collect();
    let mut text = format!(
        "\nOther builds of the filter, and what each costs as a multiple of ours. Each case has an Envoy for \
         this alone.\n\n| case | headers | ours | {} |\n|---|---:|---:|{}\n",
        names.join(" | "),
        "---:|".repeat(names.len())
    );
    let ours = Contender::Ours;
    for row in rows {
        let cells = builds.iter().map(|build| {
            format!("{}: {}", row.cells(&[build]), thousandths(row.ratio(build, &ours)))
        });
        let cells = cells.collect::<Vec<_>>().join(" | ");
        text.push_str(&format!("| {} | {} | {cells} |\n", row.name(), row.cells(&[&ours])));
    }
    text
}

/// Requests with bodies that pass; nothing if nobody counted them.
pub fn bodies(rows: &[Row]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let all: Vec<&Contender> = first.counts.keys().collect();
    let names: Vec<&str> = all.iter().map(|contender| contender.name()).collect();
    let mut text = format!(
        "\nAnother path, with a body, whose pieces the filter is shown; a twentieth of the requests to warm \
         up and a tenth of them counted where it has 1 MB.\n\n| case | headers | {} | ours / native |\n\
         |---|---:|{}---:|\n",
        names.join(" | "),
        "---:|".repeat(names.len())
    );
    for row in rows {
        let ratio = thousandths(row.ratio(&Contender::Ours, &Contender::Native));
        text.push_str(&format!("| {} | {} | {ratio} |\n", row.name(), row.cells(&all)));
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

/// A ratio, or an empty cell.
fn thousandths(ratio: f64) -> String {
    if ratio.is_nan() { String::new() } else { format!("{ratio:.3}") }
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

    fn row(counts: &[(Contender, [f64; 2])]) -> Row {
        let counts = counts.iter().map(|(contender, counts)| (contender.clone(), counts.to_vec()));
        Row { case: CASES[0], headers: 5, counts: counts.collect() }
    }

    #[test]
    fn the_least_counts_and_the_most_differ() {
        let row = row(&[
            (Contender::Native, [101_000.0, 100_000.0]),
            (Contender::Lua, [130_000.0, 131_300.0]),
            (Contender::Ours, [136_000.0, 141_440.0]),
        ]);
        assert!((spread(std::slice::from_ref(&row)) - 0.04).abs() < 1e-9);
        let [missed] = row.missed().try_into().unwrap();
        assert!(missed.contains("instructions 1.360 of native"), "{missed}");
        assert_eq!(routed(std::slice::from_ref(&row)), "");
        let text = counts(&[row]);
        let cells =
            "| 100,000 |  | 130,000 | 136,000 |  | **1.360** | missed: > 1.35 | **1.046** |  |";
        assert!(text.contains(cells), "{text}");
    }

    #[test]
    fn the_other_tables_have_ours_beside_them() {
        let row = row(&[
            (Contender::Native, [100_000.0; 2]),
            (Contender::Ours, [125_000.0; 2]),
            (Contender::Routed, [110_000.0; 2]),
            (Contender::Build("plain".to_owned()), [126_000.0; 2]),
        ]);
        let cells = "| 100,000 | 125,000 | 110,000 | 1.250 | 1.100 |";
        let text = routed(std::slice::from_ref(&row));
        assert!(text.contains(cells), "{text}");
        let text = builds(&[row]);
        assert!(text.contains("| 125,000 | 126,000: 1.008 |"), "{text}");
    }

    #[test]
    fn numbers_are_grouped() {
        let numbers = [7.0, 999.6, 131_313.2, 1e6].map(thousands);
        assert_eq!(numbers, ["7", "1,000", "131,313", "1,000,000"]);
    }
}
