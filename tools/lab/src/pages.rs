//! From results to pages.
//!
//! The template of a page, `pages/<page>.md`, sees the results of every experiment under its name and puts in an
//! experiment's section by `section("name")`. The template of a section, `pages/<experiment>.md`, sees that
//! experiment's [`Results`] and `measured`, a line with its command and date. A figure that is not there is an error.

use std::fs;

use anyhow::{Context, Result};
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, context, path_loader};
use testkit::workspace;

use crate::results::Results;
use crate::{callouts, cost, soak, store};

/// The pages, each a template here and a file in `docs/`.
pub const PAGES: [&str; 3] = ["reliability", "performance", "capacity"];

/// A chart: its file in `docs/`, the experiment whose figures it shows, and what draws it.
pub type Chart = (&'static str, &'static str, fn(&serde_json::Value) -> Result<String>);

/// The charts.
pub const CHARTS: [Chart; 4] = [
    ("performance.svg", "cost", cost::chart::draw),
    ("performance-callouts.svg", "callouts", callouts::draw),
    ("performance-store.svg", "store", store::chart::draw),
    ("soak-memory.svg", "soak", soak::draw),
];

/// Writes every page, and every chart of [`CHARTS`], from the results that are kept.
///
/// # Errors
/// If results are missing, or do not fit their templates.
pub fn write() -> Result<()> {
    let mut files = Vec::new();
    for page in PAGES {
        files.push((format!("{page}.md"), self::page(page)?));
    }
    for chart in CHARTS {
        files.push((chart.0.to_owned(), self::chart(chart)?));
    }
    for (name, text) in files {
        let path = workspace::root().join("docs").join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// A chart of [`CHARTS`].
///
/// # Errors
/// If its experiment's results are missing, or cannot be drawn.
pub fn chart((_, experiment, draw): Chart) -> Result<String> {
    let results = Results::read_all()?.into_iter().find(|results| results.name == experiment);
    draw(&results.with_context(|| format!("no results of {experiment}"))?.figures)
}

/// A page.
///
/// # Errors
/// If results are missing, or do not fit the templates.
pub fn page(name: &str) -> Result<String> {
    let results = Results::read_all()?.into_iter();
    let all = Value::from_iter(
        results.map(|results| (results.name.clone(), Value::from_serialize(results))),
    );
    environment().get_template(&format!("{name}.md"))?.render(all).map_err(whole)
}

/// An experiment's section.
///
/// # Errors
/// If the results do not fit its template.
pub fn section(results: &Results) -> Result<String> {
    render(&environment(), &Value::from_serialize(results)).map_err(whole)
}

fn render(environment: &Environment, results: &Value) -> Result<String, Error> {
    let field = |name: &str| results.get_attr(name);
    let template = environment.get_template(&format!("{}.md", field("name")?))?;
    let commit = field("commit")?;
    let commit = commit.as_str().map(|commit| format!(", commit {commit}")).unwrap_or_default();
    let measured = format!("`{}`, {}{commit}.", field("command")?, field("date")?);
    let mut text = template.render(context! { measured, ..results.clone() })?;
    for failure in field("failures")?.try_iter()? {
        text.push_str(&format!("\n**Failed:** {failure}\n"));
    }
    Ok(text)
}

/// An error with all that led to it: a line of a template among it.
fn whole(error: Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_loader(path_loader(workspace::root().join("tools/lab/pages")));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    environment.add_function("section", |state: &State, name: &str| {
        let results = state.lookup(name).ok_or_else(|| {
            Error::new(ErrorKind::InvalidOperation, format!("there are no results of {name}"))
        })?;
        render(state.env(), &results).map(|text| text.trim_end().to_owned())
    });
    environment.add_filter("thousands", thousands);
    environment.add_filter("time", time);
    environment.add_filter("fixed", fixed);
    environment.add_filter("statuses", statuses);
    environment
}

/// `1,234,567`
fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds as a table wants them: `0.5 ms`, `119 ms`, `1.4 s`; a dash for none.
fn time(millis: Option<f64>) -> String {
    match millis {
        None => "–".to_owned(),
        Some(millis @ ..10.0) => format!("{millis:.1} ms"),
        Some(millis @ ..1000.0) => format!("{millis:.0} ms"),
        Some(millis) => format!("{:.1} s", millis / 1000.0),
    }
}

/// With this many digits behind the point.
fn fixed(number: f64, digits: usize) -> String {
    format!("{number:.digits$}")
}

/// How often each status came: `200 × 1,234, 504 × 5`.
fn statuses(statuses: Value) -> Result<String, Error> {
    let mut all = Vec::new();
    for status in statuses.try_iter()? {
        let times = i64::try_from(statuses.get_item(&status)?)?;
        all.push(format!("{status} × {}", thousands(times)));
    }
    Ok(all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!([0, 999, -1000, 1_234_567].map(thousands), ["0", "999", "-1,000", "1,234,567"]);
        assert_eq!(
            [0.04, 9.94, 34.6, 1449.0].map(Some).map(time),
            ["0.0 ms", "9.9 ms", "35 ms", "1.4 s"]
        );
        let seen = serde_json::json!({"504": 5, "200": 1234});
        assert_eq!(statuses(Value::from_serialize(seen)).unwrap(), "200 × 1,234, 504 × 5");
    }
}
