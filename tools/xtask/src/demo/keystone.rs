//! A real Keystone, two users with a project each, and who may count what.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use testkit::envoy::Envoy;
use testkit::keystone::calls::TOKEN;
use testkit::keystone::{Keystone, Scope, User};
use testkit::{Result, envoy_yaml, workspace};

use super::samples::{Source, get};
use super::show;

/// `auth.keystone.remember` of the demo.
const REMEMBER: Duration = Duration::from_secs(3);

/// The projects of `demo/sharings.csv` that belong to the two users here.
const PROJECTS: [&str; 2] =
    ["17fbda95add24720a4038ba4b1c705ed", "db515799a6c3e831f6890ed547403508"];

/// A running Keystone, which knows alice and bob.
pub struct Identity {
    keystone: Keystone,
    alice: User,
    /// Alice's, then bob's.
    projects: [String; 2],
    bobs_token: String,
}

impl Identity {
    /// Installs Keystone if need be, and starts it.
    pub fn start() -> Result<Identity> {
        out!("Starting Keystone …");
        let keystone = Keystone::start()?;
        out!("Keystone: http://{}/v3", keystone.address());
        let somebody = |name: &str| -> Result<_> {
            let (user, project) = (keystone.create_user(name)?, keystone.create_project(name)?);
            keystone.grant(&user, "reader", Scope::Project(&project))?;
            Ok((user, project))
        };
        let ((alice, alices), (bob, bobs)) = (somebody("alice")?, somebody("bob")?);
        let bobs_token = keystone.token(&bob, Scope::Project(&bobs))?;
        Ok(Identity { keystone, alice, projects: [alices, bobs], bobs_token })
    }

    /// The demo's sharings, written into `folder`: of projects that Keystone knows.
    pub fn sharings(&self, folder: &Path) -> Result<PathBuf> {
        let rows = fs::read_to_string(workspace::root().join("demo/sharings.csv"));
        let mut rows = rows.context("reading demo/sharings.csv")?;
        for (own, keystones) in PROJECTS.iter().zip(&self.projects) {
            rows = rows.replace(own, keystones);
        }
        let path = folder.join("sharings.csv");
        fs::write(&path, rows).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// The configuration of Envoy with this Keystone.
    pub fn configure(&self, yaml: &str) -> Result<String> {
        envoy_yaml::with_keystone(yaml, self.keystone.address(), REMEMBER)
    }

    /// Asks the samples; the number that did not answer as expected.
    pub fn samples(&self, listener: SocketAddr, envoy: &Envoy) -> Result<usize> {
        let count = |project| format!("/v2/{project}/os-vendor-backup-sharing/count");
        let [alices, bobs] = self.projects.each_ref().map(count);
        let shared = format!("{alices}?share_to_me=true");
        let scope = Scope::Project(&self.projects[0]);
        let [token, second] =
            [self.keystone.token(&self.alice, scope)?, self.keystone.token(&self.alice, scope)?];
        let [alice, again, bob] =
            [&token, &second, &self.bobs_token].map(|token| [(TOKEN, token.as_str())]);
        let (edge, store) = (Source::Edge, Source::Store);
        const REFUSED: &str = r#"{"unauthorized":{"code":401,"#;
        const FORBIDDEN: &str = r#"{"forbidden":{"code":403,"#;
        let samples = [
            get("Alice counts what her project shares", &alices, 200, r#"{"count":98}"#, store)
                .with(&alice),
            get("And what is shared with it", &shared, 200, r#"{"count":24}"#, store).with(&alice),
            get("Bob counts what his project shares", &bobs, 200, r#"{"count":6}"#, store)
                .with(&bob),
            get("Alice may not count what Bob's shares", &bobs, 403, FORBIDDEN, edge).with(&alice),
            get("Without a token nobody may", &alices, 401, REFUSED, edge),
            get("Alice has a second token", &alices, 200, r#"{"count":98}"#, store).with(&again),
        ];
        let failed = show::samples(listener, envoy, &samples)?;
        self.keystone.revoke(&second)?;
        let remember = REMEMBER.as_secs();
        out!(
            "\nAlice has her second token revoked. The filter remembers it for {remember} s at most …"
        );
        thread::sleep(REMEMBER);
        let revoked = get("It counts no longer", &alices, 401, REFUSED, edge);
        Ok(failed + show::samples(listener, envoy, &[revoked.with(&again)])?)
    }
}
