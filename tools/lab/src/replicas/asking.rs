//! A steady load of counts, of which every answer is kept with its times.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::http::{Connection, Response, encode_request};

use super::writer::{FROM, TO};
use crate::load::is_documented;

/// How long a connection rests after an answer.
const PAUSE: Duration = Duration::from_millis(10);

/// An answer to a question, or none.
#[derive(Clone, Debug)]
pub struct Answer {
    pub sent: Instant,
    pub came: Instant,
    pub outcome: Outcome,
}

/// What it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Count(usize),
    /// A documented answer of this status that is no count.
    Fault(u16),
    /// What it was instead.
    Undocumented(String),
}

/// Connections that ask. Dropping it ends them.
#[derive(Debug)]
pub struct Asking {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Answer>>>,
}

impl Asking {
    /// Begins, on as many connections.
    pub fn start(address: SocketAddr, connections: usize) -> Asking {
        let ended = Arc::new(AtomicBool::new(false));
        let one = |number| {
            let ended = Arc::clone(&ended);
            thread::spawn(move || ask(address, number, &ended))
        };
        Asking { threads: (0..connections).map(one).collect(), ended }
    }

    /// Ends it: all answers.
    pub fn stop(mut self) -> Vec<Answer> {
        self.join()
    }

    fn join(&mut self) -> Vec<Answer> {
        self.ended.store(true, Ordering::Relaxed);
        // A thread has no reason to panic; if one did, it said so.
        std::mem::take(&mut self.threads)
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .flatten()
            .collect()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.join();
    }
}

/// Questions whose answer is the number of rows written, whichever side asks.
fn targets() -> [String; 3] {
    let path = |project| format!("/v2/{project}/os-vendor-backup-sharing/count");
    [path(FROM), path(TO) + "?share_to_me=true", path(FROM) + "?status=available&name=roW"]
}

fn ask(address: SocketAddr, number: usize, ended: &AtomicBool) -> Vec<Answer> {
    let requests = targets().map(|target| encode_request("GET", target, &[("host", b"edge")], b""));
    let (mut answers, mut connection) = (Vec::new(), None);
    for request in requests.iter().cycle().skip(number) {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let sent = Instant::now();
        let outcome = match exchange(&mut connection, address, request) {
            Ok(answer) => outcome(&answer),
            Err(why) => {
                connection = None;
                Outcome::Undocumented(format!("none: {why:#}"))
            }
        };
        answers.push(Answer { sent, came: Instant::now(), outcome });
        thread::sleep(PAUSE);
    }
    answers
}

fn exchange(
    connection: &mut Option<Connection>,
    address: SocketAddr,
    request: &[u8],
) -> testkit::Result<Response> {
    let open = match connection {
        Some(open) => open,
        None => connection.insert(Connection::open(address)?),
    };
    Ok(open.exchange(request)?)
}

fn outcome(answer: &Response) -> Outcome {
    let is_json = answer.header_values("content-type") == [b"application/json"];
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let count = body.and_then(|body| usize::try_from(body.get("count")?.as_u64()?).ok());
    match (answer.status, count) {
        (200, Some(count)) if is_json => Outcome::Count(count),
        (500.., None) if is_json && is_documented(answer) => Outcome::Fault(answer.status),
        (status, _) => Outcome::Undocumented(format!("{status} {}", answer.text())),
    }
}
