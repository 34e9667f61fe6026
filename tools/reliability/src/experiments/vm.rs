//! The release module in the wasm host: a million requests of every kind, clients that hang up in
//! mid-callout or in a pause, filters that are replaced. What leaks shows as linear memory, which never shrinks.

use std::collections::BTreeMap;
use std::time::Duration;

use testkit::wasm::{End, Host, Module, Stream};
use testkit::{Error, Result, workspace};

use crate::{Scale, Section};

const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}}"#;
const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
const STATUS_200: &[(&[u8], &[u8])] = &[(b":status", b"200"), (b"server", b"count-store")];

/// Every so many requests, a new filter takes the old one's place.
const REPLACED_EVERY: u64 = 10_000;

/// Runs it.
pub fn run(scale: Scale) -> Result<Section> {
    let requests = scale.pick(20_000, 1_000_000);
    let module = Module::load(&workspace::filter_module()?)?;
    let (host, time) = (Host::start(&module, CONFIGURATION)?, Duration::ZERO);
    let mut vm = Vm { host, time, ends: BTreeMap::new() };
    let traffic = Traffic::new();
    let warm_up = requests / 10;
    let mut after_warm_up = 0;
    for n in 0..requests {
        vm.serve(n, traffic.request(n))?;
        if n % REPLACED_EVERY == REPLACED_EVERY - 1 {
            let old = vm.host.replace_root(CONFIGURATION)?;
            vm.host.delete_root(old)?;
        }
        if n == warm_up {
            after_warm_up = vm.host.memory_bytes();
        }
    }
    let memory = vm.host.memory_bytes();
    let mut section = Section::default();
    section.text.push_str("| what became of a request | requests |\n|---|---:|\n");
    for (end, number) in &vm.ends {
        section.text.push_str(&format!("| {end} | {number} |\n"));
    }
    section.text.push_str(&format!(
        "\nTraps: 0. Requests with none or two ends: 0 (the host stops at the first). A new filter \
         took the place of the old one {} times.\n\nLinear memory after {warm_up} requests: \
         {after_warm_up} bytes; after {requests}: {memory}.\n",
        requests / REPLACED_EVERY
    ));
    if memory != after_warm_up {
        let grown = memory - after_warm_up;
        section.failures.push(format!("the memory of the machine grew by {grown} bytes"));
    }
    Ok(section)
}

struct Vm {
    host: Host,
    /// What its clock shows.
    time: Duration,
    /// How often a request ended in each way.
    ends: BTreeMap<&'static str, u64>,
}

/// A request: method, path, accept.
type Request<'a> = (&'a str, &'a str, &'a str);

/// Requests to choose from; the long ones move the allocator.
struct Traffic {
    long: String,
}

impl Traffic {
    fn new() -> Self {
        Self { long: format!("{PATH}?name={}", "a".repeat(8_000)) }
    }

    fn request(&self, n: u64) -> Request<'_> {
        const FULL: &str = "/v2/p1/os-vendor-backup-sharing/count?share_to_me=no&name=%C3%A9&\
                            from_project_id=p1&status=error";
        match n % 10 {
            0 => ("GET", "/v2/p1/backups", "*/*"),
            1 => ("PUT", PATH, "*/*"),
            2 => ("GET", PATH, "image/png, text/html;q=0.5"),
            3 => ("GET", &self.long, "*/*"),
            4 | 5 => ("GET", FULL, "application/json"),
            _ => ("GET", PATH, "*/*"),
        }
    }
}

impl Vm {
    fn serve(&mut self, n: u64, (method, path, accept): Request) -> Result<()> {
        let headers = [(":method", method), (":path", path), ("accept", accept)]
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let step = self.host.request(&headers)?;
        let end = match step.end {
            End::Continue => "passed",
            End::Reply(_) => "refused",
            End::Callout(_) => return self.ask(n, step.stream),
            end => return Err(Error::new(format!("{method} {path} ended as {end:?}."))),
        };
        self.count(end);
        self.host.finish(step.stream).map(drop)
    }

    fn ask(&mut self, n: u64, stream: Stream) -> Result<()> {
        let (end, headers, body) = match n % 7 {
            0 => ("counted after its client hung up", STATUS_200, r#"{"count":1}"#.into()),
            2 => (
                "three answers broke off, or two and then the client hung up",
                &[][..],
                String::new(),
            ),
            3 if n % 21 == 3 => ("too long an answer", STATUS_200, "[".repeat(70_000)),
            3 => ("no count in the answer", STATUS_200, "[".repeat(50)),
            _ => ("counted", STATUS_200, r#"{"count":2}"#.into()),
        };
        self.count(end);
        if n.is_multiple_of(7) {
            self.host.finish(stream)?;
            let step = self.host.callout_response(stream, headers, body.as_bytes())?;
            return match step.end {
                End::Finished => Ok(()),
                end => Err(Error::new(format!("A client that has gone got {end:?}."))),
            };
        }
        let mut end = self.host.callout_response(stream, headers, body.as_bytes())?.end;
        loop {
            end = match end {
                End::Reply(_) => return self.host.finish(stream).map(drop),
                // It broke off, and is asked again.
                End::Callout(_) => {
                    self.host.callout_response(stream, headers, body.as_bytes())?.end
                }
                // Some clients do not wait for the end of the pause.
                End::Pause if n % 35 == 2 => {
                    self.host.finish(stream)?;
                    return self.pass_time().map(drop);
                }
                End::Pause => match self.pass_time()?.pop() {
                    Some((_, end)) => end,
                    None => return Err(Error::new("A pause has no end.")),
                },
                end => return Err(Error::new(format!("An answer ended as {end:?}."))),
            };
        }
    }

    /// As long as a pause takes.
    fn pass_time(&mut self) -> Result<Vec<(Stream, End)>> {
        self.time += Duration::from_millis(10);
        self.host.set_clock(self.time);
        self.host.tick()
    }

    fn count(&mut self, end: &'static str) {
        *self.ends.entry(end).or_default() += 1;
    }
}
