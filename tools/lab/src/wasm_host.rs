//! The release module in the wasm host: a million requests of every kind, clients that hang up in
//! mid-callout or in a pause, filters that are replaced. What leaks shows as linear memory, which never shrinks.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use testkit::wasm::{End, Host, Module, Stream};
use testkit::workspace;

use crate::{Findings, Options};

const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}}"#;
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
    let (host, time) = (Host::start(&module, CONFIGURATION)?, Duration::ZERO);
    let mut vm = Vm { host, time, ends: BTreeMap::new() };
    let long = format!("{PATH}?name={}", "a".repeat(8_000));
    let warm_up = requests / 10;
    let (mut memory_after_warm_up, mut replaced) = (0, 0);
    for n in 0..requests {
        vm.serve(n, request(n, &long))?;
        if n % REPLACED_EVERY == REPLACED_EVERY - 1 {
            let old = vm.host.replace_root(CONFIGURATION)?;
            vm.host.delete_root(old)?;
            replaced += 1;
        }
        if n == warm_up {
            memory_after_warm_up = vm.host.memory_bytes();
        }
    }
    let (ends, memory) = (vm.ends, vm.host.memory_bytes());
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
