//! A store that does what it is told, good or bad, and remembers what it was asked.
//!
//! A plain socket with one thread per connection: no HTTP library would let us lie about a
//! length or reset in the middle of a header.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;

use crate::{PATIENCE, Result, wait_for};

mod behaviour;
mod connection;
mod request;

pub use behaviour::{Behaviour, ByRequest};
pub use request::Request;

/// A scripted store on 127.0.0.1. It starts by answering `{}` with 200; `/healthz` is always
/// answered 200 and never recorded. Dropping it closes every connection and ends every thread.
#[derive(Debug)]
pub struct ScriptedStore {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What the store's threads share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Rung when the store stops, for the threads that sleep.
    stopped: Condvar,
}

#[derive(Debug)]
struct State {
    /// What the next requests get; the last one stays.
    script: VecDeque<Behaviour>,
    requests: Vec<Request>,
    /// Whether `requests` grows.
    remembers: bool,
    /// How long a connection waits for its next request; `None`: for ever.
    idle: Option<Duration>,
    /// By number. `Arc`, not `try_clone`: a second descriptor would keep a reset from going out.
    open: BTreeMap<usize, Arc<TcpStream>>,
    accepted: usize,
    stopping: bool,
}

// === impl ScriptedStore ===

impl ScriptedStore {
    /// Starts a store on a port of the system's choice.
    pub fn start() -> Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Starts a store at `address`, for example where one was dropped before.
    pub fn start_at(address: SocketAddr) -> Result<Self> {
        let starting = || format!("starting the scripted store on {address}");
        let listener = TcpListener::bind(address).with_context(starting)?;
        let address = listener.local_addr().with_context(starting)?;
        let shared = Arc::new(Shared::new());
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// Where the store listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What all following requests get, on open connections too. Requests being served, such as
    /// hanging ones, stay as they are.
    pub fn set(&self, behaviour: Behaviour) {
        self.script([behaviour]);
    }

    /// What the following requests get, one each; the last behaviour stays. An empty script
    /// changes nothing.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        let script: VecDeque<Behaviour> = behaviours.into_iter().collect();
        if !script.is_empty() {
            self.shared.lock().script = script;
        }
    }

    /// The requests received since the last call, in order of arrival.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.lock().requests)
    }

    /// Waits until `count` requests have arrived, then takes them all.
    pub fn wait_for_requests(&self, count: usize) -> Result<Vec<Request>> {
        let what = format!("{count} requests to reach the store");
        wait_for(&what, PATIENCE, || {
            // One lock for both steps: the guard lives to the end of its statement.
            let requests = &mut self.shared.lock().requests;
            (requests.len() >= count).then(|| std::mem::take(requests))
        })
    }

    /// Forgets the requests so far and remembers none from now on: under load they would fill the
    /// memory.
    pub fn forget_requests(&self) {
        let mut state = self.shared.lock();
        state.remembers = false;
        state.requests = Vec::new();
    }

    /// From now on, a connection on which no request comes for this long is closed.
    pub fn close_idle_connections_after(&self, time: Duration) {
        self.shared.lock().idle = Some(time);
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open.len()
    }
}

impl Drop for ScriptedStore {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopping = true;
            for stream in state.open.values() {
                // Wakes a thread that reads or writes; one that has just closed needs no waking.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.stopped.notify_all();
        // Wakes the acceptor, which sees that the store stops and waits for the others.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let (Ok(_), Some(acceptor)) = (woken, self.acceptor.take()) {
            let _ = acceptor.join();
        }
    }
}

/// Gives every connection a thread, until the store stops.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let Some((number, stream)) = shared.open(stream) else {
            break;
        };
        threads.retain(|thread| !thread.is_finished());
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || {
            connection::serve(&shared, number, stream);
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

// === impl Shared ===

impl Shared {
    fn new() -> Self {
        Self {
            state: Mutex::new(State {
                script: VecDeque::from([Behaviour::json(200, "{}")]),
                requests: Vec::new(),
                remembers: true,
                idle: None,
                open: BTreeMap::new(),
                accepted: 0,
                stopping: false,
            }),
            stopped: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a connection; `None` once the store stops.
    fn open(&self, stream: TcpStream) -> Option<(usize, Arc<TcpStream>)> {
        let mut state = self.lock();
        if state.stopping {
            return None;
        }
        state.accepted += 1;
        let (number, stream) = (state.accepted, Arc::new(stream));
        state.open.insert(number, Arc::clone(&stream));
        Some((number, stream))
    }

    fn forget(&self, number: usize) {
        self.lock().open.remove(&number);
    }

    /// Remembers the request and says what it gets.
    fn record(&self, request: &Request) -> Behaviour {
        let mut state = self.lock();
        if state.remembers {
            state.requests.push(request.clone());
        }
        state.next_behaviour()
    }

    /// Sleeps; false if the store stopped meanwhile.
    fn sleep(&self, time: Duration) -> bool {
        let running = |state: &mut State| !state.stopping;
        let waited = self.stopped.wait_timeout_while(self.lock(), time, running);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.stopping
    }
}

impl State {
    fn next_behaviour(&mut self) -> Behaviour {
        match self.script.len() {
            0 | 1 => self.script.front().cloned(),
            _ => self.script.pop_front(),
        }
        .unwrap_or(Behaviour::Hang)
    }
}
