//! The clients, each a process that is told a request and says what it made of the answer.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::Value;
use testkit::{Error, Result};

use super::environment::{Environment, clients};

/// Whose errors a client raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Keystoneauth,
    Openstacksdk,
    /// Its requests and its errors, spoken by Python.
    Golangsdk,
}

/// A way to ask: family, name, program and argument.
pub const WAYS: [(Family, &str, &str, &str); 6] = [
    (Family::Keystoneauth, "keystoneauth1's Adapter", "keystoneauth.py", "adapter"),
    (Family::Keystoneauth, "keystoneauth1's LegacyJsonAdapter", "keystoneauth.py", "legacy"),
    (Family::Openstacksdk, "openstacksdk's Proxy", "openstack_sdk.py", "proxy"),
    (Family::Openstacksdk, "openstacksdk's Resource.fetch", "openstack_sdk.py", "fetch"),
    (Family::Openstacksdk, "openstacksdk's Resource.list", "openstack_sdk.py", "list"),
    (Family::Golangsdk, "golangsdk", "golangsdk.py", ""),
];

/// A running client.
pub struct Client {
    pub family: Family,
    pub name: &'static str,
    /// Whether it can send another method or `accept` than its own.
    pub free: bool,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What a client made of an answer.
#[derive(Debug)]
pub enum Made {
    Count(u64),
    Error {
        /// The exception's type.
        name: String,
        /// Its own words.
        says: String,
        /// The body it carries.
        body: String,
    },
}

// === impl Family ===

impl Family {
    /// The type of this family's exception for a status, as its sources have it.
    pub fn exception(self, status: u16) -> &'static str {
        match (self, status) {
            (Family::Keystoneauth, 400) => "BadRequest",
            (Family::Keystoneauth, 401) => "Unauthorized",
            (Family::Keystoneauth, 403) => "Forbidden",
            (Family::Keystoneauth, 404) => "NotFound",
            (Family::Keystoneauth, 405) => "MethodNotAllowed",
            (Family::Keystoneauth, 406) => "NotAcceptable",
            (Family::Keystoneauth, 409) => "Conflict",
            (Family::Keystoneauth, 500) => "InternalServerError",
            (Family::Keystoneauth, 501) => "HttpNotImplemented",
            (Family::Keystoneauth, 502) => "BadGateway",
            (Family::Keystoneauth, 503) => "ServiceUnavailable",
            (Family::Keystoneauth, 504) => "GatewayTimeout",
            (Family::Keystoneauth, _) => "HttpError",
            (Family::Openstacksdk, 400) => "BadRequestException",
            (Family::Openstacksdk, 403) => "ForbiddenException",
            (Family::Openstacksdk, 404) => "NotFoundException",
            (Family::Openstacksdk, 409) => "ConflictException",
            (Family::Openstacksdk, _) => "HttpException",
            (Family::Golangsdk, 400) => "ErrDefault400",
            (Family::Golangsdk, 401) => "ErrDefault401",
            (Family::Golangsdk, 403) => "ErrDefault403",
            (Family::Golangsdk, 404) => "ErrDefault404",
            (Family::Golangsdk, 405) => "ErrDefault405",
            (Family::Golangsdk, 409) => "ErrDefault409",
            (Family::Golangsdk, 500) => "ErrDefault500",
            (Family::Golangsdk, 503) => "ErrDefault503",
            (Family::Golangsdk, _) => "ErrUnexpectedResponseCode",
        }
    }

    /// Where a person finds our message. keystoneauth1 does not read faults of this form, OpenStack's
    /// oldest ("Unrecognized schema in response body"); golangsdk reads none. Both keep the body.
    pub fn message<'a>(self, says: &'a str, body: &'a str) -> &'a str {
        match self {
            Family::Openstacksdk => says,
            Family::Keystoneauth | Family::Golangsdk => body,
        }
    }
}

// === impl Client ===

impl Client {
    /// Starts all of them.
    pub fn start_all(python: &Environment) -> Result<Vec<Self>> {
        WAYS.iter().map(|way| Self::start(python, way)).collect()
    }

    fn start(
        python: &Environment,
        (family, name, program, argument): &(Family, &'static str, &str, &str),
    ) -> Result<Self> {
        let failed = || Error::while_doing(format!("start {name}"));
        let mut child = python
            .run(&clients().join(program))
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed())?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(requests), Some(answers)) => Ok(Self {
                family: *family,
                name,
                free: !["fetch", "list"].contains(argument),
                child,
                requests,
                answers: BufReader::new(answers),
            }),
            _ => Err(Error::new(format!("{name} was started without pipes."))),
        }
    }

    /// Has it send a request.
    pub fn ask(&mut self, request: &Value) -> Result<Made> {
        let what = format!("hear {} about {request}", self.name);
        let mut line = String::new();
        writeln!(self.requests, "{request}")
            .and_then(|()| self.answers.read_line(&mut line))
            .map_err(Error::while_doing(&what))?;
        let made: Value = serde_json::from_str(&line).map_err(Error::while_doing(what))?;
        let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
        Ok(match made["count"].as_u64() {
            Some(count) => Made::Count(count),
            None => Made::Error { name: text("error"), says: text("says"), body: text("body") },
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Both fail only if it has left already. Waiting also spares us a zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
