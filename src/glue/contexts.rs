//! What Envoy calls, through the SDK.

use std::rc::Rc;
use std::time::SystemTime;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MapType, Status};

use super::imports;
use crate::edge::{self, Decision, Edge};
use crate::header_map::HeaderMap;
use crate::reply::Reply;
use crate::store::{self, CalloutOutcome, MAX_BODY, NotSent};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { edge: None }));
}}

/// One plugin in one VM.
struct Root {
    /// `None` until a plugin configuration was taken.
    edge: Option<Rc<Edge>>,
}

/// One request.
struct Request {
    /// The plugin as it was when the request came: a later configuration is for later requests.
    edge: Option<Rc<Edge>>,
    state: State,
}

enum State {
    /// Its headers have not arrived.
    New,
    /// It continues to the next filter.
    Passed,
    /// It waits for a callout, sent then.
    Waiting(SystemTime),
    /// It is answered.
    Answered,
}

/// Headers of up to so many fields are read in one host call (docs/decisions/2026-11-24-one-read.md).
const FEW: usize = 56;

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        match Edge::new(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(edge) => {
                self.edge = Some(Rc::new(edge));
                true
            }
            Err(error) => {
                log_error(&format!("configuration refused: {error}"));
                false
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _request: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request { edge: self.edge.clone(), state: State::New }))
    }
}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, fields: usize, _end: bool) -> Action {
        self.state = match self.edge.clone() {
            Some(edge) => self.begin(&edge, fields),
            None => self.answer(&edge::unjudged()),
        };
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
        let (Some(edge), &State::Waiting(sent)) = (self.edge.clone(), &self.state) else { return };
        if fields == 0 {
            // The answer broke off: to ask for its headers would be a panic of the SDK.
            let elapsed = self.get_current_time().duration_since(sent).unwrap_or_default();
            self.state = self.conclude(&edge, CalloutOutcome::Broken { elapsed });
            return;
        }
        let status = self.get_http_call_response_header_bytes(":status").unwrap_or_default();
        let map = match store::reads_headers(&status) {
            true => imports::header_map(MapType::HttpCallResponseHeaders).unwrap_or_default(),
            false => HeaderMap::default(),
        };
        let headers: Vec<_> = map.fields().collect();
        // One byte more than is read tells the logic that there was more.
        let body = self.get_http_call_response_body(0, MAX_BODY + 1).unwrap_or_default();
        let outcome = CalloutOutcome::Answered { status: &status, headers: &headers, body: &body };
        self.state = self.conclude(&edge, outcome);
    }
}

impl Request {
    fn begin(&self, edge: &Edge, fields: usize) -> State {
        if fields > FEW {
            let path = self.get_http_request_header_bytes(":path").unwrap_or_default();
            if edge.locate(&path).is_none() {
                return State::Passed;
            }
        }
        let Some(map) = imports::header_map(MapType::HttpRequestHeaders) else {
            return self.answer(&edge::unjudged());
        };
        let Some(target) = edge.locate(map.path()) else { return State::Passed };
        match edge.decide(target, map.fields()) {
            Decision::Pass => State::Passed,
            Decision::Reply(reply) => self.answer(&reply),
            Decision::Ask(callout) => {
                let now = self.get_current_time();
                let (cluster, timeout) = (callout.cluster, callout.timeout);
                let headers = callout.headers();
                match self.dispatch_http_call(cluster, headers, None, Vec::new(), timeout) {
                    Ok(_token) => State::Waiting(now),
                    Err(Status::BadArgument) => self.not_sent(edge, NotSent::UnknownCluster),
                    Err(_) => self.not_sent(edge, NotSent::NoHost),
                }
            }
        }
    }

    fn not_sent(&self, edge: &Edge, reason: NotSent) -> State {
        self.conclude(edge, CalloutOutcome::NotSent(reason))
    }

    fn conclude(&self, edge: &Edge, outcome: CalloutOutcome) -> State {
        match edge.conclude(outcome) {
            Some(reply) => self.answer(&reply),
            None => State::Answered,
        }
    }

    fn answer(&self, reply: &Reply) -> State {
        if let Some(line) = &reply.alarm {
            log_error(line);
        }
        if !imports::send_local_response(reply) {
            // A client must not wait for an answer that never comes.
            self.reset_http_request();
        }
        State::Answered
    }

    fn action(&self) -> Action {
        match self.state {
            State::Passed => Action::Continue,
            State::New | State::Waiting(_) | State::Answered => Action::Pause,
        }
    }
}

/// Writes a line to Envoy's error log.
fn log_error(line: &str) {
    // It is `Ok`, or a panic of the SDK.
    let _ = hostcalls::log(LogLevel::Error, line);
}
