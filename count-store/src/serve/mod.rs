//! `count-store serve`: from a request to a count.
//!
//! | module | holds |
//! |---|---|
//! | [`connections`] | how many clients at once, and how long each may take |
//! | [`http`] | the paths, and replies as HTTP |
//! | [`tokens`] | who may ask |
//! | [`counts`] | the database, and which thread may wait for it |

mod connections;
mod counts;
mod http;
mod tokens;

use std::io::{self, Write};
use std::time::Duration;

use backup_sharing_count::filters::FilterRules;
use backup_sharing_count::request::Validator;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task;
use tokio::time::sleep;

use crate::cli;
use crate::error::{Error, Result};
use crate::signals::Signals;
use crate::{say, sqlite};
use connections::Connections;
use counts::Counts;
use tokens::Tokens;

/// Serves until a signal says to stop.
pub fn run(arguments: cli::Serve) -> Result<()> {
    say::without_waiting();
    let tokens = Tokens::gather(&arguments)?;
    sqlite::check(&arguments.database)?;
    let mut rules = FilterRules::default();
    if !arguments.status.is_empty() {
        rules.statuses = arguments.status;
    }
    let service = http::Service {
        validator: Validator::new(rules).map_err(Error::while_doing("prepare the route"))?,
        tokens,
        counts: Counts::new(arguments.database)?,
    };
    let runtime = Runtime::new().map_err(Error::while_doing("start the threads"))?;
    let outcome = runtime.block_on(serve(&arguments.listen, Connections::new(service)));
    // Only a count whose client is gone could still be running.
    runtime.shutdown_background();
    outcome
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
    let forget = async move {
        loop {
            sleep(Duration::from_secs(1)).await;
            service.counts.forget_replaced();
        }
    };
    tokio::select! {
        () = connections.accept(listener) => {}
        () = forget => {}
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
