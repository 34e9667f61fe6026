use super::*;
use crate::callout::NotSent;
use crate::edge::Edge;
use crate::request::Header;

const TIMEOUT: Duration = Duration::from_millis(100);

fn at(millis: u64) -> SystemTime {
    let since_epoch = Duration::from_secs(9).saturating_add(Duration::from_millis(millis));
    SystemTime::UNIX_EPOCH.checked_add(since_epoch).unwrap()
}

/// A request whose first callout was sent at 0.
fn waiting() -> Box<Waiting> {
    let edge = Edge::new(br#"{"store":{"cluster":"c","timeout":"0.1s"}}"#).unwrap();
    let target = edge.locate(b"/v2/p1/os-vendor-backup-sharing/count").unwrap();
    let headers: [Header; 1] = [(b":method", b"GET")];
    match edge.begin(target, headers.into_iter(), || at(0)) {
        Step::Callout(waiting) => waiting,
        step => panic!("{step}"),
    }
}

fn broken(waiting: Box<Waiting>, millis: u64) -> Step {
    waiting.resume(Outcome::Broken, &|| at(millis))
}

fn sent(step: Step) -> Box<Waiting> {
    match step {
        Step::Callout(waiting) => waiting,
        step => panic!("{step}"),
    }
}

fn held(step: Step) -> Box<Held> {
    match step {
        Step::Hold(held) => held,
        step => panic!("{step}"),
    }
}

#[test]
fn the_first_retry_is_sent_at_once_the_second_after_a_pause_and_no_third() {
    assert_eq!(waiting().timeout(), TIMEOUT);
    let first = sent(broken(waiting(), 5));
    assert_eq!(first.timeout(), Duration::from_millis(95), "what is left");
    let pause = held(held(broken(first, 6)).poll(at(15)));
    sent(pause.clone().poll(at(16)));
    let second = sent(pause.poll(at(18)));
    assert_eq!(second.timeout(), Duration::from_millis(82));
    let Step::Reply(reply) = broken(second, 19) else { panic!("a third") };
    assert_eq!(reply.details, "store_broken");
}

#[test]
fn nothing_is_repeated_with_less_than_a_quarter_left() {
    sent(broken(waiting(), 75));
    assert!(matches!(broken(waiting(), 76), Step::Reply(_)));
    let first = || sent(broken(waiting(), 1));
    held(broken(first(), 65));
    assert!(matches!(broken(first(), 66), Step::Reply(_)), "nor is there a pause");
    let late = held(broken(first(), 65)).poll(at(76));
    assert!(matches!(late, Step::Reply(reply) if reply.details == "store_broken"));
}

#[test]
fn a_clock_that_is_set_makes_no_client_wait() {
    let pause = held(broken(sent(broken(waiting(), 1)), 2));
    let back = SystemTime::UNIX_EPOCH;
    assert_eq!(sent(pause.poll(back)).timeout(), TIMEOUT);
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
    let step = sent(held(step).poll(at(12))).resume(Outcome::NotSent(NotSent::NoHost), &|| at(12));
    assert_eq!(step.to_string(), "is answered 503 store_unavailable:no_host");
    let path = b"/v2/p1/os-vendor-backup-sharing/count?secret=secret";
    let step = edge.begin(edge.locate(path).unwrap(), headers.into_iter(), || at(0));
    assert_eq!(step.to_string(), "is answered 400 edge_filter");
}
