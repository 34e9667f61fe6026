//! The load: oha, a maintained generator that cargo can install.
//!
//! Of its features it needs TLS, without which 1.16.0 does not compile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use testkit::{Error, Result, workspace};

use crate::machine::Cores;

/// The release that is installed.
pub const VERSION: &str = "1.16.0";

/// Load on one address.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// Who is asked.
    pub address: SocketAddr,
    /// What is asked.
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
    /// So many requests.
    Requests(u64),
    /// As many as go in this time.
    Time(Duration),
}

/// A request, the same each time.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// All its headers but `host`; `accept` and `user-agent` must be among them, or oha adds its own.
    pub headers: Vec<(&'static str, String)>,
    /// Its body, which oha does not send.
    pub body: Vec<u8>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Answers in whole, by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer, by what oha says of them.
    pub errors: BTreeMap<String, u64>,
    /// Answers per second.
    pub per_second: f64,
    /// The time of which half the answers take less.
    pub p50: Duration,
    /// The time of which 99 of 100 answers take less.
    pub p99: Duration,
}

impl Outcome {
    /// How many answers there were, all of which must have this status.
    pub fn all(&self, status: u16) -> Result<u64> {
        let answers = self.statuses.get(&status).copied().unwrap_or_default();
        match self.statuses.len() == 1 && self.errors.is_empty() && answers > 0 {
            true => Ok(answers),
            false => Err(Error::new(format!(
                "Only {status} was expected, but there came {:?} and {:?}.",
                self.statuses, self.errors
            ))),
        }
    }
}

/// oha, installed.
#[derive(Clone, Debug)]
pub struct Oha {
    program: PathBuf,
    cores: Cores,
}

impl Oha {
    /// oha of [`VERSION`], installed under the target folder if it is not there.
    pub fn install(cores: &Cores) -> Result<Oha> {
        let root = workspace::target_dir().join("oha");
        let program = root.join("bin/oha");
        let version = Command::new(&program).arg("--version").output();
        let there = version.is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout).trim() == format!("oha {VERSION}")
        });
        if !there {
            eprintln!("Installing oha {VERSION} into target/ (once, minutes) …");
            let mut install = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            install.args(["install", "--locked", "--force", "--version", VERSION]);
            let status = install.arg("--root").arg(root).arg("oha").status();
            let status = status.map_err(Error::while_doing("run cargo install"))?;
            if !status.success() {
                return Err(Error::new(format!("oha cannot be installed ({status}).")));
            }
        }
        Ok(Oha { program, cores: cores.clone() })
    }

    /// Puts this load on, and waits for its end.
    pub fn run(&self, load: &Load) -> Result<Outcome> {
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
        let output = self.cores.serving(|| oha.output())?;
        let output = output.map_err(Error::while_doing("run oha"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::new(format!("oha failed ({}): {said}", output.status)));
        }
        let said: Said = serde_json::from_slice(&output.stdout)
            .map_err(Error::while_doing("understand what oha says"))?;
        Ok(said.into())
    }
}

/// What oha says, as far as we listen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    summary: Summary,
    latency_percentiles: Percentiles,
    status_code_distribution: BTreeMap<u16, u64>,
    error_distribution: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    requests_per_sec: f64,
}

/// In seconds; `null` if there was no answer.
#[derive(Deserialize)]
struct Percentiles {
    p50: Option<f64>,
    p99: Option<f64>,
}

impl From<Said> for Outcome {
    fn from(said: Said) -> Outcome {
        let time = |seconds: Option<f64>| Duration::from_secs_f64(seconds.unwrap_or_default());
        Outcome {
            statuses: said.status_code_distribution,
            errors: said.error_distribution,
            per_second: said.summary.requests_per_sec,
            p50: time(said.latency_percentiles.p50),
            p99: time(said.latency_percentiles.p99),
        }
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
        let said: Said = serde_json::from_str(SAID).unwrap();
        let outcome = Outcome::from(said);
        assert_eq!((outcome.per_second, outcome.p99), (12.5, Duration::from_millis(2)));
        let error = outcome.all(200).unwrap_err().to_string();
        assert!(error.contains("503: 1"), "{error}");
    }

    #[test]
    fn an_error_is_no_answer() {
        let mut outcome = Outcome::from(serde_json::from_str::<Said>(SAID).unwrap());
        outcome.statuses.remove(&503);
        assert_eq!(outcome.all(200).unwrap(), 3);
        outcome.errors.insert("connection closed".to_owned(), 1);
        assert!(outcome.all(200).is_err());
    }
}
