//! What a user does: gets tokens, asks about them, takes them back.

use serde_json::{Value, json};

use super::calls::{PATH, SUBJECT, TOKEN, done, id, password};
use super::{Keystone, Scope, User};
use crate::Result;
use crate::http::{self, Response};

// === impl Keystone ===

impl Keystone {
    /// A token by password. Keystone refuses (401) who has no role there.
    pub fn token(&self, user: &User, scope: Scope<'_>) -> Result<String> {
        let scope = match scope {
            Scope::Project(project) => json!({"project": {"id": project}}),
            Scope::Domain(domain) => json!({"domain": {"id": domain}}),
            Scope::System => json!({"system": {"all": true}}),
        };
        self.issue(by_password(user), scope)
    }

    /// A token by password that says who the user is, and is for nothing.
    pub fn unscoped_token(&self, user: &User) -> Result<String> {
        self.issue(by_password(user), json!("unscoped"))
    }

    /// A token by an application credential, made for it, with the user's roles in the project. It may be used for
    /// these methods and paths of a volume service alone; none: for everything.
    pub fn application_credential_token(
        &self,
        user: &User,
        project: &str,
        access_rules: &[(&str, &str)],
    ) -> Result<String> {
        let token = self.token(user, Scope::Project(project))?;
        let mut credential = json!({"name": token, "secret": user.password});
        if !access_rules.is_empty() {
            let rule =
                |(method, path)| json!({"service": "volumev3", "method": method, "path": path});
            credential["access_rules"] = access_rules.iter().copied().map(rule).collect();
        }
        let path = format!("/v3/users/{}/application_credentials", user.id);
        let credential = json!({"application_credential": credential});
        let made = done("POST", &path, &self.call("POST", &path, Some(&token), &credential)?)?;
        let id = id(&made, "application_credential")?;
        let secret = &user.password;
        self.issue(
            json!({
                "methods": ["application_credential"],
                "application_credential": {"id": id, "secret": secret},
            }),
            Value::Null,
        )
    }

    /// A token by which the trustee acts in the project with a role that the trustor has there, by a trust made for it.
    pub fn trust_token(
        &self,
        trustor: &User,
        trustee: &User,
        project: &str,
        role: &str,
    ) -> Result<String> {
        let token = self.token(trustor, Scope::Project(project))?;
        let trust = json!({"trust": {
            "trustor_user_id": trustor.id,
            "trustee_user_id": trustee.id,
            "project_id": project,
            "impersonation": false,
            "roles": [{"name": role}],
        }});
        let path = "/v3/OS-TRUST/trusts";
        let made = done("POST", path, &self.call("POST", path, Some(&token), &trust)?)?;
        let scope = json!({"OS-TRUST:trust": {"id": id(&made, "trust")?}});
        self.issue(by_password(trustee), scope)
    }

    /// Takes a token back.
    pub fn revoke(&self, token: &str) -> Result<()> {
        let headers = [(TOKEN, token.as_bytes()), (SUBJECT, token.as_bytes())];
        done("DELETE", PATH, &http::request(self.address(), "DELETE", PATH, &headers)?).map(drop)
    }

    /// What a token may ask about itself, and how the answer looks: self-validation, without the catalog.
    pub fn ask_about_itself(&self, token: &str) -> Result<Response> {
        let headers = [(TOKEN, token.as_bytes()), (SUBJECT, token.as_bytes())];
        http::request(self.address(), "GET", format!("{PATH}?nocatalog"), &headers)
    }
}

fn by_password(user: &User) -> Value {
    password(&json!({"id": user.id, "password": user.password}))
}
