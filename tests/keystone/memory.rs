//! How long an answer of Keystone's counts, and how many are remembered.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use testkit::edge::Fixture;
use testkit::keystone::{Keystone, Scope};
use testkit::store::Behaviour;

use super::{Bench, COUNTED, REFUSED, member, somebody};

/// How often the tests look.
const A_LITTLE: Duration = Duration::from_millis(50);

#[test]
fn a_token_that_is_remembered_is_not_asked_about_again() {
    let keystone = Keystone::shared().unwrap();
    let (project, token) = member(&keystone, "remembered");
    let mut bench =
        Bench::start(&keystone, &[("default", json!({})), ("none", json!({"remember": "0s"}))]);
    let mut ask = |listener, project: &str, token| {
        let before = bench.questions();
        let answer = bench.ask(listener, project, token);
        (answer, bench.questions() - before)
    };
    let counted = |questions| (COUNTED.to_owned(), questions);
    let refused = |questions| (REFUSED.to_owned(), questions);
    assert_eq!(ask("default", &project, &token), counted(1));
    assert_eq!(ask("default", &project, &token), counted(0));
    assert_eq!(ask("default", "other", &token).1, 0);
    assert_eq!(ask("default", &project, &token), counted(0));
    assert_eq!(ask("default", &project, "garbage"), refused(1));
    assert_eq!(ask("default", "other", "garbage"), refused(0));
    // A plugin has a memory of its own.
    for _ in 0..3 {
        assert_eq!(ask("none", &project, &token), counted(1));
        assert_eq!(ask("none", &project, "garbage"), refused(1));
    }
    bench.stop();
}

/// Here Keystone is scripted: a real one answers 404 only to those who ask about the tokens of others.
#[test]
fn a_flood_of_refused_tokens_pushes_no_good_one_out() {
    const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "20s"}, "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "timeout": "20s", "max_tokens": 3}}}"#;
    const GOOD: &str =
        r#"{"token": {"project": {"id": "p1"}, "expires_at": "2100-01-01T00:00:00Z"}}"#;
    for status in [401, 404] {
        let fixture = Fixture::start(&[("small", CONFIGURATION)]).unwrap();
        fixture.keystone.set(Behaviour::by_request(move |request| {
            match request.header("x-subject-token") {
                Some("good") => Behaviour::json(200, GOOD),
                _ => Behaviour::json(status, json!({"error": {"code": status}}).to_string()),
            }
        }));
        let ask = |token: &str| {
            let path = "/v2/p1/os-vendor-backup-sharing/count";
            let headers = [("x-auth-token", token.as_bytes())];
            let answer = fixture.request("small", "GET", path, &headers).unwrap();
            (answer.status, fixture.keystone.take_requests().len())
        };
        assert_eq!(ask("good"), (200, 1), "{status}");
        for number in 0..100 {
            assert_eq!(ask(&format!("random-{number}")), (401, 1), "{status}");
        }
        assert_eq!(ask("random-99"), (401, 0), "{status}: the last is remembered");
        assert_eq!(ask("random-0"), (401, 1), "{status}: the first is not");
        assert_eq!(ask("good"), (200, 0), "{status}: it still is");
        fixture.stop().unwrap();
    }
}

/// Asks with a token until Keystone is asked about it again: neither before it has been remembered for as long as it
/// may be, nor after. The answers before, and the one then.
fn ask_until_forgotten(
    bench: &mut Bench,
    listener: &str,
    (project, token): (&str, &str),
    remember: Duration,
    meanwhile: impl FnOnce(),
) -> (Vec<String>, String) {
    let questions = bench.questions();
    // It is remembered from a time between these two on.
    let began = Instant::now();
    let mut answers = vec![bench.ask(listener, project, token)];
    let ended = Instant::now();
    assert_eq!(bench.questions(), questions + 1);
    meanwhile();
    loop {
        thread::sleep(A_LITTLE);
        let asked = Instant::now();
        let answer = bench.ask(listener, project, token);
        let answered = Instant::now();
        if bench.questions() > questions + 1 {
            assert!(answered > began + remember, "forgotten after {:?}", answered - began);
            return (answers, answer);
        }
        assert!(asked < ended + remember, "remembered for {:?}", asked - ended);
        answers.push(answer);
    }
}

#[test]
fn a_revoked_token_counts_until_it_is_forgotten() {
    const REMEMBER: Duration = Duration::from_secs(2);
    let keystone = Keystone::shared().unwrap();
    let (project, token) = member(&keystone, "to be revoked");
    let mut bench = Bench::start(&keystone, &[("two", json!({"remember": "2s"}))]);
    let revoke = || keystone.revoke(&token).unwrap();
    let (before, then) =
        ask_until_forgotten(&mut bench, "two", (&project, &token), REMEMBER, revoke);
    assert!(before.len() > 1 && before.iter().all(|answer| answer == COUNTED), "{before:?}");
    assert_eq!(then, REFUSED);
    bench.stop();
}

#[test]
fn a_refused_token_is_asked_about_again_after_10_seconds_or_sooner() {
    let keystone = Keystone::shared().unwrap();
    let mut bench =
        Bench::start(&keystone, &[("one", json!({"remember": "1s"})), ("default", json!({}))]);
    for (listener, seconds) in [("one", 1), ("default", 10)] {
        let remember = Duration::from_secs(seconds);
        let (before, then) =
            ask_until_forgotten(&mut bench, listener, ("p1", "garbage"), remember, || {});
        assert!(before.iter().all(|answer| answer == REFUSED), "{before:?}");
        assert_eq!(then, REFUSED);
    }
    bench.stop();
}

/// And what Keystone says if its policy forbids the question to all but administrators.
#[test]
fn no_token_outlives_its_time() {
    let options = Keystone::options().token_expiration(Duration::from_secs(6));
    let keystone = options.forbid_self_validation().start().unwrap();
    let mut bench = Bench::start(&keystone, &[("default", json!({})), ("other", json!({}))]);

    let (project, admin) = somebody(&keystone, "admin of a project", "admin");
    let token = keystone.token(&admin, Scope::Project(&project)).unwrap();
    let said = keystone.ask_about_itself(&token).unwrap();
    let said: Value = serde_json::from_slice(&said.body).unwrap();
    let expires = humantime::parse_rfc3339(said["token"]["expires_at"].as_str().unwrap()).unwrap();
    let mut counted = 0;
    loop {
        let asked = SystemTime::now();
        let answer = bench.ask("default", &project, &token);
        if answer != COUNTED {
            assert!(SystemTime::now() >= expires, "{answer} too soon");
            assert!(answer.starts_with(REFUSED), "{answer}");
            break;
        }
        assert!(asked < expires, "still good after {:?}", asked.duration_since(expires));
        counted += 1;
        assert_eq!(bench.questions(), 1);
        thread::sleep(A_LITTLE);
    }
    assert!(counted > 1);
    assert_eq!(bench.ask("other", &project, &token), REFUSED);

    for name in ["dave", "erin"] {
        let (project, token) = member(&keystone, name);
        let answer = bench.ask("default", &project, &token);
        assert_eq!(answer, "503 serviceUnavailable auth_unavailable:403");
    }
    assert_eq!(bench.errors(r#"the policy of cluster "identity" forbids"#), 1);
    bench.stop();
}
