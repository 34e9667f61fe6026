//! Whether an answer is one that this request may get.

use std::time::{Duration, Instant};

use backup_sharing_count::status;
use testkit::http::Response;

use super::ask::{Ask, Expected};
use super::expected::{self, Changing};

/// The word on an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Right,
    /// 200, and the count is not this request's.
    WrongCount,
    /// Nothing that is documented for this request.
    Undocumented,
}

/// What a count may be older than its answer, and how the store's counts change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Truth {
    /// The `age` of a remembered count is less: its ttl, and for how long it may be stale. `None`: none is remembered.
    pub remembered: Option<Duration>,
    /// `None`: they do not.
    pub changing: Option<Changing>,
}

/// When a request was sent, and when its answer had come.
pub type Times = (Instant, Instant);

/// How long a count may be on its way from the store: longer than any timeout of those whose counts change.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

impl Truth {
    /// Whether a count is the store's of a time when it may have been learned. One without `age` was asked for just now;
    /// with it, it arrived so many seconds ago.
    fn allows(self, began: usize, answer: &Response, (sent, came): Times) -> bool {
        let ages = answer.header_values("age");
        let age = match (ages.as_slice(), self.remembered) {
            ([], _) => None,
            (&[age], Some(most)) => {
                let seconds = std::str::from_utf8(age).ok().and_then(|age| age.parse().ok());
                let Some(age) = seconds.map(Duration::from_secs).filter(|age| *age < most) else {
                    return false;
                };
                Some(age)
            }
            _ => return false,
        };
        let Some(changing) = self.changing else {
            return answer.body == expected::body(began).as_bytes();
        };
        // Rounded down.
        let oldest = age.map_or(Duration::ZERO, |age| age + Duration::from_secs(1)) + ON_ITS_WAY;
        let youngest = came.checked_sub(age.unwrap_or_default()).unwrap_or(came);
        let mut bodies = changing.bodies(began, sent.checked_sub(oldest), youngest);
        bodies.any(|body| answer.body == body.as_bytes())
    }
}

/// Judges an answer.
pub fn judge(ask: &Ask, answer: &Response, truth: Truth, times: Times) -> Verdict {
    if answer.header_values("content-type") != [b"application/json"] {
        return Verdict::Undocumented;
    }
    let right = match &ask.expected {
        Expected::Count(began) if answer.status == 200 => {
            return match truth.allows(*began, answer, times) {
                true => Verdict::Right,
                false => Verdict::WrongCount,
            };
        }
        // The request is in order, so only the store can have had a reason.
        Expected::Count(_) => matches!(answer.status, 500..) && is_documented(answer),
        Expected::Rejection(status) => answer.status == *status && is_documented(answer),
        // A count for someone who may not have it.
        Expected::Refusal(_) if answer.status == 200 => return Verdict::WrongCount,
        Expected::Refusal(status) => {
            (answer.status == *status || answer.status >= 500) && is_documented(answer)
        }
        Expected::Passed(body) => answer.status == 200 && answer.body == body.as_bytes(),
    };
    if right { Verdict::Right } else { Verdict::Undocumented }
}

/// Whether the status is one of the call's, and the body exactly the fault that goes with it.
pub fn is_documented(answer: &Response) -> bool {
    let Some(status) = status::ALL.iter().find(|status| status.code == answer.status) else {
        return false;
    };
    let start = format!("{{\"{}\":{{\"code\":{},\"message\":", status.fault, status.code);
    let message = answer.body.strip_prefix(start.as_bytes());
    let message = message.and_then(|rest| rest.strip_suffix(b"}}"));
    let message = message.and_then(|json| serde_json::from_slice::<String>(json).ok());
    message.is_some_and(|message| !message.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: &str = r#"{"count":37}"#;
    const BAD: &str = r#"{"badRequest":{"code":400,"message":"x: \"y\""}}"#;
    const GONE: &str = r#"{"serviceUnavailable":{"code":503,"message":"Later."}}"#;
    const LATE: &str = r#"{"computeFault":{"code":504,"message":"Late."}}"#;

    fn verdict(expected: &Expected, status: u16, types: &[&str], body: &str) -> Verdict {
        let headers = types.iter().map(|it| ("content-type".to_owned(), it.as_bytes().to_vec()));
        let answer = Response { status, headers: headers.collect(), body: body.into() };
        let ask = Ask { bytes: Vec::new(), expected: expected.clone() };
        judge(&ask, &answer, Truth::default(), (Instant::now(), Instant::now()))
    }

    #[test]
    fn a_remembered_count_is_as_old_as_it_says() {
        let (second, tenths) = (Duration::from_secs(1), Duration::from_millis(100));
        let changing = Changing::every(tenths);
        let start = Instant::now();
        let verdict = |truth: Truth, at: f64, age: &[&str], count: usize| {
            let mut headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
            headers.extend(age.iter().map(|age| ("age".to_owned(), age.as_bytes().to_vec())));
            let body = expected::body(count).into_bytes();
            let answer = Response { status: 200, headers, body };
            let ask = Ask { bytes: Vec::new(), expected: Expected::Count(37) };
            let at = start + second.mul_f64(at);
            judge(&ask, &answer, truth, (at, at)) == Verdict::Right
        };
        let remembered = Some(second * 5);
        let still = Truth { remembered, changing: None };
        for (age, right) in [
            (&[][..], true),
            (&["0"], true),
            (&["4"], true),
            (&["5"], false),
            (&["-1"], false),
            (&[""], false),
            (&["1", "1"], false),
        ] {
            assert_eq!(verdict(still, 60.0, age, 37), right, "{age:?}");
            assert!(!verdict(still, 60.0, age, 137), "{age:?}");
            let off = Truth::default();
            assert_eq!(verdict(off, 60.0, age, 37), age.is_empty(), "{age:?}");
        }
        // 60 s after the start each count has changed 600 times.
        let moving = Truth { remembered, changing: Some(changing) };
        for (age, changes, right) in [
            (&[][..], 599, true),
            (&[], 590, true),
            (&[], 500, false),
            (&[], 700, false),
            (&["4"], 555, true),
            (&["4"], 599, false),
            (&["4"], 500, false),
            (&["0"], 599, true),
        ] {
            assert_eq!(verdict(moving, 60.0, age, 37 + 100 * changes), right, "{age:?} {changes}");
            assert!(!verdict(moving, 60.0, age, 38 + 100 * changes), "{age:?} {changes}");
        }
    }

    #[test]
    fn every_other_answer_is_seen() {
        let (count, json) = (Expected::Count(37), "application/json");
        let (rejection, passed) = (Expected::Rejection(400), Expected::Passed("x".to_owned()));
        let refusal = Expected::Refusal(403);
        for (status, body, word) in [
            (403, r#"{"forbidden":{"code":403,"message":"No."}}"#, Verdict::Right),
            (503, GONE, Verdict::Right),
            (400, BAD, Verdict::Undocumented),
            (200, COUNT, Verdict::WrongCount),
        ] {
            assert_eq!(verdict(&refusal, status, &[json], body), word, "{status}");
        }
        let right = [(200, COUNT), (503, GONE), (504, LATE)].map(|right| (&count, right));
        for (expected, (status, body)) in
            right.into_iter().chain([(&rejection, (400, BAD)), (&passed, (200, "x"))])
        {
            assert_eq!(verdict(expected, status, &[json], body), Verdict::Right, "{body}");
        }
        for body in [r#"{"count":38}"#, r#"{"count":37} "#, "", "{}", BAD] {
            assert_eq!(verdict(&count, 200, &[json], body), Verdict::WrongCount, "{body}");
        }
        for (expected, status, body) in [
            (&count, 503, ""),
            (&count, 503, "no healthy upstream"),
            (&count, 503, LATE),
            (&count, 504, GONE),
            (&count, 503, r#"{"serviceUnavailable":{"code":503,"message":""}}"#),
            (&count, 503, r#"{"serviceUnavailable":{"code":503,"message":"Later."}}}"#),
            (&count, 503, r#"{"serviceUnavailable":{"code":503,"message":"a","message":"b"}}"#),
            (&count, 505, r#"{"computeFault":{"code":505,"message":"x"}}"#),
            (&count, 400, BAD),
            (&count, 201, COUNT),
            (&rejection, 200, COUNT),
            (&rejection, 503, GONE),
            (&rejection, 400, GONE),
            (&rejection, 400, ""),
            (&passed, 200, "y"),
            (&passed, 503, GONE),
            (&passed, 404, "x"),
        ] {
            let verdict = verdict(expected, status, &[json], body);
            assert_eq!(verdict, Verdict::Undocumented, "{status} {body}");
        }
        for types in [&[][..], &["text/plain"], &["application/json; charset=utf-8"], &[json; 2]] {
            assert_eq!(verdict(&count, 200, types, COUNT), Verdict::Undocumented, "{types:?}");
        }
    }
}
