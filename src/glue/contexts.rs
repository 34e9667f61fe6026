//! What Envoy calls, through the SDK.

use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MapType};

use super::carry_out::{Turn, carry_out, log, now, resume};
use super::imports;
use super::metrics::Metrics;
use super::ticks::{Alive, Carried, Ticks};
use crate::edge::{self, Edge, Step};
use crate::waiting::Waiting;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| {
        Box::new(Root { plugin: None, ticks: Rc::default(), callouts: VecDeque::new() })
    });
}}

/// The revision of the sources in git. `cargo xtask dist` knows it; a plain build needs no git.
const REVISION: &str = match option_env!("BACKUP_SHARING_COUNT_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// One plugin in one VM.
struct Root {
    /// `None` until a plugin configuration was taken.
    plugin: Option<Rc<Plugin>>,
    ticks: Rc<Ticks>,
    /// The callouts that were sent on a tick, by token. The SDK delivers their outcome to the root context,
    /// which sent them.
    callouts: VecDeque<(u32, Alive, Box<Waiting>)>,
}

/// What a plugin configuration makes.
struct Plugin {
    edge: Edge,
    /// `None` if none are wanted, or the host refuses them.
    metrics: Option<Rc<Metrics>>,
}

/// One request.
struct Request {
    id: u32,
    /// The plugin as it was when the request came: a later configuration is for later requests.
    plugin: Option<Rc<Plugin>>,
    ticks: Rc<Ticks>,
    state: State,
}

enum State {
    /// It is held: its headers have not arrived, or it is answered.
    Held,
    /// It is held, and the root context carries on with it unless this has been dropped by then.
    OnTick(Rc<Carried>),
    /// It continues to the next filter.
    Passed,
    /// It is held until its callout ends.
    Waiting(Box<Waiting>),
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let version = concat!("version ", env!("CARGO_PKG_VERSION"));
        log(LogLevel::Info, &format!("{version}, revision {REVISION}"));
        match Edge::new(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(edge) => {
                let metrics = edge.has_metrics().then(Metrics::of_vm).flatten();
                self.plugin = Some(Rc::new(Plugin { edge, metrics }));
                true
            }
            Err(error) => {
                log(LogLevel::Error, &format!("configuration refused: {error}"));
                false
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let (plugin, ticks) = (self.plugin.clone(), Rc::clone(&self.ticks));
        Some(Box::new(Request { id, plugin, ticks, state: State::Held }))
    }

    fn on_tick(&mut self) {
        let ticks = Rc::clone(&self.ticks);
        ticks.tick(now, |request, step| self.carry_on(request, step));
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, fields: usize, _body: usize, _trailers: usize) {
        let place = self.callouts.iter().position(|(sent, ..)| *sent == token);
        if let Some((_, request, waiting)) = place.and_then(|at| self.callouts.remove(at)) {
            // If the request has gone, others may wait for the answer.
            let step = resume(self, fields, waiting, metrics(&self.plugin));
            self.carry_on(&request, step);
        }
    }
}

impl Root {
    /// Carries out the next step of a request on a tick or after one, unless its stream has ended. The host does not
    /// tell: between a stream's end and its deletion it accepts the context, and a local reply then crashes Envoy.
    fn carry_on(&mut self, request: &Alive, step: Step) {
        let Some(carried) = request.upgrade() else { return };
        if hostcalls::set_effective_context(carried.id).is_err() {
            return;
        }
        match carry_out(carried.id, step, &self.ticks, metrics(&self.plugin)) {
            Turn::Sent(token, waiting) => {
                self.callouts.push_back((token, Alive::clone(request), waiting));
            }
            Turn::Held(held) => self.ticks.hold(Alive::clone(request), held),
            Turn::Continues => {
                carried.passed.set(true);
                continue_request();
            }
            Turn::Answered => {}
        }
    }
}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, fields: usize, _end: bool) -> Action {
        match self.begin(fields) {
            Some(step) => self.carry_out(step),
            None => self.state = State::Passed,
        }
        self.action()
    }

    // With `allow_on_headers_stop_iteration`, pausing at the headers holds back the headers alone.
    fn on_http_request_body(&mut self, _size: usize, _end: bool) -> Action {
        self.action()
    }

    fn on_http_request_trailers(&mut self, _fields: usize) -> Action {
        self.action()
    }
}

impl Context for Request {
    fn on_http_call_response(&mut self, _: u32, fields: usize, _body: usize, _trailers: usize) {
        if let State::Waiting(waiting) = mem::replace(&mut self.state, State::Held) {
            let step = resume(self, fields, waiting, metrics(&self.plugin));
            self.carry_out(step);
            if let State::Passed = self.state {
                continue_request();
            }
        }
    }
}

fn metrics(plugin: &Option<Rc<Plugin>>) -> Option<&Metrics> {
    plugin.as_ref().and_then(|plugin| plugin.metrics.as_deref())
}

/// Lets a request continue that was held. It is the effective context.
fn continue_request() {
    // It is `Ok`, or a panic of the SDK.
    let _ = hostcalls::resume_http_request();
}

/// Its client may have left while a callout was on its way.
impl Drop for Request {
    fn drop(&mut self) {
        if let (State::Waiting(waiting), Some(metrics)) = (&self.state, metrics(&self.plugin)) {
            metrics.called(waiting.target(), waiting.age(now()));
        }
    }
}

impl Request {
    /// `None`: the request is for another path.
    fn begin(&self, fields: usize) -> Option<Step> {
        let Some(plugin) = &self.plugin else { return Some(Step::Reply(edge::unjudged())) };
        let edge = &plugin.edge;
        if fields > edge::READ_AT_ONCE {
            let path = self.get_http_request_header_bytes(":path").unwrap_or_default();
            edge.locate(&path)?;
        }
        let Some(map) = imports::header_map(MapType::HttpRequestHeaders) else {
            return Some(Step::Reply(edge::unjudged()));
        };
        let target = edge.locate(map.path())?;
        Some(edge.begin(target, map.fields(), now))
    }

    fn carry_out(&mut self, step: Step) {
        self.state = match carry_out(self.id, step, &self.ticks, metrics(&self.plugin)) {
            Turn::Continues => State::Passed,
            Turn::Sent(_, waiting) => State::Waiting(waiting),
            Turn::Held(held) => {
                let carried = Rc::new(Carried { id: self.id, passed: Cell::new(false) });
                self.ticks.hold(Rc::downgrade(&carried), held);
                State::OnTick(carried)
            }
            Turn::Answered => State::Held,
        };
    }

    fn action(&self) -> Action {
        let passed = match &self.state {
            State::Passed => true,
            State::OnTick(carried) => carried.passed.get(),
            State::Held | State::Waiting(_) => false,
        };
        if passed { Action::Continue } else { Action::Pause }
    }
}
