//! Keystone is asked about the caller's token, and what it said is remembered (docs/contract.md#callers).
//!
//! Nothing that Keystone says reaches a client or a log, for its bodies and headers repeat tokens.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::header::unauthorized;
use super::token::{self, Caller};
use crate::callout::{
    Callout, Ended, EnvoyResponse, MAX_BODY, NotSent, Service, TOKEN, retry_after,
};
use crate::details::{self, cause};
use crate::memory::Memory;
use crate::reply::Reply;
use crate::request::Header;
use crate::sharing::Open;
use crate::status;
use crate::values::ProjectId;

/// How Keystone is asked (`auth.keystone` of the plugin configuration).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeystoneSettings {
    /// Where it is. The headers to be forwarded are those of tracing.
    pub service: Service,
    /// The `www-authenticate` of the filter's own 401.
    pub challenge: String,
    /// The token must have one of these, ASCII letters without case. Empty: any.
    pub roles: Vec<String>,
    /// How long a good token is not asked about again.
    pub remember: Duration,
    /// How many good tokens are remembered, and how many refused ones.
    pub max_tokens: usize,
}

/// By the hash of the token, which is not kept itself: callers, or `None` for tokens that were refused. One type for both, so that the module has its code once.
type Remembered = RefCell<Memory<Option<Rc<Caller>>>>;

/// What came of asking about a token.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Keystone knows it.
    Known(Rc<Caller>),
    /// Keystone says that it is no token, or no longer one.
    Refused,
    /// Keystone did not say. This is the client's answer.
    Failed(Reply),
}

/// An identity service, with what is remembered of what it said.
#[derive(Debug)]
pub struct Keystone {
    settings: KeystoneSettings,
    service: Rc<Service>,
    good: Remembered,
    refused: Remembered,
    open: Rc<Open<Verdict>>,
}

/// How long a refused token is not asked about again, at most.
const REMEMBER_REFUSED: Duration = Duration::from_secs(10);

/// The most bytes of the client's headers that go to Keystone. With more it may refuse the request for its length, as it
/// refuses a token that is too long.
const MOST_TRACING: usize = 1024;

const PATH: &str = "/v3/auth/tokens?nocatalog";

/// The header with the token that is asked about.
const SUBJECT: &str = "x-subject-token";

impl Keystone {
    /// One with empty memories.
    pub fn new(settings: KeystoneSettings) -> Keystone {
        let service = Rc::new(settings.service.clone());
        let good = RefCell::new(Memory::new(settings.max_tokens));
        let refused = RefCell::new(Memory::new(settings.max_tokens));
        Keystone { settings, service, good, refused, open: Rc::default() }
    }

    /// The tokens that Keystone is being asked about.
    pub fn open(&self) -> &Rc<Open<Verdict>> {
        &self.open
    }

    /// The callout, without its token: with those of the client's `headers` that are for tracing.
    ///
    /// # Errors
    /// See [`Callout::new`].
    pub fn callout<'a>(&self, headers: impl Iterator<Item = Header<'a>>) -> Result<Callout, Reply> {
        let path = [self.service.path_prefix.as_str(), PATH].concat();
        let mut callout = Callout::new(&self.service, path, headers)?;
        callout.forward_at_most(MOST_TRACING);
        Ok(callout)
    }

    /// The same for the caller's `token`, which asks about itself.
    ///
    /// # Errors
    /// 400 if it is too long to be sent twice.
    pub fn asking(mut callout: Callout, token: &str) -> Result<Callout, Reply> {
        callout.add(&[TOKEN, SUBJECT], token)?;
        Ok(callout)
    }

    /// 401 for a request without a token.
    pub fn missing(&self) -> Reply {
        unauthorized(details::AUTH_MISSING, &self.settings.challenge)
    }

    /// What is remembered of the token with this hash.
    pub fn remembered(&self, token: &[u8], now: SystemTime) -> Option<Verdict> {
        [&self.good, &self.refused].into_iter().find_map(|memory| {
            let mut memory = memory.try_borrow_mut().ok()?;
            let (caller, _) = memory.get(token, now)?;
            Some(caller.clone().map_or(Verdict::Refused, Verdict::Known))
        })
    }

    /// Remembers a verdict on the token with this hash that Keystone was asked about at `since`: not when it answered, so
    /// that a token that is revoked meanwhile is forgotten in time.
    pub fn remember(&self, token: &[u8], verdict: &Verdict, since: SystemTime) {
        let (memory, caller, most) = match verdict {
            Verdict::Known(caller) => {
                let left = caller.expires.duration_since(since).unwrap_or_default();
                (&self.good, Some(Rc::clone(caller)), left)
            }
            Verdict::Refused => (&self.refused, None, REMEMBER_REFUSED),
            Verdict::Failed(_) => return,
        };
        if let Ok(mut memory) = memory.try_borrow_mut() {
            memory.remember(token, caller, since, most.min(self.settings.remember));
        }
    }

    /// Whether the caller may ask about `project`.
    ///
    /// # Errors
    /// 401 or 403, or what became of asking.
    pub fn admit(
        &self,
        verdict: Verdict,
        project: &ProjectId,
        now: SystemTime,
    ) -> Result<(), Reply> {
        let caller = match verdict {
            Verdict::Known(caller) => caller,
            Verdict::Refused => return Err(self.refused()),
            Verdict::Failed(reply) => return Err(reply),
        };
        if caller.expires <= now {
            return Err(self.refused().cause(cause::EXPIRED));
        }
        if caller.project.as_ref() != Some(project) {
            return Err(Reply::fault(status::FORBIDDEN, details::AUTH_PROJECT));
        }
        if !caller.has_role {
            let message = ["None of your roles may count backup sharings."];
            return Err(Reply::fault_saying(status::FORBIDDEN, details::AUTH_ROLE, &message));
        }
        Ok(())
    }

    fn refused(&self) -> Reply {
        unauthorized(details::AUTH_REFUSED, &self.settings.challenge)
    }

    /// What a callout that ended so says of the token.
    pub fn judge(&self, ended: &Ended) -> Verdict {
        Verdict::Failed(match *ended {
            Ended::Answered { code, headers, body } => {
                return self.read(code, headers, body);
            }
            Ended::Envoy(EnvoyResponse::TimedOut) | Ended::Late => timed_out(),
            Ended::Envoy(EnvoyResponse::NoHttp(text)) => invalid(cause::NO_HTTP).envoy_says(text),
            Ended::Envoy(
                EnvoyResponse::Declined(cause, text) | EnvoyResponse::NoAnswer(cause, text),
            ) => unavailable(cause).envoy_says(text),
            Ended::Broken => invalid(cause::BROKEN),
            Ended::NotSent(NotSent::NoHost) => unavailable(cause::NO_HOST),
            Ended::NotSent(NotSent::UnknownCluster) => {
                let alarm = self.service.unknown_cluster("auth.keystone");
                Reply::fault(status::INTERNAL_SERVER_ERROR, details::AUTH_UNKNOWN_CLUSTER)
                    .alarm(alarm)
            }
        })
    }

    fn read(&self, code: Option<u16>, headers: &[Header], body: &[u8]) -> Verdict {
        let Some(code) = code else {
            return Verdict::Failed(unusable());
        };
        let cluster = &self.service.cluster;
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(code);
        let reply = match code {
            200 if body.len() > MAX_BODY => invalid(cause::TOO_LARGE),
            200 => match token::caller(body, &self.settings.roles) {
                Some(caller) => return Verdict::Known(Rc::new(caller)),
                None => invalid(digits),
            },
            401 => return Verdict::Refused,
            404 if token::is_keystones_404(body) => return Verdict::Refused,
            404 => invalid(digits).alarm(format!(
                "auth.keystone.path_prefix: cluster {cluster:?} answers 404, and not as Keystone does; requests are \
                 answered 502"
            )),
            // No token is that long, or has such characters.
            400 | 414 | 431 => self.refused().cause(digits),
            403 => unavailable(digits).alarm(format!(
                "auth.keystone.cluster: the policy of cluster {cluster:?} forbids callers to have their own tokens \
                 validated (identity:validate_token); requests are answered 503"
            )),
            504 => timed_out().cause(digits),
            429 | 503 => unavailable(digits).retry_after(retry_after(headers)),
            500..=599 => unavailable(digits),
            _ => invalid(digits),
        };
        Verdict::Failed(reply)
    }
}

fn invalid(cause: &str) -> Reply {
    unusable().cause(cause)
}

fn unusable() -> Reply {
    let message = ["The identity service gave an answer that cannot be used."];
    Reply::fault_saying(status::BAD_GATEWAY, details::AUTH_INVALID, &message)
}

/// 503 for a request that cannot wait for another's callout, for too many do.
pub fn overflow() -> Reply {
    unavailable(cause::OVERFLOW)
}

fn unavailable(cause: &str) -> Reply {
    let message = ["The identity service is unavailable. Try again later."];
    Reply::fault_saying(status::SERVICE_UNAVAILABLE, details::AUTH_UNAVAILABLE, &message)
        .cause(cause)
}

/// 504, also for a request that has waited for another's callout as long as it may.
pub fn timed_out() -> Reply {
    let message = ["The identity service did not answer in time."];
    Reply::fault_saying(status::GATEWAY_TIMEOUT, details::AUTH_TIMEOUT, &message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;

    #[test]
    fn a_flood_of_random_tokens_pushes_no_good_one_out() {
        let service = Service::for_tests();
        let keystone = Keystone::new(KeystoneSettings {
            service,
            challenge: "Keystone".to_owned(),
            roles: Vec::new(),
            remember: Duration::from_secs(60),
            max_tokens: 2,
        });
        let now = SystemTime::UNIX_EPOCH;
        let expires = now.checked_add(Duration::from_secs(3600)).unwrap();
        let caller = Rc::new(Caller { project: None, has_role: true, expires });
        keystone.remember(&sha256("good"), &Verdict::Known(caller), now);
        for number in 0..1_000 {
            keystone.remember(&sha256(&number.to_string()), &Verdict::Refused, now);
        }
        let remembered = |token: &str| keystone.remembered(&sha256(token), now);
        assert!(matches!(remembered("good"), Some(Verdict::Known(_))));
        assert!(matches!(remembered("999"), Some(Verdict::Refused)));
        assert!(remembered("997").is_none(), "of the refused ones the last two");
    }
}
