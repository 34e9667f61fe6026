//! What the administrator does: projects, users and their roles.

use std::sync::PoisonError;

use anyhow::Context;
use serde_json::{Value, json};

use super::Keystone;
use super::calls::{done, id, password};
use super::provision::ADMIN_PASSWORD;
use crate::Result;

/// The id of the domain in which all is made here.
pub const DOMAIN: &str = "default";

/// What a role is held on, and what a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// A project, by its id.
    Project(&'a str),
    /// A domain, by its id, such as [`DOMAIN`].
    Domain(&'a str),
    /// The whole deployment.
    System,
}

/// Somebody who has a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What Keystone calls them.
    pub id: String,
    /// How they show who they are.
    pub password: String,
}

// === impl Keystone ===

impl Keystone {
    /// A project; its id. Names may be used once.
    pub fn create_project(&self, name: &str) -> Result<String> {
        let project = json!({"project": {"name": name, "domain_id": DOMAIN}});
        id(&self.admin("POST", "/v3/projects", &project)?, "project")
    }

    /// A user without any role. Names may be used once.
    pub fn create_user(&self, name: &str) -> Result<User> {
        let password = format!("{name}'s password");
        let user = json!({"user": {"name": name, "domain_id": DOMAIN, "password": password}});
        Ok(User { id: id(&self.admin("POST", "/v3/users", &user)?, "user")?, password })
    }

    /// Gives a user a role: `admin`, `manager`, `member`, `reader` (each has those after it) or `service`.
    pub fn grant(&self, user: &User, role: &str, scope: Scope<'_>) -> Result<()> {
        self.admin("PUT", &self.grant_path(user, role, scope)?, &Value::Null).map(drop)
    }

    /// Takes the role back. Tokens that had it are refused from now on, as long as no other one is left.
    pub fn remove_role(&self, user: &User, role: &str, scope: Scope<'_>) -> Result<()> {
        self.admin("DELETE", &self.grant_path(user, role, scope)?, &Value::Null).map(drop)
    }

    /// Their tokens are refused from now on.
    pub fn disable_user(&self, user: &User) -> Result<()> {
        self.change_user(user, json!({"enabled": false}))
    }

    /// Their tokens are refused from now on, and those that they get before the next second begins. The new password
    /// is in the answer.
    pub fn change_password(&self, user: &User) -> Result<User> {
        let changed = User { id: user.id.clone(), password: format!("{}, changed", user.password) };
        self.change_user(user, json!({"password": changed.password}))?;
        Ok(changed)
    }

    /// Tokens for it are refused from now on.
    pub fn disable_project(&self, project: &str) -> Result<()> {
        let disabled = json!({"project": {"enabled": false}});
        self.admin("PATCH", &format!("/v3/projects/{project}"), &disabled).map(drop)
    }

    fn change_user(&self, user: &User, change: Value) -> Result<()> {
        self.admin("PATCH", &format!("/v3/users/{}", user.id), &json!({"user": change})).map(drop)
    }

    fn grant_path(&self, user: &User, role: &str, scope: Scope<'_>) -> Result<String> {
        let roles = self.admin("GET", &format!("/v3/roles?name={role}"), &Value::Null)?;
        let role = roles.pointer("/roles/0/id").and_then(Value::as_str);
        let role = role.with_context(|| format!("Keystone has no such role: {roles}"))?;
        let place = match scope {
            Scope::Project(project) => format!("projects/{project}"),
            Scope::Domain(domain) => format!("domains/{domain}"),
            Scope::System => "system".to_owned(),
        };
        Ok(format!("/v3/{place}/users/{}/roles/{role}", user.id))
    }

    /// Asks as the administrator; for what is not in a method here. The body, if there is one, of a 2xx.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut token = self.admin_token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &*token {
            let answer = self.call(method, path, Some(token), body)?;
            if answer.status != 401 {
                return done(method, path, &answer);
            }
            // It has expired.
        }
        let admin = json!({"name": "admin", "domain": {"id": DOMAIN}, "password": ADMIN_PASSWORD});
        let fresh = self.issue(password(&admin), json!({"system": {"all": true}}))?;
        let answer = self.call(method, path, Some(&fresh), body)?;
        *token = Some(fresh);
        done(method, path, &answer)
    }
}
