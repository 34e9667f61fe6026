//! Equal tokens share one question.

use serde_json::json;
use testkit::keystone::Keystone;
use testkit::{PATIENCE, wait_for};

use super::{Bench, COUNTED, member};

const REQUESTS: usize = 50;

#[test]
fn equal_tokens_share_one_question() {
    let keystone = Keystone::start().unwrap();
    let mut bench = Bench::start(&keystone, &[("forgetful", json!({"remember": "0s"}))]);
    // And once more, when the one who asked hangs up: another asks in its place.
    for (name, hangs_up, questions) in [("patient", false, 1), ("impatient", true, 2)] {
        let (project, token) = member(&keystone, name);
        let before = bench.questions();
        keystone.pause().unwrap();
        let first = bench.send("forgetful", &project, &token);
        waits_for_requests(&bench, 1);
        let others = (1..REQUESTS).map(|_| bench.send("forgetful", &project, &token));
        let mut clients: Vec<_> = others.collect();
        waits_for_requests(&bench, REQUESTS);
        assert_eq!(bench.questions(), before + 1, "{name}");
        match hangs_up {
            false => clients.push(first),
            true => {
                drop(first);
                assert_eq!(bench.next_details(), "downstream_remote_disconnect");
                waits_for_requests(&bench, REQUESTS - 1);
            }
        }
        keystone.resume().unwrap();
        for mut client in clients {
            let response = client.receive(false).unwrap();
            assert_eq!(bench.answer(&response), COUNTED, "{name}");
        }
        assert_eq!(bench.questions(), before + questions, "{name}");
    }
    assert_eq!(bench.fixture.store.take_requests().len(), 2 * REQUESTS - 1);
    bench.stop();
}

/// Waits until Envoy holds so many.
fn waits_for_requests(bench: &Bench, requests: usize) {
    wait_for("requests that wait", PATIENCE, || {
        let active = bench.fixture.edge.envoy.stat("http.forgetful.downstream_rq_active").ok()?;
        (active == requests as u64).then_some(())
    })
    .unwrap();
}
