//! The calls that are measured.

use anyhow::{Context, Result, anyhow};
use backup_sharing_count::filters::FilterRules;
use backup_sharing_count::request::{CountRequest, Validator};

use super::sharings::{Side, Watched};

/// A query, of one filter, of two, or of none.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Its name, on the page.
    pub name: &'static str,
    /// Whether it is one equality, whose cost should be that of its matches.
    pub is_equality: bool,
    /// Its text, in which names in braces stand for values of one of the project's sharings.
    text: &'static str,
}

/// All of them.
pub const QUERIES: [Query; 8] = [
    query("none", false, ""),
    query("backup_id", true, "backup_id={backup}"),
    query("volume_id", true, "volume_id={volume}"),
    query("other project", true, "{other}"),
    query("status", true, "status=creating"),
    query("availability_zone", true, "availability_zone={zone}"),
    query("volume_id, status", false, "volume_id={volume}&status=available"),
    query("name", false, "name=backup-42"),
];

const fn query(name: &'static str, is_equality: bool, text: &'static str) -> Query {
    Query { name, is_equality, text }
}

/// Path and query of a call.
pub fn target(project: Watched, query: Query) -> String {
    let [_, backup, from, to, _, _, volume, zone] = project.sample();
    let (other, side) = match project.side {
        Side::From => (format!("to_project_id={to}"), ""),
        Side::To => (format!("from_project_id={from}"), "share_to_me=true&"),
    };
    let query = query.text.replace("{backup}", &backup).replace("{volume}", &volume);
    let query = query.replace("{other}", &other).replace("{zone}", &zone);
    format!("/v2/{}/os-vendor-backup-sharing/count?{side}{query}", project.project())
}

/// What the store takes it for.
///
/// # Errors
/// If it is not a valid call.
pub fn request(target: &str) -> Result<CountRequest> {
    let validator = Validator::new(FilterRules::default()).context("prepare the route")?;
    let located = validator.locate(target.as_bytes()).context("this is another path")?;
    let request = validator.check(located, [(&b":method"[..], &b"GET"[..])].into_iter());
    request.map_err(|_| anyhow!("{target} is not a valid call"))
}

#[cfg(test)]
mod tests {
    use backup_sharing_count::filters::{FILTERS, Meaning};

    use super::*;

    #[test]
    fn every_equality_is_measured() {
        let asked = [Side::From, Side::To].map(|side| {
            QUERIES.map(|query| target(Watched { side, size: 1_000 }, query)).join("&")
        });
        let asked = asked.join("&");
        for filter in FILTERS.iter().filter(|it| matches!(it.meaning, Meaning::Equals(_))) {
            let names = [Some(filter.name), filter.alias].into_iter().flatten();
            let is_asked = names.clone().any(|name| asked.contains(&format!("{name}=")));
            assert!(is_asked, "tools/lab/src/store/calls.rs lacks the filter {}", filter.name);
        }
    }
}
