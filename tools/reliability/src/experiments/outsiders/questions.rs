//! What the clients are asked, and what each must make of it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::{Value, json};
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{Error, Result};

use super::clients::{Client, Family, Made};
use super::environment::Environment;
use super::stack::{self, Stack};
use crate::Section;

const PROJECT: &str = "17fbda95add24720a4038ba4b1c705ed";
const OTHER_PROJECT: &str = "91d687759aed45d28b5f6084bc2fa8ad";
const CALL: &str = "/os-vendor-backup-sharing/count";

/// Asks every client everything.
pub fn run(python: &Environment, section: &mut Section) -> Result<()> {
    let mut bench = Bench { clients: Client::start_all(python)?, seen: Vec::new(), section };
    let folder = stack::folder()?;

    let store = stack::store(&folder, &[])?;
    let open = Stack::start(store.address())?;
    let counted = bench.counts(open.listener)?;
    let maybe = json!({"filters": {"share_to_me": "maybe"}});
    bench.refused(open.listener, &maybe, 400, "share_to_me: expected true or false, got")?;
    let slash = json!({"path": format!("{CALL}/")});
    bench.refused(open.listener, &slash, 404, "The resource could not be found.")?;
    let post = json!({"method": "POST"});
    bench.refused(open.listener, &post, 405, "Only GET counts backup sharings.")?;
    let html = json!({"accept": "text/html"});
    bench.refused(open.listener, &html, 406, "The answer is application/json, which")?;
    drop(store);
    bench.refused(open.listener, &json!({}), 503, "The count store is unavailable.")?;
    open.stop()?;

    let tokens = format!("known={OTHER_PROJECT}");
    let store = stack::store(&folder, &["--token", &tokens])?;
    let guarded = Stack::start(store.address())?;
    bench.refused(
        guarded.listener,
        &json!({"token": "unknown"}),
        401,
        "The request needs authentication.",
    )?;
    bench.refused(
        guarded.listener,
        &json!({"token": "known"}),
        403,
        "You may not do this in this project.",
    )?;
    guarded.stop()?;

    let store = ScriptedStore::start()?;
    let scripted = Stack::start(store.address())?;
    for (behaviour, status, message) in [
        (Behaviour::status(409), 409, "The request conflicts with another."),
        (Behaviour::status(500), 500, "The count failed for a reason inside the service."),
        (Behaviour::status(501), 501, "The count store does not support this call."),
        (Behaviour::json(200, "{}"), 502, "The count store gave an answer that cannot be used."),
        (Behaviour::Hang, 504, "The count store did not answer in time."),
    ] {
        store.set(behaviour);
        bench.refused(scripted.listener, &json!({}), status, message)?;
    }
    scripted.stop()?;
    bench.table(counted);
    Ok(())
}

struct Bench<'a> {
    clients: Vec<Client>,
    /// Status, and what the clients of each family raised for it.
    seen: Vec<(u16, [BTreeSet<String>; 3])>,
    section: &'a mut Section,
}

// === impl Bench ===

impl Bench<'_> {
    /// Questions with a known count, each to every client; how many questions.
    fn counts(&mut self, listener: SocketAddr) -> Result<usize> {
        let rows = Rows::read()?;
        let questions = questions();
        for filters in &questions {
            let expected = rows.count(filters);
            let request = request(listener, &json!({"filters": filters}));
            for client in &mut self.clients {
                match client.ask(&request)? {
                    Made::Count(count) if count == expected => {}
                    made => self.section.failures.push(format!(
                        "{} and {filters}: expected {expected}, got {made:?}",
                        client.name
                    )),
                }
            }
        }
        Ok(questions.len())
    }

    /// A request that is answered with this status; each client must raise its own exception for
    /// it, and show the message.
    fn refused(
        &mut self,
        listener: SocketAddr,
        changes: &Value,
        status: u16,
        message: &str,
    ) -> Result<()> {
        let own = changes.get("method").is_some() || changes.get("accept").is_some();
        let mut raised: [BTreeSet<String>; 3] = Default::default();
        for client in &mut self.clients {
            if own && !client.free {
                continue;
            }
            let expected = client.family.exception(status);
            match client.ask(&request(listener, changes))? {
                Made::Error { name, says, body }
                    if name == expected
                        && client.family.message(&says, &body).contains(message) =>
                {
                    raised[client.family as usize].insert(name);
                }
                made => self.section.failures.push(format!(
                    "{} and {changes}: expected {expected} with {message:?}, got {made:?}",
                    client.name
                )),
            }
        }
        self.seen.push((status, raised));
        Ok(())
    }

    fn table(&mut self, counted: usize) {
        let names: Vec<_> = self.clients.iter().map(|client| client.name).collect();
        self.seen.sort_by_key(|(status, _)| *status);
        // Writing to a String cannot fail.
        let text = &mut self.section.text;
        let _ = writeln!(
            text,
            "{} clients ({}) asked {counted} questions whose count is known from the rows: all \
             filters, both spellings of the zone, their own spellings of a boolean, names with \
             spaces, `~`, `/`, `%`, `+`, `&` and letters beyond ASCII. golangsdk is its requests \
             and errors spoken by Python, the others are themselves. Of a refusal each raised its \
             own exception; openstacksdk shows our message, the two others keep it in the \
             response: keystoneauth1 does not read OpenStack's faults of this form.\n",
            names.len(),
            names.join(", ")
        );
        let _ = writeln!(
            text,
            "| status | keystoneauth1 | openstacksdk | golangsdk |\n|---|---|---|---|"
        );
        for (status, raised) in &self.seen {
            let [keystoneauth, openstacksdk, golangsdk] =
                [Family::Keystoneauth, Family::Openstacksdk, Family::Golangsdk].map(|family| {
                    raised[family as usize].iter().cloned().collect::<Vec<_>>().join(", ")
                });
            let _ = writeln!(text, "| {status} | {keystoneauth} | {openstacksdk} | {golangsdk} |");
        }
    }
}

/// The usual request, with some members changed.
fn request(listener: SocketAddr, changes: &Value) -> Value {
    let mut request = json!({
        "service": format!("http://{listener}/v2/{PROJECT}"),
        "path": CALL,
        "method": "GET",
        "filters": {},
        "accept": null,
        "token": null,
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    request
}

fn questions() -> Vec<Value> {
    let names = [
        "prod",
        "vor Umzug",
        "~home/%7Ename",
        "a b~c/d%e+f&g=h",
        "a+b~c",
        "%",
        "_",
        "20%_k",
        "Größen",
        "köln",
        "测试环境 快照",
        "no such name",
    ];
    let mut questions: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    questions.extend([
        json!({}),
        json!({"share_to_me": true}),
        json!({"share_to_me": false}),
        json!({"share_to_me": true, "from_project_id": OTHER_PROJECT, "status": "AVAILABLE"}),
        json!({"to_project_id": OTHER_PROJECT, "name": "DB"}),
        json!({"status": "error_deleting"}),
        json!({"avalilability_zone": "eu-de-02"}),
        json!({"availability_zone": "eu-de-02", "share_to_me": true}),
        json!({"availability_zone": "eu de#1", "share_to_me": true, "name": "/%7E"}),
        json!({"volume_id": "20000000-0000-4000-8000-000000000002"}),
        json!({"backup_id": "10000000-0000-4000-8000-000000000004", "share_to_me": true}),
    ]);
    questions
}

/// The store's rows, counted here without its help.
struct Rows(Vec<Vec<String>>);

// === impl Rows ===

impl Rows {
    /// The columns' places in both files.
    const COLUMNS: &str =
        "id,backup_id,from_project_id,to_project_id,name,status,volume_id,availability_zone";

    fn read() -> Result<Self> {
        let mut rows = Vec::new();
        for path in stack::rows() {
            let text = stack::read(&path)?;
            let mut lines = text.lines();
            if lines.next() != Some(Self::COLUMNS) || text.contains('"') {
                let path = path.display();
                return Err(Error::new(format!("{path} is no longer as plain as it was.")));
            }
            rows.extend(lines.map(|line| line.split(',').map(str::to_owned).collect()));
        }
        Ok(Self(rows))
    }

    fn count(&self, filters: &Value) -> u64 {
        let counted = self.0.iter().filter(|row| matches(row, filters)).count();
        counted.try_into().unwrap_or(u64::MAX)
    }
}

fn matches(row: &[String], filters: &Value) -> bool {
    let field = |name: &str| {
        let name = if name == "avalilability_zone" { "availability_zone" } else { name };
        let at = Rows::COLUMNS.split(',').position(|column| column == name);
        at.and_then(|at| row.get(at)).map_or("", String::as_str)
    };
    let side = match filters["share_to_me"] == true {
        true => "to_project_id",
        false => "from_project_id",
    };
    field(side) == PROJECT
        && filters.as_object().into_iter().flatten().all(|(name, value)| {
            let value = value.as_str().unwrap_or_default();
            match name.as_str() {
                "share_to_me" => true,
                "name" => field(name).to_ascii_lowercase().contains(&value.to_ascii_lowercase()),
                "status" => field(name).eq_ignore_ascii_case(value),
                _ => field(name) == value,
            }
        })
}
