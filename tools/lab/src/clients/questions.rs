//! What the clients are asked, and what each must make of the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use testkit::production::start_before;
use testkit::store::{Behaviour, ScriptedStore};

use super::python::Python;
use super::rows::{PROJECT, Rows};
use super::{folder, store};

const OTHER_PROJECT: &str = "91d687759aed45d28b5f6084bc2fa8ad";
const CALL: &str = "/os-vendor-backup-sharing/count";

/// The type of each package's exception for a status, as its sources have it: keystoneauth1's, openstacksdk's.
const EXCEPTIONS: [(u16, &str, &str); 12] = [
    (400, "BadRequest", "BadRequestException"),
    (401, "Unauthorized", "HttpException"),
    (403, "Forbidden", "ForbiddenException"),
    (404, "NotFound", "NotFoundException"),
    (405, "MethodNotAllowed", "HttpException"),
    (406, "NotAcceptable", "HttpException"),
    (409, "Conflict", "ConflictException"),
    (500, "InternalServerError", "HttpException"),
    (501, "HttpNotImplemented", "HttpException"),
    (502, "BadGateway", "HttpException"),
    (503, "ServiceUnavailable", "HttpException"),
    (504, "GatewayTimeout", "HttpException"),
];

/// What the page shows.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    /// The clients' names.
    clients: BTreeSet<String>,
    /// How many questions were asked whose count is known.
    questions: usize,
    /// For each status and package, what was raised.
    raised: BTreeMap<u16, BTreeMap<String, BTreeSet<String>>>,
}

/// The running clients.
struct Clients<'a> {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    figures: Figures,
    failures: &'a mut Vec<String>,
}

/// What a client made of an answer.
#[derive(Debug, Deserialize)]
struct Made {
    client: String,
    package: String,
    count: Option<u64>,
    /// Otherwise: the exception's type, its own words, the body it carries.
    error: String,
    says: String,
    body: String,
}

/// Asks every client everything.
pub fn run(python: &Python, failures: &mut Vec<String>) -> Result<Figures> {
    let mut clients = Clients::start(python, failures)?;
    let store = self::store(&[])?;
    let (open, listener) = start_before(&[store.0.address()], store.0.address(), &[])?;
    clients.count(listener)?;
    let slash = format!("{CALL}/");
    for (changes, status, message) in [
        (
            json!({"filters": {"share_to_me": "maybe"}}),
            400,
            "share_to_me: expected true or false, got",
        ),
        (json!({ "path": slash }), 404, "The resource could not be found."),
        (json!({"method": "POST"}), 405, "Only GET counts backup sharings."),
        (json!({"accept": "text/html"}), 406, "The answer is application/json, which"),
    ] {
        clients.refuse(listener, &changes, status, message)?;
    }
    drop(store);
    clients.refuse(listener, &json!({}), 503, "The count store is unavailable.")?;
    open.stop()?;

    let store = self::store(&["--token", &format!("known={OTHER_PROJECT}")])?;
    let (guarded, listener) = start_before(&[store.0.address()], store.0.address(), &[])?;
    for (token, status, message) in [
        ("unknown", 401, "The request needs authentication."),
        ("known", 403, "You may not do this in this project."),
    ] {
        clients.refuse(listener, &json!({ "token": token }), status, message)?;
    }
    guarded.stop()?;

    let store = ScriptedStore::start()?;
    // As the file has it: a client's patience is not what is asked here.
    let timeout = [("count-store, timeout: 20s", "count-store, timeout: 1s")];
    let (scripted, listener) = start_before(&[store.address()], store.address(), &timeout)?;
    for (behaviour, status, message) in [
        (Behaviour::status(409), 409, "The request conflicts with another."),
        (Behaviour::status(500), 500, "The count failed for a reason inside the service."),
        (Behaviour::status(501), 501, "The count store does not support this call."),
        (Behaviour::json(200, "{}"), 502, "The count store gave an answer that cannot be used."),
        (Behaviour::Hang, 504, "The count store did not answer in time."),
    ] {
        store.set(behaviour);
        clients.refuse(listener, &json!({}), status, message)?;
    }
    scripted.stop()?;
    Ok(std::mem::take(&mut clients.figures))
}

impl<'a> Clients<'a> {
    fn start(python: &Python, failures: &'a mut Vec<String>) -> Result<Self> {
        let mut program = python.run(&folder().join("ask.py"));
        let program = program.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = program.spawn().context("start the clients")?;
        let requests = child.stdin.take().context("the clients have no standard input")?;
        let answers = child.stdout.take().context("the clients have no standard output")?;
        let answers = BufReader::new(answers);
        Ok(Self { child, requests, answers, figures: Figures::default(), failures })
    }

    /// Has them all send the usual request, with some members changed.
    fn ask(&mut self, listener: SocketAddr, changes: &Value) -> Result<Vec<Made>> {
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
        let mut line = String::new();
        writeln!(self.requests, "{request}")?;
        self.answers.read_line(&mut line)?;
        let made: Vec<Made> = serde_json::from_str(&line)
            .with_context(|| format!("understand what the clients made of {request}"))?;
        self.figures.clients.extend(made.iter().map(|made| made.client.clone()));
        Ok(made)
    }

    /// Questions with a known count.
    fn count(&mut self, listener: SocketAddr) -> Result<()> {
        let rows = Rows::read()?;
        for filters in questions() {
            let expected = rows.count(&filters);
            for made in self.ask(listener, &json!({ "filters": filters }))? {
                if made.count != Some(expected) {
                    self.failures.push(format!("{filters}: expected {expected}, got {made:?}"));
                }
            }
            self.figures.questions += 1;
        }
        Ok(())
    }

    /// A request that is answered with this status; each client must raise its package's exception for
    /// it, and show the message.
    fn refuse(
        &mut self,
        listener: SocketAddr,
        changes: &Value,
        status: u16,
        message: &str,
    ) -> Result<()> {
        let exceptions = EXCEPTIONS.iter().find(|(known, ..)| *known == status);
        let (_, keystoneauth, openstacksdk) = exceptions.context("a status without exceptions")?;
        for made in self.ask(listener, changes)? {
            // keystoneauth1 does not read faults of this form, OpenStack's oldest ("Unrecognized schema in
            // response body"), but keeps the body.
            let (expected, shown) = match made.package.as_str() {
                "openstacksdk" => (openstacksdk, &made.says),
                _ => (keystoneauth, &made.body),
            };
            if made.error != *expected || !shown.contains(message) {
                let expected = format!("{expected} with {message:?}");
                self.failures.push(format!("{changes}: expected {expected}, got {made:?}"));
            }
            let raised = self.figures.raised.entry(status).or_default();
            raised.entry(made.package).or_default().insert(made.error);
        }
        Ok(())
    }
}

impl Drop for Clients<'_> {
    fn drop(&mut self) {
        // Both fail only if it has left already. Waiting also spares us a zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    let mut questions = names.map(|name| json!({ "name": name })).to_vec();
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
