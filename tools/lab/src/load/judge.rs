//! Whether an answer is one that this request may get.

use backup_sharing_count::status;
use testkit::http::Response;

use super::ask::{Ask, Expected};

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

/// Judges an answer.
pub fn judge(ask: &Ask, answer: &Response) -> Verdict {
    if answer.header_values("content-type") != [b"application/json"] {
        return Verdict::Undocumented;
    }
    let right = match &ask.expected {
        Expected::Count(body) if answer.status == 200 => {
            return match answer.body == body.as_bytes() {
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
fn is_documented(answer: &Response) -> bool {
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
        judge(&Ask { bytes: Vec::new(), expected: expected.clone() }, &answer)
    }

    #[test]
    fn every_other_answer_is_seen() {
        let (count, json) = (Expected::Count(COUNT.to_owned()), "application/json");
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
