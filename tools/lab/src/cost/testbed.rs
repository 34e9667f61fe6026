//! What runs while a case is measured: an Envoy with a listener for each contender, and a second one
//! that is store and backend to all of them.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use testkit::envoy::config::{Listener, to_cluster};
use testkit::envoy::{self, Envoy, filters};
use testkit::{bypass_route, http, workspace};

use super::config::{self, Answer, LUA, wasm_filter_with as with};
use super::floor;
use super::plan::Contender;
use super::requests::{Case, End, FEW, HEADERS};
use crate::cores::Cores;
use crate::oha::{Amount, Request, Traffic};

/// Both Envoys, for one case.
#[derive(Debug)]
pub struct Testbed {
    /// The one that is measured.
    pub envoy: Envoy,
    /// Store and backend.
    pub server: Envoy,
    case: Case,
    /// What answers the case.
    answer: Answer,
    addresses: Vec<(Contender, SocketAddr)>,
}

impl Testbed {
    /// Starts them, the one that is measured as `options` say.
    ///
    /// # Errors
    /// If one does not start, or a contender answers a request of the case with another status, body or
    /// headers than our filter; Envoy alone may add headers of its own to what it proxies.
    pub fn start(
        case: &Case,
        contenders: &[Contender],
        options: envoy::Options,
        cores: &Cores,
    ) -> Result<Testbed> {
        let counted = Answer {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: r#"{"count":7}"#.to_owned(),
        };
        let server = cores.serving(|| Envoy::start(config::server(&counted)))??;
        let address = server.listener_address("server")?;
        // From an Envoy of its own: the others are configured with it.
        let ours = listener(&Contender::Ours, case, &Answer::default())?;
        let ours = Envoy::start(config::before(address, [ours]))?;
        let (answer, _) = ask(ours.listener_address("ours")?, &case.request(FEW))?;
        drop(ours);
        let listeners = contenders.iter().map(|of| listener(of, case, &answer));
        let configuration = config::before(address, listeners.collect::<Result<Vec<_>>>()?);
        let envoy = cores.measured(|| options.start(configuration))??;
        let address = |of: &Contender| Ok((of.clone(), envoy.listener_address(of.name())?));
        let addresses = contenders.iter().map(address).collect::<Result<_>>()?;
        let testbed = Testbed { envoy, server, case: *case, answer, addresses };
        testbed.check_answers()?;
        Ok(testbed)
    }

    /// Where a contender listens.
    pub fn address(&self, of: &Contender) -> Result<SocketAddr> {
        let found = self.addresses.iter().find(|(contender, _)| contender == of);
        Ok(found.with_context(|| format!("there is no listener {}", of.name()))?.1)
    }

    /// As many requests to a contender as it answers.
    pub fn traffic<'a>(
        &self,
        to: &Contender,
        request: &'a Request,
        connections: usize,
        amount: Amount,
    ) -> Result<Traffic<'a>> {
        Ok(Traffic::new(self.address(to)?, request, connections, amount))
    }

    /// The status that answers the case.
    pub fn status(&self) -> u16 {
        self.answer.status
    }

    /// How many requests a contender has answered.
    pub fn answered(&self, of: &Contender) -> Result<u64> {
        self.envoy.stat(&format!("http.{}.downstream_rq_completed", of.name()))
    }

    fn check_answers(&self) -> Result<()> {
        let Testbed { case, answer: expected, .. } = self;
        for headers in HEADERS {
            let request = case.request(headers);
            for (contender, address) in &self.addresses {
                let [answer, again] = [ask(*address, &request)?, ask(*address, &request)?];
                let (name, case) = (contender.name(), case.name);
                for (answer, _) in [&answer, &again] {
                    ensure!(
                        answer == expected,
                        "{name} answers {case} with {headers} headers {answer:?}, not {expected:?}"
                    );
                }
                let remembers = contender.remembers_counts() && self.case.end == End::Counted;
                let (_, has_age) = again;
                ensure!(has_age == remembers, "{name} answers {case} from memory: {has_age}");
            }
        }
        Ok(())
    }
}

/// What a contender listens with.
fn listener(of: &Contender, case: &Case, answer: &Answer) -> Result<Listener> {
    let (module, name) = (workspace::filter_module, of.name());
    let filter = match of {
        Contender::Native => None,
        Contender::Floor => Some(config::wasm_filter(&floor::build(case, answer)?)),
        Contender::Lua => Some(filters::lua(LUA)),
        Contender::Ours | Contender::Routed => Some(config::wasm_filter(&module()?)),
        Contender::Callers => Some(with(&module()?, name, [config::keystone("300s")])),
        Contender::Cold => Some(with(&module()?, name, [config::keystone("0s")])),
        Contender::Hit => Some(with(&module()?, name, [config::cache()])),
        Contender::CallersHit => {
            Some(with(&module()?, name, [config::keystone("300s"), config::cache()]))
        }
        Contender::Metrics => Some(with(&module()?, name, [config::metrics()])),
        Contender::Build(_, module) => Some(config::wasm_filter(module)),
    };
    let listener = filter.into_iter().fold(Listener::new(name), Listener::filter);
    Ok(match (of, case.end) {
        (Contender::Native, End::Rejected) => listener.route(answer.route()),
        (Contender::Native, End::Counted) => listener.route(to_cluster("", "store")),
        (Contender::Routed, _) => {
            listener.route(bypass_route::route("backend")).route(to_cluster("", "backend"))
        }
        _ => listener.route(to_cluster("", "backend")),
    })
}

/// What Envoy adds to every answer, or what differs from one to the next.
const ENVOYS_OWN: [&str; 5] =
    ["age", "content-length", "date", "server", "x-envoy-upstream-service-time"];

/// The answer, and whether it was remembered.
fn ask(address: SocketAddr, request: &Request) -> Result<(Answer, bool)> {
    let response =
        http::request(address, request.method, &request.target, &request.header_bytes())?;
    let headers = response.headers.iter().filter(|(name, _)| !ENVOYS_OWN.contains(&name.as_str()));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mut headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.clone(), text(value))).collect();
    headers.sort();
    let has_age = response.header("age").is_some();
    Ok((Answer { status: response.status, headers, body: response.text() }, has_age))
}

/// What the figures rest on, without the load: all that are measured do the same job.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::requests::CASES;

    #[test]
    fn every_contender_gives_the_same_answers() {
        let cores = Cores::new().unwrap();
        let statuses = CASES.map(|case| {
            // All of them compare their answers, `Routed` also in cases in which it is not measured.
            Testbed::start(&case, &Contender::ALL, Envoy::options(), &cores).unwrap().status()
        });
        assert_eq!(statuses, [405, 406, 400, 200, 200, 200]);
    }

    #[test]
    fn behind_the_route_the_filter_counts_and_to_another_path_it_is_not_there() {
        let cores = Cores::new().unwrap();
        for case in CASES {
            let options = Envoy::options().component_log_level("wasm:trace");
            let testbed = Testbed::start(&case, &[Contender::Routed], options, &cores).unwrap();
            let asked = ["store", "backend"].map(|cluster| {
                testbed.envoy.stat(&format!("cluster.{cluster}.upstream_rq_total")).unwrap()
            });
            let log = testbed.envoy.stop().unwrap();
            let entered = log.matches("[host->vm] proxy_on_request_headers(").count();
            // Each case twice with few headers, and twice with many.
            let expected = match case.end {
                End::Rejected => (4, [0, 0]),
                End::Counted => (4, [4, 0]),
                End::Passed => (0, [0, 4]),
            };
            assert_eq!((entered, asked), expected, "{}", case.name);
        }
    }
}
