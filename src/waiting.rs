//! What to do with a request next: a request that waits for a callout, and when the callout is sent again
//! (docs/contract.md#retries).
//!
//! The first retry is sent at once. Before each later one there is a pause, by whose end Envoy has ejected a
//! dead host.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::auth::{self, Keystone, Verdict};
use crate::callout::{Callout, Outcome, Retry, Service};
use crate::config::whole_milliseconds;
use crate::hash;
use crate::reply::Reply;
use crate::sharing::{self, Lead, Part, Question};
use crate::store;
use crate::values::ProjectId;

/// The pause before each retry but the first.
pub const PAUSE: Duration = Duration::from_millis(10);

/// What to do with a request next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Let it continue to the backend, unchanged.
    Continue,
    /// Answer it.
    Reply(Reply),
    /// Send the callout; its outcome goes to [`Waiting::resume`].
    Callout(Waiting),
    /// Wait a little, then call [`Held::poll`].
    Hold(Box<Held>),
}

/// A valid request.
#[derive(Clone, Debug)]
pub struct Valid {
    /// The path's project.
    pub project: ProjectId,
    /// What the store is asked. `None`: the request continues to the backend.
    pub callout: Option<Callout>,
}

/// A request that waits for the outcome of its callout.
#[derive(Clone, Debug)]
pub struct Waiting {
    callout: Callout,
    asks: Asks,
    /// When the first callout was sent.
    since: SystemTime,
    /// How long the answer to this callout may take.
    timeout: Duration,
    /// How many times the callout was sent again.
    retries: u32,
    /// Whether a retry followed the service's own 503.
    has_been_unavailable: bool,
}

/// What a callout asks.
#[derive(Clone, Debug)]
enum Asks {
    /// The store, for the count.
    Count,
    /// Keystone, who the caller is. Boxed, so that it costs the others nothing.
    Caller(Box<Asking>),
}

/// A request that asks Keystone. Others with the same token may wait for the answer.
#[derive(Clone, Debug)]
struct Asking {
    unvouched: Unvouched,
    lead: Rc<Lead<Verdict>>,
}

/// A request whose caller is not known yet.
#[derive(Clone, Debug)]
struct Unvouched {
    keystone: Rc<Keystone>,
    request: Valid,
}

/// A request that is looked at again on the next tick.
#[derive(Clone, Debug)]
pub enum Held {
    /// Its callout is to be sent again after a pause.
    Paused(Paused),
    /// Another request has asked about the same token.
    Follower(Follower),
}

/// A request whose callout is to be sent again after a pause.
#[derive(Clone, Debug)]
pub struct Paused {
    waiting: Waiting,
    /// When the pause is over.
    until: SystemTime,
    /// The answer, if no time is left then.
    otherwise: Reply,
}

/// A request that waits for the answer to another's callout.
#[derive(Clone, Debug)]
pub struct Follower {
    unvouched: Unvouched,
    question: Rc<Question<Verdict>>,
    /// What it sends if the other has gone.
    callout: Callout,
    since: SystemTime,
}

impl Valid {
    /// What to do with a request whose caller may ask.
    pub fn vouched(self, now: impl FnOnce() -> SystemTime) -> Step {
        match self.callout {
            Some(callout) => Step::Callout(Waiting::for_count(callout, now())),
            None => Step::Continue,
        }
    }

    /// What to do with a request whose caller Keystone is to vouch for. `callout` asks it about `token`.
    ///
    /// # Errors
    /// What the client is answered at once.
    pub fn vouched_by(
        self,
        keystone: &Rc<Keystone>,
        token: &str,
        callout: impl FnOnce() -> Result<Callout, Reply>,
        now: SystemTime,
    ) -> Result<Step, Reply> {
        let unvouched = Unvouched { keystone: Rc::clone(keystone), request: self };
        let hash = hash::of(token);
        if let Some(verdict) = keystone.remembered(&hash, now) {
            return Ok(unvouched.decided(verdict, now));
        }
        let callout = Keystone::asking(callout()?, token)?;
        Ok(match sharing::join(keystone.open(), hash) {
            Part::Lead(lead) => Step::Callout(Waiting::new(callout, unvouched.asking(lead), now)),
            Part::Follow(question) => {
                let follower = Follower { unvouched, question, callout, since: now };
                Step::Hold(Box::new(Held::Follower(follower)))
            }
            Part::Answered(verdict) => unvouched.decided(verdict, now),
        })
    }
}

impl Unvouched {
    fn asking(self, lead: Lead<Verdict>) -> Asks {
        Asks::Caller(Box::new(Asking { unvouched: self, lead: Rc::new(lead) }))
    }

    fn decided(self, verdict: Verdict, now: SystemTime) -> Step {
        match self.keystone.admit(verdict, &self.request.project, now) {
            Ok(()) => self.request.vouched(|| now),
            Err(reply) => Step::Reply(reply),
        }
    }
}

impl Waiting {
    /// A request whose caller may ask, and whose callout to the store is sent now.
    pub fn for_count(callout: Callout, now: SystemTime) -> Waiting {
        Waiting::new(callout, Asks::Count, now)
    }

    /// A request whose first callout is sent now.
    fn new(callout: Callout, asks: Asks, now: SystemTime) -> Waiting {
        let timeout = callout.service().timeout;
        Waiting { callout, asks, since: now, timeout, retries: 0, has_been_unavailable: false }
    }

    /// The callout to send.
    pub fn callout(&self) -> &Callout {
        &self.callout
    }

    /// How long the answer to this callout may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    fn service(&self) -> &Service {
        self.callout.service()
    }

    /// What to do after the callout has ended in `outcome`. `now` is asked for the time if it matters.
    pub fn resume(mut self, outcome: Outcome, now: impl Fn() -> SystemTime) -> Step {
        let ended = self.service().ended(outcome, || self.elapsed(now()));
        let reply = match self.asks {
            Asks::Count => store::judge(self.service(), &ended),
            Asks::Caller(asking) => match asking.unvouched.keystone.judge(&ended) {
                Verdict::Failed(reply) => {
                    self.asks = Asks::Caller(asking);
                    reply
                }
                verdict => {
                    let Asking { unvouched, lead } = *asking;
                    unvouched.keystone.remember(*lead.key(), &verdict, self.since);
                    lead.answer(verdict.clone());
                    return unvouched.decided(verdict, now());
                }
            },
        };
        let retry = ended.retry();
        let repeats = match retry {
            Retry::Never => false,
            Retry::Once => !self.has_been_unavailable,
            Retry::WithinLimit => true,
        };
        if !repeats || self.retries >= self.service().retries {
            return self.answered(reply);
        }
        self.has_been_unavailable |= retry == Retry::Once;
        let now = now();
        if self.retries == 0 {
            return self.again(now, reply);
        }
        match now.checked_add(PAUSE).filter(|until| self.time_left(*until).is_some()) {
            Some(until) => {
                let paused = Paused { waiting: self, until, otherwise: reply };
                Step::Hold(Box::new(Held::Paused(paused)))
            }
            None => self.answered(reply),
        }
    }

    /// The same request with one more retry, or `otherwise` if there is no time for it.
    fn again(mut self, now: SystemTime, otherwise: Reply) -> Step {
        let Some(left) = self.time_left(now) else { return self.answered(otherwise) };
        self.timeout = left;
        self.retries = self.retries.saturating_add(1);
        Step::Callout(self)
    }

    fn answered(&self, reply: Reply) -> Step {
        if let Asks::Caller(asking) = &self.asks {
            asking.lead.answer(Verdict::Failed(reply.clone()));
        }
        Step::Reply(reply)
    }

    /// The time that is left, if it is at least a quarter of the timeout. In whole milliseconds: Envoy knows no
    /// smaller unit, and reads 0 as no timeout.
    fn time_left(&self, now: SystemTime) -> Option<Duration> {
        let whole = self.service().timeout;
        let left = whole.saturating_sub(self.elapsed(now));
        (left.saturating_mul(4) >= whole).then(|| whole_milliseconds(left))
    }

    fn elapsed(&self, now: SystemTime) -> Duration {
        elapsed(self.since, now)
    }
}

/// Zero if the clock was set back.
fn elapsed(since: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(since).unwrap_or_default()
}

impl Held {
    /// What to do now. [`Step::Hold`]: go on waiting.
    pub fn poll(self: Box<Held>, now: SystemTime) -> Step {
        match *self {
            Held::Paused(ref paused) if !paused.is_over(now) => Step::Hold(self),
            Held::Paused(Paused { waiting, otherwise, .. }) => waiting.again(now, otherwise),
            Held::Follower(follower) => follower.poll(now),
        }
    }
}

impl Paused {
    /// If the clock was set back it is over, so that the client does not wait for long.
    fn is_over(&self, now: SystemTime) -> bool {
        match self.until.duration_since(now) {
            Ok(left) => left.is_zero() || left > PAUSE,
            Err(_) => true,
        }
    }
}

impl Follower {
    fn poll(self, now: SystemTime) -> Step {
        let Follower { unvouched, question, callout, since } = self;
        let left = callout.service().timeout.saturating_sub(elapsed(since, now));
        match question.look() {
            Part::Answered(verdict) => unvouched.decided(verdict, now),
            _ if left.is_zero() => Step::Reply(auth::timed_out()),
            Part::Follow(question) => {
                let follower = Follower { unvouched, question, callout, since };
                Step::Hold(Box::new(Held::Follower(follower)))
            }
            Part::Lead(lead) => {
                let mut waiting = Waiting::new(callout, unvouched.asking(lead), since);
                waiting.timeout = whole_milliseconds(left);
                Step::Callout(waiting)
            }
        }
    }
}

/// For the log: nothing that a client or a service sent.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Step::Continue => f.write_str("continues"),
            Step::Reply(reply) => write!(f, "is answered {} {}", reply.status, reply.details),
            Step::Callout(waiting) => waiting.fmt(f),
            Step::Hold(held) => held.fmt(f),
        }
    }
}

/// For the log.
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (cluster, timeout) = (&self.service().cluster, self.timeout.as_millis());
        write!(f, "asks {cluster:?}, retry {}, timeout {timeout} ms", self.retries)
    }
}

/// For the log.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Held::Paused(Paused { otherwise, .. }) => {
                let (pause, details) = (PAUSE.as_millis(), &otherwise.details);
                write!(f, "waits {pause} ms to ask again, for it met {details}")
            }
            Held::Follower(_) => f.write_str("waits for what another has asked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callout::NotSent;
    use crate::edge::Edge;
    use crate::request::Header;

    const TIMEOUT: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> SystemTime {
        let since_epoch = Duration::from_secs(9).saturating_add(Duration::from_millis(millis));
        SystemTime::UNIX_EPOCH.checked_add(since_epoch).unwrap()
    }

    /// A request whose first callout was sent at 0.
    fn waiting() -> Waiting {
        let edge = Edge::new(br#"{"store":{"cluster":"c","timeout":"0.1s"}}"#).unwrap();
        let target = edge.locate(b"/v2/p1/os-vendor-backup-sharing/count").unwrap();
        let headers: [Header; 1] = [(b":method", b"GET")];
        match edge.begin(target, headers.into_iter(), || at(0)) {
            Step::Callout(waiting) => waiting,
            step => panic!("{step}"),
        }
    }

    fn broken(waiting: Waiting, millis: u64) -> Step {
        waiting.resume(Outcome::Broken, || at(millis))
    }

    fn sent(step: Step) -> Waiting {
        match step {
            Step::Callout(waiting) => waiting,
            step => panic!("{step}"),
        }
    }

    fn held(step: Step) -> Box<Held> {
        match step {
            Step::Hold(held) => held,
            step => panic!("{step}"),
        }
    }

    #[test]
    fn the_first_retry_is_sent_at_once_the_second_after_a_pause_and_no_third() {
        assert_eq!(waiting().timeout(), TIMEOUT);
        let first = sent(broken(waiting(), 5));
        assert_eq!(first.timeout(), Duration::from_millis(95), "what is left");
        let pause = held(held(broken(first, 6)).poll(at(15)));
        sent(pause.clone().poll(at(16)));
        let second = sent(pause.poll(at(18)));
        assert_eq!(second.timeout(), Duration::from_millis(82));
        let Step::Reply(reply) = broken(second, 19) else { panic!("a third") };
        assert_eq!(reply.details, "store_broken");
    }

    #[test]
    fn nothing_is_repeated_with_less_than_a_quarter_left() {
        sent(broken(waiting(), 75));
        assert!(matches!(broken(waiting(), 76), Step::Reply(_)));
        let first = || sent(broken(waiting(), 1));
        held(broken(first(), 65));
        assert!(matches!(broken(first(), 66), Step::Reply(_)), "nor is there a pause");
        let late = held(broken(first(), 65)).poll(at(76));
        assert!(matches!(late, Step::Reply(reply) if reply.details == "store_broken"));
    }

    #[test]
    fn a_clock_that_is_set_makes_no_client_wait() {
        let pause = held(broken(sent(broken(waiting(), 1)), 2));
        let back = SystemTime::UNIX_EPOCH;
        assert_eq!(sent(pause.poll(back)).timeout(), TIMEOUT);
        assert!(matches!(broken(waiting(), 9_000), Step::Reply(_)));
    }

    #[test]
    fn the_log_does_not_repeat_what_a_client_sent() {
        let edge = Edge::new(br#"{"store":{"cluster":"c"}}"#).unwrap();
        let path = b"/v2/p1/os-vendor-backup-sharing/count?name=secret";
        let headers: [Header; 2] = [(b":method", b"GET"), (b"x-auth-token", b"secret")];
        let step = edge.begin(edge.locate(path).unwrap(), headers.into_iter(), || at(0));
        assert_eq!(step.to_string(), r#"asks "c", retry 0, timeout 1000 ms"#);
        let step = broken(sent(step), 1);
        assert_eq!(step.to_string(), r#"asks "c", retry 1, timeout 999 ms"#);
        let step = broken(sent(step), 2);
        assert_eq!(step.to_string(), "waits 10 ms to ask again, for it met store_broken");
        let step =
            sent(held(step).poll(at(12))).resume(Outcome::NotSent(NotSent::NoHost), || at(12));
        assert_eq!(step.to_string(), "is answered 503 store_unavailable:no_host");
        let path = b"/v2/p1/os-vendor-backup-sharing/count?secret=secret";
        let step = edge.begin(edge.locate(path).unwrap(), headers.into_iter(), || at(0));
        assert_eq!(step.to_string(), "is answered 400 edge_filter");
    }
}
