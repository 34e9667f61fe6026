//! `cargo demo --cluster`, alone on the machine: what it kills must not be noticed, and what is slow is noticed.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use testkit::ports;

#[test]
fn with_a_cluster_it_kills_a_primary_and_a_store_and_clients_see_counts_alone() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["demo", "--once", "--cluster"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let seen = |what: &str| {
        let number = said.lines().find_map(|line| line.strip_suffix(what)?.trim().parse().ok());
        number.unwrap_or_else(|| panic!("no line of{what}: {said}"))
    };
    let requests: u64 = seen(" requests");
    assert!(requests > 100, "{requests}");
    assert_eq!(seen(" answered 200"), requests);
    assert_eq!([seen(" without an answer"), seen(" wrong counts")], [0, 0]);
    let killed = ["Killing the primary, ", "Killing a count store, "].map(|start| {
        let address = said.lines().find_map(|line| line.strip_prefix(start)?.strip_suffix(" …"));
        address.unwrap().parse::<SocketAddr>().unwrap()
    });
    // The replicas too.
    let servers = said.lines().find_map(|line| line.strip_prefix("PostgreSQL: ")).unwrap();
    let servers = servers.split(['@', ',', '/']).filter_map(|part| part.parse().ok());
    let servers: Vec<SocketAddr> = servers.collect();
    assert!(servers.len() == 3 && servers[0] == killed[0], "{said}");
    for address in servers.into_iter().chain(killed) {
        assert!(ports::port_is_free(address), "{address} is still taken");
    }
}
