//! `--cluster`: the rows in PostgreSQL, two count stores in front of it, and what clients see when servers die.

use std::collections::BTreeMap;
use std::iter;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Error, anyhow, ensure};
use testkit::Result;
use testkit::count_store::CountStore;
use testkit::http;
use testkit::postgres::Cluster;

use super::samples::{SAMPLES, Sample, Source};
use super::signals::Signals;

/// How many ask at a time.
const CLIENTS: usize = 4;

/// From an answer to the same client's next question.
const PAUSE: Duration = Duration::from_millis(20);

/// Before the first kill.
const BEFORE: Duration = Duration::from_secs(1);

/// After each: longer than it takes until Envoy, or a count store, no longer tries what is dead.
const AFTER: Duration = Duration::from_secs(3);

/// What clients saw.
#[derive(Debug, Default)]
struct Seen {
    /// How many, by status.
    answers: BTreeMap<u16, u64>,
    unanswered: u64,
    /// Answers with status 200 and another count.
    wrong: u64,
    /// The longest that a client was without a right count.
    gap: Duration,
}

/// Installs PostgreSQL if need be, and starts a primary and two replicas.
pub fn start() -> Result<Cluster> {
    out!("Starting PostgreSQL, a primary and two replicas …");
    let cluster = Cluster::start(2)?;
    out!("PostgreSQL: {}", cluster.url());
    Ok(cluster)
}

/// Kills the primary and then a count store while clients ask, and prints what these saw: an error, if not counts alone.
pub fn kill(
    cluster: &Cluster,
    store: CountStore,
    listener: SocketAddr,
    signals: &Signals,
) -> Result<()> {
    out!("\n{CLIENTS} clients ask for counts, time and again …");
    let is_over = &AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|first| scope.spawn(move || client(listener, first, is_over)))
            .collect();
        let kill = || {
            signals.sleep(BEFORE)?;
            out!("Killing the primary, {} …", cluster.primary().address());
            cluster.primary().kill();
            signals.sleep(AFTER)?;
            out!("Killing a count store, {} …", store.address());
            drop(store);
            signals.sleep(AFTER)
        };
        let killed = kill();
        is_over.store(true, Ordering::Relaxed);
        killed?;
        let mut all = Seen::default();
        for client in clients {
            all.add(client.join().map_err(|_| anyhow!("A client panicked."))?);
        }
        Ok::<_, Error>(all)
    })?;
    seen.print()?;
    ensure!(seen.is_well(), "Clients noticed what died.");
    Ok(())
}

/// Asks until it is over, beginning with the `first` of the counts.
fn client(listener: SocketAddr, first: usize, is_over: &AtomicBool) -> Seen {
    let counts = SAMPLES.iter().filter(|sample| sample.source == Source::Store);
    let mut counts = counts.cycle().skip(first);
    let mut seen = Seen::default();
    let mut right = Instant::now();
    while let (false, Some(sample)) = (is_over.load(Ordering::Relaxed), counts.next()) {
        let response = http::request(listener, sample.method, sample.path, &[]).ok();
        let is_right = seen.answer(sample, response.map(|got| (got.status, got.text())));
        seen.gap = seen.gap.max(right.elapsed());
        if is_right {
            right = Instant::now();
        }
        thread::sleep(PAUSE);
    }
    seen
}

/// Starts again what was killed; the store where it was.
pub fn restore(cluster: &Cluster, store: SocketAddr) -> Result<CountStore> {
    out!("Starting both again …");
    cluster.primary().start_again()?;
    CountStore::start(&cluster.url(), store)
}

/// Says how to kill by hand.
pub fn print_how_to_kill(cluster: &Cluster, stores: &[CountStore]) -> Result<()> {
    out!("  To kill:");
    let names = iter::once("the primary").chain(iter::repeat("a replica"));
    for (name, server) in names.zip(cluster.servers()) {
        out!("    kill -QUIT {}  # {name}, {}", server.pid()?, server.address());
    }
    for store in stores {
        out!("    kill -KILL {}  # a count store, {}", store.pid(), store.address());
    }
    Ok(())
}

// === impl Seen ===

impl Seen {
    /// Whether it is as it must be.
    fn answer(&mut self, sample: &Sample<'_>, answer: Option<(u16, String)>) -> bool {
        let Some((status, body)) = answer else {
            self.unanswered += 1;
            return false;
        };
        *self.answers.entry(status).or_default() += 1;
        self.wrong += u64::from(status == 200 && body != sample.body);
        status == sample.status && body == sample.body
    }

    fn add(&mut self, other: Seen) {
        let Seen { answers, unanswered, wrong, gap } = other;
        for (status, number) in answers {
            *self.answers.entry(status).or_default() += number;
        }
        self.unanswered += unanswered;
        self.wrong += wrong;
        self.gap = self.gap.max(gap);
    }

    /// Whether there were counts, and each was right.
    fn is_well(&self) -> bool {
        self.answers.keys().eq(&[200]) && self.unanswered == 0 && self.wrong == 0
    }

    fn print(&self) -> Result<()> {
        let requests = self.answers.values().sum::<u64>() + self.unanswered;
        out!("What the clients saw:");
        out!("  {requests:>6} requests");
        for (status, number) in &self.answers {
            out!("  {number:>6} answered {status}");
        }
        out!("  {:>6} without an answer", self.unanswered);
        out!("  {:>6} wrong counts", self.wrong);
        out!("  {:>6} ms at most until a client had its next count", self.gap.as_millis());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_right_count_is_not_well() {
        let [right, wrong] = [r#"{"count":98}"#, r#"{"count":97}"#].map(str::to_owned);
        let mut seen = Seen::default();
        assert!(!seen.is_well());
        assert!(seen.answer(&SAMPLES[0], Some((200, right.clone()))) && seen.is_well());
        for answer in [None, Some((200, wrong)), Some((503, right))] {
            let mut worse = Seen::default();
            assert!(!worse.answer(&SAMPLES[0], answer.clone()));
            worse.add(Seen { answers: seen.answers.clone(), ..Seen::default() });
            assert!(!worse.is_well(), "{answer:?}");
        }
    }
}
