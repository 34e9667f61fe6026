//! All that takes part, and how it is watched while one part of it is in trouble.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::count_store::{self, CountStore};
use testkit::envoy::Envoy;
use testkit::postgres::{Cluster, Replica};
use testkit::store::ScriptedStore;
use testkit::{PATIENCE, Progress, wait_for};

use super::asking::Asking;
use super::judge::{Figures, allowed, judge};
use super::writer::Writer;
use super::{MAX_LAG, ROUND};
use crate::load::expected;
use crate::{Options, anywhere, shipped};

/// How many connections ask Envoy.
pub const CONNECTIONS: usize = 8;

const STORES: usize = 2;

/// The table comes from a load, of a row that no question is about.
const ROWS: &str = "id,backup_id,from_project_id,to_project_id,name,status,volume_id,availability_zone
ffffffff-0000-4000-8000-000000000000,ffffffff-0000-4000-8000-000000000000,a,b,,available,ffffffff-0000-4000-8000-000000000000,
";

/// One Envoy, two count stores, three servers, and who writes.
pub struct Site<'a> {
    options: &'a Options,
    envoy: Envoy,
    listener: SocketAddr,
    _backend: ScriptedStore,
    stores: [Cell<Option<CountStore>>; STORES],
    addresses: [SocketAddr; STORES],
    /// A store that Envoy does not know, and to which no server is too old.
    lax: CountStore,
    pub writer: Writer,
    pub cluster: Arc<Cluster>,
    /// The number of the server that takes rows.
    source: Cell<usize>,
}

/// A fault.
pub struct Trouble {
    pub name: &'static str,
    /// Whether the quick form has it.
    pub is_quick: bool,
    /// Whether a server goes on answering with rows that get older and older: a store that does not care is asked too.
    pub leaves_old_rows: bool,
    pub inflict: fn(&Site) -> Result<()>,
    pub mend: fn(&Site) -> Result<()>,
}

impl<'a> Site<'a> {
    /// In order.
    pub fn start(options: &'a Options) -> Result<Site<'a>> {
        let cluster = Arc::new(Cluster::start(2)?);
        let url = cluster.url();
        let folder = tempfile::tempdir().context("make a temporary folder")?;
        let rows = folder.path().join("sharings.csv");
        std::fs::write(&rows, ROWS).context("write the rows")?;
        let primary = cluster.primary().url();
        count_store::load(Path::new(&primary), &rows, Progress::Quiet)?;
        // A row that was acknowledged is on one more server, so that no single fault can take it away.
        for server in cluster.servers() {
            let mut client = server.client()?;
            client.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")?;
            client.batch_execute("SELECT pg_reload_conf()")?;
        }
        cluster.wait_until_level()?;

        let max_lag = format!("{}s", MAX_LAG.as_secs());
        let store = |address, max_lag: &str| count_store(&url, address, max_lag, options);
        let stores = [store(anywhere(), &max_lag)?, store(anywhere(), &max_lag)?];
        let addresses = stores.each_ref().map(CountStore::address);
        let backend = expected::scripted(expected::upstream())?;
        let mut yaml = shipped(&addresses, backend.address())?;
        if options.quick {
            yaml = yaml.replace(
                "authority: count-store, timeout: 1s", "authority: count-store, timeout: 20s",
            );
        }
        let envoy = Envoy::options().concurrency(2).start(&yaml)?;
        let site = Site {
            options,
            listener: envoy.listener_address("edge")?,
            envoy,
            _backend: backend,
            stores: stores.map(|store| Cell::new(Some(store))),
            addresses,
            lax: store(anywhere(), "1h")?,
            writer: Writer::start(Arc::clone(&cluster)),
            cluster,
            source: Cell::new(0),
        };
        site.settle().map(|()| site)
    }

    /// How many count stores there are, and how many servers.
    pub fn sizes(&self) -> [usize; 2] {
        [STORES, self.cluster.servers().count()]
    }

    /// Of PostgreSQL.
    pub fn version(&self) -> Result<String> {
        Ok(self.replica(0)?.client()?.query_one("SHOW server_version", &[])?.get(0))
    }

    pub fn replica(&self, number: usize) -> Result<&Replica> {
        self.cluster.replicas().get(number).context("there is no such replica")
    }

    /// A time in which all is well, or a pause between two blows: each store has measured each server.
    pub fn rest(&self) {
        sleep(self.options.pick(ROUND, ROUND * 3));
    }

    pub fn kill_store(&self) {
        self.stores[0].take();
    }

    pub fn start_store_again(&self) -> Result<()> {
        let (url, max_lag) = (self.cluster.url(), format!("{}s", MAX_LAG.as_secs()));
        let started = wait_for("the count store's port", PATIENCE, || {
            count_store(&url, self.addresses[0], &max_lag, self.options).ok()
        });
        self.stores[0].set(Some(started?));
        Ok(())
    }

    /// Makes the replica that has got most a primary, and the other one its replica.
    pub fn promote(&self) -> Result<()> {
        let received = |number: usize| -> Result<(i64, usize)> {
            let query = "SELECT (pg_last_wal_receive_lsn() - '0/0')::int8";
            Ok((self.replica(number)?.client()?.query_one(query, &[])?.get(0), number))
        };
        let all = (0..self.cluster.replicas().len()).map(received).collect::<Result<Vec<_>>>()?;
        let (_, newest) = *all.iter().max().context("there is no replica")?;
        self.replica(newest)?.promote()?;
        self.source.set(newest + 1);
        self.writer.go_to(newest + 1);
        for (_, number) in all.into_iter().filter(|(_, number)| *number != newest) {
            self.replica(number)?.follow(self.replica(newest)?)?;
        }
        Ok(())
    }

    /// Waits until every server that should be there has all rows, rows are written, and Envoy asks both stores.
    pub fn settle(&self) -> Result<()> {
        let before = self.writer.acknowledged();
        let written = || (self.writer.acknowledged() > before).then_some(());
        wait_for("a row to be written", PATIENCE, written)?;
        let source =
            self.cluster.servers().nth(self.source.get()).context("there is no such server")?;
        for replica in self.cluster.replicas().iter().filter(|it| it.address() != source.address())
        {
            replica.wait_until_level_with(source)?;
        }
        wait_for("both stores to be healthy", PATIENCE, || {
            let healthy = self.envoy.stat("cluster.count_store.membership_healthy").ok()?;
            (healthy == STORES as u64).then_some(())
        })
    }

    /// Questions without end; then trouble; then none. What the page shows, and what should not have been seen.
    pub fn observe(&self, trouble: &Trouble) -> Result<(Figures, Vec<String>)> {
        let allowed = allowed(self.options);
        let time = if trouble.leaves_old_rows {
            allowed + self.options.pick(ROUND, ROUND * 3)
        } else {
            self.options.pick(ROUND, Duration::from_secs(6))
        };
        let before = self.writer.acknowledged();
        let asking = Asking::start(self.listener, CONNECTIONS);
        let asking_lax = trouble.leaves_old_rows.then(|| Asking::start(self.lax.address(), 1));
        sleep(self.options.pick(ROUND / 5, ROUND * 3));
        (trouble.inflict)(self).context("inflict it")?;
        sleep(time);
        let lax = asking_lax.map(Asking::stop);
        (trouble.mend)(self).context("mend it")?;
        self.settle()?;
        self.rest();
        let answers = asking.stop();
        let history = self.writer.history();
        let mut figures = Figures {
            fault: trouble.name,
            written: self.writer.acknowledged() - before,
            wrong_of_lax: lax.map(|answers| judge(&history, answers, allowed).wrong),
            ..judge(&history, answers, allowed)
        };
        let failures = self.failures(&figures);
        figures.failures = failures.len();
        Ok((figures, failures.into_iter().map(|it| format!("{}: {it}.", trouble.name)).collect()))
    }

    fn failures(&self, figures: &Figures) -> Vec<String> {
        let Figures { asked, failed, wrong, undocumented, examples, .. } = figures;
        // On a busy machine a store may be too late for all servers it asks, or Envoy for the retries of a few counts.
        let borne = self.options.pick(asked / 100, 0);
        let mut failures = Vec::new();
        let mut expect =
            |good: bool, otherwise: String| failures.extend((!good).then_some(otherwise));
        expect(
            *failed <= borne,
            format!("{failed} of {asked} counts failed: {:?}, {examples:?}", figures.statuses),
        );
        expect(*wrong == 0, format!("{wrong} wrong counts, such as {examples:?}"));
        expect(
            *undocumented == 0,
            format!("{undocumented} undocumented answers, such as {examples:?}"),
        );
        expect(figures.written > 0, "no row was written".to_owned());
        expect(
            figures.wrong_of_lax != Some(0),
            "the counts of a server that got nothing new were right".to_owned(),
        );
        failures
    }

    /// Ends it.
    pub fn end(self) -> Result<()> {
        self.envoy.stop()?;
        Ok(())
    }
}

fn count_store(
    url: &str,
    address: SocketAddr,
    max_lag: &str,
    options: &Options,
) -> testkit::Result<CountStore> {
    let timeout = options.pick("3s", "900ms");
    CountStore::start_with(Path::new(url), address, &["--max-lag", max_lag, "--timeout", timeout])
}
