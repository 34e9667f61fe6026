//! What the clients are asked, and what each must make of the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use testkit::envoy_yaml::start_before;
use testkit::store::{Behaviour, ScriptedStore};

use super::python::Python;
use super::{folder, store};

const PROJECT: &str = "17fbda95add24720a4038ba4b1c705ed";
const OTHER: &str = "91d687759aed45d28b5f6084bc2fa8ad";
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

/// What must come of a request.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Count(u64),
    /// The exception for this status, with these words of ours.
    Refusal(u16, &'static str),
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
    let tokens = [format!("mine={PROJECT}"), format!("known={OTHER}")];
    let store = store(&["--token", &tokens[0], "--token", &tokens[1]])?;
    let (open, listener) = start_before(&[store.0.address()], store.0.address(), &[])?;
    let scripted = ScriptedStore::start()?;
    scripted.set(Behaviour::by_request(|request| match request.target_text().split('/').nth(2) {
        Some("p502") => Behaviour::json(200, "{}"),
        Some("p504") => Behaviour::Hang,
        Some(project) => Behaviour::status(project[1..].parse().unwrap_or(418)),
        None => Behaviour::status(418),
    }));
    // As the file has it: a client's patience is not what is asked here.
    let timeout = [("count-store, timeout: 20s", "count-store, timeout: 1s")];
    let (failing, elsewhere) = start_before(&[scripted.address()], scripted.address(), &timeout)?;

    let (requests, expected): (Vec<_>, Vec<_>) = questions(listener, elsewhere).into_iter().unzip();
    let answers = ask(python, &requests)?;
    ensure!(answers.len() == requests.len(), "the clients left questions without an answer");
    let mut figures = Figures::default();
    for ((request, expected), made) in requests.iter().zip(expected).zip(answers) {
        figures.questions += usize::from(matches!(expected, Expected::Count(_)));
        for made in made {
            if !expected.fits(&made)? {
                failures.push(format!("{request}: expected {expected:?}, got {made:?}"));
            }
            figures.clients.insert(made.client);
            if let Expected::Refusal(status, _) = expected {
                let raised = figures.raised.entry(status).or_default();
                raised.entry(made.package).or_default().insert(made.error);
            }
        }
    }
    open.stop()?;
    failing.stop()?;
    Ok(figures)
}

/// What each client made of each request.
fn ask(python: &Python, requests: &[Value]) -> Result<Vec<Vec<Made>>> {
    let here = tempfile::tempdir().context("make a temporary folder")?;
    let path = here.path().join("questions.json");
    fs::write(&path, serde_json::to_string(requests)?).context("write the questions")?;
    let mut program = python.run(&folder().join("ask.py"));
    let output = program.stdin(File::open(&path)?).output().context("run the clients")?;
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("understand the clients, who said {said}"))
}

impl Expected {
    fn fits(&self, made: &Made) -> Result<bool> {
        let (status, message) = match *self {
            Expected::Count(count) => return Ok(made.count == Some(count)),
            Expected::Refusal(status, message) => (status, message),
        };
        let exceptions = EXCEPTIONS.iter().find(|(known, ..)| *known == status);
        let (_, keystoneauth, openstacksdk) = exceptions.context("a status without exceptions")?;
        // keystoneauth1 does not read faults of this form, OpenStack's oldest ("Unrecognized schema in
        // response body"), but keeps the body.
        let (exception, shown) = match made.package.as_str() {
            "openstacksdk" => (openstacksdk, &made.says),
            _ => (keystoneauth, &made.body),
        };
        Ok(made.error == *exception && shown.contains(message))
    }
}

/// The usual request to a project, with some members changed.
fn request(listener: SocketAddr, project: &str, changes: &Value) -> Value {
    let mut request = json!({
        "service": format!("http://{listener}/v2/{project}"),
        "path": CALL,
        "method": "GET",
        "filters": {},
        "accept": null,
        "token": "mine",
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    request
}

/// Requests to the real store, then to one that fails: there, the project says how.
fn questions(real: SocketAddr, failing: SocketAddr) -> Vec<(Value, Expected)> {
    // The rows in `clients/sharings.csv`, counted by hand.
    let counts = [
        (json!({"name": "prod"}), 1),
        (json!({"name": "vor Umzug"}), 1),
        (json!({"name": "~home/%7Ename"}), 1),
        (json!({"name": "a b~c/d%e+f&g=h"}), 1),
        (json!({"name": "a+b~c"}), 1),
        (json!({"name": "%"}), 4),
        (json!({"name": "_"}), 1),
        (json!({"name": "20%_k"}), 1),
        (json!({"name": "größen"}), 1),
        (json!({"name": "GRÖSSEN"}), 0),
        (json!({"name": "测试环境 快照"}), 1),
        (json!({"name": "no such name"}), 0),
        (json!({}), 8),
        (json!({"share_to_me": true}), 3),
        (json!({"share_to_me": false}), 8),
        (json!({"share_to_me": true, "from_project_id": OTHER, "status": "AVAILABLE"}), 1),
        (json!({"to_project_id": OTHER, "name": "HOME"}), 1),
        (json!({"status": "error_deleting"}), 1),
        (json!({"avalilability_zone": "eu-de-02"}), 3),
        (json!({"availability_zone": "eu-de-02", "share_to_me": true}), 2),
        (json!({"availability_zone": "eu de#1", "share_to_me": true, "name": "/%7E"}), 1),
        (json!({"volume_id": "20000000-0000-4000-8000-000000000002"}), 1),
        (json!({"backup_id": "10000000-0000-4000-8000-000000000004", "share_to_me": true}), 1),
    ];
    let (maybe, slash) = (json!({"share_to_me": "maybe"}), format!("{CALL}/"));
    let refusals = [
        (json!({ "filters": maybe }), 400, "share_to_me: expected true or false, got"),
        (json!({"token": "unknown"}), 401, "The request needs authentication."),
        (json!({"token": "known"}), 403, "You may not do this in this project."),
        (json!({ "path": slash }), 404, "The resource could not be found."),
        (json!({"method": "POST"}), 405, "Only GET counts backup sharings."),
        (json!({"accept": "text/html"}), 406, "The answer is application/json, which"),
    ];
    let failures = [
        (409, "The request conflicts with another."),
        (500, "The count failed for a reason inside the service."),
        (501, "The count store does not support this call."),
        (502, "The count store gave an answer that cannot be used."),
        (503, "The count store is unavailable."),
        (504, "The count store did not answer in time."),
    ];
    let counts = counts.into_iter().map(|(filters, count)| {
        (request(real, PROJECT, &json!({ "filters": filters })), Expected::Count(count))
    });
    let refusals = refusals.into_iter().map(|(changes, status, words)| {
        (request(real, PROJECT, &changes), Expected::Refusal(status, words))
    });
    let failures = failures.into_iter().map(|(status, words)| {
        let request = request(failing, &format!("p{status}"), &json!({}));
        (request, Expected::Refusal(status, words))
    });
    counts.chain(refusals).chain(failures).collect()
}
