//! `count-store serve`: from a request to a count.
//!
//! | module | holds |
//! |---|---|
//! | [`connections`] | how many clients at once, and how long each may take |
//! | [`http`] | the paths, and replies as HTTP |
//! | [`metrics`] | what Prometheus is told |
//! | [`tokens`] | who may ask |

mod connections;
mod http;
mod metrics;
mod respond;
mod tokens;

use std::io::{self, Write};
use std::sync::Arc;

use backup_sharing_count::filters::FilterRules;
use backup_sharing_count::request::Validator;
use futures_util::future::{OptionFuture, join};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task;

use crate::cli::{self, Database};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::limits::{MOST_FOR_METRICS, SPARE};
use crate::signals::Signals;
use crate::{postgres, say, sqlite};
use connections::Connections;
use http::Service;
use metrics::Page;
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
        let metrics = arguments.metrics.is_some().then(Arc::default);
        let service = Service { validator, tokens, engine, metrics, failures };
        serve(service, &arguments.listen, arguments.metrics.as_deref()).await
    });
    // Only a count whose client is gone could still be running.
    runtime.shutdown_background();
    outcome
}

/// The engine of a database, once it can count.
async fn open(place: cli::Where, of_postgres: cli::OfPostgres) -> Result<Arc<dyn Engine>> {
    match place.database {
        Database::File(file) => {
            if place.password_file.is_some() || of_postgres.is_given() {
                return Err(Error::new(
                    "--password-file, --table, --timeout, --max-lag and --connections are for PostgreSQL, \
                     and --database is a file.",
                ));
            }
            sqlite::check(&file)?;
            Ok(Arc::new(sqlite::Counts::new(file)?))
        }
        Database::Servers(url) => {
            let settings = url.settings(place.password_file.as_deref())?;
            Ok(Arc::new(postgres::Servers::open(settings, of_postgres.choices()).await?))
        }
    }
}

async fn serve(service: Service, address: &str, for_metrics: Option<&str>) -> Result<()> {
    // Before anybody can know that we listen, so that no signal is missed.
    let mut signals = Signals::new()?;
    let (listener, mut ready) = listen("listening", address).await?;
    let engine = Arc::clone(&service.engine);
    let mut files = engine.files();
    let mut pages = None;
    if let (Some(address), Some(metrics)) = (for_metrics, &service.metrics) {
        let (listener, line) = listen("metrics", address).await?;
        ready += &line;
        files = files.saturating_add(MOST_FOR_METRICS).saturating_add(SPARE);
        let page = Page { metrics: Arc::clone(metrics), engine: Arc::clone(&engine) };
        let name = "connections for metrics";
        pages = Some(Connections::new(listener, page, name, MOST_FOR_METRICS));
    }
    let is_watched = pages.is_some();
    let most = connections::most(files);
    let mut counts = Connections::new(listener, service, "connections", most);
    // Nothing may read it: neither an error nor a wait matters.
    task::spawn_blocking(move || io::stdout().write_all(ready.as_bytes()));
    tokio::select! {
        () = counts.accept() => {}
        Some(()) = OptionFuture::from(pages.as_mut().map(Connections::accept)) => {}
        () = engine.keep(is_watched) => {}
        () = signals.any() => {}
    }
    join(counts.end(), OptionFuture::from(pages.map(Connections::end))).await;
    Ok(())
}

/// Listens, and says where, in a line.
async fn listen(what: &str, address: &str) -> Result<(TcpListener, String)> {
    let listening = || Error::while_doing(format!("listen at {address}"));
    let listener = bind(address).await.map_err(listening())?;
    let address = listener.local_addr().map_err(listening())?;
    Ok((listener, format!("{what} on {address}\n")))
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
