//! What was measured, as tables.

use serde_json::{Value, json};

use super::bench::Contender;
use super::measure::Round;
use super::row::Row;
use crate::statistics::{least, median};

/// Costs and ratios.
pub fn costs(rows: &[Row]) -> String {
    let mut text =
        "| case | headers | native µs | floor µs | Lua µs | ours µs | floor / native | ours / native | \
         (median) | ours / Lua | (median) |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
    let (native, floor) = (Contender::Native, Contender::Floor);
    let (lua, ours) = (Contender::Lua, Contender::Ours);
    for row in rows {
        let cost = |of| cost(row, of);
        let (to_native, to_lua) = (row.ratio(&ours, &native), row.ratio(&ours, &lua));
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {:.3} | **{:.3}** | {:.3} | **{:.3}** | {:.3} |\n",
            row.name(),
            cost(&native),
            cost(&floor),
            cost(&lua),
            cost(&ours),
            row.ratio(&floor, &native).least,
            to_native.least,
            to_native.median,
            to_lua.least,
            to_lua.median,
        ));
    }
    text
}

/// What is saved where the filter is not, and what finding its own routes costs; nothing if nobody
/// measured it.
pub fn routed(rows: &[Row]) -> String {
    let (native, ours, routed) = (Contender::Native, Contender::Ours, Contender::Routed);
    let rows: Vec<&Row> = rows.iter().filter(|row| row.has(&routed)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = "Left out of other paths: the same filter, and the README's route that does without it for a path \
                    with neither the call's name nor a `%`. Listeners of the same Envoys as above.\n\n\
                    | case | headers | native µs | ours µs | routed µs | ours / native | routed / native | \
                    (median) |\n|---|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for row in rows {
        let to_native = row.ratio(&routed, &native);
        text.push_str(&format!(
            "| {} | {} | {} | {} | {:.3} | **{:.3}** | {:.3} |\n",
            row.name(),
            cost(row, &native),
            cost(row, &ours),
            cost(row, &routed),
            row.ratio(&ours, &native).least,
            to_native.least,
            to_native.median,
        ));
    }
    text.push('\n');
    text
}

fn cost(row: &Row, of: &Contender) -> String {
    format!("{:.2} ({:.2})", least(&row.cpu(of)), median(&row.cpu(of)))
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
            row.measured.rate.unwrap_or(f64::NAN),
            all.each_ref().map(latency).join(" | "),
        ));
    }
    text
}

/// What other builds of the filter cost, beside the one that is handed out; nothing if nobody measured
/// them.
pub fn builds(rows: &[Row]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let ours = Contender::Ours;
    let builds: Vec<&Contender> =
        first.measured.rounds.keys().filter(|contender| contender.is_build()).collect();
    let names: Vec<&str> = builds.iter().map(|build| build.name()).collect();
    let mut text = format!(
        "\nOther builds of the filter: µs, and what each costs as a multiple of ours (and the median of \
         the rounds). Each case has an Envoy for this alone, with ours and all of these in turn; its \
         figures are not those of the first table.\n\n\
         | case | headers | ours µs | {} |\n|---|---:|---:|{}\n",
        names.join(" | "),
        "---:|".repeat(names.len())
    );
    for row in rows {
        let cells = builds.iter().map(|build| {
            let ratio = row.ratio(build, &ours);
            format!("{:.2}: {:.3} ({:.3})", least(&row.cpu(build)), ratio.least, ratio.median)
        });
        text.push_str(&format!(
            "| {} | {:.2} | {} |\n",
            row.name(),
            least(&row.cpu(&ours)),
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
            let all = |get: fn(&Round) -> f64| {
                let thousandths = |figure: f64| (figure * 1e3).round() / 1e3;
                rounds.iter().map(get).map(thousandths).collect::<Vec<f64>>()
            };
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
