//! What `cost` measures in time, in instructions: a figure that repeats, whatever else the machine
//! does. [`callgrind`] runs Envoy under valgrind and reads its counters.

mod callgrind;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use testkit::http::Connection;

use self::callgrind::Callgrind;
use crate::cores::Cores;
use crate::cost::plan::{Contender, Plan, plans};
use crate::cost::requests::{CASES, Case, End, FEW};
use crate::cost::testbed::Testbed;
use crate::oha::Request;
use crate::statistics::least;
use crate::{Findings, Options};

/// How long an answer may take: the first ones wait for valgrind to translate Envoy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Modules in one Envoy. For the memory of a fifth valgrind has no addresses.
const MODULES: usize = 4;

/// How much is counted.
#[derive(Clone, Copy, Debug, Serialize)]
struct Repetitions {
    /// Requests with each number of headers to each contender before: V8 compiles anew what runs often.
    warm_up: usize,
    /// Requests of each count.
    requests: usize,
    /// Counts of each figure.
    counts: usize,
}

/// What the page shows.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    valgrind: String,
    arguments: String,
    #[serde(flatten)]
    repetitions: Repetitions,
    cases: Vec<CaseCounts>,
}

/// The instructions that a case with this number of header fields takes, and what it may take.
#[derive(Clone, Debug, Serialize)]
struct CaseCounts {
    what: &'static str,
    headers: usize,
    /// Of each contender, by its name: the least of its counts, for what comes from elsewhere only adds.
    of: BTreeMap<String, f64>,
    /// By how much the counts of one contender differ at most, as a part of the least.
    spread: f64,
    most_of_native: f64,
    most_of_lua: Option<f64>,
    most_for_a_caller: f64,
    /// What a remembered count takes, where it was counted.
    hit: Vec<Bound>,
}

/// The most that a count may take whose caller is remembered, as a multiple of one without callers.
const MOST_FOR_A_CALLER: f64 = 1.08;

/// What something takes as a multiple of something else, and the most that it may take.
#[derive(Clone, Copy, Debug, Serialize)]
struct Bound {
    what: &'static str,
    of: &'static str,
    ratio: f64,
    most: f64,
}

/// A remembered count beside our 405, the shortest of the filter's answers, and beside proxying; and one whose caller is
/// remembered too.
fn hit(of: &BTreeMap<String, f64>, our_405: Option<f64>, are_few: bool) -> Vec<Bound> {
    let (count, both) = ("a remembered count", "with a remembered token");
    let [hit, callers_hit, native] =
        ["hit", "callers_hit", "native"].map(|name| of.get(name).copied());
    let bound = |what, part: Option<f64>, of, whole: Option<f64>, [few, many]: [f64; 2]| {
        Some(Bound { what, of, ratio: part? / whole?, most: if are_few { few } else { many } })
    };
    let bounds = [
        bound(count, hit, "our 405", our_405, [1.12, 1.08]),
        bound(count, hit, "plain proxying", native, [0.82, 0.88]),
        bound(both, callers_hit, "one without callers", hit, [1.12, 1.08]),
    ];
    bounds.into_iter().flatten().collect()
}

/// The most that a request may take, as a multiple of what it takes Envoy alone. Who set these bounds, and why,
/// stands on the page.
fn most_of_native(case: &Case, headers: usize) -> f64 {
    match (case.end, headers == FEW) {
        (End::Rejected, true) => 1.35,
        (End::Rejected, false) => 1.17,
        (End::Counted, true) => 1.57,
        (End::Counted, false) => 1.33,
        (End::Passed, true) => 1.14,
        (End::Passed, false) => 1.09,
    }
}

/// Runs it.
///
/// # Errors
/// If there is no valgrind, too many builds are named, or a contender gave another answer than the filter.
pub fn run(options: &Options) -> Result<Findings> {
    let valgrind = callgrind::version()?;
    let plans = plans(options)?;
    for plan in &plans {
        // All of our filter are one.
        let are_modules = |of: &&Contender| {
            matches!(of, Contender::Floor | Contender::Ours | Contender::Build(..))
        };
        let modules = plan.contenders.iter().filter(are_modules).count();
        ensure!(
            modules <= MODULES,
            "an Envoy under valgrind holds {MODULES} modules: name fewer builds"
        );
    }
    let counts = options.rounds.unwrap_or(2).max(1);
    let repetitions =
        Repetitions { warm_up: options.pick(100, 4_000), requests: options.pick(50, 500), counts };
    let (cores, mut cases) = (Cores::new()?, Vec::new());
    for plan in &plans {
        cases.extend(counted(plan, &cores, repetitions)?);
    }
    cases.sort_by_key(|case| case.headers);
    let our_405 = cases.iter().filter(|case| case.what == CASES[0].what);
    let our_405 = our_405.filter_map(|case| Some((case.headers, *case.of.get("ours")?)));
    let our_405: BTreeMap<usize, f64> = our_405.collect();
    for case in &mut cases {
        case.hit = hit(&case.of, our_405.get(&case.headers).copied(), case.headers == FEW);
    }
    let failures = cases.iter().flat_map(CaseCounts::missed).collect();
    let arguments = callgrind::ARGUMENTS.join(" ");
    Findings::new(Figures { valgrind, arguments, repetitions, cases }, failures)
}

/// Counts in one Envoy, from its start on. It is gone when this returns.
fn counted(plan: &Plan, cores: &Cores, repetitions: Repetitions) -> Result<Vec<CaseCounts>> {
    let Plan { case, headers, contenders } = plan;
    eprintln!("   {}: starting Envoy …", case.what);
    let testbed = Testbed::start(case, contenders, callgrind::options()?, cores)?;
    // All of it before anything is counted: a request with many headers runs the code of one with few.
    eprintln!("   {}: warming up …", case.what);
    for &headers in headers {
        for contender in contenders {
            let mut connection = connect(&testbed, contender)?;
            let asked =
                ask(&mut connection, &case.request(headers), testbed.status(), repetitions.warm_up);
            asked.with_context(|| contender.name().to_owned())?;
        }
    }
    let mut callgrind = Callgrind::count(&testbed.envoy)?;
    let mut counted = Vec::new();
    for &headers in headers {
        eprintln!("   {}, {headers} headers …", case.what);
        let (request, mut all) = (case.request(headers), BTreeMap::new());
        for contender in contenders {
            let mut connection = connect(&testbed, contender)?;
            let mut asked = |times| {
                let asked = ask(&mut connection, &request, testbed.status(), times);
                asked.with_context(|| contender.name().to_owned())
            };
            // The connection is made, and valgrind has translated what will run.
            asked(repetitions.requests / 10)?;
            callgrind.zero()?;
            let mut count = || {
                asked(repetitions.requests)?;
                Ok(callgrind.take()? as f64 / repetitions.requests as f64)
            };
            let counts: Result<Vec<f64>> = (0..repetitions.counts).map(|_| count()).collect();
            all.insert(contender.name().to_owned(), counts?);
        }
        counted.push(CaseCounts::new(case, headers, &all));
    }
    Ok(counted)
}

fn connect(testbed: &Testbed, contender: &Contender) -> Result<Connection> {
    let mut connection = Connection::open(testbed.address(contender)?)?;
    connection.set_timeout(PATIENCE)?;
    Ok(connection)
}

/// One request after the other. A callout that timed out, or a filter that is not there, is an error.
fn ask(connection: &mut Connection, request: &Request, expected: u16, times: usize) -> Result<()> {
    let Request { method, target, .. } = request;
    let headers = request.header_bytes();
    for _ in 0..times {
        let status = connection.request(method, target, &headers)?.status;
        ensure!(status == expected, "{method} {target} is answered {status}, not {expected}");
    }
    Ok(())
}

// === impl CaseCounts ===

impl CaseCounts {
    fn new(case: &Case, headers: usize, counts: &BTreeMap<String, Vec<f64>>) -> CaseCounts {
        let most = |counts: &Vec<f64>| counts.iter().copied().fold(f64::NAN, f64::max);
        let spread = |counts| most(counts) / least(counts) - 1.0;
        CaseCounts {
            what: case.what,
            headers,
            spread: counts.values().map(spread).fold(0.0, f64::max),
            of: counts.iter().map(|(name, counts)| (name.clone(), least(counts))).collect(),
            most_of_native: most_of_native(case, headers),
            // Lua looks at two headers where they lie to refuse a method; a wasm filter has all of them copied.
            most_of_lua: (case.name != "method").then_some(1.0),
            most_for_a_caller: MOST_FOR_A_CALLER,
            hit: Vec::new(),
        }
    }

    /// The bounds it misses: a sentence each.
    fn missed(&self) -> Vec<String> {
        let bounds = [("native", Some(self.most_of_native)), ("lua", self.most_of_lua)];
        let missed = |(name, most): (&str, Option<f64>)| {
            let (ratio, most) = (self.of.get("ours")? / self.of.get(name)?, most?);
            let CaseCounts { what, headers, .. } = self;
            let sentence = || {
                format!(
                    "{what}, {headers} headers: instructions {ratio:.3} of {name}, not {most:.2}"
                )
            };
            (ratio > most).then(sentence)
        };
        let mut all: Vec<String> = bounds.into_iter().filter_map(missed).collect();
        if let (Some(ours), Some(callers)) = (self.of.get("ours"), self.of.get("callers")) {
            let (ratio, CaseCounts { what, headers, .. }) = (callers / ours, self);
            if ratio > MOST_FOR_A_CALLER {
                all.push(format!(
                    "{what}, {headers} headers: a remembered caller takes {ratio:.3} of a count without callers, not \
                     {MOST_FOR_A_CALLER:.2}"
                ));
            }
        }
        for Bound { what, of, ratio, most } in self.hit.iter().filter(|it| it.ratio > it.most) {
            let headers = self.headers;
            all.push(format!(
                "{what}, {headers} headers: instructions {ratio:.3} of {of}, not {most:.2}"
            ));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_count_has_three_bounds() {
        let of = [("hit", 90.0), ("native", 100.0), ("callers_hit", 99.0)];
        let of = of.map(|(name, count)| (name.to_owned(), count)).into();
        let missed = |our_405, are_few| {
            let mut case = CaseCounts::new(&CASES[3], FEW, &BTreeMap::new());
            case.hit = hit(&of, our_405, are_few);
            case.missed().join("; ")
        };
        assert_eq!(
            missed(Some(81.0), true),
            "a remembered count, 5 headers: instructions 0.900 of plain proxying, not 0.82"
        );
        assert_eq!(missed(Some(80.0), false).matches(", not ").count(), 3);
        assert_eq!(missed(None, true).matches(", not ").count(), 1, "no 405 was counted");
    }

    #[test]
    fn the_least_count_is_judged_by_its_bounds() {
        let missed = |case: usize, counts: &[(&str, [f64; 2])]| {
            let counts = counts.iter().map(|(name, counts)| ((*name).to_owned(), counts.to_vec()));
            CaseCounts::new(&CASES[case], FEW, &counts.collect()).missed()
        };
        let native = ("native", [101_000.0, 100_000.0]);
        let all = |ours, lua| [native, ("lua", [lua; 2]), ("ours", [ours, ours + 9_000.0])];
        assert!(missed(1, &all(135_000.0, 135_000.0)).is_empty());
        let [sentence] = missed(1, &all(135_100.0, 200_000.0)).try_into().unwrap();
        assert!(
            sentence.ends_with("5 headers: instructions 1.351 of native, not 1.35"),
            "{sentence}"
        );
        assert_eq!(missed(1, &all(140_000.0, 139_000.0)).len(), 2);
        assert_eq!(
            missed(0, &all(130_000.0, 120_000.0)).len(),
            0,
            "a 405 may cost more than Lua's"
        );
        assert!(missed(1, &[native]).is_empty(), "ours was not counted");
    }
}
