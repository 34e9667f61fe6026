//! What runs while a case is measured: an Envoy with a listener for each contender, and a second one
//! that is store and backend to all of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::envoy::{self, Envoy};
use testkit::{Error, Progress, Result, http, workspace};

use super::cases::{Case, End, FEW, HEADERS};
use super::config::{self, Answer, Route};
use super::floor;
use crate::Options;
use crate::machine::Cores;
use crate::oha::Request;

/// Somebody who does the filter's job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// Envoy alone.
    Native,
    /// A wasm filter that only makes the host calls.
    Floor,
    /// Envoy's Lua filter.
    Lua,
    /// Our filter.
    Ours,
    /// Our filter, left out by a route of what cannot be for it ([`testkit::bypass_route`]).
    Routed,
    /// Another build of our filter.
    Build(String),
}

impl Contender {
    /// Its name on the command line and in the report.
    pub fn name(&self) -> &str {
        match self {
            Contender::Native => "native",
            Contender::Floor => "floor",
            Contender::Lua => "lua",
            Contender::Ours => "ours",
            Contender::Routed => "routed",
            Contender::Build(name) => name,
        }
    }

    /// Whether it is another build of our filter.
    pub fn is_build(&self) -> bool {
        matches!(self, Contender::Build(_))
    }

    /// Whether it is asked in a case. What the route saves shows another path, and what it costs
    /// shows the shortest of the filter's answers.
    pub fn takes_part(&self, case: &Case) -> bool {
        *self != Contender::Routed || ["pass", "method"].contains(&case.name)
    }
}

/// The build that `cargo build` makes, with all that the SDK exports.
pub const PLAIN: &str = "plain";

/// The builds of our filter.
#[derive(Clone, Debug)]
pub struct Modules {
    /// As it is handed out.
    pub ours: PathBuf,
    /// The others, by name.
    pub others: BTreeMap<String, PathBuf>,
}

/// Both Envoys, for one case.
#[derive(Debug)]
pub struct Bench {
    /// The one that is measured. Its virtual machines are the contenders' alone.
    pub envoy: Envoy,
    /// Store and backend.
    pub server: Envoy,
    case: Case,
    /// What answers the case.
    answer: Answer,
    addresses: BTreeMap<Contender, SocketAddr>,
}

// === impl Modules ===

impl Modules {
    /// Ours alone.
    pub fn ours() -> Result<Modules> {
        Ok(Modules { ours: workspace::filter_module()?, others: BTreeMap::new() })
    }

    /// Ours, as cargo builds it, and what `options` name.
    pub fn all(options: &Options) -> Result<Modules> {
        let mut modules = Modules::ours()?;
        modules.others.insert(PLAIN.to_owned(), workspace::plain_filter_module(Progress::Shown)?);
        modules.others.extend(options.builds.iter().cloned());
        Ok(modules)
    }

    fn other(&self, name: &str) -> Result<&Path> {
        let module = self.others.get(name).map(PathBuf::as_path);
        module.ok_or_else(|| Error::new(format!("There is no build {name}.")))
    }
}

// === impl Bench ===

impl Bench {
    /// Starts them, the one that is measured as `options` say.
    pub fn start(
        case: &Case,
        contenders: &[Contender],
        modules: &Modules,
        options: envoy::Options,
        cores: &Cores,
    ) -> Result<Bench> {
        let counted = Answer {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: r#"{"count":7}"#.to_owned(),
        };
        let server = cores.serving(|| Envoy::start(config::server(counted)))??;
        let address = server.listener_address("server")?;
        let clusters = [("store", address), ("backend", address)];
        let answer = our_answer(case, modules, &clusters)?;
        let listeners = contenders.iter().map(|of| listener(of, case, &answer, modules));
        let bootstrap = config::bootstrap(listeners.collect::<Result<_>>()?, &clusters);
        let envoy = cores.measured(|| options.start(&bootstrap))??;
        let address = |of: &Contender| Ok((of.clone(), envoy.listener_address(of.name())?));
        let addresses = contenders.iter().map(address).collect::<Result<_>>()?;
        Ok(Bench { envoy, server, case: *case, answer, addresses })
    }

    /// Where a contender listens.
    pub fn address(&self, contender: &Contender) -> Result<SocketAddr> {
        let address = self.addresses.get(contender).copied();
        address.ok_or_else(|| Error::new(format!("There is no listener {}.", contender.name())))
    }

    /// The status that answers the case.
    pub fn status(&self) -> u16 {
        self.answer.status
    }

    /// How many requests a contender has answered.
    pub fn answered(&self, contender: &Contender) -> Result<u64> {
        let name = format!("http.{}.downstream_rq_completed", contender.name());
        let text = self.envoy.admin_get(&format!("/stats?filter=^{name}$"))?;
        let number = text.trim().rsplit_once(": ").and_then(|(_, number)| number.parse().ok());
        number.ok_or_else(|| Error::new(format!("Envoy has no {name}, but {text:?}.")))
    }

    /// An error unless every contender answers every request of the case with the same status, body
    /// and headers; Envoy alone may add headers of its own to what it proxies.
    pub fn check_answers(&self) -> Result<()> {
        let Bench { case, answer: expected, .. } = self;
        for headers in HEADERS {
            let request = case.request(headers);
            for (contender, &address) in &self.addresses {
                let answer = ask(address, &request)?;
                if answer != *expected {
                    return Err(Error::new(format!(
                        "{} answers {} with {headers} headers {answer:?}, not {expected:?}.",
                        contender.name(),
                        case.name,
                    )));
                }
            }
        }
        Ok(())
    }
}

/// What a contender listens with.
fn listener(of: &Contender, case: &Case, answer: &Answer, modules: &Modules) -> Result<Value> {
    let through = Route::Cluster("backend");
    let (filter, route) = match of {
        Contender::Native => match case.end {
            End::Rejected => (None, Route::Direct(answer.clone())),
            End::Counted => (None, Route::Cluster("store")),
            End::Passed => (None, through),
        },
        Contender::Floor => (Some(config::wasm_filter(&floor::build(case, answer)?)), through),
        Contender::Lua => (Some(config::lua_filter()), through),
        Contender::Ours => (Some(config::wasm_filter(&modules.ours)), through),
        Contender::Routed => (Some(config::wasm_filter(&modules.ours)), Route::Routed("backend")),
        Contender::Build(name) => (Some(config::wasm_filter(modules.other(name)?)), through),
    };
    Ok(config::listener(of.name(), filter.as_slice(), route))
}

/// What Envoy adds to every answer, or what differs from one to the next.
const ENVOYS_OWN: [&str; 4] = ["content-length", "date", "server", "x-envoy-upstream-service-time"];

/// From an Envoy of its own: the others are configured with it.
fn our_answer(case: &Case, modules: &Modules, clusters: &[(&str, SocketAddr)]) -> Result<Answer> {
    let filters = [config::wasm_filter(&modules.ours)];
    let listener = config::listener("ours", &filters, Route::Cluster("backend"));
    let envoy = Envoy::start(config::bootstrap(vec![listener], clusters))?;
    ask(envoy.listener_address("ours")?, &case.request(FEW))
}

fn ask(address: SocketAddr, request: &Request) -> Result<Answer> {
    let headers = request.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let headers: Vec<(&str, &[u8])> = headers.collect();
    let Request { method, target, body, .. } = request;
    let mut connection = http::Connection::open(address)?;
    let response = connection.request_with_body(method, target, &headers, body)?;
    let headers = response.headers.iter().filter(|(name, _)| !ENVOYS_OWN.contains(&name.as_str()));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mut headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.clone(), text(value))).collect();
    headers.sort();
    Ok(Answer { status: response.status, headers, body: response.text() })
}

/// The configuration of an Envoy with one listener, `only`, that answers 405 to all it is asked;
/// with a module, the filter does it.
pub fn one_listener(module: Option<&Path>) -> String {
    let answer = Answer { status: 405, headers: Vec::new(), body: String::new() };
    let filters: Vec<_> = module.map(config::wasm_filter).into_iter().collect();
    let listener = config::listener("only", &filters, Route::Direct(answer));
    // The filter wants a cluster of this name when it asks; here it never does.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    config::bootstrap(vec![listener], &[("store", nobody)])
}
