//! Which Envoys are measured, one for each case so that none holds the modules of another case, and who
//! is asked in each.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::requests::{CASES, Case, HEADERS};
use crate::Options;

/// What does the filter's job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contender {
    /// Envoy alone.
    Native,
    /// A wasm filter that only makes the host calls.
    Floor,
    /// Envoy's Lua filter.
    Lua,
    /// Our filter.
    Ours,
    /// Our filter with its metrics.
    Metrics,
    /// Our filter, left out by a route of what cannot be for it ([`testkit::bypass_route`]).
    Routed,
    /// Our filter, which asks Keystone about callers and remembers what it said.
    Callers,
    /// The same with nothing remembered.
    Cold,
    /// Our filter, which remembers counts, and has this one.
    Hit,
    /// Both: it has the count, and knows the caller.
    CallersHit,
    /// Another build of our filter: its name and its module.
    Build(String, PathBuf),
}

/// One Envoy, and what is asked in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The case.
    pub case: Case,
    /// The numbers of header fields, each measured for itself.
    pub headers: Vec<usize>,
    /// The contenders that listen, and are asked in turn.
    pub contenders: Vec<Contender>,
}

impl Contender {
    /// Those that are measured without being named.
    pub const ALL: [Contender; 10] = [
        Contender::Native,
        Contender::Floor,
        Contender::Lua,
        Contender::Ours,
        Contender::Metrics,
        Contender::Routed,
        Contender::Callers,
        Contender::Cold,
        Contender::Hit,
        Contender::CallersHit,
    ];

    /// Its name on the command line and in the results.
    pub fn name(&self) -> &str {
        match self {
            Contender::Native => "native",
            Contender::Floor => "floor",
            Contender::Lua => "lua",
            Contender::Ours => "ours",
            Contender::Metrics => "metrics",
            Contender::Routed => "routed",
            Contender::Callers => "callers",
            Contender::Cold => "cold",
            Contender::Hit => "hit",
            Contender::CallersHit => "callers_hit",
            Contender::Build(name, _) => name,
        }
    }

    /// Whether counts are answered without the store.
    pub fn remembers_counts(&self) -> bool {
        matches!(self, Contender::Hit | Contender::CallersHit)
    }

    /// Whether it is asked in a case. What the route saves shows another path, and what it costs
    /// shows the shortest of the filter's answers. Who asks, and what is remembered, matters to a count.
    fn takes_part(&self, case: &Case) -> bool {
        match self {
            Contender::Routed => ["pass", "method"].contains(&case.name),
            Contender::Callers | Contender::Cold | Contender::Hit | Contender::CallersHit => {
                case.name == "count"
            }
            Contender::Metrics => ["count", "method"].contains(&case.name),
            _ => true,
        }
    }
}

/// What `options` name, or all.
///
/// # Errors
/// If there is no such case or contender, or nothing is left to measure.
pub fn plans(options: &Options) -> Result<Vec<Plan>> {
    let builds =
        options.builds.iter().map(|(name, module)| Contender::Build(name.clone(), module.clone()));
    let contenders: Vec<Contender> = Contender::ALL.into_iter().chain(builds).collect();
    let known: Vec<&str> = contenders.iter().map(Contender::name).collect();
    check("contender", &options.contenders, &known)?;
    let with_headers = |case: &Case| HEADERS.map(|headers| format!("{}/{headers}", case.name));
    let all: Vec<String> = CASES.iter().flat_map(with_headers).collect();
    let names = CASES.iter().map(|case| case.name).chain(all.iter().map(String::as_str));
    check("case", &options.cases, &names.collect::<Vec<_>>())?;

    let is_named =
        |named: &[String], name: &str| named.is_empty() || named.iter().any(|it| it == name);
    let plan = |case: &Case| {
        let is_wanted = |headers: &usize| {
            is_named(&options.cases, case.name)
                || is_named(&options.cases, &format!("{}/{headers}", case.name))
        };
        let mut contenders = contenders.clone();
        contenders.retain(|of| is_named(&options.contenders, of.name()) && of.takes_part(case));
        Plan { case: *case, headers: HEADERS.into_iter().filter(is_wanted).collect(), contenders }
    };
    let mut plans: Vec<Plan> = CASES.iter().map(plan).collect();
    plans.retain(|plan| !plan.headers.is_empty() && !plan.contenders.is_empty());
    ensure!(!plans.is_empty(), "no contender that is named takes part in a case that is named");
    Ok(plans)
}

fn check(what: &str, named: &[String], known: &[&str]) -> Result<()> {
    let unknown = named.iter().find(|name| !known.contains(&name.as_str()));
    ensure!(unknown.is_none(), "there is no {what} {unknown:?}; there are {}", known.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `method/5+40: native …`, of these cases and contenders.
    fn lines(cases: &[&str], contenders: &[&str]) -> Result<Vec<String>> {
        let [cases, contenders] =
            [cases, contenders].map(|named| named.iter().map(|name| (*name).to_owned()).collect());
        let builds = vec![("old".to_owned(), "old.wasm".into())];
        let line = |plan: &Plan| {
            let names: Vec<&str> = plan.contenders.iter().map(Contender::name).collect();
            format!("{}/{:?}: {}", plan.case.name, plan.headers, names.join(" "))
        };
        let plans = plans(&Options { cases, contenders, builds, ..Options::default() })?;
        Ok(plans.iter().map(line).collect())
    }

    #[test]
    fn every_case_has_an_envoy_and_options_leave_less_of_it() {
        let all = lines(&[], &[]).unwrap();
        assert_eq!(all.len(), CASES.len());
        assert_eq!(all[0], "method/[5, 40]: native floor lua ours metrics routed old");
        assert_eq!(
            all[3],
            "count/[5, 40]: native floor lua ours metrics callers cold hit callers_hit old"
        );
        let few = lines(&["pass/40", "count8"], &["ours", "old"]).unwrap();
        assert_eq!(few, ["count8/[5, 40]: ours old", "pass/[40]: ours old"]);
        for (cases, contenders) in
            [(&["counts"][..], &[][..]), (&[], &["lau"]), (&["count"], &["routed"])]
        {
            assert!(lines(cases, contenders).is_err(), "{cases:?} {contenders:?}");
        }
    }
}
