//! Callbacks in every order, those included in which Envoy never calls them: no trap, and one end
//! for each request. The release module in the wasm host, which traps on a second reply itself.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

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

fn head(method: &'static str, path: &'static str) -> [(&'static [u8], &'static [u8]); 2] {
    [(b":method", method.as_bytes()), (b":path", path.as_bytes())]
}

/// What can happen. A request is named by its place among all that were made, counted round.
#[derive(Clone, Copy, Debug)]
enum Event {
    Create,
    Head(Kind, usize),
    /// The store answers: 2 headers or, broken off, none.
    Answer(bool, usize),
    /// A response to a callout that was never sent, or has ended.
    StrayAnswer(u32),
    Finish(usize),
    /// The same filter is configured again.
    Configure(Configuration),
    /// A new filter takes the place of the old one, which goes.
    Replace(Configuration),
    Dispatch(DispatchResult),
    Clock(u64),
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
    let configuration = || {
        let all = [Configuration::Count, Configuration::Validate, Configuration::Bad];
        proptest::sample::select(all.to_vec())
    };
    let which = 0..8usize;
    prop_oneof![
        6 => Just(Event::Create),
        8 => (kind, which.clone()).prop_map(|(kind, which)| Event::Head(kind, which)),
        6 => (any::<bool>(), which.clone()).prop_map(|(whole, which)| Event::Answer(whole, which)),
        2 => (0..40u32).prop_map(Event::StrayAnswer),
        4 => which.prop_map(Event::Finish),
        1 => configuration().prop_map(Event::Configure),
        1 => configuration().prop_map(Event::Replace),
        1 => proptest::sample::select(vec![
            DispatchResult::Sent,
            DispatchResult::NoHost,
            DispatchResult::UnknownCluster,
        ])
        .prop_map(Event::Dispatch),
        1 => any::<u64>().prop_map(Event::Clock),
    ]
}

/// What must come of it.
struct Model {
    host: Host,
    requests: Vec<Request>,
    validates: bool,
    dispatch: DispatchResult,
}

struct Request {
    stream: Stream,
    /// The filter's mode when the request came.
    validates: bool,
    seen: bool,
    waits: bool,
    gone: bool,
}

impl Model {
    fn new() -> Model {
        let dispatch = DispatchResult::Sent;
        Model { host: host(), requests: Vec::new(), validates: false, dispatch }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Create => {
                let stream = self.host.create().unwrap();
                let validates = self.validates;
                let request = Request { stream, validates, seen: false, waits: false, gone: false };
                self.requests.push(request);
            }
            Event::Head(kind, which) => self.head(kind, which),
            Event::Answer(whole, which) => self.answer(whole, which),
            Event::StrayAnswer(token) => {
                if self.requests.iter().any(|it| self.host.token(it.stream) == Some(token)) {
                    return;
                }
                let stray = self.host.poke("proxy_on_http_call_response", &[1, token, 2, 0, 0]);
                assert!(stray.unwrap().unwrap().calls.is_empty());
            }
            Event::Finish(which) => {
                if let Some(request) = pick(&mut self.requests, which)
                    && !std::mem::replace(&mut request.gone, true)
                {
                    let step = self.host.finish(request.stream).unwrap();
                    assert!(step.calls.is_empty(), "{step:?}");
                }
            }
            Event::Configure(configuration) => {
                let configured = |host: &mut Host, json: &str| host.configure(json).is_ok();
                self.configure(configuration, configured);
            }
            Event::Replace(configuration) => self.configure(configuration, |host, json| {
                let old = host.replace_filter(json);
                old.is_ok_and(|old| host.delete_filter(old).is_ok())
            }),
            Event::Dispatch(result) => {
                self.dispatch = result;
                self.host.set_dispatch(result);
            }
            Event::Clock(millis) => {
                self.host.set_clock(std::time::Duration::from_millis(millis));
            }
        }
    }

    fn configure(
        &mut self,
        configuration: Configuration,
        configure: impl Fn(&mut Host, &str) -> bool,
    ) {
        let (json, mode) = match configuration {
            Configuration::Count => (COUNT, Some(false)),
            Configuration::Validate => (VALIDATE, Some(true)),
            Configuration::Bad => (r#"{"mode": "guess"}"#, None),
        };
        assert_eq!(configure(&mut self.host, json), mode.is_some(), "{json}");
        self.validates = mode.unwrap_or(self.validates);
    }

    fn head(&mut self, kind: Kind, which: usize) {
        let Some(request) = pick(&mut self.requests, which) else { return };
        if request.gone {
            return;
        }
        let head = match kind {
            Kind::Pass => head("GET", "/v2/p1/backups"),
            Kind::Reject => head("PUT", PATH),
            Kind::Count => head("GET", PATH),
        };
        let step = self.host.head(request.stream, &head).unwrap();
        if std::mem::replace(&mut request.seen, true) {
            assert!(step.calls.is_empty(), "{step:?}");
            return;
        }
        match (kind, &step.end) {
            (Kind::Pass, End::Continue) => {}
            (Kind::Reject, End::Reply(reply)) => assert_eq!(reply.status, 405),
            (Kind::Count, End::Continue) if request.validates => {}
            (Kind::Count, end) if !request.validates => match (self.dispatch, end) {
                (DispatchResult::Sent, End::Callout(_)) => request.waits = true,
                (DispatchResult::NoHost, End::Reply(reply)) => assert_eq!(reply.status, 503),
                (DispatchResult::UnknownCluster, End::Reply(reply)) => {
                    assert_eq!(reply.status, 500);
                }
                _ => panic!("{:?}: {step:?}", self.dispatch),
            },
            _ => panic!("{kind:?}: {step:?}"),
        }
    }

    fn answer(&mut self, whole: bool, which: usize) {
        let Some(request) = pick(&mut self.requests, which) else { return };
        if !std::mem::replace(&mut request.waits, false) {
            return;
        }
        let headers = if whole { &ANSWER[..] } else { &[] };
        let step = self.host.callout_response(request.stream, headers, br#"{"count":2}"#).unwrap();
        match step.end {
            End::Finished if request.gone => assert!(step.calls.is_empty(), "{:?}", step.calls),
            End::Reply(reply) if whole && !request.gone => assert_eq!(reply.status, 200),
            End::Reply(reply) if !request.gone => assert!([502, 504].contains(&reply.status)),
            end => panic!("{end:?}"),
        }
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
        // Whatever happened, the next request is served.
        model.host.set_dispatch(DispatchResult::Sent);
        model.host.configure(COUNT).unwrap();
        let asked = model.host.request(&head("GET", PATH)).unwrap();
        let step = model.host.callout_response(asked.stream, &ANSWER, br#"{"count":7}"#).unwrap();
        let End::Reply(reply) = step.end else { panic!("{step:?}") };
        prop_assert_eq!(reply.body, br#"{"count":7}"#);
    }

    #[test]
    fn no_callback_traps_on_any_argument(
        calls in proptest::collection::vec((0..6usize, [argument(), argument(), argument()]), 1..60)
    ) {
        let mut host = host();
        for (callback, [a, b, c]) in calls {
            // Live contexts and callouts among the strangers.
            let _ = host.request(&head("GET", PATH)).unwrap();
            match callback {
                0 => host.poke("proxy_on_context_create", &[a, b]),
                1 => host.poke("proxy_on_configure", &[a, b]),
                2 => host.poke("proxy_on_request_headers", &[a, b, c]),
                3 => host.poke("proxy_on_http_call_response", &[a, b, c, a, b]),
                4 => host.poke("proxy_on_delete", &[a]),
                // More than a machine may have is more than Envoy would ask for.
                _ => host.poke("proxy_on_memory_allocate", &[a % (1 << 20)]),
            }
            .unwrap()
            .expect("the module has the callback");
        }
    }
}

/// Small numbers are contexts and tokens in use.
fn argument() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 0..80u32, 1 => any::<u32>()]
}

#[test]
fn a_request_is_not_let_through_unchecked_before_there_is_a_configuration() {
    let module = Module::load(&workspace::filter_module().unwrap()).unwrap();
    let mut host = Host::start(&module, COUNT).unwrap();
    host.poke("proxy_on_context_create", &[90, 0]).unwrap();
    host.poke("proxy_on_context_create", &[91, 90]).unwrap();
    let step = host.poke("proxy_on_request_headers", &[91, 2, 1]).unwrap().unwrap();
    assert_eq!(step.calls, ["proxy_send_local_response"]);
}

#[test]
fn a_host_that_takes_no_reply_gets_a_reset_and_no_client_waits() {
    let mut host = host();
    host.refuse_replies(true);
    assert_eq!(host.request(&head("PUT", PATH)).unwrap().end, End::Closed);
    let asked = host.request(&head("GET", PATH)).unwrap();
    let step = host.callout_response(asked.stream, &ANSWER, br#"{"count":2}"#).unwrap();
    assert_eq!(step.end, End::Closed);
}

#[test]
fn callouts_that_never_end_leave_nothing_behind() {
    let mut host = host();
    let mut memory = 0;
    for n in 0..100_000 {
        let asked = host.request(&head("GET", PATH)).unwrap();
        assert!(matches!(asked.end, End::Callout(_)));
        host.finish(asked.stream).unwrap();
        host.forget_callout(asked.stream);
        if n == 1_000 {
            memory = host.memory_bytes();
        }
    }
    assert_eq!(host.memory_bytes(), memory);
}
