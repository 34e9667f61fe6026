//! Between Envoy and [`Edge`]: bytes in, bytes out, and no decisions.
//!
//! A request pauses only with a callout in flight, and whatever comes of the
//! callout ends the request. A panic here would hang the client and every
//! other request of the worker (proxy-wasm facts B3), so nothing here can.

mod host;
mod map;

use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use crate::edge::{Decision, Edge};
use crate::store::{CalloutOutcome, MAX_BODY};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { edge: None }));
}}

/// The configured filter of one worker.
struct Root {
    /// `None` until Envoy has handed over a configuration that is valid.
    edge: Option<Rc<Edge>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        match Edge::new(&host::buffer(host::Buffer::PluginConfiguration, usize::MAX)) {
            Ok(edge) => self.edge = Some(Rc::new(edge)),
            Err(error) => {
                host::log_error(&format!("configuration refused: {error}"));
                return false;
            }
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        let (edge, sent) = (self.edge.clone(), Duration::ZERO);
        Some(Box::new(Request { edge, sent }))
    }
}

/// One request.
struct Request {
    edge: Option<Rc<Edge>>,
    /// When its callout was sent.
    sent: Duration,
}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let Some(edge) = &self.edge else {
            return Action::Continue;
        };
        let path = host::request_header(":path");
        let Some(target) = edge.locate(&path) else {
            return Action::Continue;
        };
        let map = host::headers(host::Map::RequestHeaders);
        match edge.decide(target, &map.fields()) {
            Decision::Pass => return Action::Continue,
            Decision::Reply(reply) => host::send(&reply),
            Decision::Ask(callout) => {
                self.sent = host::now();
                if let Err(reason) = host::dispatch(&callout) {
                    self.conclude(CalloutOutcome::NotSent(reason));
                }
            }
        }
        Action::Pause
    }
}

impl Context for Request {
    fn on_http_call_response(&mut self, _token: u32, headers: usize, _body: usize, _: usize) {
        if headers == 0 {
            let elapsed = host::now().saturating_sub(self.sent);
            return self.conclude(CalloutOutcome::Broken { elapsed });
        }
        let map = host::headers(host::Map::CalloutHeaders);
        // One byte more than is read tells the logic that there was more.
        let body = host::buffer(host::Buffer::CalloutBody, MAX_BODY + 1);
        let headers = &map.fields();
        self.conclude(CalloutOutcome::Answered { headers, body: &body });
    }
}

impl Request {
    fn conclude(&self, outcome: CalloutOutcome) {
        let reply = self.edge.as_ref().and_then(|edge| edge.conclude(outcome));
        if let Some(reply) = reply {
            host::send(&reply);
        }
    }
}
