//! What runs while the filter is measured: an Envoy with a listener for each contender, and a
//! second one that is store and backend to all of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use testkit::envoy::{Envoy, Options};
use testkit::http;
use testkit::{Error, Result};

use super::cases::{CASES, Case, End, FEW, HEADERS};
use super::config::{self, Answer, Route};
use super::floor;
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
    /// Our filter, built otherwise.
    Variant(&'static str),
}

impl Contender {
    /// Its name on the command line and in the report.
    pub fn name(&self) -> &'static str {
        match self {
            Contender::Native => "native",
            Contender::Floor => "floor",
            Contender::Lua => "lua",
            Contender::Ours => "ours",
            Contender::Variant(name) => name,
        }
    }

    /// Whether it is our filter built otherwise.
    pub fn is_variant(&self) -> bool {
        matches!(self, Contender::Variant(_))
    }

    /// The listener that serves this case.
    fn listener(&self, case: &Case) -> String {
        match self {
            Contender::Native | Contender::Floor => format!("{}_{}", self.name(), case.name),
            Contender::Variant(name) => format!("variant_{name}"),
            _ => self.name().to_owned(),
        }
    }
}

/// Both Envoys.
#[derive(Debug)]
pub struct Bench {
    /// The one that is measured.
    pub envoy: Envoy,
    /// Store and backend.
    pub server: Envoy,
    /// By listener.
    addresses: BTreeMap<String, SocketAddr>,
    /// By case.
    answers: BTreeMap<&'static str, Answer>,
}

impl Bench {
    /// Starts them, with as many workers as `options` say. `modules`: ours, and those of the variants.
    pub fn start(
        options: Options,
        cores: &Cores,
        modules: &[(Contender, PathBuf)],
        contenders: &[Contender],
    ) -> Result<Bench> {
        let counted = Answer {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: r#"{"count":7}"#.to_owned(),
        };
        let server = cores.serving(|| Envoy::start(&config::server(counted)))??;
        let address = server.listener_address("server")?;

        let [(_, ours), ..] = modules else {
            return Err(Error::new("There is no module to measure."));
        };
        let mut names = vec![Contender::Ours.name().to_owned(), Contender::Lua.name().to_owned()];
        let through = Route::Cluster("backend");
        let mut listeners = vec![
            config::listener("ours", &[config::wasm_filter(ours)], through.clone()),
            config::listener("lua", &[config::lua_filter()], through.clone()),
        ];
        let clusters = [("store", address), ("backend", address)];
        let answers = {
            let first = Envoy::start(&config::bootstrap(listeners.clone(), &clusters))?;
            our_answers(first.listener_address("ours")?)?
        };
        for case in &CASES {
            let name = Contender::Native.listener(case);
            let route = match (case.end, answers.get(case.name)) {
                (End::Rejected, Some(answer)) => Route::Direct(answer.clone()),
                (End::Counted, _) => Route::Cluster("store"),
                _ => through.clone(),
            };
            listeners.push(config::listener(&name, &[], route));
            names.push(name);
            let floor = contenders.contains(&Contender::Floor);
            if let Some(answer) = answers.get(case.name).filter(|_| floor) {
                let name = Contender::Floor.listener(case);
                let filter = config::wasm_filter(&floor::build(case, answer)?);
                listeners.push(config::listener(&name, &[filter], through.clone()));
                names.push(name);
            }
        }
        for (variant, module) in modules.iter().skip(1) {
            let name = format!("variant_{}", variant.name());
            listeners.push(config::listener(
                &name,
                &[config::wasm_filter(module)],
                through.clone(),
            ));
            names.push(name);
        }
        let bootstrap = config::bootstrap(listeners, &clusters);
        let envoy = cores.measured(|| options.start(&bootstrap))??;
        let address = |name: String| Ok((name.clone(), envoy.listener_address(&name)?));
        let addresses = names.into_iter().map(address).collect::<Result<_>>()?;
        Ok(Bench { envoy, server, addresses, answers })
    }

    /// Where a contender listens for a case.
    pub fn address(&self, contender: &Contender, case: &Case) -> Result<SocketAddr> {
        let listener = contender.listener(case);
        let address = self.addresses.get(&listener).copied();
        address.ok_or_else(|| Error::new(format!("There is no listener {listener}.")))
    }

    /// The status that answers a case.
    pub fn status(&self, case: &Case) -> u16 {
        self.answers.get(case.name).map_or(0, |answer| answer.status)
    }

    /// How many requests a contender has answered.
    pub fn answered(&self, contender: &Contender, case: &Case) -> Result<u64> {
        let name = format!("http.{}.downstream_rq_completed", contender.listener(case));
        let text = self.envoy.admin_get(&format!("/stats?filter=^{name}$"))?;
        let number = text.trim().rsplit_once(": ").and_then(|(_, number)| number.parse().ok());
        number.ok_or_else(|| Error::new(format!("Envoy has no {name}, but {text:?}.")))
    }

    /// An error unless every contender answers every measured request with the same status, body
    /// and headers; Envoy alone may add headers of its own to what it proxies.
    pub fn check_answers(&self, contenders: &[Contender]) -> Result<()> {
        for case in &CASES {
            for headers in HEADERS {
                let request = case.request(headers);
                for contender in contenders {
                    let mut answer = ask(self.address(contender, case)?, &request)?;
                    answer.headers.retain(|(name, _)| name != UPSTREAM_TIME);
                    if Some(&answer) != self.answers.get(case.name) {
                        return Err(Error::new(format!(
                            "{} answers {} with {headers} headers {answer:?}, not {:?}.",
                            contender.name(),
                            case.name,
                            self.answers.get(case.name)
                        )));
                    }
                }
            }
        }
        Ok(())
    }
}

const UPSTREAM_TIME: &str = "x-envoy-upstream-service-time";

/// What Envoy adds to every answer, or what differs from one to the next.
const ENVOYS_OWN: [&str; 3] = ["content-length", "date", "server"];

fn our_answers(address: SocketAddr) -> Result<BTreeMap<&'static str, Answer>> {
    let mut answers = BTreeMap::new();
    for case in &CASES {
        let mut answer = ask(address, &case.request(FEW))?;
        answer.headers.retain(|(name, _)| name != UPSTREAM_TIME);
        answers.insert(case.name, answer);
    }
    Ok(answers)
}

fn ask(address: SocketAddr, request: &Request) -> Result<Answer> {
    let headers = request.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let headers: Vec<(&str, &[u8])> = headers.collect();
    let response = http::request(address, request.method, &request.target, &headers)?;
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
