//! Envoy Gateway: listeners that fetch the module, and routes that turn the filter on.

use std::fs;

use serde_json::json;
use testkit::envoy::Envoy;
use testkit::envoy::config::{Bootstrap, Cluster, Listener, extension, to_cluster, typed};
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{PATIENCE, wait_for, workspace};

use crate::*;

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
    // Routes that the policies are on: the API's has the filter, the store's has rbac, which refuses all.
    let path = |of: &str| {
        let all = objects(file);
        let mut routes = all.iter().filter(|one| one["kind"] == "HTTPRoute");
        let route = routes.find(|one| one["metadata"]["name"] == of).unwrap();
        route["spec"]["rules"][0]["matches"][0]["path"]["value"].clone()
    };
    let target = |kind: &str| {
        let target = object(file, kind)["spec"]["targetRefs"][0]["name"].take();
        path(target.as_str().unwrap())
    };
    const RBAC: &str = "envoy.filters.http.rbac";
    const RBAC_ROUTE: &str = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute";
    let only_for_its_cluster = target("SecurityPolicy");
    let deny = typed(RBAC_ROUTE, json!({"rbac": {"rules": {}}}));
    let store_route = json!({
        "match": {"path": only_for_its_cluster},
        "route": {"cluster": cluster},
        "typed_per_filter_config": {RBAC: deny},
    });
    let rest = json!({
        "match": {"path_separated_prefix": target("EnvoyExtensionPolicy")},
        "route": {"cluster": "backend"},
        "typed_per_filter_config": on,
    });
    let anothers = to_cluster("/", "backend");
    let listener = Listener::new("gateway")
        .filter(extension(RBAC, "extensions.filters.http.rbac.v3.RBAC", json!({})))
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
    assert_eq!(get(address, only_for_its_cluster.as_str().unwrap()).0, 403);
    // Another spelling goes no further.
    assert_eq!(get(address, &format!("{CALL}/")).0, 404);
    let asked = store.take_requests();
    assert_eq!(asked.len(), 1, "only the filter asks the store");
    assert_eq!(asked[0].header("host"), plugin["config"]["store"]["authority"].as_str());
    assert_eq!((answered_by(&envoy, "store_count"), answered_by(&envoy, "edge_path")), (2, 1));
    envoy.stop().unwrap();
}
