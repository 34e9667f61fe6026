//! What a target found, read from what libFuzzer says.

use std::fmt;
use std::path::{Path, PathBuf};

/// What one run of a target found.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub target: String,
    pub executions: u64,
    /// Features (edges, and how often they are taken) that inputs of the corpus reach.
    features: u64,
    /// How many of them this run was the first to reach.
    new_features: u64,
    /// Inputs in the corpus.
    corpus: u64,
    /// How to see the failure again, and what it said.
    crash: Option<String>,
}

impl Finding {
    /// The table that findings are rows of.
    pub const HEADER: &str =
        "| target | executions | features | corpus | crashes |\n|---|---|---|---|---|";

    /// Reads the standard error of a target's program.
    pub fn read(target: &str, program: &Path, said: &str, succeeded: bool) -> Finding {
        // "#65536  pulse  cov: 689 ft: 3887 corp: 1217/91Kb lim: 461 exec/s: 25804 rss: 29Mb"
        let status = |line: &&str| line.starts_with('#') && line.contains(" ft: ");
        let number = |line: Option<&str>, before: &str| {
            let (_, after) = line?.split_once(before)?;
            after.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
        };
        let last = said.lines().rfind(status);
        let first = said.lines().find(|line| status(line) && line.contains("INITED"));
        let executions = said.lines().rfind(|line| line.contains("number_of_executed_units"));
        let features = number(last, " ft: ").unwrap_or_default();
        let crash = (!succeeded).then(|| {
            let written = said.lines().find_map(|line| line.split_once("Test unit written to "));
            let input = written.map(|(_, path)| PathBuf::from(path)).unwrap_or_default();
            let why = said.lines().skip_while(|line| !line.contains("panicked at")).skip(1);
            let why: Vec<&str> =
                why.take_while(|line| !line.starts_with("stack")).take(6).collect();
            format!(
                "{target} failed: {}\nThe input: {}\nAgain: {} {}",
                why.join("\n"),
                input.display(),
                program.display(),
                input.display()
            )
        });
        Finding {
            target: target.to_owned(),
            executions: number(executions, "number_of_executed_units: ")
                .or(number(last, "#"))
                .unwrap_or_default(),
            features,
            new_features: features - number(first, " ft: ").unwrap_or(features),
            corpus: number(last, " corp: ").unwrap_or_default(),
            crash,
        }
    }

    /// What failed, if anything did.
    pub fn crash(&self) -> Option<String> {
        self.crash.clone()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Finding { target, executions, features, new_features, corpus, crash } = self;
        let crashes = u8::from(crash.is_some());
        write!(
            f,
            "| {target} | {executions} | {features} (+{new_features}) | {corpus} | {crashes} |"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
#35\tINITED cov: 600 ft: 3000 corp: 30/9Kb exec/s: 0 rss: 28Mb
#670914\tDONE   cov: 689 ft: 3887 corp: 1217/91Kb lim: 461 exec/s: 25804 rss: 29Mb
stat::number_of_executed_units: 670914
";

    #[test]
    fn a_run_becomes_a_row() {
        let finding = Finding::read("path", Path::new("p"), SAID, true);
        assert_eq!(finding.to_string(), "| path | 670914 | 3887 (+887) | 1217 | 0 |");
        assert_eq!(finding.crash(), None);
    }

    #[test]
    fn a_crash_names_its_input_and_its_reason() {
        let said = format!(
            "{SAID}thread panicked at a.rs:1:\nexpected 200\nstack backtrace:\n\
             artifact_prefix='x/'; Test unit written to x/crash-1\n"
        );
        let crash = Finding::read("path", Path::new("p"), &said, false).crash().unwrap();
        assert_eq!(crash, "path failed: expected 200\nThe input: x/crash-1\nAgain: p x/crash-1");
    }
}
