//! A strict edge before a backend that believes everything: `cargo run --example legacy-edge`.
//!
//! Each request is sent to the backend alone (`legacy.py`), to an Envoy before it whose filter validates, and to one whose
//! filter counts (`envoy.yaml`). What is seen is printed, and held to what must be seen.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use testkit::envoy::Envoy;
use testkit::{http, workspace};

const PATH: &str = "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count";

/// A request, and its answers: of the backend alone, behind `mode: validate`, behind `mode: count`.
struct Sample {
    method: &'static str,
    query: &'static str,
    accept: &'static str,
    answers: [Answer; 3],
    why: &'static str,
}

/// What a client gets.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    /// 200 with this count.
    Count(u32),
    /// The edge's own answer with this status: the backend was not asked.
    Refused(u16),
    /// No answer: the connection ends.
    Nothing,
}

use Answer::{Count, Nothing, Refused};

const fn get(query: &'static str, answers: [Answer; 3], why: &'static str) -> Sample {
    Sample { method: "GET", query, accept: "*/*", answers, why }
}

const SAMPLES: [Sample; 10] = [
    get("", [Count(98); 3], "what is right is counted"),
    get("?share_to_me=true", [Count(24); 3], "the same"),
    get("?backup_id=42", [Nothing, Refused(400), Refused(400)], "no UUID: the backend crashes"),
    get("?limit=10", [Count(98), Refused(400), Refused(400)], "no filter: the backend counts all"),
    get("?status=availabel", [Count(0), Refused(400), Refused(400)], "misspelt: nothing is found"),
    get("?name=prod&name=web", [Count(5), Refused(400), Refused(400)], "which one is meant?"),
    get("?name=", [Count(98), Refused(400), Refused(400)], "no value: the filter is ignored"),
    Sample { method: "DELETE", ..get("", [Count(98), Refused(405), Refused(405)], "is it safe?") },
    Sample {
        accept: "text/html",
        ..get("", [Count(98), Refused(406), Refused(406)], "it is JSON")
    },
    get(
        "?share_to_me=True",
        [Count(98), Count(98), Count(24)],
        "right, and read as false; `mode: count` asks with `true`",
    ),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Shows all samples.
///
/// # Errors
/// If something does not start, or an answer is another than the sample's.
fn run() -> Result<()> {
    let legacy = Legacy::start()?;
    let envoy = Envoy::start(configuration(legacy.address)?)?;
    let edge = |name| envoy.listener_address(name);
    let places = [legacy.address, edge("validate")?, edge("count")?];
    println!("{:27} {:14} {:15} {:12}", "", "backend alone", "mode: validate", "mode: count");
    for sample in &SAMPLES {
        let seen = places.map(|place| sample.send(place));
        let [alone, validate, count] = seen.map(|answer| answer.to_string());
        let Sample { method, query, accept, why, .. } = sample;
        let accept = if *accept == "*/*" { "" } else { accept };
        let what = format!("{method} {query}{accept}");
        println!("{what:27} {alone:14} {validate:15} {count:12} {why}");
        ensure!(seen == sample.answers, "The answers should be others.");
    }
    envoy.stop()?;
    Ok(())
}

/// `envoy.yaml` with free ports, this backend, and the module as it was built.
fn configuration(legacy: SocketAddr) -> Result<String> {
    let module = workspace::filter_module()?;
    let mut yaml = include_str!("envoy.yaml").to_owned();
    for (from, to) in [
        ("port_value: 9901", "port_value: 0"),
        ("port_value: 10000", "port_value: 0"),
        ("port_value: 10001", "port_value: 0"),
        ("port_value: 8080", &format!("port_value: {}", legacy.port())),
        ("/etc/envoy/plugin.wasm", &module.display().to_string()),
    ] {
        ensure!(yaml.contains(from), "envoy.yaml no longer has `{from}`.");
        yaml = yaml.replace(from, to);
    }
    Ok(yaml)
}

impl Sample {
    fn send(&self, place: SocketAddr) -> Answer {
        let path = [PATH, self.query].concat();
        let headers: [(&str, &[u8]); 1] = [("accept", self.accept.as_bytes())];
        let Ok(response) = http::request(place, self.method, path, &headers) else {
            return Nothing;
        };
        let text = response.text();
        let count = text.trim_start_matches(r#"{"count":"#).trim().trim_end_matches('}').trim();
        match count.parse() {
            Ok(count) if response.status == 200 => Count(count),
            _ => Refused(response.status),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Count(count) => write!(f, "counts {count}"),
            Refused(status) => write!(f, "{status}"),
            Nothing => f.write_str("no answer"),
        }
    }
}

/// The backend, running.
struct Legacy {
    child: Child,
    address: SocketAddr,
}

impl Legacy {
    fn start() -> Result<Legacy> {
        let root = workspace::root();
        let child = Command::new("python3")
            .arg(root.join("examples/legacy-edge/legacy.py"))
            .arg(root.join("demo/sharings.csv"))
            .arg("0")
            .stdout(Stdio::piped())
            // Its traceback.
            .stderr(Stdio::null())
            .spawn();
        let child = child.context("starting python3")?;
        let mut legacy = Legacy { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut said = String::new();
        let stdout = legacy.child.stdout.take().context("listening to the backend")?;
        BufReader::new(stdout).read_line(&mut said).context("listening to the backend")?;
        let address =
            said.trim().strip_prefix("listening on ").context("The backend did not start.")?;
        legacy.address = address.parse().context("reading where the backend listens")?;
        Ok(legacy)
    }
}

impl Drop for Legacy {
    fn drop(&mut self) {
        // Both fail only if it has left already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_bad_request_bounces_at_the_edge() {
        super::run().unwrap();
    }
}
