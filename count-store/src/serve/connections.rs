//! Clients' connections: how many at once, how long each may take, and how all end.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use super::respond::Respond;
use crate::limits::{
    AGAIN, GRACE, HEADER_BYTES, HEADERS, IDLE, LAST_HEADERS, MOST, OTHER_FILES, PRESS, ROOM, SPARE,
    SPARE_HEADERS, WRITE,
};
use crate::say::say;

/// The connections there may be, and when it was last said that all are taken.
pub struct Connections<R> {
    listener: TcpListener,
    responder: Arc<R>,
    /// What they are called.
    name: &'static str,
    most: usize,
    usual: Arc<Semaphore>,
    spare: Arc<Semaphore>,
    told: Option<Instant>,
    /// Says that room is wanted.
    press: Arc<Notify>,
    pressed: Option<Instant>,
    ending: watch::Sender<bool>,
}

/// A place among the connections, until it is dropped.
struct Place {
    is_spare: bool,
    _permit: OwnedSemaphorePermit,
}

impl<R: Respond> Connections<R> {
    pub fn new(
        listener: TcpListener,
        responder: R,
        name: &'static str,
        most: usize,
    ) -> Connections<R> {
        Connections {
            listener,
            responder: Arc::new(responder),
            name,
            most,
            usual: Arc::new(Semaphore::new(most)),
            spare: Arc::new(Semaphore::new(SPARE)),
            told: None,
            press: Arc::new(Notify::new()),
            pressed: None,
            ending: watch::Sender::new(false),
        }
    }

    /// Takes and serves connections.
    pub async fn accept(&mut self) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                // It was gone before it was taken.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    self.tell(&format!("Could not take a connection: {error}."));
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(place) = self.place().await else { return };
            let (responder, press) = (Arc::clone(&self.responder), Arc::clone(&self.press));
            tokio::spawn(serve(stream, responder, place, press, self.ending.subscribe()));
        }
    }

    async fn place(&mut self) -> Option<Place> {
        if let Ok(_permit) = Arc::clone(&self.usual).try_acquire_owned() {
            return Some(Place { is_spare: false, _permit });
        }
        self.tell(&format!(
            "All {} {} are taken. Idle ones are closed, and if that is not enough, \
             each new one gets one answer.",
            self.most, self.name
        ));
        if self.pressed.is_none_or(|pressed| pressed.elapsed() >= PRESS) {
            self.pressed = Some(Instant::now());
            self.press.notify_waiters();
            let room = timeout(ROOM, Arc::clone(&self.usual).acquire_owned()).await;
            if let Ok(Ok(_permit)) = room {
                return Some(Place { is_spare: false, _permit });
            }
        }
        // Neither semaphore is ever closed.
        let _permit = Arc::clone(&self.spare).acquire_owned().await.ok()?;
        Some(Place { is_spare: true, _permit })
    }

    fn tell(&mut self, trouble: &str) {
        if self.told.is_none_or(|told| told.elapsed() >= AGAIN) {
            self.told = Some(Instant::now());
            say(trouble);
        }
    }

    /// Lets the answers in flight finish and ends all connections.
    pub async fn end(self) {
        let Connections { listener, ending, .. } = self;
        drop(listener);
        ending.send_replace(true);
        // Each connection holds a receiver.
        if timeout(GRACE, ending.closed()).await.is_err() {
            say(format_args!(
                "Answers that were not ready {} s after the signal: {}.",
                GRACE.as_secs(),
                ending.receiver_count()
            ));
        }
    }
}

/// As many as the limit of open files leaves beside some, which is raised as far as this process may.
pub fn most(beside: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    let files =
        limit.current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let others = beside.saturating_add(SPARE).saturating_add(OTHER_FILES);
    files.saturating_sub(others).clamp(1, MOST)
}

/// Answers the requests on a connection, one after the other.
async fn serve(
    stream: TcpStream,
    responder: Arc<impl Respond>,
    place: Place,
    press: Arc<Notify>,
    mut ending: watch::Receiver<bool>,
) {
    // Answers are small, and a client waits for each of them.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE));
    // Since when it is idle; nothing while a request is being answered.
    let idle_since = Mutex::new(Some(Instant::now()));
    let idle = || idle_since.lock().unwrap_or_else(PoisonError::into_inner);
    let respond = service_fn(async |request: hyper::Request<_>| {
        *idle() = None;
        let response = responder.respond(&request.into_parts().0).await;
        *idle() = Some(Instant::now());
        Ok::<_, std::convert::Infallible>(response)
    });
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(if place.is_spare { SPARE_HEADERS } else { HEADERS })
        .keep_alive(!place.is_spare)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), respond);
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            biased; // what has come is answered
            // A failed connection is its client's to deal with.
            _ = connection.as_mut() => return,
            () = press.notified() => {
                if idle().is_some_and(|since| since.elapsed() >= IDLE) {
                    return;
                }
            }
            _ = ending.wait_for(|ending| *ending) => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    let is_over = timeout(LAST_HEADERS, connection.as_mut()).await.is_ok();
    if !is_over && idle().is_none() {
        let _ = connection.await;
    }
}
