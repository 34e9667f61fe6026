//! What the filter counts for Prometheus (docs/watching-it.md#metrics): exact in the wasm host, and as Envoy shows it.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::collections::BTreeMap;
use std::time::Duration;

use backup_sharing_count::details;
use testkit::envoy_yaml::ShippedEnvoy;
use testkit::store::Behaviour;
use testkit::wasm::{End, Host};
use testkit::{PATIENCE, wait_for, workspace};

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
const COUNT: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}, "cache": {"ttl": "60s"}}"#;

fn get(path: &str) -> [(&[u8], &[u8]); 2] {
    [(b":method", b"GET"), (b":path", path.as_bytes())]
}

/// Metrics that have counted or recorded something, with all values.
fn seen(host: &Host) -> BTreeMap<String, Vec<u64>> {
    let metrics = host.metrics().into_iter().filter(|(_, values)| !values.is_empty());
    metrics.map(|(name, values)| (name.to_owned(), values.to_vec())).collect()
}

fn expected(metrics: &[(&str, &[u64])]) -> BTreeMap<String, Vec<u64>> {
    let name = |name: &str| format!("backup_sharing_count_{name}");
    metrics.iter().map(|(of, values)| (name(of), values.to_vec())).collect()
}

#[test]
fn each_is_defined_once_however_often_the_configuration_changes() {
    let mut host = Host::load(&workspace::filter_module().unwrap(), COUNT).unwrap();
    // It refuses a second definition.
    host.replace_root(COUNT).unwrap();
    let requests: Vec<&str> = host
        .metrics()
        .into_keys()
        .filter_map(|name| name.strip_prefix("backup_sharing_count_requests.answered_by."))
        .collect();
    let mut names: Vec<&str> = details::ALL.iter().map(|details| details.name).collect();
    names.sort_unstable();
    assert_eq!(requests, names);
    assert_eq!(host.metrics().len(), names.len() + 5);
}

#[test]
fn what_happens_is_counted_and_nothing_else() {
    let mut host = Host::load(&workspace::filter_module().unwrap(), COUNT).unwrap();
    host.request(&[(b":method", b"GET"), (b":path", b"/v2/p1/backups")]).unwrap();
    assert_eq!(seen(&host), BTreeMap::new(), "another path");
    host.request(&[(b":method", b"PUT"), (b":path", PATH.as_bytes())]).unwrap();
    assert_eq!(seen(&host), expected(&[("requests.answered_by.edge_method", &[1])]));

    // Two ask the same; the callout is reset after 7 ms, and answered 30 ms later.
    let mut host = Host::load(&workspace::filter_module().unwrap(), COUNT).unwrap();
    let at = |millis| Duration::from_secs(1_000) + Duration::from_millis(millis);
    host.set_clock(at(0));
    let first = host.request(&get(PATH)).unwrap().stream;
    assert_eq!(host.request(&get(PATH)).unwrap().end, End::Pause);
    host.set_clock(at(7));
    assert!(matches!(host.callout_response(first, &[], b"").unwrap().end, End::Callout(_)));
    host.set_clock(at(37));
    host.callout_response(first, &[(b":status", b"200")], br#"{"count":2}"#).unwrap();
    host.tick().unwrap();
    assert!(matches!(host.request(&get(PATH)).unwrap().end, End::Reply(_)), "from memory");
    let all: [(&str, &[u64]); 5] = [
        ("requests.answered_by.store_count", &[1, 1]),
        ("requests.answered_by.cache_hit", &[1]),
        ("callout_milliseconds.target.store", &[7, 30]),
        ("retries.target.store", &[1]),
        ("shared", &[1]),
    ];
    assert_eq!(seen(&host), expected(&all));
}

/// One whose first has gone asks itself: its callout's time begins then. The first one's has ended when it left.
#[test]
fn the_time_of_a_callout_is_its_own() {
    let mut host = Host::load(&workspace::filter_module().unwrap(), COUNT).unwrap();
    let at = |millis| Duration::from_secs(1_000) + Duration::from_millis(millis);
    host.set_clock(at(0));
    let first = host.request(&get(PATH)).unwrap().stream;
    let second = host.request(&get(PATH)).unwrap().stream;
    host.set_clock(at(400));
    host.finish(first).unwrap();
    host.set_clock(at(500));
    let (stream, end) = host.tick().unwrap().pop().unwrap();
    assert!(stream == second && matches!(end, End::Callout(_)), "{end:?}");
    host.set_clock(at(503));
    host.callout_response(second, &[(b":status", b"200")], br#"{"count":2}"#).unwrap();
    assert_eq!(host.metrics()["backup_sharing_count_callout_milliseconds.target.store"], [400, 3]);
    // It comes for nobody.
    host.callout_response(first, &[(b":status", b"200")], br#"{"count":2}"#).unwrap();
    assert_eq!(host.metrics()["backup_sharing_count_callout_milliseconds.target.store"], [400, 3]);
}

#[test]
fn one_that_waits_for_keystone_and_then_for_the_store_shares_twice() {
    let auth = r#", "auth": {"mode": "keystone", "keystone": {"cluster": "keystone"}}}"#;
    let configuration = COUNT.strip_suffix('}').unwrap().to_owned() + auth;
    let mut host = Host::load(&workspace::filter_module().unwrap(), &configuration).unwrap();
    let mut headers = get(PATH).to_vec();
    headers.push((b"x-auth-token", b"t"));
    let first = host.request(&headers).unwrap().stream;
    assert_eq!(host.request(&headers).unwrap().end, End::Pause);
    let token = br#"{"token": {"project": {"id": "p1"}, "expires_at": "2100-01-01T00:00:00Z"}}"#;
    let step = host.callout_response(first, &[(b":status", b"200")], token).unwrap();
    assert!(matches!(step.end, End::Callout(_)), "{step:?}");
    host.tick().unwrap();
    assert_eq!(host.metrics()["backup_sharing_count_shared"], [1, 1]);
    host.callout_response(first, &[(b":status", b"200")], br#"{"count":2}"#).unwrap();
    assert_eq!(host.tick().unwrap().len(), 1);
    assert_eq!(host.metrics()["backup_sharing_count_shared"], [1, 1]);
}

/// The value of each line of Prometheus's that this filter has to do with, but for buckets.
fn page(envoy: &testkit::envoy::Envoy) -> BTreeMap<String, f64> {
    let page = envoy.admin_get("/stats/prometheus").unwrap();
    let lines = page.lines().filter(|line| line.starts_with("backup_sharing_count"));
    let lines = lines.filter(|line| !line.contains("_bucket{"));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(pair).collect()
}

#[test]
fn prometheus_sees_them_with_labels() {
    let shipped = ShippedEnvoy::start(&[]).unwrap();
    let answered_by =
        |name: &str| format!("backup_sharing_count_requests{{answered_by=\"{name}\"}}");
    // Every name is there before it is needed, so that a rate can begin at zero.
    let begun = page(&shipped.envoy);
    for details in details::ALL {
        assert_eq!(begun.get(&answered_by(details.name)), Some(&0.0), "{begun:#?}");
    }
    for _ in 0..3 {
        assert_eq!(shipped.get(PATH).unwrap().status, 200);
    }
    assert_eq!(shipped.get(&format!("{PATH}?x=1")).unwrap().status, 400);
    assert_eq!(shipped.get("/v2/p1/backups").unwrap().status, 404);
    shipped.store.set(Behaviour::ResetBeforeHeaders);
    assert_eq!(shipped.get(PATH).unwrap().status, 503);
    // Envoy puts histograms together every five seconds.
    const CALLOUTS: &str = r#"backup_sharing_count_callout_milliseconds_count{target="store"}"#;
    let page = wait_for("the histogram", PATIENCE, || {
        let page = page(&shipped.envoy);
        page.get(CALLOUTS).is_some_and(|callouts| *callouts > 0.0).then_some(page)
    });
    let page = page.unwrap();
    let retries = page[r#"backup_sharing_count_retries{target="store"}"#];
    for (name, value) in [
        (answered_by("store_count"), 3.0),
        (answered_by("edge_filter"), 1.0),
        (answered_by("store_unavailable"), 1.0),
        (r#"backup_sharing_count_retries{target="keystone"}"#.to_owned(), 0.0),
        (CALLOUTS.to_owned(), 4.0 + retries),
        ("backup_sharing_count_shared{}".to_owned(), 0.0),
    ] {
        assert_eq!(page.get(&name), Some(&value), "{name} in {page:#?}");
    }
    let answers = page.iter().filter(|(name, _)| name.starts_with("backup_sharing_count_requests"));
    assert_eq!(answers.map(|(_, value)| value).sum::<f64>(), 5.0);
    assert!((1.0..=2.0).contains(&retries), "{retries} retries");
    shipped.envoy.stop().unwrap();
}
