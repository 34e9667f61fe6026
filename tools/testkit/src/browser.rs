//! Chromium without a window, for tests of what a page shows. It is spoken to through a pipe, in the DevTools protocol: the
//! crates for that bring a WebSocket client and some ten thousand generated lines, for the five methods called here.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::debian::CHROMIUM;
use crate::{PATIENCE, Result, workspace};

/// The variable that names another Chromium, or Chrome.
pub const CHROMIUM_BIN: &str = "CHROMIUM_BIN";

/// Chromium reads file descriptor 3 and writes 4.
const SHELL: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// A running Chromium with one page. Dropping it kills it.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    calls: u64,
    session: Option<Value>,
    /// Its profile, and what it says.
    folder: TempDir,
}

// === impl Browser ===

impl Browser {
    /// Opens a page. Chromium is fetched if need be.
    ///
    /// # Errors
    /// If there is no Chromium, or no such page.
    pub fn open(url: &str) -> Result<Browser> {
        let folder = tempfile::tempdir().context("making a folder for Chromium")?;
        let chromium = match workspace::from_root(CHROMIUM_BIN) {
            Some(named) => Command::new(named),
            None => {
                CHROMIUM.command().context("There is no Chromium. Name one with CHROMIUM_BIN.")?
            }
        };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(SHELL).arg(chromium.get_program());
        shell.envs(chromium.get_envs().filter_map(|(name, value)| Some((name, value?))));
        // Root has no sandbox; the only pages are our own.
        shell.args(["--headless", "--no-sandbox", "--remote-debugging-pipe", "--no-proxy-server"]);
        shell.args(["--disable-background-networking", "--window-size=1000,1000"]);
        shell.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        shell.stderr(File::create(folder.path().join("said")).context("starting Chromium")?);
        let mut child = shell.spawn().context("starting Chromium")?;
        let input = child.stdin.take().context("Chromium has no input.")?;
        let output = BufReader::new(child.stdout.take().context("Chromium has no output.")?);
        let (send, messages) = mpsc::channel();
        thread::spawn(move || {
            let messages = output.split(0).map_while(std::result::Result::ok);
            messages
                .filter_map(|message| serde_json::from_slice(&message).ok())
                .try_for_each(|m| send.send(m))
        });
        let mut browser = Browser { child, input, messages, calls: 0, session: None, folder };
        let mut page = browser.call("Target.createTarget", json!({"url": "about:blank"}))?;
        page["flatten"] = true.into();
        let mut attached = browser.call("Target.attachToTarget", page)?;
        browser.session = Some(attached["sessionId"].take());
        let opened = browser.call("Page.navigate", json!({"url": url}))?;
        match opened["errorText"].as_str() {
            Some(error) => bail!("Chromium cannot open {url}: {error}"),
            None => Ok(browser),
        }
    }

    /// What a JavaScript expression gives in the page, or the promise it gives.
    ///
    /// # Errors
    /// If it throws, or there is no answer.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let arguments =
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", arguments)?;
        match answer.get("exceptionDetails") {
            Some(error) => Err(anyhow!("The page throws: {error}")),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// A PNG, in base64, of a part of the page: `x`, `y`, `width`, `height` and `scale`, in CSS pixels.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn picture(&mut self, clip: &Value) -> Result<String> {
        let arguments = json!({"clip": clip, "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", arguments)?;
        Ok(answer["data"].as_str().context("Chromium made no picture.")?.to_owned())
    }

    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone();
        }
        let written = write!(self.input, "{message}\0");
        loop {
            // The rest are events. What could not be written has no answer either.
            let received = self.messages.recv_timeout(PATIENCE).map_err(|error| {
                let said = fs::read_to_string(self.folder.path().join("said")).unwrap_or_default();
                anyhow!(
                    "Chromium does not answer {method} ({written:?}, {error}). It said:\n{said}"
                )
            });
            let mut answer = received?;
            if answer["id"] == self.calls {
                return match answer.get("error") {
                    Some(error) => Err(anyhow!("Chromium refuses {method}: {error}")),
                    None => Ok(answer["result"].take()),
                };
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Both fail only if it has left already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
