//! Callbacks in every order in which a real Envoy may call them: no trap, and one end for each request. The
//! release module in the wasm host, which traps on a second reply itself.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::time::Duration;

use proptest::prelude::*;
use testkit::wasm::{DispatchResult, End, Host, Module, Stream};
use testkit::workspace;

const COUNT: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}}"#;
const VALIDATE: &str = r#"{"mode": "validate"}"#;
const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
const ANSWER: [(&[u8], &[u8]); 1] = [(b":status", b"200")];

fn host() -> Host {
    let module = Module::load(&workspace::filter_module().unwrap()).unwrap();
    Host::start(&module, COUNT).unwrap()
}

fn headers(method: &'static str, path: &'static str) -> [(&'static [u8], &'static [u8]); 2] {
    [(b":method", method.as_bytes()), (b":path", path.as_bytes())]
}

/// What can happen. A request is named by its place among all that were made, counted round.
#[derive(Clone, Copy, Debug)]
enum Event {
    Create,
    Headers(Kind, usize),
    /// A piece of a body or, with trailers, its end.
    Body(bool, usize),
    /// The store answers: with headers or, broken off, without.
    Answer(bool, usize),
    Finish(usize),
    /// A new root context takes the place of the old one, which goes with its last request.
    Replace(Configuration),
    Dispatch(DispatchResult),
    Clock(u64),
    Tick,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Pass,
    Reject,
    Count,
}

#[derive(Clone, Copy, Debug)]
enum Configuration {
    Count,
    Validate,
    Bad,
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![1 => Just(Kind::Pass), 1 => Just(Kind::Reject), 3 => Just(Kind::Count)];
    let configuration = proptest::sample::select(vec![
        Configuration::Count,
        Configuration::Validate,
        Configuration::Bad,
    ]);
    let which = 0..8usize;
    let dispatch =
        [DispatchResult::Sent, DispatchResult::NoHost, DispatchResult::UnknownCluster].to_vec();
    prop_oneof![
        6 => Just(Event::Create),
        8 => (kind, which.clone()).prop_map(|(kind, which)| Event::Headers(kind, which)),
        2 => (any::<bool>(), which.clone()).prop_map(|(more, which)| Event::Body(more, which)),
        6 => (any::<bool>(), which.clone()).prop_map(|(whole, which)| Event::Answer(whole, which)),
        4 => which.prop_map(Event::Finish),
        2 => configuration.prop_map(Event::Replace),
        1 => proptest::sample::select(dispatch).prop_map(Event::Dispatch),
        1 => any::<u64>().prop_map(Event::Clock),
        2 => (0..40_u64).prop_map(Event::Clock),
        3 => Just(Event::Tick),
    ]
}

/// What must come of it.
struct Model {
    host: Host,
    requests: Vec<Request>,
    /// How many root contexts there have been.
    root: usize,
    /// Those that are no longer in use: their number, and their context.
    retired: Vec<(usize, u32)>,
    validates: bool,
    dispatch: DispatchResult,
}

struct Request {
    stream: Stream,
    /// Its root context, and that one's mode.
    root: usize,
    validates: bool,
    state: State,
    gone: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Passed,
    Waits,
    /// The root context is to send its callout again.
    Pauses,
    Answered,
}

impl Model {
    fn new() -> Model {
        Model {
            host: host(),
            requests: Vec::new(),
            root: 0,
            retired: Vec::new(),
            validates: false,
            dispatch: DispatchResult::Sent,
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Create => {
                let (stream, root) = (self.host.create().unwrap(), self.root);
                let (state, validates) = (State::New, self.validates);
                self.requests.push(Request { stream, root, validates, state, gone: false });
            }
            Event::Headers(kind, which) => self.headers(kind, which),
            Event::Body(more, which) => self.body(more, which),
            Event::Answer(whole, which) => self.answer(whole, which),
            Event::Finish(which) => {
                if let Some(request) = pick(&mut self.requests, which)
                    && !std::mem::replace(&mut request.gone, true)
                {
                    let step = self.host.finish(request.stream).unwrap();
                    // Its callout has ended for it.
                    const NOTED: [&str; 2] =
                        ["proxy_get_current_time_nanoseconds", "proxy_record_metric"];
                    assert!(step.calls.is_empty() || step.calls == NOTED, "{step:?}");
                }
                self.drop_retired();
            }
            Event::Replace(configuration) => self.replace(configuration),
            Event::Dispatch(result) => {
                self.dispatch = result;
                self.host.set_dispatch(result);
            }
            Event::Clock(millis) => {
                self.host.set_clock(Duration::from_millis(millis));
            }
            Event::Tick => self.tick(),
        }
    }

    fn replace(&mut self, configuration: Configuration) {
        let (json, validates) = match configuration {
            Configuration::Count => (COUNT, false),
            Configuration::Validate => (VALIDATE, true),
            Configuration::Bad => {
                self.host.replace_root(r#"{"mode": "guess"}"#).unwrap_err();
                return;
            }
        };
        let old = self.host.replace_root(json).unwrap();
        self.retired.push((self.root, old));
        self.root += 1;
        self.validates = validates;
        self.drop_retired();
    }

    /// A root context goes with its last request. The callouts of clients that have left end with it,
    /// without a callback.
    fn drop_retired(&mut self) {
        let (host, requests) = (&mut self.host, &mut self.requests);
        self.retired.retain(|&(root, context)| {
            let its = || requests.iter().filter(|request| request.root == root);
            if its().any(|request| !request.gone) {
                return true;
            }
            its().for_each(|request| host.forget_callout(request.stream));
            requests.retain(|request| request.root != root);
            host.delete_root(context).unwrap();
            false
        });
    }

    fn headers(&mut self, kind: Kind, which: usize) {
        let Some(request) = pick(&mut self.requests, which) else { return };
        if request.gone || request.state != State::New {
            return;
        }
        let headers = match kind {
            Kind::Pass => headers("GET", "/v2/p1/backups"),
            Kind::Reject => headers("PUT", PATH),
            Kind::Count => headers("GET", PATH),
        };
        let step = self.host.headers(request.stream, &headers).unwrap();
        request.state = match (kind, &step.end) {
            (Kind::Pass, End::Continue) => State::Passed,
            (Kind::Reject, End::Reply(reply)) if reply.status == 405 => State::Answered,
            (Kind::Count, End::Continue) if request.validates => State::Passed,
            (Kind::Count, end) if !request.validates => match (self.dispatch, end) {
                (DispatchResult::Sent, End::Callout(_)) => State::Waits,
                (DispatchResult::NoHost, End::Reply(reply)) if reply.status == 503 => {
                    State::Answered
                }
                (DispatchResult::UnknownCluster, End::Reply(reply)) if reply.status == 500 => {
                    State::Answered
                }
                _ => panic!("{:?}: {step:?}", self.dispatch),
            },
            _ => panic!("{kind:?}: {step:?}"),
        };
    }

    /// Of a request that waits, Envoy shows the body with `allow_on_headers_stop_iteration`.
    fn body(&mut self, more: bool, which: usize) {
        let Some(request) = pick(&mut self.requests, which) else { return };
        let expected = match request.state {
            _ if request.gone => return,
            State::Passed => End::Continue,
            State::Waits | State::Pauses => End::Pause,
            State::New | State::Answered => return,
        };
        let step = match more {
            true => self.host.body(request.stream, 1000).unwrap(),
            false => self.host.trailers(request.stream, 1).unwrap(),
        };
        assert!(step.calls.is_empty() && step.end == expected, "{step:?}");
    }

    fn answer(&mut self, whole: bool, which: usize) {
        let Some(request) = pick(&mut self.requests, which) else { return };
        if request.state != State::Waits {
            return;
        }
        let headers = if whole { &ANSWER[..] } else { &[] };
        let step = self.host.callout_response(request.stream, headers, br#"{"count":2}"#).unwrap();
        request.state = match step.end {
            End::Finished if request.gone => {
                let sought = |call: &&str| *call == "proxy_set_effective_context";
                assert!(step.calls.iter().all(sought), "{:?}", step.calls);
                State::Answered
            }
            End::Reply(reply) if whole && !request.gone => {
                assert_eq!(reply.status, 200);
                State::Answered
            }
            End::Reply(reply) if !request.gone => {
                assert!([500, 502, 503, 504].contains(&reply.status));
                State::Answered
            }
            End::Callout(_) if !whole && !request.gone => State::Waits,
            End::Pause if !whole && !request.gone => State::Pauses,
            end => panic!("{end:?}"),
        };
    }

    fn tick(&mut self) {
        for (stream, end) in self.host.tick().unwrap() {
            let mut requests = self.requests.iter_mut();
            let request = requests.find(|request| request.stream == stream).unwrap();
            assert!(request.state == State::Pauses && !request.gone);
            request.state = match end {
                End::Callout(_) => State::Waits,
                End::Reply(reply) if [500, 502, 503].contains(&reply.status) => State::Answered,
                end => panic!("{end:?}"),
            };
        }
    }

    /// When time has passed, no pause is left.
    fn end_pauses(&mut self) {
        for seconds in [0, 1_000] {
            self.host.set_clock(Duration::from_secs(seconds));
            self.tick();
        }
        for request in &self.requests {
            assert!(request.state != State::Pauses || request.gone);
        }
        assert!(self.host.tick().unwrap().is_empty());
    }
}

/// One of the last eight.
fn pick(requests: &mut [Request], which: usize) -> Option<&mut Request> {
    requests.iter_mut().rev().nth(which)
}

proptest! {
    // A failure prints its input; a file of them would only hide that a case is missing.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_request_has_one_end(events in proptest::collection::vec(event(), 1..120)) {
        let mut model = Model::new();
        for event in events {
            model.apply(event);
        }
        model.end_pauses();
        // Whatever happened, the next request is served.
        model.host.set_dispatch(DispatchResult::Sent);
        model.host.replace_root(COUNT).unwrap();
        let asked = model.host.request(&headers("GET", PATH)).unwrap();
        let step = model.host.callout_response(asked.stream, &ANSWER, br#"{"count":7}"#).unwrap();
        let End::Reply(reply) = step.end else { panic!("{step:?}") };
        prop_assert_eq!(reply.body, br#"{"count":7}"#);
    }
}
