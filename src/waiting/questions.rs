//! What a callout asks: who the caller is, and for the count. Requests that ask the same wait for one callout.

use std::rc::Rc;
use std::time::SystemTime;

use super::{Held, Step, Waiting, elapsed, is_worth_asking};
use crate::auth::{self, Keystone, Verdict};
use crate::cache::Cache;
use crate::callout::Callout;
use crate::config::whole_milliseconds;
use crate::reply::Reply;
use crate::sharing::{self, Lead, Part, Seat};
use crate::store;
use crate::values::ProjectId;

/// A valid request.
#[derive(Clone, Debug)]
pub struct Valid {
    /// The path's project.
    pub project: ProjectId,
    /// What the store is asked. `None`: the request continues to the backend.
    pub count: Option<Count>,
}

/// What the store is asked.
#[derive(Clone, Debug)]
pub struct Count {
    /// The callout to the store.
    pub callout: Callout,
    /// `None`: no count is remembered, and none shared.
    pub cache: Option<Rc<Cache>>,
}

/// A request whose caller is not known yet.
#[derive(Clone, Debug)]
pub struct Unvouched {
    pub keystone: Rc<Keystone>,
    pub request: Valid,
}

/// What a callout asks.
#[derive(Clone, Debug)]
pub enum Asks {
    /// The store, for the count. Boxed, so that it costs the others nothing.
    Count(Option<Box<Asking<Rc<Cache>>>>),
    /// Keystone, who the caller is.
    Caller(Box<Asking<Unvouched>>),
}

/// A request that asks. Others that ask the same may wait for the answer.
#[derive(Clone, Debug)]
pub struct Asking<S: Subject> {
    pub subject: S,
    pub lead: Rc<Lead<S::Answer>>,
}

/// A request that waits for the answer to another's callout.
#[derive(Clone, Debug)]
pub struct Follower<S: Subject> {
    subject: S,
    seat: Rc<Seat<S::Answer>>,
    /// What it sends if the other has gone.
    callout: Callout,
    since: SystemTime,
}

/// What it is that is asked.
pub trait Subject: Sized {
    /// What all who ask get.
    type Answer: Clone;

    /// What to do with a request now that the answer is there.
    fn decided(self, answer: Self::Answer, now: SystemTime) -> Step;

    /// What a request is answered that has waited as long as it may for the question with this key.
    fn late(&self, key: &[u8], now: SystemTime) -> Reply;

    /// What a request is answered that cannot wait, for too many do.
    fn full(&self, key: &[u8], now: SystemTime) -> Reply;

    /// The same as a reason for a callout.
    fn asks(asking: Asking<Self>) -> Asks;

    /// The same as a reason to wait.
    fn holds(follower: Follower<Self>) -> Held;
}

impl Valid {
    /// What to do with a request whose caller may ask.
    pub fn vouched(self, now: impl FnOnce() -> SystemTime) -> Step {
        match self.count {
            Some(count) => count.begin(now()),
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
        let key = auth::key(token);
        if let Some(verdict) = keystone.remembered(&key, now) {
            return Ok(unvouched.decided(verdict, now));
        }
        let callout = Keystone::asking(callout()?, token)?;
        let count = unvouched.request.count.as_ref();
        let bytes = count.map_or(0, |count| count.callout.bytes()).saturating_add(callout.bytes());
        let part = sharing::join(keystone.open(), &key, bytes, now);
        Ok(take(part, &key, unvouched, callout, now, now))
    }
}

impl Count {
    /// What to do with a request that may be counted.
    pub fn begin(self, now: SystemTime) -> Step {
        let Count { callout, cache } = self;
        let asked = cache.and_then(|cache| {
            let question = cache.question(&callout)?;
            Some((cache, question))
        });
        let Some((cache, question)) = asked else {
            return Step::Callout(Waiting::for_count(callout, now));
        };
        match cache.remembered(&question, now) {
            Some(reply) => Step::Reply(reply),
            None => {
                let part = sharing::join(cache.open(), &question, callout.bytes(), now);
                take(part, &question, cache, callout, now, now)
            }
        }
    }
}

/// Takes a part in the question with this key, which a request was ready to ask at `since`.
fn take<S: Subject>(
    part: Part<S::Answer>,
    key: &[u8],
    subject: S,
    callout: Callout,
    since: SystemTime,
    now: SystemTime,
) -> Step {
    let left = callout.service().timeout.saturating_sub(elapsed(since, now));
    match part {
        Part::Answered(answer) => subject.decided(answer, now),
        _ if left.is_zero() => Step::Reply(subject.late(key, now)),
        Part::Full => Step::Reply(subject.full(key, now)),
        Part::Follow(seat) => {
            Step::Hold(Box::new(S::holds(Follower { subject, seat, callout, since })))
        }
        Part::Lead(lead) => {
            let asking = Asking { subject, lead: Rc::new(lead) };
            let mut waiting = Waiting::new(callout, S::asks(asking), since);
            waiting.sent = now;
            waiting.timeout = whole_milliseconds(left);
            Step::Callout(waiting)
        }
    }
}

impl<S: Subject> Follower<S> {
    /// Whether another still asks, and there is time.
    pub fn waits(&self, now: SystemTime) -> bool {
        self.seat.waits() && elapsed(self.since, now) < self.callout.service().timeout
    }

    /// What to do now.
    pub fn poll(self, now: SystemTime) -> Step {
        let Follower { subject, seat, callout, since } = self;
        // Others may have more time left.
        let timeout = callout.service().timeout;
        let left = timeout.saturating_sub(elapsed(since, now));
        let part = Rc::clone(&seat).look(is_worth_asking(left, timeout));
        take(part, seat.key(), subject, callout, since, now)
    }
}

impl Subject for Unvouched {
    type Answer = Verdict;

    fn decided(self, verdict: Verdict, now: SystemTime) -> Step {
        match self.keystone.admit(verdict, &self.request.project, now) {
            Ok(()) => self.request.vouched(|| now),
            Err(reply) => Step::Reply(reply),
        }
    }

    fn late(&self, _: &[u8], _: SystemTime) -> Reply {
        auth::timed_out()
    }

    fn full(&self, _: &[u8], _: SystemTime) -> Reply {
        auth::overflow()
    }

    fn asks(asking: Asking<Self>) -> Asks {
        Asks::Caller(Box::new(asking))
    }

    fn holds(follower: Follower<Self>) -> Held {
        Held::ForCaller(follower)
    }
}

impl Subject for Rc<Cache> {
    type Answer = Reply;

    fn decided(self, reply: Reply, _: SystemTime) -> Step {
        Step::Reply(reply)
    }

    fn late(&self, question: &[u8], now: SystemTime) -> Reply {
        self.instead(question, store::timed_out(), || now)
    }

    fn full(&self, question: &[u8], now: SystemTime) -> Reply {
        self.instead(question, store::overflow(), || now)
    }

    fn asks(asking: Asking<Self>) -> Asks {
        Asks::Count(Some(Box::new(asking)))
    }

    fn holds(follower: Follower<Self>) -> Held {
        Held::ForCount(follower)
    }
}
