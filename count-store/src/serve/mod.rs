//! `count-store serve`: from a request to a count.
//!
//! | module | holds |
//! |---|---|
//! | [`connections`] | how many clients at once, and how long each may take |
//! | [`http`] | the paths, and replies as HTTP |
//! | [`tokens`] | who may ask |

mod connections;
mod http;
mod tokens;

use std::io::{self, Write};

use backup_sharing_count::filters::FilterRules;
use backup_sharing_count::request::Validator;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task;

use crate::cli::{self, Database};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::signals::Signals;
use crate::{postgres, say, sqlite};
use connections::Connections;
use tokens::Tokens;

/// Serves until a signal says to stop.
pub fn run(arguments: cli::Serve) -> Result<()> {
    say::without_waiting();
    let tokens = Tokens::gather(&arguments)?;
    let mut rules = FilterRules::default();
    if !arguments.status.is_empty() {
        rules.statuses = arguments.status;
    }
    let validator = Validator::new(rules).map_err(Error::while_doing("prepare the route"))?;
    let runtime = Runtime::new().map_err(Error::while_doing("start the threads"))?;
    let outcome = runtime.block_on(async {
        let engine = open(arguments.database, arguments.postgres).await?;
        let failures = http::Failures::default();
        let service = http::Service { validator, tokens, engine, failures };
        serve(&arguments.listen, Connections::new(service)).await
    });
    // Only a count whose client is gone could still be running.
    runtime.shutdown_background();
    outcome
}

/// The engine of a database, once it can count.
async fn open(place: cli::Where, of_postgres: cli::OfPostgres) -> Result<Box<dyn Engine>> {
    match place.database {
        Database::File(file) => {
            if place.password_file.is_some() || of_postgres.is_given() {
                return Err(Error::new(
                    "--password-file, --table, --timeout, --max-lag and --connections are for PostgreSQL, \
                     and --database is a file.",
                ));
            }
            sqlite::check(&file)?;
            Ok(Box::new(sqlite::Counts::new(file)?))
        }
        Database::Servers(url) => {
            let settings = url.settings(place.password_file.as_deref())?;
            Ok(Box::new(postgres::Servers::open(settings, of_postgres.choices()).await?))
        }
    }
}

async fn serve(address: &str, mut connections: Connections) -> Result<()> {
    // Before anybody can know that we listen, so that no signal is missed.
    let mut signals = Signals::new()?;
    let listening = format!("listen at {address}");
    let listener = bind(address).await.map_err(Error::while_doing(&listening))?;
    let address = listener.local_addr().map_err(Error::while_doing(&listening))?;
    // Nothing may read it: neither an error nor a wait matters.
    task::spawn_blocking(move || writeln!(io::stdout(), "listening on {address}"));
    let service = connections.service();
    tokio::select! {
        () = connections.accept(listener) => {}
        () = service.engine.keep() => {}
        () = signals.any() => {}
    }
    connections.end().await;
    Ok(())
}

/// Without a host: at every local address, IPv6 and IPv4 if there are both.
async fn bind(address: &str) -> io::Result<TcpListener> {
    match address.strip_prefix(':') {
        None => TcpListener::bind(address).await,
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
        },
    }
}
