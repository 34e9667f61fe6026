//! The calls that are measured.

use anyhow::{Context, Result, anyhow};
use backup_sharing_count::filters::FilterRules;
use backup_sharing_count::request::Validator;
use count_store::sql::{self, Statement};

use super::sharings::{Side, Watched};

/// A set of filters.
#[derive(Clone, Copy, Debug)]
pub struct Filters {
    /// Its name, on the page.
    pub name: &'static str,
    /// Whether it is one equality, whose cost should be that of its matches.
    pub is_equality: bool,
    /// The query, in which names in braces stand for values of one of the project's sharings.
    query: &'static str,
}

/// All of them.
pub const FILTERS: [Filters; 8] = [
    filters("none", false, ""),
    filters("backup_id", true, "backup_id={backup}"),
    filters("volume_id", true, "volume_id={volume}"),
    filters("other project", true, "{other}"),
    filters("status", true, "status=creating"),
    filters("availability_zone", true, "availability_zone={zone}"),
    filters("volume_id, status", false, "volume_id={volume}&status=available"),
    filters("name", false, "name=backup-42"),
];

const fn filters(name: &'static str, is_equality: bool, query: &'static str) -> Filters {
    Filters { name, is_equality, query }
}

/// Path and query of a call.
pub fn target(project: Watched, filters: Filters) -> String {
    let [_, backup, from, to, _, _, volume, zone] = project.sample();
    let (other, side) = match project.side {
        Side::From => (format!("to_project_id={to}"), ""),
        Side::To => (format!("from_project_id={from}"), "share_to_me=true&"),
    };
    let query = filters.query.replace("{backup}", &backup).replace("{volume}", &volume);
    let query = query.replace("{other}", &other).replace("{zone}", &zone);
    format!("/v2/{}/os-vendor-backup-sharing/count?{side}{query}", project.project())
}

/// The statement that the store makes of it.
///
/// # Errors
/// If it is not a valid call.
pub fn statement(target: &str) -> Result<Statement> {
    let validator = Validator::new(FilterRules::default()).context("prepare the route")?;
    let located = validator.locate(target.as_bytes()).context("this is another path")?;
    let request = validator.check(located, [(&b":method"[..], &b"GET"[..])].into_iter());
    Ok(sql::count(&request.map_err(|_| anyhow!("{target} is not a valid call"))?))
}

#[cfg(test)]
mod tests {
    use backup_sharing_count::filters::{FILTERS as DOCUMENTED, Meaning};

    use super::*;

    #[test]
    fn every_equality_is_measured() {
        let asked = [Side::From, Side::To].map(|side| {
            FILTERS.map(|filters| target(Watched { side, size: 1_000 }, filters)).join("&")
        });
        let asked = asked.join("&");
        for filter in DOCUMENTED.iter().filter(|it| matches!(it.meaning, Meaning::Equals(_))) {
            let names = [Some(filter.name), filter.alias].into_iter().flatten();
            let is_asked = names.clone().any(|name| asked.contains(&format!("{name}=")));
            assert!(is_asked, "tools/lab/src/store/calls.rs lacks the filter {}", filter.name);
        }
    }
}
