//! The calls that are measured.

use backup_sharing_count::filters::FilterRules;
use backup_sharing_count::request::Validator;
use count_store::sql::{self, Statement};
use testkit::{Error, Result};

use super::rows::{Side, Watched};

/// A set of filters.
#[derive(Clone, Copy, Debug)]
pub struct Filters {
    /// Its name, in the report.
    pub name: &'static str,
    /// Whether it is one equality, whose cost should be that of its matches.
    pub is_equality: bool,
    query: fn(&Asked) -> String,
}

/// What is asked about a project: the values of one of its rows.
struct Asked {
    backup: String,
    other: String,
    volume: String,
    zone: String,
}

/// All of them.
pub const FILTERS: [Filters; 8] = [
    Filters { name: "none", is_equality: false, query: |_| String::new() },
    Filters {
        name: "backup_id",
        is_equality: true,
        query: |asked| format!("backup_id={}", asked.backup),
    },
    Filters {
        name: "volume_id",
        is_equality: true,
        query: |asked| format!("volume_id={}", asked.volume),
    },
    Filters { name: "other project", is_equality: true, query: |asked| asked.other.clone() },
    Filters { name: "status", is_equality: true, query: |_| "status=creating".to_owned() },
    Filters {
        name: "availability_zone",
        is_equality: true,
        query: |asked| format!("availability_zone={}", asked.zone),
    },
    Filters {
        name: "volume_id, status",
        is_equality: false,
        query: |asked| format!("volume_id={}&status=available", asked.volume),
    },
    Filters { name: "name", is_equality: false, query: |_| "name=backup-42".to_owned() },
];

/// Path and query of a call.
pub fn target(project: Watched, filters: Filters) -> String {
    let [_, backup, from, to, _, _, volume, zone] = project.sample();
    let (other, side) = match project.side {
        Side::From => (format!("to_project_id={to}"), ""),
        Side::To => (format!("from_project_id={from}"), "share_to_me=true&"),
    };
    let query = (filters.query)(&Asked { backup, other, volume, zone });
    format!("/v2/{}/os-vendor-backup-sharing/count?{side}{query}", project.project())
}

/// The statement that the store makes of it.
///
/// # Errors
/// If it is not a valid call.
pub fn statement(target: &str) -> Result<Statement> {
    let failed = || Error::new(format!("{target} is not a valid call."));
    let validator =
        Validator::new(FilterRules::default()).map_err(Error::while_doing("prepare the route"))?;
    let headers = [(&b":method"[..], &b"GET"[..])].into_iter();
    let located = validator.locate(target.as_bytes()).ok_or_else(failed)?;
    Ok(sql::count(&validator.check(located, headers).map_err(|_| failed())?))
}
