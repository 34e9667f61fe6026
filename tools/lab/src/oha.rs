//! The load: oha, a maintained generator that cargo can install.
//!
//! Of its features it needs TLS, without which 1.16.0 does not compile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use testkit::workspace;

use crate::cores::Cores;

/// The release that is installed.
pub const VERSION: &str = "1.16.0";

/// Load on one address, the same request again and again.
#[derive(Clone, Debug)]
pub struct Traffic<'a> {
    /// Which server is asked.
    pub address: SocketAddr,
    /// What it is asked.
    pub request: &'a Request,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// When it ends.
    pub amount: Amount,
    /// Requests per second; as many as are answered if there is none.
    pub rate: Option<f64>,
}

/// How much load.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// This number of requests.
    Requests(u64),
    /// As many as go in this time.
    Time(Duration),
}

/// A request without a body, the same each time.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// All its headers but `host`; `accept` and `user-agent` must be among them, or oha adds its own.
    pub headers: Vec<(&'static str, &'static str)>,
}

/// What oha says of a load, as far as we listen.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    summary: BTreeMap<String, Option<f64>>,
    /// In seconds; `null` if there was no answer.
    latency_percentiles: BTreeMap<String, Option<f64>>,
    /// Whole answers.
    status_code_distribution: BTreeMap<u16, u64>,
    /// Requests without an answer.
    error_distribution: BTreeMap<String, u64>,
}

/// oha, installed.
#[derive(Clone, Debug)]
pub struct Oha {
    program: PathBuf,
    cores: Cores,
}

impl<'a> Traffic<'a> {
    /// As many requests per second as are answered.
    pub fn new(
        address: SocketAddr,
        request: &'a Request,
        connections: usize,
        amount: Amount,
    ) -> Self {
        Traffic { address, request, connections, amount, rate: None }
    }
}

impl Request {
    /// Its headers, as a client of the testkit takes them.
    pub fn header_bytes(&self) -> Vec<(&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect()
    }
}

// === impl Outcome ===

impl Outcome {
    /// How many answers there were, all of which must have this status.
    pub fn all_were(&self, status: u16) -> Result<u64> {
        let (statuses, errors) = (&self.status_code_distribution, &self.error_distribution);
        let answers = statuses.get(&status).copied().unwrap_or_default();
        ensure!(
            statuses.len() == 1 && errors.is_empty() && answers > 0,
            "not every answer was {status}: {statuses:?}, {errors:?}"
        );
        Ok(answers)
    }

    /// Answers per second.
    pub fn per_second(&self) -> f64 {
        figure(&self.summary, "requestsPerSec")
    }

    /// The times of which 50 and 99 of 100 answers take less, in µs.
    pub fn p50_p99(&self) -> [f64; 2] {
        ["p50", "p99"].map(|name| figure(&self.latency_percentiles, name) * 1e6)
    }
}

fn figure(figures: &BTreeMap<String, Option<f64>>, name: &str) -> f64 {
    figures.get(name).copied().flatten().unwrap_or(f64::NAN)
}

// === impl Oha ===

impl Oha {
    /// Installs oha into `target/`, unless it is there.
    pub fn install(cores: &Cores) -> Result<Oha> {
        let root = workspace::target_dir().join("oha");
        let program = root.join("bin/oha");
        let says = Command::new(&program).arg("--version").output();
        let is_there =
            says.is_ok_and(|says| says.stdout.ends_with(format!(" {VERSION}\n").as_bytes()));
        if !is_there {
            eprintln!("Installing oha {VERSION} into target/ (once, minutes) …");
            let mut install = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            install.args(["install", "--locked", "--force", "--version", VERSION]);
            let status = install.arg("--root").arg(root).arg("oha").status();
            let status = status.context("running cargo install")?;
            ensure!(status.success(), "oha cannot be installed ({status})");
        }
        Ok(Oha { program, cores: cores.clone() })
    }

    /// Puts this load on, and waits for its end.
    pub fn run(&self, load: &Traffic) -> Result<Outcome> {
        let mut oha = Command::new(&self.program);
        oha.args(["--no-tui", "--output-format", "json", "--worker-threads", "1"]);
        // What a server would not be asked otherwise: our headers are all that there are.
        oha.args(["--disable-compression", "-m", load.request.method]);
        oha.args(["-c", &load.connections.to_string()]);
        match load.amount {
            Amount::Requests(requests) => oha.args(["-n", &requests.to_string()]),
            Amount::Time(time) => oha.args(["-w", "-z", &format!("{}ms", time.as_millis())]),
        };
        if let Some(rate) = load.rate {
            oha.args(["--latency-correction", "-q", &rate.to_string()]);
        }
        for (name, value) in &load.request.headers {
            oha.arg("-H").arg(format!("{name}: {value}"));
        }
        oha.arg(format!("http://{}{}", load.address, load.request.target));
        let output = self.cores.serving(|| oha.output())?.context("running oha")?;
        if !output.status.success() {
            bail!("oha failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).context("understanding what oha says")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = r#"{"summary": {"successRate": 1.0, "requestsPerSec": 12.5},
        "latencyPercentiles": {"p50": 0.001, "p99": 0.002, "p99.9": 0.003},
        "statusCodeDistribution": {"200": 3, "503": 1}, "errorDistribution": {}}"#;

    #[test]
    fn what_oha_says_is_understood() {
        let mut outcome: Outcome = serde_json::from_str(SAID).unwrap();
        assert_eq!((outcome.per_second(), outcome.p50_p99()), (12.5, [1e3, 2e3]));
        let error = outcome.all_were(200).unwrap_err().to_string();
        assert!(error.contains("503: 1"), "{error}");
        outcome.status_code_distribution.remove(&503);
        assert_eq!(outcome.all_were(200).unwrap(), 3);
        outcome.error_distribution.insert("connection closed".to_owned(), 1);
        assert!(outcome.all_were(200).is_err(), "an error is no answer");
    }
}
