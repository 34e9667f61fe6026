//! What services are asked for a request: the store, and before it Keystone, unless it is remembered what Keystone said
//! (docs/contract.md#callers).

use std::slice;
use std::time::{Duration, SystemTime};

use backup_sharing_count::callout::Callout;
use backup_sharing_count::edge::Step;

use crate::http::printable;
use crate::keystone::{self, Verdict};
use crate::outcome::{End, Event};
use crate::percent;
use crate::request::Request;
use crate::retries::{self, Clock};
use crate::setups::{Keystone, Setup};

/// What the store is asked.
#[derive(Debug)]
pub struct Ask {
    /// Without the service's prefix.
    pub path: String,
    /// With the client's headers that go along.
    pub forwarded: Vec<(String, String)>,
}

impl Ask {
    pub fn new(project: &str, filters: &[(&str, String)], forwarded: Vec<(String, String)>) -> Ask {
        let pairs =
            filters.iter().map(|(name, value)| format!("{name}={}", percent::encode(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        let path = format!("/v2/{project}/os-vendor-backup-sharing/count{mark}{query}");
        Ask { path, forwarded }
    }

    pub fn check(&self, callout: &Callout, setup: &Setup) {
        let path = format!("{}{}", setup.prefix, self.path);
        let along = self.forwarded.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = own_headers(&path, setup.authority);
        assert_eq!(callout.headers(), own.into_iter().chain(along).collect::<Vec<_>>());
        assert_eq!(callout.service().cluster, "store");
        for (name, value) in callout.headers() {
            let is_printable = printable(value.as_bytes()).is_some();
            assert!(is_printable, "{name}: {value:?} is not printable ASCII");
        }
    }
}

/// What is remembered of tokens: of good and of refused ones each the last.
#[derive(Default)]
pub struct Memory([Vec<Entry>; 2]);

struct Entry {
    token: String,
    verdict: Verdict,
    until: Duration,
}

impl Memory {
    fn get(&self, token: &str, now: Duration) -> Option<&Verdict> {
        let mut all = self.0.iter().flatten();
        let entry = all.find(|entry| entry.token == token && now < entry.until)?;
        Some(&entry.verdict)
    }

    fn remember(&mut self, token: &str, verdict: &Verdict, since: Duration, keystone: &Keystone) {
        let (place, most) = match verdict {
            Verdict::Known(caller) => {
                let expires = caller.expires.duration_since(SystemTime::UNIX_EPOCH);
                (0, expires.unwrap_or_default().saturating_sub(since))
            }
            Verdict::Refused => (1, Duration::from_secs(10)),
            _ => return,
        };
        let time = most.min(keystone.remember);
        if time.is_zero() {
            return;
        }
        let entries = &mut self.0[place];
        entries.retain(|entry| entry.token != token);
        let (token, verdict) = (token.to_owned(), verdict.clone());
        entries.push(Entry { token, verdict, until: since + time });
        if entries.len() > keystone.max_tokens {
            entries.remove(0);
        }
    }
}

/// The contract does not say what a service's answer means, and so not what is remembered now.
pub struct Unclear;

/// A request whose caller Keystone vouches for.
pub struct Asking<'a> {
    pub keystone: &'a Keystone,
    pub setup: &'static Setup,
    pub request: &'a Request,
    pub project: String,
    pub token: String,
}

impl Asking<'_> {
    /// `Some`: what the filter does with a request whose caller may ask.
    pub fn check(
        &self,
        memory: &mut Memory,
        step: Step,
        events: &mut slice::Iter<Event>,
        clock: &Clock,
    ) -> Result<Option<Step>, Unclear> {
        let since = clock.since();
        let spelled = spelled(&self.token);
        let (step, event, verdict) = match memory.get(&spelled, since) {
            Some(verdict) => (step, None, verdict.clone()),
            None => {
                let Step::Callout(waiting) = step else { panic!("{:?}: {step}", self.request) };
                self.check_callout(waiting.callout());
                let service = self.keystone.service();
                let ended = retries::follow(events, waiting, service, clock);
                let verdict = match &ended.event.end {
                    End::Answered(answer) => Verdict::read(answer, self.keystone.roles),
                    _ => Verdict::Failed(ended.status, ended.details),
                };
                memory.remember(&spelled, &verdict, since, self.keystone);
                (ended.step, Some(ended.event), verdict)
            }
        };
        let step = match (verdict.answer(&self.project, clock.now()), step) {
            (Some(expected), Step::Reply(reply)) => {
                let challenge = self.setup.challenge();
                keystone::check_reply(&reply, event.as_ref(), expected, challenge, "id");
                None
            }
            (None, step) => Some(step),
            (expected, step) => panic!("{event:?}: expected {expected:?}, got {step:?}"),
        };
        if verdict == Verdict::Unclear { Err(Unclear) } else { Ok(step) }
    }

    fn check_callout(&self, callout: &Callout) {
        let Keystone { authority, prefix, .. } = *self.keystone;
        let path = format!("{prefix}/v3/auth/tokens?nocatalog");
        let along = self.request.forwarded(self.setup.forwarded).expect("they are printable");
        let tracing = along.iter().filter(|(name, _)| {
            name != "x-auth-token" && crate::configuration::FORWARDED.contains(&name.as_str())
        });
        let tracing: Vec<_> =
            tracing.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let bytes: usize = tracing.iter().map(|(_, value)| value.len()).sum();
        let tracing = tracing.into_iter().filter(|_| bytes <= 1024);
        let token = self.token.as_str();
        let tokens = [("x-auth-token", token), ("x-subject-token", token)];
        let own = own_headers(&path, authority);
        assert_eq!(
            callout.headers(),
            own.into_iter().chain(tracing).chain(tokens).collect::<Vec<_>>()
        );
        assert_eq!(callout.service().cluster, "id");
    }
}

/// A token as base64 has it: Keystone reads any other spelling as the same.
fn spelled(token: &str) -> String {
    let url_safe = token.replace('+', "-").replace('/', "_");
    url_safe.replace(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'), "")
}

fn own_headers<'a>(path: &'a str, authority: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", "GET"), (":path", path), (":authority", authority), ("accept", "application/json")]
}
