//! How often a callout is sent again, and what the client gets in the end (docs/contract.md#retries).

use std::cell::Cell;
use std::slice;
use std::time::{Duration, SystemTime};

use backup_sharing_count::callout::{NotSent, Outcome};
use backup_sharing_count::edge::Step;
use backup_sharing_count::reply::Reply;
use backup_sharing_count::waiting::Waiting;

use crate::http::values;
use crate::outcome::{ENVOY_RESPONSES, End, Event};
use crate::{reply, store_answer};

/// Time as the test tells it.
#[derive(Debug, Default)]
pub struct Clock(Cell<Duration>);

impl Clock {
    /// The time.
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.since()
    }

    /// The same since it began.
    pub fn since(&self) -> Duration {
        self.0.get()
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
        self.0.set(self.0.get() + time);
    }
}

/// A service that is asked.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// With what its response code details begin: `store` or `auth`.
    pub details: &'static str,
    /// `timeout`
    pub timeout: Duration,
    /// `retries`
    pub retries: usize,
}

/// How the last callout of a question ended.
#[derive(Debug)]
pub struct Concluded {
    /// How it ended.
    pub event: Event,
    /// The request that waited for it.
    pub before: Box<Waiting>,
    /// What the filter does then.
    pub step: Step,
    /// Status and details where they do not depend on the service's own answer.
    pub status: u16,
    /// See `status`.
    pub details: String,
}

/// Asserts that the filter repeats a callout to the store as often as the contract does, and then answers as it does.
/// The first callout is sent now.
pub fn check(events: &mut slice::Iter<Event>, first: Box<Waiting>, store: Service, clock: &Clock) {
    follow(events, first, store, clock).check_reply(clock);
}

/// Asserts that the filter repeats a callout as often as the contract does. The first is sent now.
pub fn follow(
    events: &mut slice::Iter<Event>,
    first: Box<Waiting>,
    service: Service,
    clock: &Clock,
) -> Concluded {
    let Service { timeout, retries, .. } = service;
    let began = clock.since();
    let since = || clock.since() - began;
    let (mut waiting, mut repeated, mut repeated_503) = (first, 0, false);
    let mut lateness = Duration::ZERO;
    loop {
        // "with what is left of it", in milliseconds, for Envoy knows no less.
        let left = timeout.saturating_sub(since());
        let millis = left.as_micros().div_ceil(1000).max(1);
        assert_eq!(waiting.timeout().as_millis(), millis);
        let late = Event {
            late: Duration::ZERO,
            after: waiting.timeout(),
            end: End::Envoy(ENVOY_RESPONSES[0]),
        };
        let event = events.next().unwrap_or(&late).clone();
        clock.pass(event.after.min(waiting.timeout()));
        let before = waiting.clone();
        let (status, details, may_repeat) = judge(&event, service, since());
        let is_503 = may_repeat == Repeat::Once;
        let repeats = may_repeat != Repeat::Not && !(is_503 && repeated_503) && repeated < retries;
        let enough = |time: Duration| timeout.saturating_sub(time) * 4 >= timeout;
        let pause = if repeated == 0 { Duration::ZERO } else { Duration::from_millis(10) };
        let step = resume(waiting, &event.end, clock);
        let step = match step {
            Step::Hold(held) => {
                assert!(repeats && !pause.is_zero() && enough(since() + pause), "{held:?}");
                let Step::Hold(held) = held.poll(clock.now()) else { panic!("it lasts a while") };
                let next = events.as_slice().first();
                let late = next.map_or(Duration::ZERO, |event| event.late);
                lateness += late;
                clock.pass(pause);
                let exact = held.clone().poll(clock.now());
                assert!(!matches!(exact, Step::Hold(_)), "10 ms, to be exact");
                clock.pass(late);
                held.poll(clock.now())
            }
            step => {
                let at_once = repeats && matches!(step, Step::Callout(_));
                assert!(!at_once || repeated == 0, "only the first is repeated at once");
                step
            }
        };
        match step {
            Step::Callout(again) if repeats => {
                assert!(enough(since()), "{event:?} is not repeated");
                assert_eq!(again.callout(), before.callout());
                (waiting, repeated) = (again, repeated + 1);
                repeated_503 |= is_503;
            }
            step => {
                let late = !enough(since()) || !enough(since() + pause);
                assert!(!repeats || late, "{event:?} is repeated");
                let allowed = timeout + lateness + Duration::from_millis(1 + repeated as u64);
                assert!(since() <= allowed + pause, "a client waits for {:?}", since());
                return Concluded { event, before, step, status, details };
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Repeat {
    Not,
    Once,
    Freely,
}

/// Status and details where they do not depend on a store's answer, and whether it may be repeated.
fn judge(event: &Event, service: Service, since: Duration) -> (u16, String, Repeat) {
    let (status, cause, repeat) = cause(event, service.timeout, since);
    // Of the store's, a name of its own says that its answer broke off.
    let cause = match (cause, service.details) {
        ("invalid:broken", "store") => "broken",
        (cause, _) => cause,
    };
    (status, format!("{}_{cause}", service.details), repeat)
}

fn cause(event: &Event, timeout: Duration, since: Duration) -> (u16, &'static str, Repeat) {
    match &event.end {
        End::NotSent(NotSent::NoHost) => (503, "unavailable:no_host", Repeat::Not),
        End::NotSent(NotSent::UnknownCluster) => (500, "unknown_cluster", Repeat::Not),
        // Envoy's timer may run out a little early (docs/decisions/2026-11-23-broken-answers.md).
        End::Broken if since * 16 >= timeout * 15 => (504, "timeout", Repeat::Not),
        End::Broken => (502, "invalid:broken", Repeat::Freely),
        End::Envoy(word) => match word.name {
            "late" => (504, "timeout", Repeat::Not),
            "no_http" => (502, "invalid:no_http", Repeat::Freely),
            "no_host" => (503, "unavailable:no_host", Repeat::Not),
            "overflow" => (503, "unavailable:overflow", Repeat::Not),
            "connect_failure" => (503, "unavailable:connect_failure", Repeat::Freely),
            "reset" => (503, "unavailable:reset", Repeat::Freely),
            "tls" => (503, "unavailable:tls", Repeat::Freely),
            _ => (503, "unavailable:connect_timeout", Repeat::Freely),
        },
        End::Answered(answer) => {
            let says_when = values(&answer.headers, "retry-after").next().is_some();
            let once = answer.status == b"503" && !says_when;
            (0, "", if once { Repeat::Once } else { Repeat::Not })
        }
    }
}

fn resume(waiting: Box<Waiting>, end: &End, clock: &Clock) -> Step {
    let now: &dyn Fn() -> SystemTime = &|| clock.now();
    match end {
        End::Answered(answer) => {
            let (headers, body) = (answer.read_headers(&waiting), &answer.body);
            waiting
                .resume(Outcome::Answered { status: &answer.status, headers: &headers, body }, now)
        }
        End::Envoy(word) => {
            let (status, body) = (word.status.as_bytes(), word.text.as_bytes());
            waiting.resume(Outcome::Answered { status, headers: &[], body }, now)
        }
        End::Broken => waiting.resume(Outcome::Broken, now),
        End::NotSent(reason) => waiting.resume(Outcome::NotSent(*reason), now),
    }
}

impl Concluded {
    /// The client's answer.
    pub fn reply(&self) -> &Reply {
        match &self.step {
            Step::Reply(reply) => reply,
            step => panic!("{:?}: {step:?}", self.event),
        }
    }

    /// Asserts that it is what the contract makes of how the callout ended.
    pub fn check_reply(&self, clock: &Clock) {
        let (event, found) = (&self.event, self.reply());
        if let End::Answered(answer) = &event.end {
            assert_eq!(found.notes, None);
            return store_answer::check_reply(answer, found, &|body| {
                let headers = answer.read_headers(&self.before);
                let outcome = Outcome::Answered { status: &answer.status, headers: &headers, body };
                match self.before.clone().resume(outcome, &|| clock.now()) {
                    Step::Reply(reply) => reply,
                    step => panic!("the body makes a difference: {step:?}"),
                }
            });
        }
        reply::message(found);
        assert_eq!((found.status, &*found.details), (self.status, &*self.details), "{event:?}");
        assert_eq!(found.headers.len(), 1);
        let text = match &event.end {
            End::Envoy(word) if word.name != "late" => Some(word.text),
            _ => None,
        };
        let notes = found.notes.clone().unwrap_or_default();
        assert_eq!(notes.envoy_says.as_deref(), text);
        let alarm = notes.alarm.unwrap_or_default();
        assert_eq!(
            alarm.contains("\"store\""),
            self.status == 500,
            "the log names the cluster: {alarm:?}"
        );
    }
}
