//! The API explorer in a real browser.

use std::collections::BTreeMap;
use std::{env, fs};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::browser::Browser;
use testkit::{envoy, ports, workspace};

use super::{Serving, demo, program};

/// Chooses one of the values that the page offers for each parameter named, none for the others, and sends the request.
const SEND: &str = r#"async (chosen) => {
    const until = async (look) => {
        for (const end = Date.now() + 30000; Date.now() < end; await new Promise((tick) => setTimeout(tick, 10))) {
            const found = look();
            if (found) return found;
        }
        throw new Error(`${JSON.stringify(chosen)}: ${look} in vain in ${document.body.innerText}`);
    };
    const one = (selector) => document.querySelector(selector);
    await until(() => one("tr[data-param-name=project_id] input")?.value);
    one("button.btn-clear")?.click();
    await until(() => !one(".live-responses-table"));
    for (const row of document.querySelectorAll("tr[data-param-name]")) {
        const [name, list] = [row.dataset.paramName, row.querySelector(".examples-select select")];
        const value = name in chosen ? chosen[name] : list.options[0].value.replace(/^.*=|^\(.*/, "");
        await until(() => {
            list.value = value ? `${name}=${value}` : "(not given)";
            list.dispatchEvent(new Event("change", { bubbles: true }));
            return row.querySelector("input").value === value;
        });
    }
    one("button.execute").click();
    const answer = await until(() => one(".live-responses-table .response"));
    const headers = [...answer.querySelectorAll(".headerline")].map((line) => line.innerText.trim().split(": "));
    return {
        path: one(".request-url pre").innerText.replace(location.origin, ""),
        status: answer.querySelector(".response-col_status").innerText,
        body: answer.querySelector(".highlight-code code").innerText,
        headers: Object.fromEntries(headers),
    };
}"#;

/// Every value that the page offers, as `name=value`.
const OFFERED: &str =
    r#"[...document.querySelectorAll(".examples-select option")].map((option) => option.value)"#;

/// Where the page got its parts.
const SOURCES: &str =
    r#"performance.getEntriesByType("resource").map((part) => new URL(part.name).origin)"#;

/// From the last parameters to the answer.
const PLACE: &str = r#"(() => {
    const top = document.querySelector("tr[data-param-name=availability_zone]").getBoundingClientRect().top;
    const answer = document.querySelector(".live-responses-table .response").getBoundingClientRect();
    return { x: answer.left - 20, y: top + scrollY, width: answer.width + 40, height: answer.bottom - top, scale: 0.8 };
})()"#;

/// What the page shows of an answer.
#[derive(Debug, Deserialize)]
struct Shown {
    path: String,
    status: String,
    body: Value,
    headers: BTreeMap<String, String>,
}

fn send(page: &mut Browser, chosen: &Value) -> Shown {
    let shown = page.evaluate(&format!("({SEND})({chosen})")).unwrap();
    let mut shown: Shown = serde_json::from_value(shown).unwrap();
    shown.body = serde_json::from_str(shown.body.as_str().unwrap()).unwrap();
    shown
}

#[test]
fn each_example_can_be_sent_from_a_browser_and_who_answered_is_seen() {
    let port = ports::free_port().unwrap();
    let demo = Serving::start(&["--port", &port.to_string()]);
    let url = format!("http://{}/explorer/", demo.listener);
    assert!(demo.lines.iter().any(|line| line.ends_with(&url)), "{:#?}", demo.lines);
    let mut page = Browser::open(&url).unwrap();

    let count = "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count";
    let counted = send(&mut page, &json!({}));
    assert_eq!((&*counted.path, &counted.body), (count, &json!({"count": 98})), "{counted:?}");
    let counted = send(&mut page, &json!({"availability_zone": "eu-de-01"}));
    assert_eq!((&*counted.status, &counted.body), ("200", &json!({"count": 42})), "{counted:?}");
    assert_eq!(counted.headers["x-answered-by"], "store_count", "No sample asks for it.");
    if let Some(file) = env::var_os("EXPLORER_PICTURE") {
        let place = page.evaluate(PLACE).unwrap();
        let picture = BASE64_STANDARD.decode(page.picture(&place).unwrap()).unwrap();
        fs::write(workspace::root().join(file), picture).unwrap();
    }

    let offered = page.evaluate(OFFERED).unwrap();
    let offered =
        offered.as_array().unwrap().iter().filter_map(|value| value.as_str()?.split_once('='));
    let mut refused = Vec::new();
    for (name, value) in offered {
        let shown = send(&mut page, &json!({name: value}));
        let by = &*shown.headers["x-answered-by"];
        match &*shown.status {
            "200" => assert!(["store_count", "cache_hit"].contains(&by), "{shown:?}"),
            status => refused.push(format!("{name}={value} {status} {by}")),
        }
        let is_sent = name == "project_id" || shown.path == format!("{count}?{name}={value}");
        assert!(is_sent, "{shown:?}");
    }
    assert_eq!(
        refused,
        [
            "project_id=no project 400 edge_project", "share_to_me=maybe 400 edge_filter",
            "volume_id=4711 400 edge_filter", "status=lost 400 edge_filter",
            "limit=10 400 edge_filter",
        ]
    );
    let sources = page.evaluate(SOURCES).unwrap();
    let here = url.strip_suffix("/explorer/").unwrap();
    assert!(sources.as_array().unwrap().iter().all(|source| source == here), "{sources}");
    demo.stop();
}

#[test]
fn if_the_explorer_cannot_be_fetched_the_demo_says_so_and_goes_on() {
    let (folder, _python) = program("python3", "echo ERROR: no route to host >&2; exit 1");
    let mut demo = demo(&[]);
    demo.env("PATH", folder.path()).env("CARGO_TARGET_DIR", folder.path().join("target"));
    demo.env("ENVOY_BIN", envoy::envoy_binary().unwrap());
    let output = demo.env("CARGO", "no/such/cargo").env_remove("FILTER_MODULE").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("There will be no page to try it in a browser: "), "{said}");
    assert!(said.contains("pip said: ERROR: no route to host"), "{said}");
    assert!(said.contains("Building the filter"), "{said}");
}
