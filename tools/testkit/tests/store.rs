//! The scripted store's behaviours, seen over raw connections.

use std::time::{Duration, Instant};

use testkit::http::{self, Connection, Response};
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{PATIENCE, ports, wait_for};

const SOON: Duration = Duration::from_millis(5);

/// A store with this behaviour, and a connection that has sent it a request.
fn asked(behaviour: Behaviour) -> (ScriptedStore, Connection) {
    let store = ScriptedStore::start().unwrap();
    store.set(behaviour);
    let mut connection = Connection::open(store.address()).unwrap();
    connection.send(b"GET /x HTTP/1.1\r\n\r\n").unwrap();
    (store, connection)
}

/// What the client sees of a behaviour: a response, or the error's sentence.
fn seen(behaviour: Behaviour) -> Result<Response, String> {
    let (_store, mut connection) = asked(behaviour);
    connection.receive(false).map_err(|error| error.to_string())
}

fn error(behaviour: Behaviour) -> String {
    seen(behaviour).expect_err("the store should have misbehaved")
}

#[test]
fn answers_are_kept_alive_and_requests_recorded_in_order() {
    let store = ScriptedStore::start().unwrap();
    let mut client = Connection::open(store.address()).unwrap();
    let first = client.request("GET", "/a", &[("B", b"2"), ("A", b"\xff")]);
    assert_eq!(first.unwrap().text(), "{}");
    store.set(Behaviour::json(404, "{\"no\":1}"));
    let second = client.request("GET", "/healthz", &[]).unwrap();
    assert_eq!(second.status, 200);
    let third = client.request("HEAD", "/c", &[]).unwrap();
    assert_eq!((third.status, third.body.len()), (404, 0));
    assert_eq!(third.header("Content-Length"), Some("8"));
    client
        .send(b"POST /d HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        .unwrap();
    assert_eq!(client.receive(false).unwrap().text(), "{\"no\":1}");

    let requests = store.take_requests();
    let targets: Vec<String> = requests.iter().map(|r| r.target_text()).collect();
    assert_eq!(targets, ["/a", "/c", "/d"]);
    assert_eq!(requests[0].headers[1], ("B".to_owned(), b"2".to_vec()));
    assert_eq!(requests[0].headers[2], ("A".to_owned(), b"\xff".to_vec()));
    assert_eq!(requests[2].body, b"hi");
    assert!(requests.iter().all(|request| request.connection == 1));
    assert!(store.take_requests().is_empty());
    assert_eq!(store.open_connections(), 1);
    drop(client);
    wait_for("the store to notice", PATIENCE, || (store.open_connections() == 0).then_some(()))
        .unwrap();
}

#[test]
fn connection_close_is_honoured() {
    let store = ScriptedStore::start().unwrap();
    let mut client = Connection::open(store.address()).unwrap();
    client.request("GET", "/", &[("connection", b"close")]).unwrap();
    assert!(client.is_closed());
    let mut client = Connection::open(store.address()).unwrap();
    client.request("GET", "/", &[]).unwrap();
    assert!(client.stays_open());
}

#[test]
fn a_script_runs_and_its_last_line_stays() {
    let store = ScriptedStore::start().unwrap();
    store.script([503, 500, 200].map(Behaviour::status));
    let status = |_| http::request(store.address(), "GET", "/", &[]).unwrap().status;
    assert_eq!([0; 4].map(status), [503, 500, 200, 200]);
    assert_eq!(store.wait_for_requests(4).unwrap().len(), 4);
}

#[test]
fn an_answer_can_be_made_of_the_request() {
    let store = ScriptedStore::start().unwrap();
    let echo = Behaviour::by_request(|request| Behaviour::json(200, request.target.clone()));
    store.script([echo.clone(), echo.clone().after(SOON)]);
    let text = |target| http::request(store.address(), "GET", target, &[]).unwrap().text();
    assert_eq!([text("/a"), text("/b?c")], ["/a", "/b?c"]);
    assert_eq!(echo, echo.clone());
    assert_ne!(echo, Behaviour::by_request(|_| Behaviour::Hang));
}

#[test]
fn a_store_can_be_told_to_forget() {
    let store = ScriptedStore::start().unwrap();
    let ask = || http::request(store.address(), "GET", "/", &[]).unwrap();
    ask();
    store.forget_requests();
    ask();
    assert!(store.take_requests().is_empty());
}

#[test]
fn resets_are_resets() {
    let sentence = error(Behaviour::ResetBeforeHeaders);
    assert!(sentence.contains("reset"), "{sentence}");
    let sentence = error(Behaviour::ResetAfterHeaders);
    assert!(sentence.contains("reset"), "{sentence}");
}

#[test]
fn closes_are_closes() {
    let sentence = error(Behaviour::Truncate);
    assert!(sentence.contains("closed after 8 of 100"), "{sentence}");
    let store = ScriptedStore::start().unwrap();
    store.script([Behaviour::CloseAfterAccept, Behaviour::status(200)]);
    let mut client = Connection::open(store.address()).unwrap();
    assert!(client.is_closed());
    let next = http::request(store.address(), "GET", "/", &[]).unwrap();
    assert_eq!(next.status, 200);
    let sentence = error(Behaviour::Garbage(b"what?\0".to_vec()));
    assert!(sentence.contains("what?"), "{sentence}");
}

#[test]
fn slow_answers_never_end() {
    for behaviour in [Behaviour::Hang, Behaviour::Interim(100, Box::new(Behaviour::Hang))] {
        let (_store, mut connection) = asked(behaviour.clone());
        if let Behaviour::Interim(..) = behaviour {
            assert_eq!(connection.receive(false).unwrap().status, 100);
        }
        connection.set_timeout(Duration::from_millis(300)).unwrap();
        let sentence = connection.receive(false).unwrap_err().to_string();
        assert!(sentence.contains("nothing moved"), "{sentence}");
    }
    for behaviour in [Behaviour::DripHeaders { every: SOON }, Behaviour::DripBody { every: SOON }] {
        let (_store, mut connection) = asked(behaviour);
        assert!(connection.stays_open());
    }
}

#[test]
fn later_is_later() {
    let start = Instant::now();
    let wait = Duration::from_millis(100);
    assert_eq!(seen(Behaviour::status(200).after(wait)).unwrap().status, 200);
    assert!(start.elapsed() >= wait);
}

#[test]
fn floods_are_as_long_as_ordered() {
    let flood = seen(Behaviour::Flood { bytes: 1_000_001 }).unwrap();
    assert_eq!(flood.body.len(), 1_000_001);
    let (store, mut connection) = asked(Behaviour::Flood { bytes: usize::MAX });
    assert!(connection.stays_open());
    drop(store); // Its thread is stuck in a write, and must end all the same.
    assert!(connection.is_closed());
}

#[test]
fn a_dropped_store_frees_its_threads_and_its_port() {
    let long = Duration::from_secs(3600);
    for behaviour in
        [Behaviour::Hang, Behaviour::DripBody { every: long }, Behaviour::status(200).after(long)]
    {
        let (store, mut connection) = asked(behaviour);
        store.wait_for_requests(1).unwrap();
        let (address, start) = (store.address(), Instant::now());
        drop(store);
        assert!(start.elapsed() < PATIENCE);
        assert!(connection.is_closed());
        assert!(ports::port_is_free(address));
        let again = ScriptedStore::start_at(address).unwrap();
        assert_eq!(again.address(), address);
    }
}
