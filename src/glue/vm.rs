//! What is remembered from one callback to the next: the filters of this
//! virtual machine, their requests, and whose each callout is.
//!
//! No function here calls the host, so none can be entered twice.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;

use super::Local;
use super::table::Table;
use crate::edge::Edge;

/// What a virtual machine of one worker knows.
struct Vm {
    /// By context, a few; `None` until there is a configuration that was taken.
    filters: Vec<(u32, Option<Rc<Edge>>)>,
    /// By context.
    requests: Table<Request>,
    /// Whose each callout in flight is: requests by token.
    callouts: Table<u32>,
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
        if parent == 0 {
            vm.forget(context);
            vm.filters.push((context, None));
        } else {
            let edge = vm.filter(parent).cloned().flatten();
            let before = vm.requests.insert(context, Request { edge, state: State::New });
            vm.forget_callout(before);
        }
    });
}

/// Gives a filter its configuration.
pub fn configure(filter: u32, edge: Edge) {
    with(|vm| {
        if let Some(configured) = vm.filter(filter) {
            *configured = Some(Rc::new(edge));
        }
    });
}

/// Begins a request, at most once.
pub fn begin(request: u32) -> Begun {
    with(|vm| {
        let request = vm.requests.get_mut(request)?;
        Some(match (&request.edge, core::mem::replace(&mut request.state, State::Done)) {
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
        if let Some(waiting) = vm.requests.get_mut(request) {
            waiting.state = State::Waiting { token, sent };
            vm.callouts.insert(token, request);
        }
    });
}

/// Ends a callout. `None` if nobody waits for it: the client has hung up, or
/// there never was such a callout.
pub fn end_callout(token: u32) -> Option<Waiting> {
    with(|vm| {
        let id = vm.callouts.remove(token)?;
        let request = vm.requests.get_mut(id)?;
        let edge = Rc::clone(request.edge.as_ref()?);
        match core::mem::replace(&mut request.state, State::Done) {
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
    fn filter(&mut self, context: u32) -> Option<&mut Option<Rc<Edge>>> {
        self.filters.iter_mut().find(|(id, _)| *id == context).map(|(_, edge)| edge)
    }

    fn forget(&mut self, context: u32) {
        match self.requests.remove(context) {
            None => self.filters.retain(|(id, _)| *id != context),
            request => self.forget_callout(request),
        }
    }

    fn forget_callout(&mut self, request: Option<Request>) {
        if let Some(Request { state: State::Waiting { token, .. }, .. }) = request {
            self.callouts.remove(token);
        }
    }
}

static VM: Local<RefCell<Vm>> =
    Local(RefCell::new(Vm { filters: Vec::new(), requests: Table::new(), callouts: Table::new() }));

/// A machine in use cannot be entered; since nothing here calls the host, it never is.
fn with<R: Default>(act: impl FnOnce(&mut Vm) -> R) -> R {
    VM.0.try_borrow_mut().map(|mut vm| act(&mut vm)).unwrap_or_default()
}
