//! What was measured, as tables.

use serde_json::{Value, json};

use super::bench::Contender;
use super::cases::Case;
use super::measure::{Measured, Round};
use super::targets;
use crate::statistics::{least, median};

/// A case with so many header fields, measured.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// The number of header fields.
    pub headers: usize,
    /// What it showed.
    pub measured: Measured,
}

/// One contender's cost as a multiple of another's.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// The least of the one to the least of the other: what the targets are about.
    pub least: f64,
    /// The median over the rounds of the one to the other in the same round.
    pub median: f64,
}

impl Row {
    fn rounds(&self, of: &Contender) -> &[Round] {
        self.measured.rounds.get(of).map_or(&[], Vec::as_slice)
    }

    /// Processor time per request in each round.
    pub fn cpu(&self, of: &Contender) -> Vec<f64> {
        self.rounds(of).iter().map(|round| round.cpu).collect()
    }

    /// What one costs as a multiple of another; NaN if one was not measured.
    pub fn ratio(&self, of: &Contender, to: &Contender) -> Ratio {
        let (of, to) = (self.cpu(of), self.cpu(to));
        let each: Vec<f64> = of.iter().zip(&to).map(|(of, to)| of / to).collect();
        Ratio { least: least(&of) / least(&to), median: median(&each) }
    }

    /// The targets it missed: a sentence each.
    pub fn missed(&self) -> Vec<String> {
        let of = |to| self.ratio(&Contender::Ours, to).least;
        let (native, lua) = (of(&Contender::Native), of(&Contender::Lua));
        targets::missed("processor time", &self.case, self.headers, native, lua)
    }

    fn name(&self) -> String {
        format!("{} | {}", self.case.what, self.headers)
    }
}

/// Costs and ratios, with what the targets say of them.
pub fn costs(rows: &[Row]) -> String {
    let mut text =
        "| case | headers | native µs | floor µs | Lua µs | ours µs | floor / native | ours / native | \
         (median) | target | ours / Lua | (median) | target |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|---|\n"
            .to_owned();
    let (native, floor) = (Contender::Native, Contender::Floor);
    let (lua, ours) = (Contender::Lua, Contender::Ours);
    for row in rows {
        let cost = |of| format!("{:.2} ({:.2})", least(&row.cpu(of)), median(&row.cpu(of)));
        let (to_native, to_lua) = (row.ratio(&ours, &native), row.ratio(&ours, &lua));
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {:.3} | **{:.3}** | {:.3} | {} | **{:.3}** | {:.3} | {} |\n",
            row.name(),
            cost(&native),
            cost(&floor),
            cost(&lua),
            cost(&ours),
            row.ratio(&floor, &native).least,
            to_native.least,
            to_native.median,
            targets::to_native(row.case.end, to_native.least),
            to_lua.least,
            to_lua.median,
            targets::to_lua(to_lua.least),
        ));
    }
    text
}

/// Throughput, and latency at a fixed rate.
pub fn speeds(rows: &[Row]) -> String {
    let mut text = "| case | headers | native /s | Lua /s | ours /s | at /s | native p50, p99 µs | \
                    Lua p50, p99 µs | ours p50, p99 µs |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for row in rows {
        let throughput = |of| {
            let all: Vec<f64> = row.rounds(of).iter().map(|round| round.throughput).collect();
            format!("{:.0}", median(&all))
        };
        let latency = |of| {
            let all = row.measured.fixed.get(of).map_or(&[][..], Vec::as_slice);
            let p50: Vec<f64> = all.iter().map(|latency| latency.p50).collect();
            let p99: Vec<f64> = all.iter().map(|latency| latency.p99).collect();
            format!("{:.0}, {:.0}", median(&p50), median(&p99))
        };
        let all = [Contender::Native, Contender::Lua, Contender::Ours];
        text.push_str(&format!(
            "| {} | {} | {:.0} | {} |\n",
            row.name(),
            all.each_ref().map(throughput).join(" | "),
            row.measured.rate,
            all.each_ref().map(latency).join(" | "),
        ));
    }
    text
}

/// What the filter costs when it is built otherwise, beside how it is built.
pub fn variants(rows: &[Row], variants: &[Contender]) -> String {
    let names: Vec<&str> = variants.iter().map(Contender::name).collect();
    let mut text = format!(
        "\nThe filter built otherwise: µs, and what it costs as a multiple of ours (and the median of \
         the rounds).\n\n| case | headers | ours µs | {} |\n|---|---:|---:|{}\n",
        names.join(" | "),
        "---:|".repeat(names.len())
    );
    let all = |row: &&Row| variants.iter().all(|variant| !row.cpu(variant).is_empty());
    for row in rows.iter().filter(all) {
        let cells = variants.iter().map(|variant| {
            let ratio = row.ratio(variant, &Contender::Ours);
            format!("{:.2}: {:.3} ({:.3})", least(&row.cpu(variant)), ratio.least, ratio.median)
        });
        text.push_str(&format!(
            "| {} | {:.2} | {} |\n",
            row.name(),
            least(&row.cpu(&Contender::Ours)),
            cells.collect::<Vec<_>>().join(" | ")
        ));
    }
    text
}

/// Of its core, the least and the most that Envoy was at work in any case (the median of the
/// rounds), and the most that the server was.
pub fn busy(rows: &[Row]) -> ((f64, f64), f64) {
    let medians = |get: fn(&Round) -> f64| {
        let all = rows.iter().flat_map(|row| row.measured.rounds.values());
        all.map(move |rounds| median(&rounds.iter().map(get).collect::<Vec<f64>>()))
    };
    let envoy: Vec<f64> = medians(|round| round.busy).collect();
    let most = |all: &[f64]| all.iter().copied().fold(f64::NAN, f64::max);
    let server: Vec<f64> = medians(|round| round.server_busy).collect();
    ((least(&envoy), most(&envoy)), most(&server))
}

/// All of it, for programs.
pub fn data(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let contender = |(contender, rounds): (&Contender, &Vec<Round>)| {
            let all = |get: fn(&Round) -> f64| rounds.iter().map(get).collect::<Vec<f64>>();
            let fixed = row.measured.fixed.get(contender).into_iter().flatten();
            let (p50, p99): (Vec<f64>, Vec<f64>) =
                fixed.map(|latency| (latency.p50, latency.p99)).unzip();
            let value = json!({
                "cpu_us": all(|round| round.cpu),
                "throughput": all(|round| round.throughput),
                "envoy_busy": all(|round| round.busy),
                "server_busy": all(|round| round.server_busy),
                "p50_us": p50,
                "p99_us": p99,
            });
            (contender.name().to_owned(), value)
        };
        let contenders: serde_json::Map<String, Value> =
            row.measured.rounds.iter().map(contender).collect();
        json!({
            "case": row.case.name,
            "headers": row.headers,
            "fixed_rate": row.measured.rate,
            "contenders": contenders,
        })
    };
    rows.iter().map(row).collect()
}
