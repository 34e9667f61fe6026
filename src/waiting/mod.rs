//! What to do with a request next: a request that waits for a callout, and when the callout is sent again
//! (docs/contract.md#retries).
//!
//! The first retry is sent at once. Before each later one there is a pause, by whose end Envoy has ejected a
//! dead host. `questions` holds what a callout asks, and the requests that wait for another's.

mod questions;

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::auth::Verdict;
use crate::cache::Cache;
use crate::callout::{Callout, Outcome, Retry, Service, reads_headers};
use crate::config::whole_milliseconds;
use crate::reply::Reply;
use crate::store;

use questions::{Asking, Asks, Follower, Subject, Unvouched};

pub use questions::{Count, Valid};

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
    Callout(Box<Waiting>),
    /// Wait a little, then call [`Held::poll`].
    Hold(Box<Held>),
}

/// Who is asked by a callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The count store.
    Store,
    /// Keystone.
    Keystone,
}

/// A request that waits for the outcome of its callout.
#[derive(Clone, Debug)]
pub struct Waiting {
    callout: Callout,
    asks: Asks,
    /// When the first callout was sent.
    since: SystemTime,
    /// When this one was.
    sent: SystemTime,
    /// How long the answer to this callout may take.
    timeout: Duration,
    /// How many times the callout was sent again.
    retries: u32,
    /// Whether a retry followed the service's own 503.
    has_been_unavailable: bool,
}

/// A request that is looked at again on the next tick.
#[derive(Clone, Debug)]
pub enum Held {
    /// Its callout is to be sent again after a pause.
    Paused(Paused),
    /// Another request has asked about the same token.
    ForCaller(Follower<Unvouched>),
    /// Another request has asked the store the same.
    ForCount(Follower<Rc<Cache>>),
}

/// A request whose callout is to be sent again after a pause.
#[derive(Clone, Debug)]
pub struct Paused {
    waiting: Box<Waiting>,
    /// When the pause is over.
    until: SystemTime,
    /// The answer, if no time is left then.
    otherwise: Reply,
}

impl Waiting {
    /// A request whose caller may ask, and whose callout to the store is sent now.
    pub fn for_count(callout: Callout, now: SystemTime) -> Box<Waiting> {
        Waiting::new(callout, Asks::Count(None), now)
    }

    /// A request whose first callout is sent now.
    fn new(callout: Callout, asks: Asks, now: SystemTime) -> Box<Waiting> {
        let timeout = callout.service().timeout;
        let (retries, has_been_unavailable) = (0, false);
        let (since, sent) = (now, now);
        Box::new(Waiting { callout, asks, since, sent, timeout, retries, has_been_unavailable })
    }

    /// The callout to send.
    pub fn callout(&self) -> &Callout {
        &self.callout
    }

    /// How long the answer to this callout may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Who is asked.
    pub fn target(&self) -> Target {
        match &self.asks {
            Asks::Count(_) => Target::Store,
            Asks::Caller(_) => Target::Keystone,
        }
    }

    /// Whether the callout is sent again.
    pub fn is_retry(&self) -> bool {
        self.retries > 0
    }

    /// How long ago this callout was sent.
    pub fn age(&self, now: SystemTime) -> Duration {
        elapsed(self.sent, now)
    }

    fn service(&self) -> &Service {
        self.callout.service()
    }

    /// Whether a response's headers can matter with this `:status`. Else they need not be read.
    pub fn reads_headers(&self, status: &[u8]) -> bool {
        let is_remembered = matches!(&self.asks, Asks::Count(Some(_))) && status == b"200";
        is_remembered || reads_headers(status)
    }

    /// What to do after the callout has ended in `outcome`. `now` is asked for the time if it matters.
    pub fn resume(mut self: Box<Waiting>, outcome: Outcome, now: &dyn Fn() -> SystemTime) -> Step {
        let ended = self.service().ended(outcome, || self.elapsed(now()));
        let reply = match self.asks {
            Asks::Count(None) => store::judge(self.service(), &ended),
            Asks::Count(Some(ref asking)) => {
                let reply = store::judge(self.service(), &ended);
                asking.subject.learn(asking.lead.key(), &ended, &reply, now());
                reply
            }
            Asks::Caller(asking) => match asking.subject.keystone.judge(&ended) {
                Verdict::Failed(reply) => {
                    self.asks = Asks::Caller(asking);
                    reply
                }
                verdict => {
                    let Asking { subject, lead } = *asking;
                    subject.keystone.remember(lead.key(), &verdict, self.since);
                    lead.answer(verdict.clone());
                    return subject.decided(verdict, now());
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
            return self.answered(reply, now);
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
            None => self.answered(reply, &|| now),
        }
    }

    /// The same request with one more retry, or `otherwise` if there is no time for it.
    fn again(mut self: Box<Waiting>, now: SystemTime, otherwise: Reply) -> Step {
        let Some(left) = self.time_left(now) else {
            return self.answered(otherwise, &|| now);
        };
        self.timeout = left;
        self.sent = now;
        self.retries = self.retries.saturating_add(1);
        Step::Callout(self)
    }

    fn answered(&self, reply: Reply, now: &dyn Fn() -> SystemTime) -> Step {
        Step::Reply(match &self.asks {
            Asks::Count(None) => reply,
            Asks::Count(Some(asking)) => {
                let reply = asking.subject.instead(asking.lead.key(), reply, now);
                asking.lead.answer(reply.clone());
                reply
            }
            Asks::Caller(asking) => {
                asking.lead.answer(Verdict::Failed(reply.clone()));
                reply
            }
        })
    }

    /// The time that is left, if it is at least a quarter of the timeout. In whole milliseconds: Envoy knows no
    /// smaller unit, and reads 0 as no timeout.
    fn time_left(&self, now: SystemTime) -> Option<Duration> {
        let whole = self.service().timeout;
        let left = whole.saturating_sub(self.elapsed(now));
        is_worth_asking(left, whole).then(|| whole_milliseconds(left))
    }

    fn elapsed(&self, now: SystemTime) -> Duration {
        elapsed(self.since, now)
    }
}

/// With less than a quarter of the timeout left there is no use in asking.
fn is_worth_asking(left: Duration, timeout: Duration) -> bool {
    left.saturating_mul(4) >= timeout
}

/// Zero if the clock was set back.
fn elapsed(since: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(since).unwrap_or_default()
}

impl Held {
    /// Whether it waits for what another request has asked.
    pub fn shares(&self) -> bool {
        !matches!(self, Held::Paused(_))
    }

    /// Whether that is who the caller is. After it, the request may come to wait for a count.
    pub fn is_for_caller(&self) -> bool {
        matches!(self, Held::ForCaller(_))
    }

    /// Whether there is nothing to do yet. Most who wait are asked this on each tick, so it is cheap.
    pub fn waits(&self, now: SystemTime) -> bool {
        match self {
            Held::Paused(paused) => !paused.is_over(now),
            Held::ForCaller(follower) => follower.waits(now),
            Held::ForCount(follower) => follower.waits(now),
        }
    }

    /// What to do now. [`Step::Hold`]: go on waiting.
    pub fn poll(self: Box<Held>, now: SystemTime) -> Step {
        match *self {
            Held::Paused(ref paused) if !paused.is_over(now) => Step::Hold(self),
            Held::Paused(Paused { waiting, otherwise, .. }) => waiting.again(now, otherwise),
            Held::ForCaller(follower) => follower.poll(now),
            Held::ForCount(follower) => follower.poll(now),
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
            Held::ForCaller(_) | Held::ForCount(_) => {
                f.write_str("waits for what another has asked")
            }
        }
    }
}

#[cfg(test)]
mod tests;
