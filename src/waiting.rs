//! What to do with a request next: a request that waits for its callout, and when the callout is sent again
//! (docs/contract.md#retries).
//!
//! The first retry is sent at once. Before each later one there is a pause, by whose end Envoy has ejected a
//! dead host.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::config::whole_milliseconds;
use crate::reply::Reply;
use crate::store::{Callout, Outcome, Retry};

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
    /// Wait a little, then call [`Paused::over`].
    Pause(Box<Paused>),
}

/// A request that waits for the outcome of its callout.
#[derive(Clone, Debug)]
pub struct Waiting {
    callout: Callout,
    /// When the first callout was sent.
    since: SystemTime,
    /// How long the answer to this callout may take.
    timeout: Duration,
    /// How many times the callout was sent again.
    retries: u32,
    /// Whether a retry followed the store's own 503.
    has_been_unavailable: bool,
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

impl Waiting {
    /// A request whose first callout is sent now.
    pub fn new(callout: Callout, now: SystemTime) -> Waiting {
        let timeout = callout.store().timeout;
        Waiting { callout, since: now, timeout, retries: 0, has_been_unavailable: false }
    }

    /// The callout to send.
    pub fn callout(&self) -> &Callout {
        &self.callout
    }

    /// How long the answer to this callout may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What to do after the callout has ended in `outcome`. `now` is asked for the time if it matters.
    pub fn resume(mut self, outcome: Outcome, now: impl Fn() -> SystemTime) -> Step {
        let store = self.callout.store();
        let verdict = store.judge(outcome, || self.elapsed(now()));
        let repeats = match verdict.retry {
            Retry::Never => false,
            Retry::Once => !self.has_been_unavailable,
            Retry::Always => true,
        };
        if !repeats || self.retries >= store.retries {
            return Step::Reply(verdict.reply);
        }
        self.has_been_unavailable |= verdict.retry == Retry::Once;
        let now = now();
        if self.retries == 0 {
            return self.again(now).map_or(Step::Reply(verdict.reply), Step::Callout);
        }
        match now.checked_add(PAUSE).filter(|until| self.time_left(*until).is_some()) {
            Some(until) => {
                Step::Pause(Box::new(Paused { waiting: self, until, otherwise: verdict.reply }))
            }
            None => Step::Reply(verdict.reply),
        }
    }

    /// The same request with one more retry, if there is time for it.
    fn again(mut self, now: SystemTime) -> Option<Waiting> {
        self.timeout = self.time_left(now)?;
        self.retries = self.retries.saturating_add(1);
        Some(self)
    }

    /// The time that is left, if it is at least a quarter of the timeout. In whole milliseconds: Envoy knows no
    /// smaller unit, and reads 0 as no timeout.
    fn time_left(&self, now: SystemTime) -> Option<Duration> {
        let whole = self.callout.store().timeout;
        let left = whole.saturating_sub(self.elapsed(now));
        (left.saturating_mul(4) >= whole).then(|| whole_milliseconds(left))
    }

    /// Zero if the clock was set back.
    fn elapsed(&self, now: SystemTime) -> Duration {
        now.duration_since(self.since).unwrap_or_default()
    }
}

impl Paused {
    /// Whether the pause is over. If the clock was set back it is over, so that the client does not wait for long.
    pub fn is_over(&self, now: SystemTime) -> bool {
        match self.until.duration_since(now) {
            Ok(left) => left.is_zero() || left > PAUSE,
            Err(_) => true,
        }
    }

    /// What to do after the pause.
    pub fn over(self, now: SystemTime) -> Step {
        let Paused { waiting, otherwise, .. } = self;
        waiting.again(now).map_or(Step::Reply(otherwise), Step::Callout)
    }
}

/// For the log: nothing that a client or a store sent.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Step::Continue => f.write_str("continues"),
            Step::Reply(reply) => write!(f, "is answered {} {}", reply.status, reply.details),
            Step::Callout(waiting) => waiting.fmt(f),
            Step::Pause(paused) => paused.fmt(f),
        }
    }
}

/// For the log.
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (cluster, timeout) = (&self.callout.store().cluster, self.timeout().as_millis());
        write!(f, "asks {cluster:?}, retry {}, timeout {timeout} ms", self.retries)
    }
}

/// For the log.
impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "waits {} ms to ask again, for it met {}",
            PAUSE.as_millis(),
            self.otherwise.details
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::Edge;
    use crate::request::Header;
    use crate::store::NotSent;

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

    fn paused(step: Step) -> Box<Paused> {
        match step {
            Step::Pause(paused) => paused,
            step => panic!("{step}"),
        }
    }

    #[test]
    fn the_first_retry_is_sent_at_once_the_second_after_a_pause_and_no_third() {
        assert_eq!(waiting().timeout(), TIMEOUT);
        let first = sent(broken(waiting(), 5));
        assert_eq!(first.timeout(), Duration::from_millis(95), "what is left");
        let pause = paused(broken(first, 6));
        assert!(!pause.is_over(at(15)) && pause.is_over(at(16)));
        let second = sent(pause.over(at(18)));
        assert_eq!(second.timeout(), Duration::from_millis(82));
        let Step::Reply(reply) = broken(second, 19) else { panic!("a third") };
        assert_eq!(reply.details, "store_broken");
    }

    #[test]
    fn nothing_is_repeated_with_less_than_a_quarter_left() {
        sent(broken(waiting(), 75));
        assert!(matches!(broken(waiting(), 76), Step::Reply(_)));
        let first = || sent(broken(waiting(), 1));
        paused(broken(first(), 65));
        assert!(matches!(broken(first(), 66), Step::Reply(_)), "nor is there a pause");
        let late = paused(broken(first(), 65)).over(at(76));
        assert!(matches!(late, Step::Reply(reply) if reply.details == "store_broken"));
    }

    #[test]
    fn a_clock_that_is_set_makes_no_client_wait() {
        let pause = paused(broken(sent(broken(waiting(), 1)), 2));
        let back = SystemTime::UNIX_EPOCH;
        assert!(pause.is_over(back));
        assert_eq!(sent(pause.over(back)).timeout(), TIMEOUT);
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
            sent(paused(step).over(at(12))).resume(Outcome::NotSent(NotSent::NoHost), || at(12));
        assert_eq!(step.to_string(), "is answered 503 store_unavailable:no_host");
        let path = b"/v2/p1/os-vendor-backup-sharing/count?secret=secret";
        let step = edge.begin(edge.locate(path).unwrap(), headers.into_iter(), || at(0));
        assert_eq!(step.to_string(), "is answered 400 edge_filter");
    }
}
