//! Counts that are remembered, and callouts that are shared by all who ask the same at the same time
//! (docs/contract.md#remembered-counts).
//!
//! A question is all that the store could judge by: the callout's path, and the forwarded headers but those of tracing.
//! So a count that one token got is given to that token alone, if the token is forwarded.

mod control;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::callout::{Callout, Ended, Service, is_tracing};
use crate::details;
use crate::memory::Memory;
use crate::reply::Reply;
use crate::sharing::Open;

/// How counts are remembered (`cache` of the plugin configuration).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// How long a count is given without asking the store. Above zero.
    pub ttl: Duration,
    /// How much longer it is given if the store fails.
    pub stale_if_error: Duration,
    /// How many counts are remembered.
    pub max_entries: usize,
}

/// The counts of one store.
#[derive(Debug)]
pub struct Cache {
    settings: CacheSettings,
    /// For each of the store's `forward_headers`, whether its value is part of the question.
    asks: Vec<bool>,
    counts: RefCell<Memory<Count>>,
    open: Rc<Open<Reply>>,
}

/// A count that the store gave.
#[derive(Debug)]
struct Count {
    body: Cow<'static, str>,
    /// How old it was when it arrived.
    age: Duration,
    /// How long it is given without asking the store.
    fresh: Duration,
    /// When the store last did not answer in time.
    timed_out: Cell<Option<SystemTime>>,
}

/// Questions that are longer are neither remembered nor shared.
const MOST_BYTES: usize = 4096;

/// For so long after a 504 nobody waits for a count that may be stale.
const NOT_ASKED_AGAIN: Duration = Duration::from_secs(1);

impl Cache {
    /// An empty one for the counts of `store`.
    pub fn new(settings: CacheSettings, store: &Service) -> Cache {
        let asks = store.forward_headers.iter().map(|name| !is_tracing(name)).collect();
        let counts = RefCell::new(Memory::new(settings.max_entries));
        Cache { settings, asks, counts, open: Rc::default() }
    }

    /// The questions that the store is being asked.
    pub fn open(&self) -> &Rc<Open<Reply>> {
        &self.open
    }

    /// What the callout asks. `None`: it is too long to be remembered.
    pub fn question(&self, callout: &Callout) -> Option<Vec<u8>> {
        let mut question = Vec::with_capacity(512);
        let mut push = |text: &str, place: usize| {
            for number in [text.len(), place] {
                question
                    .extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
            }
            question.extend_from_slice(text.as_bytes());
        };
        push(callout.path(), 0);
        // The place of a header's name in the configuration stands for it.
        for (place, value) in callout.forwarded() {
            if self.asks.get(place).is_some_and(|asks| *asks) {
                push(value, place);
            }
        }
        (question.len() <= MOST_BYTES).then_some(question)
    }

    /// The answer, if the store need not be asked.
    pub fn remembered(&self, question: &[u8], now: SystemTime) -> Option<Reply> {
        let mut counts = self.counts.try_borrow_mut().ok()?;
        let (count, age) = counts.get(question, now)?;
        let timed_out = count.timed_out.get().and_then(|at| now.duration_since(at).ok());
        let is_given = age < count.fresh || timed_out.is_some_and(|ago| ago < NOT_ASKED_AGAIN);
        is_given.then(|| count.reply(age))
    }

    /// Remembers what the store said, or forgets what it takes back. `reply` is the client's answer.
    pub fn learn(&self, question: &[u8], ended: &Ended, reply: &Reply, now: SystemTime) {
        let Ended::Answered { code: Some(code), headers, .. } = *ended else { return };
        let Ok(mut counts) = self.counts.try_borrow_mut() else { return };
        match code {
            200 => {
                let allowed = control::allowed(headers);
                let fresh = allowed.time.min(self.settings.ttl);
                if fresh.is_zero() {
                    counts.forget(question);
                } else if reply.status == 200 {
                    let timed_out = Cell::new(None);
                    let count =
                        Count { body: reply.body.clone(), age: allowed.age, fresh, timed_out };
                    let stale =
                        if allowed.stale { self.settings.stale_if_error } else { Duration::ZERO };
                    counts.remember(question, count, now, fresh.saturating_add(stale));
                }
            }
            // With 408 and 429 the store did not judge.
            400..=499 if code != 408 && code != 429 => counts.forget(question),
            _ => {}
        }
    }

    /// What the client gets where the store did not count: what is remembered, if `reply` says that the store failed.
    pub fn instead(
        &self,
        question: &[u8],
        reply: Reply,
        now: impl FnOnce() -> SystemTime,
    ) -> Reply {
        if !(502..=504).contains(&reply.status) {
            return reply;
        }
        let Ok(mut counts) = self.counts.try_borrow_mut() else { return reply };
        let now = now();
        let Some((count, age)) = counts.get(question, now) else { return reply };
        if reply.status == 504 {
            count.timed_out.set(Some(now));
        }
        Reply { notes: reply.notes, ..count.reply(age) }
    }
}

impl Count {
    /// The count `age` after its arrival.
    fn reply(&self, age: Duration) -> Reply {
        let details = if age < self.fresh { details::CACHE_HIT } else { details::CACHE_STALE };
        Reply::remembered(self.body.clone(), self.age.saturating_add(age).as_secs(), details)
    }
}
