//! A hundred projects whose every count is known: as a file for the real count store, and as a
//! behaviour of the scripted one.
//!
//! Project `pN` has shared N backups, all with the next project. An answer given to the wrong
//! client is seen, because a count belongs to a project and a filter.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use testkit::store::{Behaviour, Request, ScriptedStore};
use testkit::{Progress, count_store};

/// `p0` to `p99`.
pub const PROJECTS: usize = 100;

const ZONES: usize = 3;

/// The name of a project's backup.
fn name(backup: usize) -> String {
    format!("row-{backup:02}")
}

fn status(backup: usize) -> &'static str {
    if backup.is_multiple_of(2) { "available" } else { "error" }
}

fn zone(backup: usize) -> String {
    format!("az-{}", backup % ZONES)
}

/// The rows for `count-store load`.
fn csv() -> String {
    let mut csv = "id,backup_id,from_project_id,to_project_id,name,status,volume_id,\
        availability_zone\n"
        .to_owned();
    for project in 0..PROJECTS {
        for backup in 0..project {
            let id = format!("{project:08x}-0000-4000-8000-{backup:012x}");
            let (to, name) = ((project + 1) % PROJECTS, name(backup));
            let (status, zone) = (status(backup), zone(backup));
            csv.push_str(&format!("{id},{id},p{project},p{to},{name},{status},{id},{zone}\n"));
        }
    }
    csv
}

/// A database for the count store, made of them in this folder.
pub fn database(folder: &Path) -> Result<PathBuf> {
    let (rows, database) = (folder.join("sharings.csv"), folder.join("sharings.sqlite"));
    fs::write(&rows, csv()).context("write the rows")?;
    count_store::load(&database, &rows, Progress::Quiet)?;
    Ok(database)
}

/// The count a store owes to a target, as the filter writes targets; `None` for what the load
/// never asks.
pub fn count(target: &str) -> Option<usize> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.strip_prefix("/v2/p")?;
    let project: usize = path.strip_suffix("/os-vendor-backup-sharing/count")?.parse().ok()?;
    let (mut owner, mut wanted) = (project, Vec::new());
    for (parameter, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (parameter, value) {
            ("share_to_me", "true") => owner = (project + PROJECTS - 1) % PROJECTS,
            ("share_to_me", "false") => {}
            _ => wanted.push((parameter, value)),
        }
    }
    let mut found = 0;
    for backup in 0..owner {
        let mut matches = true;
        for (parameter, value) in &wanted {
            matches &= match *parameter {
                "name" => name(backup).contains(&value.to_ascii_lowercase()),
                "status" => status(backup) == *value,
                "avalilability_zone" => zone(backup) == *value,
                _ => return None,
            };
        }
        found += usize::from(matches);
    }
    Some(found)
}

/// Answers every count of the load truthfully, and 500 to what it never asks.
pub fn store() -> Behaviour {
    Behaviour::by_request(answer)
}

/// Counts that change all the time: each begins as [`count`] says, and grows by [`PROJECTS`] at once when `every` is over.
/// So a count tells whose it is, and when it was true.
#[derive(Clone, Copy, Debug)]
pub struct Changing {
    since: Instant,
    every: Duration,
}

impl Changing {
    /// From now on.
    pub fn every(every: Duration) -> Changing {
        Changing { since: Instant::now(), every }
    }

    /// The bodies that were true at some time from `first` to `last`, for a count that began like this.
    pub fn bodies(
        self,
        began: usize,
        first: Option<Instant>,
        last: Instant,
    ) -> impl Iterator<Item = String> {
        let first = first.and_then(|at| self.changes(at)).unwrap_or_default();
        let last = self.changes(last).unwrap_or_default();
        (first..=last).map(move |changes| body(began + changes * PROJECTS))
    }

    /// How often they had changed by then. `None`: they had not begun.
    fn changes(self, at: Instant) -> Option<usize> {
        let time = at.checked_duration_since(self.since)?;
        usize::try_from(time.as_nanos() / self.every.as_nanos()).ok()
    }

    /// A store of such counts.
    pub fn store(self) -> Behaviour {
        Behaviour::by_request(move |request| match count(&request.target_text()) {
            Some(count) => {
                let changes = self.changes(Instant::now()).unwrap_or_default();
                Behaviour::json(200, body(count + changes * PROJECTS))
            }
            None => Behaviour::json(500, "{}"),
        })
    }
}

/// The answer with this count.
pub fn body(count: usize) -> String {
    format!("{{\"count\":{count}}}")
}

/// The token of a project's caller, as a line of a request.
pub fn token_line(project: usize) -> String {
    format!("{TOKEN}: caller-of-p{project}\r\n")
}

const TOKEN: &str = "x-auth-token";

/// A Keystone that knows the callers of the load and nobody else.
pub fn keystone() -> Behaviour {
    Behaviour::by_request(|request| {
        let token = request.header(TOKEN).unwrap_or_default();
        let known = request.target == b"/v3/auth/tokens?nocatalog"
            && request.header("x-subject-token") == Some(token);
        match token.strip_prefix("caller-of-").filter(|_| known) {
            Some(project) => {
                let token =
                    json!({"project": {"id": project}, "expires_at": "2100-01-01T00:00:00Z"});
                Behaviour::json(200, json!({"token": token}).to_string())
            }
            None => Behaviour::json(401, r#"{"error":{"code":401}}"#),
        }
    })
}

/// A store that behaves like this and keeps no requests.
pub fn scripted(behaviour: Behaviour) -> Result<ScriptedStore> {
    let store = ScriptedStore::start()?;
    store.forget_requests();
    store.set(behaviour);
    Ok(store)
}

/// One such answer, for behaviours that are truthful at times.
pub fn answer(request: &Request) -> Behaviour {
    match count(&request.target_text()) {
        Some(count) => Behaviour::json(200, body(count)),
        None => Behaviour::json(500, "{}"),
    }
}

/// What a passed request gets from an upstream that does as [`upstream`] does.
pub fn passed(target: &str) -> String {
    format!("{{\"passed\":\"{target}\"}}")
}

/// Answers every request with its own target.
pub fn upstream() -> Behaviour {
    Behaviour::by_request(|request| Behaviour::json(200, passed(&request.target_text())))
}
