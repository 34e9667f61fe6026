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

    fn verdict(expected: Expected, status: u16, body: &str) -> Verdict {
        typed(expected, status, &["application/json"], body)
    }

    fn typed(expected: Expected, status: u16, types: &[&str], body: &str) -> Verdict {
        let headers = types.iter().map(|it| ("content-type".to_owned(), it.as_bytes().to_vec()));
        let answer = Response { status, headers: headers.collect(), body: body.into() };
        judge(&Ask { bytes: Vec::new(), expected }, &answer)
    }

    fn count() -> Expected {
        Expected::Count(r#"{"count":37}"#.to_owned())
    }

    const BAD: &str = r#"{"badRequest":{"code":400,"message":"x: \"y\""}}"#;
    const GONE: &str = r#"{"serviceUnavailable":{"code":503,"message":"Later."}}"#;
    const LATE: &str = r#"{"computeFault":{"code":504,"message":"Late."}}"#;

    #[test]
    fn what_is_right() {
        assert_eq!(verdict(count(), 200, r#"{"count":37}"#), Verdict::Right);
        assert_eq!(verdict(count(), 503, GONE), Verdict::Right);
        assert_eq!(verdict(count(), 504, LATE), Verdict::Right);
        assert_eq!(verdict(Expected::Rejection(400), 400, BAD), Verdict::Right);
        assert_eq!(verdict(Expected::Passed("x".into()), 200, "x"), Verdict::Right);
    }

    #[test]
    fn wrong_counts_are_seen() {
        for body in [r#"{"count":38}"#, r#"{"count":37} "#, "", "{}", BAD] {
            assert_eq!(verdict(count(), 200, body), Verdict::WrongCount, "{body}");
        }
    }

    #[test]
    fn undocumented_answers_are_seen() {
        for (status, body) in [
            (503, ""),
            (503, "no healthy upstream"),
            (503, LATE),
            (504, GONE),
            (503, r#"{"serviceUnavailable":{"code":503,"message":""}}"#),
            (503, r#"{"serviceUnavailable":{"code":503,"message":"Later."}}}"#),
            (503, r#"{"serviceUnavailable":{"code":503,"message":"a","message":"b"}}"#),
            (505, r#"{"computeFault":{"code":505,"message":"x"}}"#),
            (400, BAD),
            (201, r#"{"count":37}"#),
        ] {
            assert_eq!(verdict(count(), status, body), Verdict::Undocumented, "{status} {body}");
        }
        let rejection = Expected::Rejection(400);
        for (status, body) in [(200, r#"{"count":37}"#), (503, GONE), (400, GONE), (400, "")] {
            assert_eq!(verdict(rejection.clone(), status, body), Verdict::Undocumented, "{body}");
        }
        let passed = Expected::Passed("x".to_owned());
        for (status, body) in [(200, "y"), (503, GONE), (404, "x")] {
            assert_eq!(verdict(passed.clone(), status, body), Verdict::Undocumented, "{body}");
        }
    }

    #[test]
    fn another_content_type_is_seen() {
        let json = "application/json";
        assert_eq!(typed(count(), 200, &[json], r#"{"count":37}"#), Verdict::Right);
        for types in [&[][..], &["text/plain"], &["application/json; charset=utf-8"], &[json; 2]] {
            let verdict = typed(count(), 200, types, r#"{"count":37}"#);
            assert_eq!(verdict, Verdict::Undocumented, "{types:?}");
        }
    }
}
