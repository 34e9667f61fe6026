//! The release module in the wasm host: a million requests of every kind, clients that hang up in
//! mid-callout or in a pause, filters that are replaced. What leaks shows as linear memory, which never shrinks.

mod remembered;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use testkit::wasm::{End, Host, Module, Stream};
use testkit::workspace;

use crate::{Findings, Options};

use remembered::{REMEMBERED, SHARED, Said};

const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}}"#;
/// The same with Keystone, which most callers are asked about anew.
const CALLERS: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}, "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "timeout": "2s", "max_tokens": 100}}}"#;
const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
const STATUS_200: &[(&[u8], &[u8])] = &[(b":status", b"200"), (b"server", b"count-store")];

/// After this many requests, a new filter takes the old one's place.
const REPLACED_EVERY: u64 = 10_000;

#[derive(Serialize)]
struct Figures {
    requests: u64,
    /// How often a request ended in each way.
    ends: BTreeMap<&'static str, u64>,
    replaced: u64,
    warm_up: u64,
    /// Linear memory in bytes, after `warm_up` requests and after all.
    memory_after_warm_up: usize,
    memory: usize,
}

/// Runs it. An error is a trap, or a request that has no end, or two.
pub fn run(options: &Options) -> Result<Findings> {
    let requests = options.pick(20_000, 1_000_000);
    let module = Module::load(&workspace::filter_module()?)?;
    let vm = |configuration| -> Result<Vm> {
        let host = Host::start(&module, configuration)?;
        Ok(Vm { host, configuration, time: Duration::ZERO, ends: BTreeMap::new() })
    };
    let mut remembering = [vm(REMEMBERED)?, vm(SHARED)?].map(|vm| (vm, Said::new()));
    let (mut vm, mut callers) = (vm(CONFIGURATION)?, vm(CALLERS)?);
    let long = format!("{PATH}?name={}", "a".repeat(8_000));
    // The first replacement is part of it.
    let warm_up = (requests / 10).max(REPLACED_EVERY * 3 / 2);
    let (mut memory_after_warm_up, mut replaced) = (0, 0);
    let memory_of = |vm: &Vm, callers: &Vm, remembering: &[(Vm, Said); 2]| -> usize {
        let rest = remembering.iter().map(|(vm, _)| vm);
        [vm, callers].into_iter().chain(rest).map(|vm| vm.host.memory_bytes()).sum()
    };
    for n in 0..requests {
        vm.serve(n, request(n, &long))?;
        callers.serve_caller(n)?;
        for (vm, said) in &mut remembering {
            vm.serve_remembered(n, said)?;
        }
        if n % REPLACED_EVERY == REPLACED_EVERY - 1 {
            vm.replace()?;
            callers.replace()?;
            for (vm, said) in &mut remembering {
                vm.replace()?;
                said.clear();
            }
            replaced += 1;
        }
        if n == warm_up {
            memory_after_warm_up = memory_of(&vm, &callers, &remembering);
        }
    }
    let memory = memory_of(&vm, &callers, &remembering);
    let mut ends = vm.ends;
    ends.extend(callers.ends);
    for (end, requests) in remembering.into_iter().flat_map(|(vm, _)| vm.ends) {
        *ends.entry(end).or_default() += requests;
    }
    let mut failures = Vec::new();
    if memory != memory_after_warm_up {
        let grown = memory - memory_after_warm_up;
        failures.push(format!("the linear memory grew by {grown} bytes"));
    }
    Findings::new(
        Figures { requests, ends, replaced, warm_up, memory_after_warm_up, memory },
        failures,
    )
}

struct Vm {
    host: Host,
    configuration: &'static str,
    /// What its clock shows.
    time: Duration,
    /// How often a request ended in each way.
    ends: BTreeMap<&'static str, u64>,
}

/// A request: method, path, accept, and the status it is refused with, if it is.
type Request<'a> = (&'a str, &'a str, &'a str, Option<u32>);

/// Each kind in its turn; the long ones move the allocator.
fn request(n: u64, long: &str) -> Request<'_> {
    const FULL: &str = "/v2/p1/os-vendor-backup-sharing/count?share_to_me=no&name=%C3%A9&\
                        from_project_id=p1&status=error";
    match n % 10 {
        0 => ("GET", "/v2/p1/backups", "*/*", None),
        1 => ("PUT", PATH, "*/*", Some(405)),
        2 => ("GET", PATH, "image/png, text/html;q=0.5", Some(406)),
        3 => ("GET", long, "*/*", Some(400)),
        4 | 5 => ("GET", FULL, "application/json", None),
        _ => ("GET", PATH, "*/*", None),
    }
}

impl Vm {
    fn serve(&mut self, n: u64, (method, path, accept, refused): Request) -> Result<()> {
        let headers = [(":method", method), (":path", path), ("accept", accept)]
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let step = self.host.request(&headers)?;
        let end = match step.end {
            End::Continue => "passed",
            End::Reply(reply) if Some(reply.status) == refused => "refused",
            End::Callout(_) if refused.is_none() => self.ask(n, step.stream)?,
            end => {
                bail!("{method} {path} should be refused with {refused:?}, and ended as {end:?}")
            }
        };
        *self.ends.entry(end).or_default() += 1;
        if matches!(end, "passed" | "refused") {
            self.host.finish(step.stream)?;
        }
        Ok(())
    }

    /// A new filter takes the old one's place.
    fn replace(&mut self) -> Result<()> {
        let old = self.host.replace_root(self.configuration)?;
        self.host.delete_root(old)
    }

    /// A count whose caller Keystone is asked about, unless it is remembered: each fourth token is one of ten.
    fn serve_caller(&mut self, n: u64) -> Result<()> {
        let number = if n.is_multiple_of(4) { n % 10 } else { n };
        let token = format!("token-{number}");
        let fields = [(":method", "GET"), (":path", PATH), ("x-auth-token", &token)];
        let headers = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let step = self.host.request(&headers)?;
        let stream = step.stream;
        let mut end = step.end;
        let asked = matches!(&end, End::Callout(callout) if callout.cluster == "keystone");
        let (what, status, body, times) = match number % 7 {
            1 => ("caller: 401 by Keystone", 401, String::new(), 1),
            2 => ("caller: another project's", 403, known("p2"), 1),
            3 => ("caller: two answers broke off", 502, String::new(), 2),
            _ => ("caller: counted", 200, known("p1"), 1),
        };
        if asked && n % 35 == 5 {
            self.host.finish(stream)?;
            let step = self.host.callout_response(stream, STATUS_200, body.as_bytes())?;
            ensure!(step.end == End::Finished, "a caller that has gone got {:?}", step.end);
            *self.ends.entry("caller: hung up before Keystone answered").or_default() += 1;
            return Ok(());
        }
        if asked {
            let said: &[(&[u8], &[u8])] = match status {
                401 => &[(b":status", b"401")],
                502 => &[],
                _ => STATUS_200,
            };
            for _ in 0..times {
                end = self.host.callout_response(stream, said, body.as_bytes())?.end;
            }
        }
        if let End::Callout(_) = end {
            end = self.host.callout_response(stream, STATUS_200, br#"{"count":2}"#)?.end;
        }
        match end {
            End::Reply(reply) if reply.status == status => {}
            end => bail!("{what}, and it ended as {end:?}"),
        }
        let what = if asked { what } else { "caller: remembered" };
        *self.ends.entry(what).or_default() += 1;
        self.host.finish(stream)?;
        Ok(())
    }

    /// How a request ends that the store is asked about.
    fn ask(&mut self, n: u64, stream: Stream) -> Result<&'static str> {
        let count = r#"{"count":2}"#.to_owned();
        if n.is_multiple_of(7) {
            self.host.finish(stream)?;
            let step = self.host.callout_response(stream, STATUS_200, count.as_bytes())?;
            ensure!(step.end == End::Finished, "a client that has gone got {:?}", step.end);
            return Ok("hung up before the answer");
        }
        let (end, status, headers, body) = match n % 7 {
            2 => ("three answers broke off", 502, &[][..], String::new()),
            3 if n % 21 == 3 => ("too long an answer", 502, STATUS_200, "[".repeat(70_000)),
            3 => ("no count in the answer", 502, STATUS_200, "[".repeat(50)),
            _ => ("counted", 200, STATUS_200, count),
        };
        let mut last = self.host.callout_response(stream, headers, body.as_bytes())?.end;
        loop {
            last = match last {
                End::Reply(reply) if reply.status == status => {
                    ensure!(
                        status != 200 || reply.body == body.as_bytes(),
                        "{body} became {reply:?}"
                    );
                    self.host.finish(stream)?;
                    return Ok(end);
                }
                // It broke off, and is asked again.
                End::Callout(_) => {
                    self.host.callout_response(stream, headers, body.as_bytes())?.end
                }
                // Some clients do not wait for the end of the pause.
                End::Pause if n % 35 == 2 => {
                    self.host.finish(stream)?;
                    self.pass_time()?;
                    return Ok("hung up in a pause, after two answers broke off");
                }
                End::Pause => self.pass_time()?.pop().context("a pause has no end")?.1,
                last => bail!("{end}, and it ended as {last:?}"),
            };
        }
    }

    /// As long as a pause takes.
    fn pass_time(&mut self) -> Result<Vec<(Stream, End)>> {
        self.time += Duration::from_millis(10);
        self.host.set_clock(self.time);
        self.host.tick()
    }
}

/// What Keystone says of a token of this project.
fn known(project: &str) -> String {
    format!(r#"{{"token":{{"project":{{"id":"{project}"}},"expires_at":"2100-01-01T00:00:00Z"}}}}"#)
}
