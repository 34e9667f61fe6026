//! What Keystone does wrong.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::keystone::Keystone;

use super::{Bench, COUNTED, REFUSED, member};

/// How long the listener `late` waits for Keystone.
const TIMEOUT: Duration = Duration::from_millis(500);

#[test]
fn keystone_in_trouble() {
    let keystone = Keystone::start().unwrap();
    let (project, token) = member(&keystone, "alice");
    let listeners = [
        ("forgetful", json!({"remember": "0s"})),
        ("default", json!({})),
        ("late", json!({"remember": "0s", "timeout": "0.5s"})),
        ("elsewhere", json!({"path_prefix": "/identity"})),
    ];
    let mut bench = Bench::start(&keystone, &listeners);
    let mut ask = |listener: &str, token: &str| bench.ask(listener, &project, token);
    let asks = |answer: String, expected: &str, what: &str| assert_eq!(answer, expected, "{what}");
    asks(ask("default", &token), COUNTED, "as it should be");

    for _ in 0..2 {
        asks(ask("elsewhere", &token), "502 computeFault auth_invalid:404", "a wrong path_prefix");
    }

    keystone.break_database().unwrap();
    const BROKEN: &str = "503 serviceUnavailable auth_unavailable:500";
    asks(ask("forgetful", &token), BROKEN, "its database is broken");
    asks(ask("forgetful", "garbage"), REFUSED, "which needs no database");
    asks(ask("default", &token), COUNTED, "a token that is remembered");
    keystone.repair_database().unwrap();
    asks(ask("forgetful", &token), COUNTED, "its database is repaired");

    keystone.pause().unwrap();
    let asked = Instant::now();
    asks(ask("late", &token), "504 computeFault auth_timeout", "it is paused");
    let took = asked.elapsed();
    assert!((TIMEOUT / 10..TIMEOUT * 10).contains(&took), "{took:?}");
    asks(ask("default", &token), COUNTED, "a token that is remembered");
    keystone.resume().unwrap();
    asks(ask("forgetful", &token), COUNTED, "it goes on");

    keystone.kill();
    const GONE: &str = "503 serviceUnavailable auth_unavailable:connect_failure";
    asks(ask("forgetful", &token), GONE, "it is killed");
    asks(ask("default", &token), COUNTED, "a token that is remembered");
    keystone.restart().unwrap();
    asks(ask("forgetful", &token), COUNTED, "it is started again");

    let wrong_prefix = r#"auth.keystone.path_prefix: cluster "identity" answers 404"#;
    assert_eq!(bench.errors(wrong_prefix), 1);
    bench.stop();
}
