//! Requests where counts are remembered, each answer compared with what the store had said.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use testkit::wasm::{End, LocalReply, Stream};

use super::{PATH, STATUS_200, Vm, known};

/// Few of them, and not for long.
pub const REMEMBERED: &str = r#"{"store": {"cluster": "store", "timeout": "2s", "retries": 0}, "cache": {"ttl": "1s", "stale_if_error": "2s", "max_entries": 200}}"#;
/// The same with Keystone. The store is not told who asks, so all who may ask share what is remembered.
pub const SHARED: &str = r#"{"store": {"cluster": "store", "timeout": "2s", "retries": 0, "forward_headers": []}, "cache": {"ttl": "1s", "stale_if_error": "2s", "max_entries": 28}, "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "timeout": "2s", "max_tokens": 5}}}"#;
const TTL: Duration = Duration::from_secs(1);
const STALE: Duration = Duration::from_secs(3);
/// How long a question is answered stale after a 504.
const NOT_ASKED_AGAIN: Duration = Duration::from_secs(1);

/// What the store has said last, of each question.
pub type Said = BTreeMap<u64, Count>;

/// A count, when it came, and when the question last timed out.
pub struct Count {
    body: String,
    at: Duration,
    late: Option<Duration>,
}

impl Vm {
    /// A count, a millisecond after the one before: of ten questions, or of thirty-one. Some callers may not ask.
    pub fn serve_remembered(&mut self, n: u64, said: &mut Said) -> Result<()> {
        self.time += Duration::from_millis(1);
        self.host.set_clock(self.time);
        let question = if n.is_multiple_of(3) { n % 10 } else { n % 31 };
        let is_stranger = n.is_multiple_of(13);
        let token = if is_stranger { "stranger".to_owned() } else { format!("caller-{}", n % 7) };
        let path = format!("{PATH}?name=q{question}");
        let fields = [(":method", "GET"), (":path", path.as_str()), ("x-auth-token", &token)];
        let headers = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let step = self.host.request(&headers)?;
        let (stream, mut end) = (step.stream, step.end);
        let has_auth = self.configuration == SHARED;
        if matches!(&end, End::Callout(callout) if callout.cluster == "keystone") {
            let project = known(if is_stranger { "p2" } else { "p1" });
            end = self.host.callout_response(stream, STATUS_200, project.as_bytes())?.end;
        }
        // Without Keystone a token is part of the question.
        let key = if has_auth { question } else { question * 8 + n % 7 + 1 };
        let key = if is_stranger { question * 8 } else { key };
        let what = match end {
            End::Reply(reply) if has_auth && is_stranger => {
                ensure!(reply.status == 403, "a stranger got {reply:?}");
                "remembered: not for this caller"
            }
            End::Reply(reply) => {
                let late = said.get(&key).and_then(|count| count.late);
                let age = self.check(&reply, said.get(&key))?;
                let waited = late.is_some_and(|late| self.time - late < NOT_ASKED_AGAIN);
                ensure!(age < TTL || waited, "{path} was not asked again: {reply:?}");
                if age < TTL { "remembered: given" } else { "remembered: stale at once" }
            }
            End::Callout(_) => self.learn(n, stream, &headers, key, said)?,
            end => bail!("{path} ended as {end:?}"),
        };
        *self.ends.entry(what).or_default() += 1;
        if what != HUNG_UP {
            self.host.finish(stream)?;
        }
        Ok(())
    }

    /// How a request ends for which the store is asked. It fails at times, takes back, or forbids to remember.
    fn learn(
        &mut self,
        n: u64,
        stream: Stream,
        headers: &[(&[u8], &[u8])],
        key: u64,
        said: &mut Said,
    ) -> Result<&'static str> {
        const NO_STORE: &[(&[u8], &[u8])] =
            &[(b":status", b"200"), (b"cache-control", b"no-store")];
        let body = format!("{{\"count\":{n}}}");
        let answer = |vm: &mut Vm, status: &str, body: &str| -> Result<End> {
            let headers: &[(&[u8], &[u8])] = &[(b":status", status.as_bytes())];
            let headers = if status == "no-store" { NO_STORE } else { headers };
            Ok(vm.host.callout_response(stream, headers, body.as_bytes())?.end)
        };
        let forgotten = match n % 11 {
            0 | 1 => {
                let status = if n.is_multiple_of(11) { 503 } else { 504 };
                let End::Reply(reply) = answer(self, &status.to_string(), "")? else {
                    bail!("a store that failed had no answer")
                };
                if reply.status == status {
                    return Ok("remembered: nothing, and the store failed");
                }
                self.check(&reply, said.get(&key))?;
                if let Some(count) = said.get_mut(&key).filter(|_| status == 504) {
                    count.late = Some(self.time);
                }
                return Ok("remembered: stale, for the store failed");
            }
            2 => ("404", 404, "remembered: taken back"),
            3 => ("no-store", 200, "remembered: not, for the store forbids it"),
            4 => {
                self.host.finish(stream)?;
                let end = answer(self, "200", &body)?;
                ensure!(end == End::Finished, "a client that has gone got {end:?}");
                return Ok(HUNG_UP);
            }
            _ => {
                let follower = (n % 11 == 5).then(|| self.host.request(headers)).transpose()?;
                let end = answer(self, "200", &body)?;
                let counted =
                    |end: &End| matches!(end, End::Reply(reply) if reply.body == body.as_bytes());
                ensure!(counted(&end), "{body} became {end:?}");
                said.insert(key, Count { body: body.clone(), at: self.time, late: None });
                let Some(follower) = follower else { return Ok("remembered: from now on") };
                ensure!(follower.end == End::Pause, "two asked at once: {:?}", follower.end);
                let (who, end) = self.host.tick()?.pop().context("a follower has no answer")?;
                ensure!(
                    who == follower.stream && counted(&end),
                    "{body} became {end:?} of another"
                );
                self.host.finish(who)?;
                return Ok("remembered: from now on, and shared by two");
            }
        };
        let (status, expected, what) = forgotten;
        let end = answer(self, status, &body)?;
        ensure!(
            matches!(&end, End::Reply(reply) if reply.status == expected),
            "{what}, and it ended as {end:?}"
        );
        said.remove(&key);
        Ok(what)
    }

    /// An answer that was remembered: its age, if it is what the store had said.
    fn check(&self, reply: &LocalReply, said: Option<&Count>) -> Result<Duration> {
        let count = said.with_context(|| format!("nothing was said: {reply:?}"))?;
        let age = self.time - count.at;
        let shown = age.as_secs().to_string();
        let has_age = reply.headers.contains(&(b"age".to_vec(), shown.into_bytes()));
        let right = reply.status == 200 && reply.body == count.body.as_bytes() && has_age;
        ensure!(right && age < STALE, "{}, {age:?} ago, became {reply:?}", count.body);
        Ok(age)
    }
}

/// A client that leaves while the store is asked.
const HUNG_UP: &str = "remembered: hung up while the store was asked";
