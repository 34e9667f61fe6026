//! `count-store serve`: from a request to a count.
//!
//! | module | holds |
//! |---|---|
//! | [`http`] | the paths, and replies as HTTP |
//! | [`tokens`] | who may ask |
//! | [`counts`] | the database, and which thread may wait for it |

mod counts;
mod http;
mod tokens;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use backup_sharing_count::call::Call;
use backup_sharing_count::filters::FilterRules;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::cli;
use crate::database;
use crate::error::{Error, Result};
use counts::Counts;
use tokens::Tokens;

/// How long requests in flight may take after a signal.
const GRACE: Duration = Duration::from_secs(30);

/// Serves until a signal says to stop.
pub fn run(arguments: cli::Serve) -> Result<()> {
    database::check(&arguments.database)?;
    let service = http::Service {
        call: Call::new(FilterRules::default()).map_err(Error::while_doing("prepare the route"))?,
        tokens: Tokens::new(arguments.token)?,
        counts: Counts::new(arguments.database)?,
    };
    let runtime = Runtime::new().map_err(Error::while_doing("start the threads"))?;
    let outcome = runtime.block_on(serve(&arguments.listen, http::router(service)));
    // Only a request that outlived GRACE could still be running.
    runtime.shutdown_background();
    outcome
}

async fn serve(address: &str, router: Router) -> Result<()> {
    // Before anybody can know that we listen, so that no signal is missed.
    let mut signals = Signals::new()?;
    let listening = format!("listen at {address}");
    let listener = TcpListener::bind(address).await.map_err(Error::while_doing(&listening))?;
    let address = listener.local_addr().map_err(Error::while_doing(&listening))?;
    // Answers are small, and somebody waits for each of them.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    // Who starts us may not care to read it.
    let _ = writeln!(io::stdout(), "listening on {address}");

    let stopping = Arc::new(Notify::new());
    let stop = Arc::clone(&stopping);
    let served = axum::serve(listener, router).with_graceful_shutdown(async move {
        signals.any().await;
        stop.notify_one();
    });
    let grace_is_over = async {
        stopping.notified().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = async { served.await } => result.map_err(Error::while_doing("go on serving")),
        // A client may have begun a request that it never completes.
        () = grace_is_over => Err(Error::new(format!(
            "Some connections were still in use {} s after the signal.",
            GRACE.as_secs()
        ))),
    }
}

/// The signals that say to stop: what service managers send, and Ctrl-C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let listen = |kind| signal(kind).map_err(Error::while_doing("listen for signals"));
        let terminate = listen(SignalKind::terminate())?;
        let interrupt = listen(SignalKind::interrupt())?;
        Ok(Signals { terminate, interrupt })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
