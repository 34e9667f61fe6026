//! What is sent to Keystone, by whomever, and how its answers are read.

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::Keystone;
use crate::Result;
use crate::http::{Connection, Response};

/// The header with the token of who asks.
pub const TOKEN: &str = "x-auth-token";

/// The header with the token that is asked about, or given.
pub const SUBJECT: &str = "x-subject-token";

pub(super) const PATH: &str = "/v3/auth/tokens";

// === impl Keystone ===

impl Keystone {
    /// Asks as whose token it is, if there is one, and gives whatever Keystone answers.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Result<Response> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len().to_string();
        let mut headers: Vec<(&str, &[u8])> =
            vec![("content-type", b"application/json"), ("content-length", length.as_bytes())];
        if let Some(token) = token {
            headers.push((TOKEN, token.as_bytes()));
        }
        Connection::open(self.address())?.request_with_body(method, path, &headers, body.as_bytes())
    }

    /// The token in the answer to `identity`, if that is believed.
    pub(super) fn issue(&self, identity: Value, scope: Value) -> Result<String> {
        let mut auth = json!({"identity": identity});
        if !scope.is_null() {
            auth["scope"] = scope;
        }
        let answer = self.call("POST", PATH, None, &json!({"auth": auth}))?;
        done("POST", PATH, &answer)?;
        let token = answer.header(SUBJECT).context("Keystone issued no token.")?;
        Ok(token.to_owned())
    }
}

/// Who shows who they are by a password.
pub(super) fn password(user: &Value) -> Value {
    json!({"methods": ["password"], "password": {"user": user}})
}

/// The body of a 2xx.
pub(super) fn done(method: &str, path: &str, answer: &Response) -> Result<Value> {
    match answer.status {
        200..=299 if answer.body.is_empty() => Ok(Value::Null),
        200..=299 => serde_json::from_slice(&answer.body).context("reading Keystone's answer"),
        status => bail!("Keystone answered {method} {path} with {status}: {}", answer.text()),
    }
}

/// The id of what was made.
pub(super) fn id(made: &Value, what: &str) -> Result<String> {
    let id = made.get(what).and_then(|made| made.get("id")).and_then(Value::as_str);
    id.map(str::to_owned).with_context(|| format!("Keystone made a {what} without id: {made}"))
}
