//! What Envoy says at its admin interface.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, anyhow};

use super::Envoy;
use crate::Result;
use crate::http::{self, Response};

impl Envoy {
    /// GET on the admin interface, such as `/config_dump`; anything but 200 is an error.
    pub fn admin_get(&self, path: &str) -> Result<String> {
        good(path, http::request(self.admin, "GET", path, &[])?)
    }

    /// POST on the admin interface, such as `/logging?wasm=debug`; anything but 200 is an error.
    pub fn admin_post(&self, path: &str) -> Result<String> {
        let empty: (&str, &[u8]) = ("content-length", b"0");
        good(path, http::request(self.admin, "POST", path, &[empty])?)
    }

    /// All counters and gauges by name, unused ones included. Histograms have no single number
    /// and are left out.
    pub fn stats(&self) -> Result<BTreeMap<String, u64>> {
        let text = self.admin_get("/stats")?;
        let number = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(number).collect())
    }

    /// One counter or gauge. A name Envoy does not know is an error, so that a misspelt one
    /// cannot pass for zero.
    pub fn stat(&self, name: &str) -> Result<u64> {
        let stats = self.stats()?;
        stats.get(name).copied().ok_or_else(|| {
            let end = name.rsplit('.').next().unwrap_or(name);
            let like: Vec<&String> = stats.keys().filter(|key| key.contains(end)).collect();
            let like = &like[..like.len().min(8)];
            anyhow!("Envoy has no stat `{name}`; it has {like:?}.")
        })
    }

    /// Where the listener called `name` listens; its configuration may say port 0.
    pub fn listener_address(&self, name: &str) -> Result<SocketAddr> {
        let text = self.admin_get("/listeners")?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix("::")?.parse().ok())
            .with_context(|| format!("Envoy has no listener `{name}`, but:\n{text}"))
    }
}

fn good(path: &str, answer: Response) -> Result<String> {
    match answer.status {
        200 => Ok(answer.text()),
        status => {
            Err(anyhow!("Envoy's admin interface answered {status} to {path}: {}", answer.text()))
        }
    }
}
