//! The load sees what is wrong: it is put straight on a store that misbehaves on purpose.

use std::sync::atomic::{AtomicU64, Ordering};

use testkit::count_store::CountStore;
use testkit::store::{Behaviour, Request};

use super::*;

/// Counts only, or passes only: the scripted store stands in for Envoy and knows no rejections.
fn tally(mix: Mix, behaviour: Behaviour) -> Tally {
    let store = expected::scripted(behaviour).unwrap();
    let load = Load { connections: 4, mix, requests: Some(1000), ..Load::new(store.address()) };
    finish(load)
}

fn finish(load: Load) -> Tally {
    let running = load.start().unwrap();
    let done = || (!running.is_busy()).then_some(());
    testkit::wait_for("the last request", testkit::PATIENCE * 3, done).unwrap();
    running.stop()
}

const NONE: Mix = Mix { counts: 0, rejections: 0, passes: 0, hang_ups: 0, strangers: 0 };
const COUNTS: Mix = Mix { counts: 1, ..NONE };

/// What the filter would have asked: the load's spellings are a client's.
fn as_written(request: &Request) -> Request {
    let target = request.target_text();
    let mut target = target.replace("=off", "=false").replace("=YES", "=true");
    target = target.replace("=1", "=true").replace("%72", "r").replace("?avail", "?avalil");
    target = target.replace("AVAILABLE", "available");
    Request { target: target.into(), ..request.clone() }
}

fn truthful(request: &Request) -> Behaviour {
    expected::answer(&as_written(request))
}

/// Truthful, but for one answer in a hundred.
fn at_times(other: Behaviour) -> Behaviour {
    let asked = AtomicU64::new(0);
    Behaviour::by_request(move |request| match asked.fetch_add(1, Ordering::Relaxed) % 100 {
        50 => other.clone(),
        _ => truthful(request),
    })
}

#[test]
fn a_truthful_store_gives_no_complaints() {
    let tally = tally(COUNTS, Behaviour::by_request(truthful));
    assert_eq!(tally.complaints(), [""; 0]);
    assert_eq!((tally.requests(), tally.answers(Kind::Count, 200)), (1000, 1000));
    assert_eq!(tally.latencies(Kind::Count).number(), 1000);
}

#[test]
fn a_wrong_count_is_seen() {
    let tally = tally(COUNTS, at_times(Behaviour::json(200, r#"{"count":123456}"#)));
    assert_eq!((tally.wrong_counts, tally.undocumented, tally.lost), (10, 0, 0));
    assert!(tally.examples[0].contains("123456"), "{:?}", tally.examples);
    assert_eq!(tally.examples.len(), 5);
}

#[test]
fn the_answer_of_another_request_is_seen() {
    // Each answer is right, for the project next to the one that asked.
    let shifted = Behaviour::by_request(|request| {
        let target = as_written(request).target_text();
        let project = target.split('/').nth(2).unwrap_or_default();
        let number: usize = project.trim_start_matches('p').parse().unwrap_or_default();
        let other = target.replacen(project, &format!("p{}", (number + 1) % 100), 1);
        expected::answer(&Request { target: other.into(), ..request.clone() })
    });
    let tally = tally(COUNTS, shifted);
    // Neighbours may have equally many with a filter; without one they never have.
    assert!(tally.wrong_counts > 500, "{}", tally.wrong_counts);
}

#[test]
fn an_undocumented_answer_is_seen() {
    for body in ["upstream connect error", r#"{"computeFault":{"code":503,"message":"x"}}"#] {
        let tally = tally(COUNTS, at_times(Behaviour::json(503, body)));
        assert_eq!((tally.wrong_counts, tally.undocumented, tally.lost), (0, 10, 0));
        assert_eq!(tally.answers(Kind::Count, 503), 10);
    }
    let rejections = Mix { rejections: 1, ..NONE };
    let tally = tally(rejections, Behaviour::json(200, r#"{"count":1}"#));
    assert_eq!(tally.undocumented, 1000, "a rejection that was not rejected");
}

#[test]
fn a_dropped_answer_is_seen() {
    let tally = tally(COUNTS, at_times(Behaviour::Truncate));
    assert_eq!((tally.lost, tally.crossed), (10, 0), "{:?}", tally.examples);
    let mut tally = self::tally(COUNTS, at_times(Behaviour::ResetBeforeHeaders));
    assert_eq!(tally.crossed + tally.unaccepted, 10, "{:?}", tally.examples);
    assert!(tally.crossed >= 6, "only a connection's first request cannot cross");
    assert!(!tally.complaints().is_empty());
    tally.excuse_closes();
    assert_eq!((tally.complaints().len(), tally.crossed, tally.unaccepted), (0, 10, 0));
}

#[test]
fn a_second_answer_is_seen() {
    let twice = Behaviour::by_request(|request| {
        let Behaviour::Answer { body, .. } = truthful(request) else { return Behaviour::Hang };
        let one = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
            body.len(),
            String::from_utf8_lossy(&body)
        );
        Behaviour::Garbage(one.repeat(2).into())
    });
    let tally = tally(COUNTS, twice);
    assert!(tally.undocumented > 900, "{tally:?}");
}

#[test]
fn passed_requests_are_told_apart() {
    let passes = Mix { passes: 1, ..NONE };
    let passed = tally(passes, expected::upstream());
    assert_eq!((passed.complaints().len(), passed.answers(Kind::Pass, 200)), (0, 1000));
    let other = tally(passes, Behaviour::json(200, expected::passed("/v2/p1/backups")));
    assert_eq!(other.undocumented, 1000);
}

#[test]
fn an_announced_close_loses_nothing() {
    let closing = Behaviour::by_request(|request| match truthful(request) {
        Behaviour::Answer { status, mut headers, body } => {
            headers.push(("connection".to_owned(), "close".to_owned()));
            Behaviour::Answer { status, headers, body }
        }
        other => other,
    });
    let tally = tally(COUNTS, closing);
    assert_eq!((tally.complaints().len(), tally.crossed, tally.closed), (0, 0, 1000));
}

#[test]
fn refused_connections_are_no_requests() {
    let address = testkit::ports::dead_address().unwrap();
    let running = Load { connections: 2, ..Load::new(address.address()) }.start().unwrap();
    let refused = || Some(running.take()).filter(|tally| tally.refused > 0);
    let tally = testkit::wait_for("a refusal", testkit::PATIENCE, refused).unwrap();
    assert_eq!((tally.requests(), tally.complaints().len()), (0, 0));
    assert!(running.is_busy());
    running.stop();
}

#[test]
fn the_real_store_owes_the_same_counts() {
    let folder = tempfile::tempdir().unwrap();
    let database = expected::database(folder.path()).unwrap();
    let store = CountStore::start(&database, crate::anywhere()).unwrap();
    let load =
        Load { connections: 4, mix: COUNTS, requests: Some(1000), ..Load::new(store.address()) };
    let tally = finish(load);
    assert_eq!(tally.complaints(), [""; 0]);
    assert_eq!(tally.answers(Kind::Count, 200), 1000);
}
