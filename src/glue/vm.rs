//! What is remembered from one callback to the next: the filters of this
//! virtual machine, their requests, and whose each callout is.
//!
//! No function here calls the host, so none can be entered twice.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::edge::Edge;

/// What a virtual machine of one worker knows.
struct Vm {
    /// By context; `None` until there is a configuration that was taken.
    filters: BTreeMap<u32, Option<Rc<Edge>>>,
    /// By context.
    requests: BTreeMap<u32, Request>,
    /// Whose each callout in flight is: requests by token.
    callouts: BTreeMap<u32, u32>,
}

struct Request {
    /// The filter as it was when the request came: a later configuration is for later requests.
    edge: Option<Rc<Edge>>,
    state: State,
}

enum State {
    /// Nothing of it has been seen.
    New,
    /// It waits for a callout.
    Waiting { token: u32, sent: Duration },
    /// The filter has nothing more to do with it.
    Done,
}

/// How a request's head finds it.
pub enum Begun {
    /// For the first time.
    Now(Rc<Edge>),
    /// Its head has arrived before.
    Before,
    /// There is no such request, or its filter has no configuration.
    Unconfigured,
}

/// A request whose callout has ended.
pub struct Waiting {
    pub request: u32,
    pub edge: Rc<Edge>,
    /// When the callout was sent.
    pub sent: Duration,
}

/// Notes a filter (no parent) or a request to one.
pub fn create(context: u32, parent: u32) {
    with(|vm| {
        vm.forget(context);
        if parent == 0 {
            vm.filters.insert(context, None);
        } else {
            let edge = vm.filters.get(&parent).cloned().flatten();
            vm.requests.insert(context, Request { edge, state: State::New });
        }
    });
}

/// Gives a filter its configuration.
pub fn configure(filter: u32, edge: Edge) {
    with(|vm| {
        if let Some(configured) = vm.filters.get_mut(&filter) {
            *configured = Some(Rc::new(edge));
        }
    });
}

/// Begins a request, at most once.
pub fn begin(request: u32) -> Begun {
    with(|vm| {
        let request = vm.requests.get_mut(&request)?;
        Some(match (&request.edge, std::mem::replace(&mut request.state, State::Done)) {
            (None, _) => Begun::Unconfigured,
            (Some(edge), State::New) => Begun::Now(Rc::clone(edge)),
            (Some(_), begun) => {
                request.state = begun;
                Begun::Before
            }
        })
    })
    .unwrap_or(Begun::Unconfigured)
}

/// Lets a request wait for a callout.
pub fn wait(request: u32, token: u32, sent: Duration) {
    with(|vm| {
        if let Some(waiting) = vm.requests.get_mut(&request) {
            waiting.state = State::Waiting { token, sent };
            vm.callouts.insert(token, request);
        }
    });
}

/// Ends a callout. `None` if nobody waits for it: the client has hung up, or
/// there never was such a callout.
pub fn end_callout(token: u32) -> Option<Waiting> {
    with(|vm| {
        let id = vm.callouts.remove(&token)?;
        let request = vm.requests.get_mut(&id)?;
        let edge = Rc::clone(request.edge.as_ref()?);
        match std::mem::replace(&mut request.state, State::Done) {
            State::Waiting { sent, .. } => Some(Waiting { request: id, edge, sent }),
            _ => None,
        }
    })
}

/// Forgets a context, and with a request its callout.
pub fn delete(context: u32) {
    with(|vm| vm.forget(context));
}

// === impl Vm ===

impl Vm {
    const fn new() -> Vm {
        Vm { filters: BTreeMap::new(), requests: BTreeMap::new(), callouts: BTreeMap::new() }
    }

    fn forget(&mut self, context: u32) {
        self.filters.remove(&context);
        let request = self.requests.remove(&context);
        if let Some(State::Waiting { token, .. }) = request.map(|request| request.state) {
            self.callouts.remove(&token);
        }
    }
}

thread_local! {
    static VM: RefCell<Vm> = const { RefCell::new(Vm::new()) };
}

/// A machine in use cannot be entered; since nothing here calls the host, it never is.
fn with<R: Default>(act: impl FnOnce(&mut Vm) -> R) -> R {
    VM.with(|vm| vm.try_borrow_mut().map(|mut vm| act(&mut vm)).unwrap_or_default())
}
