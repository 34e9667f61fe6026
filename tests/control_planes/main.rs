//! `deploy/` in a real Envoy, in the form in which control planes hand it over (docs/control-planes.md): Istio 1.30.3, Envoy
//! Gateway 1.9.0, and the pod of plain Envoy. Names of clusters and plugin configurations are those of the manifests.

#![cfg(test)]

mod page;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use page::{on_the_page, relabelled};
use serde_json::{Value, json};
use testkit::envoy::Envoy;
use testkit::envoy::config::{Bootstrap, Cluster, Listener, extension, to_cluster, typed};
use testkit::envoy_yaml::wait_for_store;
use testkit::http::request;
use testkit::ports::free_port;
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{PATIENCE, wait_for, workspace};

const CALL: &str = "/v2/p1/os-vendor-backup-sharing/count";
const OTHER: &str = "/v2/p1/volumes";
const COUNTED: (u16, &str) = (200, r#"{"count":2}"#);
const PASSED: (u16, &str) = (200, r#""passed""#);

/// The object of a kind in a file of `deploy/`.
fn object(file: &str, kind: &str) -> Value {
    let text = fs::read_to_string(workspace::root().join("deploy").join(file)).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    objects.into_iter().find(|object| object["kind"] == kind).unwrap()
}

/// Its namespace and name.
fn place(object: &Value) -> (&str, &str) {
    let of = |name: &str| object["metadata"][name].as_str().unwrap();
    (of("namespace"), of("name"))
}

/// The plugin configuration as JSON in a StringValue, with time for a busy machine.
fn handed_over(configuration: &Value) -> Value {
    let mut configuration = configuration.clone();
    configuration["store"]["timeout"] = "20s".into();
    typed("google.protobuf.StringValue", json!({"value": configuration.to_string()}))
}

fn store_and_backend() -> (ScriptedStore, ScriptedStore) {
    let (store, backend) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
    store.set(Behaviour::json(COUNTED.0, COUNTED.1));
    backend.set(Behaviour::json(PASSED.0, PASSED.1));
    (store, backend)
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = request(address, "GET", path, &[("host", b"edge")]).unwrap();
    (answer.status, answer.text())
}

#[track_caller]
fn is(answer: (u16, String), expected: (u16, &str)) {
    assert_eq!((answer.0, answer.1.as_str()), expected);
}

/// How many requests got an answer of this name, as Prometheus gets it.
fn answered_by(envoy: &Envoy, name: &str) -> u32 {
    let text = envoy.admin_get("/stats/prometheus").unwrap();
    let metric = format!("backup_sharing_count_requests{{answered_by=\"{name}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&metric)).unwrap().parse().unwrap()
}

/// The filters that may come to a listener by extension configuration discovery, as the control plane's agent in the pod
/// hands them over: a file stands for its stream.
fn discover(folder: &Path, resource: Value) {
    let resource = typed("envoy.config.core.v3.TypedExtensionConfig", resource);
    let new = folder.join("new");
    fs::write(&new, json!({"resources": [resource]}).to_string()).unwrap();
    fs::rename(new, folder.join("filters.json")).unwrap();
}

#[test]
fn as_istio_hands_it_over() {
    let plugin = object("istio/wasmplugin.yaml", "WasmPlugin");
    let spec = &plugin["spec"];
    let (namespace, name) = place(&plugin);
    let name = format!("{namespace}.{name}~istio-translated-wasmplugin");
    let resource = format!("extensions.istio.io/trafficextension/{name}");
    let (store, backend) = store_and_backend();
    let folder = tempfile::tempdir().unwrap();

    // While the agent has no module, all that the listener gets is refused.
    const RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
    let deny = json!({"rules": {}, "rules_stat_prefix": "wasm-default-deny"});
    discover(folder.path(), json!({"name": resource, "typed_config": typed(RBAC, deny)}));

    const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
    let file = folder.path().join("filters.json");
    let types = [WASM, RBAC].map(|of_type| format!("type.googleapis.com/{of_type}"));
    let filter = json!({"name": resource, "config_discovery": {
        "config_source": {
            "path_config_source": {"path": file, "watched_directory": {"path": folder.path()}},
            "initial_fetch_timeout": "0s",
            "resource_api_version": "V3",
        },
        "type_urls": types,
    }});
    let listener = Listener::new("gateway").filter(filter).route(to_cluster("/", "backend"));
    let cluster = spec["pluginConfig"]["store"]["cluster"].as_str().unwrap();
    let clusters = [
        Cluster::new(cluster, store.address()).with("alt_stat_name", format!("{cluster};").into()),
        Cluster::new("backend", backend.address()),
    ];
    // Of its bootstrap, what decides which statistics there are, and with which labels.
    let annotation = on_the_page("proxy.istio.io/config: |\n");
    let prefixes = [
        "reporter=", "cluster_manager", "listener_manager", "server", "wasm", "component", "istio",
    ];
    let let_through = &annotation["proxyStatsMatcher"]["inclusionPrefixes"];
    let prefixes = let_through.as_array().unwrap().iter().cloned().chain(prefixes.map(Value::from));
    let patterns: Vec<Value> = prefixes.map(|prefix| json!({"prefix": prefix})).collect();
    let statistics = json!({
        "use_all_default_tags": false,
        "stats_tags": [{"tag_name": "cluster_name", "regex": r"^cluster(\.(.+);)"}],
        "stats_matcher": {"inclusion_list": {"patterns": patterns}},
    });
    // `runtimeValues`, which it hands over as texts.
    let limit = &annotation["runtimeValues"];
    let bootstrap = Bootstrap::new([listener], clusters)
        .with("node", json!({"id": "gateway", "cluster": "gateway"}))
        .with("stats_config", statistics)
        .with(
            "layered_runtime",
            json!({"layers": [{"name": "global config", "static_layer": limit}]}),
        )
        .to_string();
    let envoy = Envoy::start(&bootstrap).unwrap();
    let address = envoy.listener_address("gateway").unwrap();
    assert_eq!(get(address, OTHER).0, 403);

    assert_eq!(spec["failStrategy"], "FAIL_CLOSE");
    let mut config = json!({
        "name": name,
        "root_id": spec["pluginName"],
        "failure_policy": "FAIL_CLOSED",
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": workspace::filter_module().unwrap()}},
        },
        "configuration": handed_over(&spec["pluginConfig"]),
    });
    let hand_over = |config: &Value| {
        let wasm = typed(WASM, json!({"config": config}));
        discover(folder.path(), json!({"name": resource, "typed_config": wasm}));
    };
    hand_over(&config);
    let counts = || (get(address, CALL).0 == 200).then_some(());
    wait_for("the filter to be there", PATIENCE, counts).unwrap();
    store.take_requests();

    is(get(address, CALL), COUNTED);
    is(get(address, OTHER), PASSED);
    let asked = store.take_requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("host"), spec["pluginConfig"]["store"]["authority"].as_str());

    // What Envoy does not hold breaks off; else it would be `store_invalid`.
    store.set(Behaviour::Flood { bytes: 300_000 });
    assert_eq!(get(address, CALL).0, 502);
    let broken = "backup_sharing_count_requests_answered_by_store_broken{} 1";
    assert!(envoy.admin_get("/stats/prometheus").unwrap().contains(broken));

    // The names hold what should be labels. What the page has Prometheus do makes labels of it. Histograms come every five seconds.
    let names = || -> BTreeSet<String> {
        let text = envoy.admin_get("/stats/prometheus").unwrap();
        text.lines().filter_map(|line| Some(line.split_once('{')?.0.to_owned())).collect()
    };
    let rules = on_the_page("metric_relabel_configs:\n");
    let examples = [
        ("requests_answered_by_store_count", "requests answered_by=store_count"),
        ("retries_target_keystone", "retries target=keystone"),
        ("callout_milliseconds_target_store_bucket", "callout_milliseconds_bucket target=store"),
        ("callout_milliseconds_target_store_count", "callout_milliseconds_count target=store"),
        ("shared", "shared"),
    ];
    for (name, expected) in examples {
        let name = format!("backup_sharing_count_{name}");
        wait_for(&name, PATIENCE, || names().contains(&name).then_some(())).unwrap();
        assert_eq!(relabelled(&rules, &name), format!("backup_sharing_count_{expected}"));
    }
    assert_eq!(relabelled(&rules, "istio_requests_total"), "istio_requests_total");
    let down = "envoy_cluster_membership_healthy";
    let shown = format!("{down}{{cluster_name=\"{cluster}\"}} 1");
    assert!(envoy.admin_get("/stats/prometheus").unwrap().contains(&shown), "{shown}");
    let expected = format!("{down} cluster_name={cluster} envoy_cluster_name=count_store");
    assert_eq!(relabelled(&rules, &format!("{down} cluster_name={cluster}")), expected);
    let failed = "envoy_wasm_istio_ingress_backup_sharing_count_istio_translated_wasmplugin_vm_reload_success";
    assert!(names().contains(failed));
    assert_eq!(relabelled(&rules, failed), "envoy_wasm_backup_sharing_count_vm_reload_success");

    // A refused configuration changes nothing in an Envoy that has a good one. One that starts with it lets nothing pass.
    config["configuration"]["value"] = "{}".into();
    hand_over(&config);
    envoy.wait_for_log("configuration refused").unwrap();
    store.set(Behaviour::json(COUNTED.0, COUNTED.1));
    is(get(address, CALL), COUNTED);
    let late = Envoy::start(&bootstrap).unwrap();
    let address = late.listener_address("gateway").unwrap();
    assert_eq!((get(address, CALL).0, get(address, OTHER).0), (500, 500));
    late.stop().unwrap();
    envoy.stop().unwrap();
}

#[test]
fn as_envoy_gateway_hands_it_over() {
    let file = "envoy-gateway/envoyextensionpolicy.yaml";
    let policy = object(file, "EnvoyExtensionPolicy");
    let plugin = &policy["spec"]["wasm"][0];
    let (namespace, name) = place(&policy);
    let id = format!("envoyextensionpolicy/{namespace}/{name}/wasm/0");
    let (store, backend) = store_and_backend();

    // The controller unpacks the image and serves the module.
    let controller = ScriptedStore::start().unwrap();
    let module = fs::read(workspace::filter_module().unwrap()).unwrap();
    let digest = hmac_sha256::Hash::hash(&module).map(|byte| format!("{byte:02x}")).concat();
    controller.set(Behaviour::Answer { status: 200, headers: Vec::new(), body: module });
    let remote = json!({
        "http_uri": {"uri": format!("https://envoy-gateway:18002/{digest}.wasm"), "cluster": "wasm_cluster", "timeout": "10s"},
        "sha256": digest,
        "retry_policy": {"num_retries": 10, "retry_back_off": {"base_interval": "1s", "max_interval": "30s"}},
    });
    assert_eq!(plugin["failOpen"], false);
    let config = json!({
        "name": plugin["name"],
        "root_id": plugin["rootID"],
        "vm_config": {"vm_id": id, "runtime": "envoy.wasm.runtime.v8", "code": {"remote": remote}},
        "configuration": handed_over(&plugin["config"]),
    });
    // It is off, but for the routes that turn it on.
    let filter = format!("envoy.filters.http.wasm/{id}");
    let mut wasm =
        extension(&filter, "extensions.filters.http.wasm.v3.Wasm", json!({"config": config}));
    wasm["disabled"] = true.into();
    let on = json!({&filter: typed("envoy.config.route.v3.FilterConfig", json!({"config": {}}))});
    let cluster = plugin["config"]["store"]["cluster"].as_str().unwrap();
    let route = object(file, "HTTPRoute");
    let rules = &route["spec"]["rules"];
    let [only_for_its_cluster, prefix] = [0, 1].map(|at| &rules[at]["matches"][0]["path"]["value"]);
    let store_route = json!({
        "match": {"path": only_for_its_cluster},
        "route": {"cluster": cluster},
        "typed_per_filter_config": on,
    });
    let rest = json!({
        "match": {"path_separated_prefix": prefix},
        "route": {"cluster": "backend"},
        "typed_per_filter_config": on,
    });
    let anothers = to_cluster("/", "backend");
    let listener = Listener::new("gateway")
        .filter(wasm)
        .route(store_route)
        .route(rest)
        .route(anothers)
        .with("normalize_path", true.into())
        .with("merge_slashes", true.into())
        .with("path_with_escaped_slashes_action", "UNESCAPE_AND_REDIRECT".into());
    let clusters = [
        Cluster::new(cluster, store.address()),
        Cluster::new("backend", backend.address()),
        Cluster::new("wasm_cluster", controller.address()),
    ];
    let proxy = object("envoy-gateway/envoyproxy.yaml", "EnvoyProxy");
    let added = proxy["spec"]["bootstrap"]["value"].as_str().unwrap();
    let mut added: Value = serde_saphyr::from_str(added).unwrap();
    added["stats_config"]["use_all_default_tags"] = true.into();
    let bootstrap = Bootstrap::new([listener], clusters)
        .with("stats_config", added["stats_config"].take())
        .with("layered_runtime", added["layered_runtime"].take());
    let envoy = Envoy::start(bootstrap).unwrap();
    let address = envoy.listener_address("gateway").unwrap();
    let counts = || (get(address, CALL).0 == 200).then_some(());
    wait_for("Envoy to have the module", PATIENCE, counts).unwrap();
    store.take_requests();

    is(get(address, CALL), COUNTED);
    is(get(address, OTHER), PASSED);
    is(get(address, "/elsewhere"), PASSED);
    // Another spelling goes no further.
    assert_eq!(get(address, &format!("{CALL}/")).0, 404);
    let asked = store.take_requests();
    assert_eq!(asked.len(), 1, "only the filter asks the store");
    assert_eq!(asked[0].header("host"), plugin["config"]["store"]["authority"].as_str());
    assert_eq!((answered_by(&envoy, "store_count"), answered_by(&envoy, "edge_path")), (2, 1));
    envoy.stop().unwrap();
}

#[test]
fn as_its_pod_runs_plain_envoy() {
    let pod = object("kubernetes/edge.yaml", "Deployment")["spec"]["template"]["spec"].take();
    // The init container's own script, with this machine's folders.
    let folder = tempfile::tempdir().unwrap();
    let script = pod["initContainers"][0]["args"][0].as_str().unwrap();
    let places = folder.path().to_str().unwrap();
    let root = workspace::root();
    let script = script.replace("/given/", &format!("{}/", root.display()));
    let mut sh = Command::new("sh");
    sh.args(["-ec", &script.replace("/places/", &format!("{places}/"))]);
    assert!(sh.status().unwrap().success());

    let container = &pod["containers"][0];
    let arguments: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(arguments[..3], ["--config-path", "/places/envoy.yaml", "--config-yaml"]);
    let (store, backend) = store_and_backend();
    let (admin, module) = (free_port().unwrap(), workspace::filter_module().unwrap());
    let mut yaml = fs::read_to_string(folder.path().join("envoy.yaml")).unwrap();
    let port = |at: &ScriptedStore| format!("127.0.0.1, port_value: {}", at.address().port());
    for (from, to) in [
        ("count-store-pods, port_value: 8080", port(&store)),
        ("legacy-api, port_value: 8080", port(&backend)),
        ("port_value: 9901", format!("port_value: {admin}")),
        ("port_value: 10000", "port_value: 0".to_owned()),
        ("/etc/envoy/plugin.wasm", module.display().to_string()),
        ("authority: count-store, timeout: 1s", "authority: count-store, timeout: 20s".to_owned()),
    ] {
        assert_eq!(yaml.matches(from).count(), 1, "{from}");
        yaml = yaml.replace(from, &to);
    }
    let added = arguments[3].replace("port_value: 9902", "port_value: 0");
    let added = added.replace("port_value: 9901", &format!("port_value: {admin}"));
    let envoy = Envoy::options().arg("--config-yaml").arg(added).start(&yaml).unwrap();
    wait_for_store(&envoy).unwrap();
    let address = envoy.listener_address("edge").unwrap();
    is(get(address, CALL), COUNTED);
    is(get(address, OTHER), PASSED);

    // What Prometheus and the kubelet may ask, and no more of admin.
    let stats = envoy.listener_address("stats").unwrap();
    let counted = "backup_sharing_count_requests{answered_by=\"store_count\"} 1";
    assert!(get(stats, "/stats/prometheus").1.contains(counted));
    let ready = container["readinessProbe"]["httpGet"]["path"].as_str().unwrap();
    assert_eq!(get(stats, ready).0, 200);
    let quit =
        request(stats, "POST", "/quitquitquit", &[("host", b"edge"), ("content-length", b"0")]);
    assert_eq!(quit.unwrap().status, 404);
    assert_eq!(get(stats, "/config_dump").0, 404);
    envoy.stop().unwrap();
}
