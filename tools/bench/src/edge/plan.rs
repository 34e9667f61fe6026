//! Which Envoys are measured: one for each case, so that none holds the modules of another case, and
//! others for builds of the filter.

use testkit::{Error, Result};

use super::bench::{Contender, PLAIN};
use super::cases::{self, BODIES, CASES, Case, FEW, HEADERS};
use crate::Options;

/// One Envoy, and what is asked in it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The case.
    pub case: Case,
    /// The numbers of header fields, each measured for itself.
    pub headers: Vec<usize>,
    /// Who listens, and is asked in turn.
    pub contenders: Vec<Contender>,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The filter beside the others.
    pub cases: Vec<Setup>,
    /// The filter beside other builds of itself.
    pub builds: Vec<Setup>,
    /// The filter and its builds where others' requests have bodies.
    pub bodies: Vec<Setup>,
}

impl Plan {
    /// What `options` name, or all.
    ///
    /// # Errors
    /// If there is no such case or contender, or nothing is left to measure.
    pub fn new(options: &Options) -> Result<Plan> {
        check_cases(options)?;
        let (mut varied, contenders): (Vec<_>, Vec<_>) =
            contenders(options)?.into_iter().partition(Contender::is_build);
        let setup = |case: &Case, contenders: &[Contender]| {
            let mut contenders = contenders.to_vec();
            contenders.retain(|contender| contender.takes_part(case));
            let headers = HEADERS.into_iter().filter(|&headers| wanted(options, case, headers));
            Setup { case: *case, headers: headers.collect(), contenders }
        };
        let is_some = |setup: &Setup| !setup.headers.is_empty() && !setup.contenders.is_empty();
        let all = CASES.iter().map(|case| setup(case, &contenders));
        let cases: Vec<Setup> = all.filter(is_some).collect();

        let mut with_bodies = contenders;
        with_bodies.retain(|of| matches!(of, Contender::Native | Contender::Ours));
        with_bodies.extend(varied.iter().filter(|of| of.name() != PLAIN).cloned());
        let all =
            BODIES.iter().map(|case| Setup { headers: vec![FEW], ..setup(case, &with_bodies) });
        let is_wanted = |setup: &Setup| wanted(options, &setup.case, FEW) && !options.quick;
        let bodies: Vec<Setup> = all.filter(is_some).filter(is_wanted).collect();
        if !varied.is_empty() {
            varied.splice(..0, [Contender::Ours]);
        }
        let all = CASES.iter().map(|case| setup(case, &varied));
        let builds: Vec<Setup> = all.filter(is_some).collect();
        match cases.is_empty() && builds.is_empty() && bodies.is_empty() {
            true => Err(Error::new("Nobody named takes part in a case that is named.")),
            false => Ok(Plan { cases, builds, bodies }),
        }
    }
}

/// Those named, or all.
fn contenders(options: &Options) -> Result<Vec<Contender>> {
    let mut all = vec![
        Contender::Native,
        Contender::Floor,
        Contender::Lua,
        Contender::Ours,
        Contender::Routed,
    ];
    let builds = options.builds.iter().map(|(name, _)| name.as_str());
    all.extend([PLAIN].into_iter().chain(builds).map(|name| Contender::Build(name.to_owned())));
    let named = &options.contenders;
    let names: Vec<&str> = all.iter().map(Contender::name).collect();
    if let Some(unknown) = named.iter().find(|name| !names.contains(&name.as_str())) {
        let names = names.join(", ");
        return Err(Error::new(format!("There is no contender {unknown}. There are {names}.")));
    }
    let wanted = |contender: &Contender| match named.is_empty() {
        true => !(contender.is_build() && options.quick),
        false => named.iter().any(|name| name == contender.name()),
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// Whether a case, written `count` or `count/40`, is to be measured.
fn wanted(options: &Options, case: &Case, headers: usize) -> bool {
    let goes_by = |name: &String| cases::names(case, headers).contains(name);
    options.cases.is_empty() || options.cases.iter().any(goes_by)
}

/// An error if a case is named that there is not.
fn check_cases(options: &Options) -> Result<()> {
    let all = HEADERS
        .iter()
        .flat_map(|&headers| CASES.iter().chain(&BODIES).map(move |case| (case, headers)));
    let names: Vec<String> = all.flat_map(|(case, headers)| cases::names(case, headers)).collect();
    match options.cases.iter().find(|name| !names.contains(name)) {
        None => Ok(()),
        Some(unknown) => {
            let names = CASES.map(|case| case.name).join(", ");
            Err(Error::new(format!("There is no case {unknown}. There are {names}.")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `method/5+40: native …`.
    fn lines(setups: &[Setup]) -> Vec<String> {
        let line = |setup: &Setup| {
            let headers: Vec<String> = setup.headers.iter().map(usize::to_string).collect();
            let names: Vec<&str> = setup.contenders.iter().map(Contender::name).collect();
            format!("{}/{}: {}", setup.case.name, headers.join("+"), names.join(" "))
        };
        setups.iter().map(line).collect()
    }

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn every_case_has_an_envoy_and_the_builds_have_others() {
        let builds = vec![("old".to_owned(), "old.wasm".into())];
        let plan = Plan::new(&Options { builds, ..Options::default() }).unwrap();
        let all = lines(&plan.cases);
        assert_eq!(all.len(), CASES.len());
        assert_eq!(all[0], "method/5+40: native floor lua ours routed");
        assert_eq!(all[3], "count/5+40: native floor lua ours");
        assert_eq!(all[5], "pass/5+40: native floor lua ours routed");
        let builds = lines(&plan.builds);
        assert_eq!(builds.len(), CASES.len());
        assert_eq!(builds[3], "count/5+40: ours plain old");
    }

    #[test]
    fn options_leave_less_of_it() {
        let quick = Options { quick: true, ..Options::default() };
        assert!(Plan::new(&quick).unwrap().builds.is_empty());

        let cases = named(&["pass/40", "count8"]);
        let plan = Plan::new(&Options { cases, ..Options::default() }).unwrap();
        assert_eq!(
            lines(&plan.cases),
            ["count8/5+40: native floor lua ours", "pass/40: native floor lua ours routed"]
        );
        assert_eq!(lines(&plan.builds)[1], "pass/40: ours plain");

        let contenders = named(&["plain"]);
        let plan = Plan::new(&Options { contenders, ..Options::default() }).unwrap();
        assert!(plan.cases.is_empty());
        assert_eq!(lines(&plan.builds)[0], "method/5+40: ours plain");
    }

    #[test]
    fn what_there_is_not_is_an_error() {
        let options = |cases, contenders| Options { cases, contenders, ..Options::default() };
        for options in [
            options(named(&["counts"]), Vec::new()),
            options(Vec::new(), named(&["lau"])),
            options(named(&["count"]), named(&["routed"])),
        ] {
            assert!(Plan::new(&options).is_err(), "{options:?}");
        }
    }
}
