//! What the module adds to Envoy's memory, and each worker to that.

use std::path::Path;

use serde_json::{Value, json};
use testkit::Result;
use testkit::envoy::Envoy;

use crate::Options;
use crate::edge::bench::one_listener;
use crate::edge::cases::{CASES, FEW};
use crate::machine::{self, Cores};
use crate::oha::{Amount, Load, Oha};
use crate::statistics::median;

const WORKERS: [u32; 3] = [1, 2, 4];
const CONNECTIONS: usize = 64;

/// Starts Envoy with each number of workers, with and without the module, lets it answer, and looks.
pub fn measure(
    oha: &Oha,
    cores: &Cores,
    module: &Path,
    options: &Options,
) -> Result<(String, Value)> {
    let repeats = if options.quick { 1 } else { 3 };
    let requests = if options.quick { 2_000 } else { 50_000 };
    // A request that needs no store: all of it happens here.
    let [case, ..] = &CASES;
    let request = case.request(FEW);
    let mut text = format!(
        "### Memory\n\nOf the Envoy process (PSS), after {requests} requests for each worker that were \
         answered at the edge, {CONNECTIONS} connections; the median of {repeats}.\n\n\
         | workers | without the module, MiB | with it, MiB | difference, MiB |\n|---:|---:|---:|---:|\n"
    );
    let (mut data, mut differences) = (Vec::new(), Vec::new());
    for workers in WORKERS {
        eprintln!("   memory: {workers} workers …");
        let mut seen = [Vec::new(), Vec::new()];
        for _ in 0..repeats {
            for (with, seen) in [None, Some(module)].into_iter().zip(&mut seen) {
                let options = Envoy::options().concurrency(workers);
                let envoy = cores.measured(|| options.start(one_listener(with)))??;
                let load = Load {
                    address: envoy.listener_address("only")?,
                    request: &request,
                    connections: CONNECTIONS,
                    amount: Amount::Requests(requests * u64::from(workers)),
                    rate: None,
                };
                oha.run(&load)?.all(405)?;
                seen.push(machine::memory(envoy.pid())? as f64 / f64::from(1 << 20));
            }
        }
        let [without, with] = seen.each_ref().map(|seen| median(seen));
        differences.push((f64::from(workers), with - without));
        let difference = with - without;
        text.push_str(&format!("| {workers} | {without:.1} | {with:.1} | {difference:.1} |\n"));
        data.push(json!({"workers": workers, "without_mib": without, "with_mib": with}));
    }
    let slope = slope(&differences);
    text.push_str(&format!(
        "\nEach worker more costs {slope:.2} MiB more with the module than without it.\n"
    ));
    Ok((text, json!({"rows": data, "mib_per_worker": slope})))
}

/// Of the straight line with the least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let over: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let under: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    over / under
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn a_line_has_its_slope() {
        let slope = slope(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]);
        assert!((slope - 2.0).abs() < 1e-9, "{slope}");
    }
}
