//! What is remembered of counts (docs/contract.md#remembered-counts).

use std::slice;
use std::time::Duration;

use backup_sharing_count::edge::Step;
use backup_sharing_count::reply::Reply;

use crate::asked::{Ask, Unclear};
use crate::http::{Answer, values};
use crate::outcome::{End, Event};
use crate::reply::{self, Body};
use crate::retries::{self, Clock};
use crate::setups::{Cache, Setup};
use crate::store_answer;

/// What is remembered, in the order in which it came.
#[derive(Default)]
pub struct Counts(Vec<Entry>);

struct Entry {
    question: Question,
    count: Body,
    /// How old it was when it arrived, in seconds.
    age: u64,
    arrived: Duration,
    fresh: Duration,
    /// When it may not even be stale any longer.
    until: Duration,
    timed_out: Option<Duration>,
}

/// The path, and the headers by which a store may judge.
type Question = (String, Vec<(String, String)>);

impl Counts {
    /// Asserts what the contract says of a request that may be counted. `step` is what the filter does with it.
    pub fn check(
        &mut self,
        ask: &Ask,
        setup: &Setup,
        step: Step,
        events: &mut slice::Iter<Event>,
        clock: &Clock,
    ) -> Result<(), Unclear> {
        let question = question(ask);
        let cache = match &setup.cache {
            Some(cache) if is_short(&question)? => Some(cache),
            _ => None,
        };
        if let Some(entry) = self.entry(&question, clock.since()) {
            let now = clock.since();
            let just = entry.timed_out.is_some_and(|at| now < at + Duration::from_secs(1));
            if now < entry.arrived + entry.fresh || just {
                let Step::Reply(reply) = step else { panic!("it is remembered: {step}") };
                entry.check_reply(&reply, now);
                return Ok(());
            }
        }
        let Step::Callout(waiting) = step else { panic!("the store is not asked: {step}") };
        ask.check(waiting.callout(), setup);
        let concluded = retries::follow(events, waiting, setup.store(), clock);
        let Some(cache) = cache else {
            concluded.check_reply(clock);
            return Ok(());
        };
        let now = clock.since();
        let status = match &concluded.event.end {
            End::Answered(answer) => {
                self.learn(cache, &question, answer, concluded.reply(), now)?;
                store_answer::status(answer).ok_or(Unclear)?
            }
            _ => concluded.status,
        };
        match self.entry(&question, now) {
            Some(entry) if (502..=504).contains(&status) => {
                if status == 504 {
                    entry.timed_out = Some(now);
                }
                entry.check_reply(concluded.reply(), now);
            }
            _ => concluded.check_reply(clock),
        }
        Ok(())
    }

    fn entry(&mut self, question: &Question, now: Duration) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.question == *question && now < entry.until)
    }

    fn learn(
        &mut self,
        cache: &Cache,
        question: &Question,
        answer: &Answer,
        reply: &Reply,
        now: Duration,
    ) -> Result<(), Unclear> {
        match &answer.status[..] {
            b"408" | b"429" => return Ok(()),
            [b'4', rest @ ..] if rest.len() == 2 && rest.iter().all(u8::is_ascii_digit) => {
                self.forget(question);
            }
            b"200" => {
                let age = age(answer);
                let (most, may_be_stale) = control(answer)?;
                let most = most
                    .map_or(Duration::MAX, |most| Duration::from_secs(most.saturating_sub(age)));
                let fresh = most.min(cache.ttl);
                if fresh.is_zero() {
                    self.forget(question);
                } else if store_answer::status(answer).ok_or(Unclear)? == 200 {
                    self.forget(question);
                    let stale = if may_be_stale { cache.stale_if_error } else { Duration::ZERO };
                    self.0.push(Entry {
                        question: question.clone(),
                        count: reply::read(reply),
                        age,
                        arrived: now,
                        fresh,
                        until: now + fresh + stale,
                        timed_out: None,
                    });
                    if self.0.len() > cache.max_entries {
                        self.0.remove(0);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn forget(&mut self, question: &Question) {
        self.0.retain(|entry| entry.question != *question);
    }
}

impl Entry {
    fn check_reply(&self, found: &Reply, now: Duration) {
        let fresh = now < self.arrived + self.fresh;
        let details = if fresh { "cache_hit" } else { "cache_stale" };
        assert_eq!((&*found.details, reply::read(found)), (details, self.count.clone()));
        let age = (now - self.arrived).as_secs() + self.age;
        let headers: Vec<_> = found.headers.iter().skip(1).cloned().collect();
        assert_eq!(headers, [("age", age.to_string().into())]);
    }
}

fn question(ask: &Ask) -> Question {
    const TRACING: [&str; 5] =
        ["x-request-id", "x-openstack-request-id", "traceparent", "tracestate", "b3"];
    let judged = |(name, _): &&(String, String)| {
        !TRACING.contains(&name.as_str()) && !name.starts_with("x-b3-")
    };
    (ask.path.clone(), ask.forwarded.iter().filter(judged).cloned().collect())
}

/// Whether a question has at most 4 KiB. How much its lengths and names add is not said.
fn is_short((path, headers): &Question) -> Result<bool, Unclear> {
    let bytes = path.len() + headers.iter().map(|(_, value)| value.len()).sum::<usize>();
    match bytes {
        0..3_500 => Ok(true),
        3_500..=4096 => Err(Unclear),
        _ => Ok(false),
    }
}

/// How many seconds the store allows at most, and whether a count may be stale.
fn control(answer: &Answer) -> Result<(Option<u64>, bool), Unclear> {
    let (mut most, mut may_be_stale) = (None, true);
    for field in values(&answer.headers, "cache-control") {
        // Quoted strings have tests of their own.
        if field.contains(&b'"') {
            return Err(Unclear);
        }
        for element in field.split(|&byte| byte == b',') {
            let element = element.to_ascii_lowercase();
            let element = element.trim_ascii();
            let is_tchar =
                |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
            let end = element.iter().position(|byte| !is_tchar(byte)).unwrap_or(element.len());
            let (name, rest) = element.split_at(end);
            let mut limit = |seconds: u64| most = Some(most.unwrap_or(seconds).min(seconds));
            match name {
                b"no-store" | b"no-cache" | b"private" => limit(0),
                b"max-age" | b"s-maxage" => {
                    limit(rest.strip_prefix(b"=").and_then(seconds).unwrap_or(0));
                }
                _ => {}
            }
            may_be_stale &= !matches!(name, b"must-revalidate" | b"proxy-revalidate" | b"s-maxage");
        }
    }
    Ok((most, may_be_stale))
}

fn age(answer: &Answer) -> u64 {
    let field = values(&answer.headers, "age").next().unwrap_or_default();
    let first = field.split(|&byte| byte == b',').next().unwrap_or_default();
    seconds(first.trim_ascii()).unwrap_or(0)
}

fn seconds(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(digits).ok().filter(|_| is_number)?;
    Some(text.parse().unwrap_or(u64::MAX).min(1 << 31))
}
