//! `deploy/`: what Kubernetes says of the manifests, and whether they agree about names. How they run:
//! `tests/control_planes/main.rs`.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use testkit::{kept, python, workspace};

const KUBERNETES: [&str; 4] = ["count-store.yaml", "edge.yaml", "postgresql.yaml", "sqlite.yaml"];
const ISTIO: &str = "istio/wasmplugin.yaml";
const ENVOY_GATEWAY: &str = "envoy-gateway/envoyextensionpolicy.yaml";

/// All objects of a file in `deploy/`.
fn objects(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(workspace::root().join("deploy").join(file)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn kubernetes() -> Vec<Value> {
    KUBERNETES.iter().flat_map(|file| objects(&format!("kubernetes/{file}"))).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

/// What pods are made from.
fn pods(objects: &[Value]) -> Vec<&Value> {
    let makers = objects.iter().filter(|object| object["spec"]["template"].is_object());
    makers.map(|maker| &maker["spec"]["template"]).collect()
}

fn containers(pod: &Value) -> Vec<&Value> {
    let of = |kind: &str| pod["spec"][kind].as_array().into_iter().flatten();
    of("initContainers").chain(of("containers")).collect()
}

fn envoy_yaml() -> Value {
    let text = fs::read_to_string(workspace::root().join("envoy.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The oldest Kubernetes that the manifests are for, and the newest that the wheel knows.
#[test]
fn kubernetes_takes_its_objects() {
    let pins = workspace::root().join("tests/kubernetes-requirements.txt");
    let home = workspace::target_dir().join("kubernetes");
    let whose = "Kubernetes' schemas";
    let packages = kept(&home, &fs::read_to_string(&pins).unwrap(), |folder| {
        python::install(whose, &pins, folder)
    });
    let schemas = packages.unwrap().join("kubernetes_validate/kubernetes-json-schema");
    for version in ["v1.35.0-local-strict", "v1.37.0-local-strict"] {
        let file = schemas.join(version).join("_definitions.json");
        let definitions: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let refusals = |object: &Value| -> Vec<String> {
            let (group, of) = match object["apiVersion"].as_str().unwrap().split_once('/') {
                Some((group, of)) => (group, of),
                None => ("", object["apiVersion"].as_str().unwrap()),
            };
            let wanted = json!([{"group": group, "kind": object["kind"], "version": of}]);
            let mut all = definitions["$defs"].as_object().unwrap().iter();
            let (name, _) =
                all.find(|(_, one)| one["x-kubernetes-group-version-kind"] == wanted).unwrap();
            let schema = json!({"$ref": format!("#/$defs/{name}"), "$defs": definitions["$defs"]});
            let validator = jsonschema::validator_for(&schema).unwrap();
            let errors = validator.iter_errors(object);
            errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
        };
        let policies = [ISTIO, ENVOY_GATEWAY].map(objects).concat();
        let policies = of_kind(&policies, "NetworkPolicy").into_iter().cloned();
        for object in kubernetes().into_iter().chain(policies) {
            assert_eq!(refusals(&object), [""; 0], "{} {}", object["kind"], object["metadata"]);
        }
        let mut wrong = kubernetes();
        let wrong = wrong.iter_mut().find(|object| object["kind"] == "Deployment").unwrap();
        wrong["spec"]["replica"] = 2.into();
        assert_eq!(refusals(wrong).len(), 1, "an unknown field");
    }
}

/// `cargo xtask check-config` takes them (`what_is_shipped_is_taken`); here, that they say what envoy.yaml does.
#[test]
fn only_the_cluster_and_the_retries_differ_from_envoy_yaml() {
    let plugin = only(&objects(ISTIO), "WasmPlugin")["spec"]["pluginConfig"].clone();
    let policy = only(&objects(ENVOY_GATEWAY), "EnvoyExtensionPolicy")["spec"]["wasm"].clone();
    assert_eq!(policy.as_array().unwrap().len(), 1);
    let shipped = envoy_yaml();
    let manager = &shipped["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    let filter = &manager["typed_config"]["http_filters"][0]["typed_config"]["config"];
    for mut configuration in [plugin, policy[0]["config"].clone()] {
        configuration["store"]["cluster"] = "count_store".into();
        configuration["store"].as_object_mut().unwrap().remove("retries").unwrap();
        assert_eq!(configuration, filter["configuration"]["value"]);
    }
}

#[test]
fn both_control_planes_name_the_service_of_the_count_store() {
    let kubernetes = kubernetes();
    let kustomization = &objects("kubernetes/kustomization.yaml")[0];
    let namespace = kustomization["namespace"].as_str().unwrap();
    assert_eq!(only(&kubernetes, "Namespace")["metadata"]["name"], namespace);
    let port = 8080;
    for name in ["count-store", "count-store-pods"] {
        let mut services = of_kind(&kubernetes, "Service").into_iter();
        let service = services.find(|service| service["metadata"]["name"] == name).unwrap();
        assert_eq!(service["spec"]["ports"][0]["port"], port);
    }

    let istio = objects(ISTIO);
    let host = format!("count-store.{namespace}.svc.cluster.local");
    let store = &only(&istio, "WasmPlugin")["spec"]["pluginConfig"]["store"];
    assert_eq!(store["cluster"], format!("outbound|{port}||{host}"));
    let rule = only(&istio, "DestinationRule");
    assert_eq!(
        (&rule["spec"]["host"], &rule["metadata"]["namespace"]),
        (&json!(host), &json!(namespace))
    );

    let gateway = objects(ENVOY_GATEWAY);
    let route = only(&gateway, "HTTPRoute");
    let rules = route["spec"]["rules"].as_array().unwrap();
    let backend = only(&gateway, "Backend");
    let store = &backend["spec"]["endpoints"][0]["fqdn"];
    let host = format!("count-store-pods.{namespace}.svc.cluster.local");
    assert_eq!(store, &json!({"hostname": host, "port": port}));
    let is_count = |rule: &Value| {
        rule["backendRefs"][0]["name"] == backend["metadata"]["name"]
            && rule["backendRefs"][0]["kind"] == "Backend"
    };
    let number = rules.iter().position(is_count).unwrap();
    let path = &rules[number]["matches"][0]["path"];
    assert_eq!(path["type"], "Exact");
    assert!(!path["value"].as_str().unwrap().starts_with("/v2"), "clients would reach the store");
    let policy = only(&gateway, "EnvoyExtensionPolicy");
    let route_name = &route["metadata"]["name"];
    assert_eq!(
        policy["spec"]["wasm"][0]["config"]["store"]["cluster"],
        format!("httproute/{namespace}/{}/rule/{number}", route_name.as_str().unwrap())
    );
    let target = &policy["spec"]["targetRefs"][0];
    assert_eq!((&target["name"], &target["sectionName"]), (route_name, &Value::Null), "all rules");
    let target = &only(&gateway, "BackendTrafficPolicy")["spec"]["targetRefs"][0];
    assert_eq!((&target["name"], &target["sectionName"]), (route_name, &rules[number]["name"]));
    for object in &gateway {
        assert_eq!(object["metadata"]["namespace"], namespace);
    }
}

#[test]
fn the_parts_of_deploy_kubernetes_fit_together() {
    let kustomization = &objects("kubernetes/kustomization.yaml")[0];
    for file in kustomization["resources"].as_array().unwrap() {
        assert!(KUBERNETES.contains(&file.as_str().unwrap()), "{file}");
    }
    let root = workspace::root();
    let generated = &kustomization["configMapGenerator"];
    let file = root.join("deploy/kubernetes").join(generated[0]["files"][0].as_str().unwrap());
    assert_eq!(file.canonicalize().unwrap(), root.join("envoy.yaml").canonicalize().unwrap());
    let kubernetes = kubernetes();
    let pods = pods(&kubernetes);
    let volumes = || pods.iter().flat_map(|pod| pod["spec"]["volumes"].as_array().unwrap());
    let given: Vec<&Value> = volumes().map(|one| &one["configMap"]["name"]).collect();
    let given: Vec<&&Value> = given.iter().filter(|name| !name.is_null()).collect();
    assert_eq!(given, [&&generated[0]["name"]]);

    // Selectors find pods, and ports that are named there have the number that everybody uses.
    let labels: BTreeSet<&str> =
        pods.iter().map(|pod| pod["metadata"]["labels"]["app"].as_str().unwrap()).collect();
    assert_eq!(labels, BTreeSet::from(["count-store", "edge"]));
    for object in &kubernetes {
        let spec = &object["spec"];
        let selectors = match object["kind"].as_str().unwrap() {
            "Namespace" => continue,
            "Service" => &spec["selector"]["app"],
            "NetworkPolicy" => &spec["podSelector"]["matchLabels"]["app"],
            _ => &spec["selector"]["matchLabels"]["app"],
        };
        let selected = selectors.as_str().unwrap();
        assert!(labels.contains(selected), "{selected}");
        let ports = spec["ports"].as_array().into_iter().flatten().map(|port| &port["targetPort"]);
        let rules = spec["ingress"].as_array().into_iter().flatten();
        let ports = ports.chain(rules.map(|rule| &rule["ports"][0]["port"]));
        for (port, pod) in ports.flat_map(|port| pods.iter().map(move |pod| (port, pod))) {
            let named = |one: &Value| &one["name"] == port;
            let open = pod["spec"]["containers"][0]["ports"].as_array().unwrap();
            let is_there = open.iter().any(named);
            assert!(is_there || pod["metadata"]["labels"]["app"] != selected, "{port}");
        }
    }
    for pod in pods.iter().filter(|pod| pod["metadata"]["labels"]["app"] == "count-store") {
        let container = &pod["spec"]["containers"][0];
        for port in container["ports"].as_array().unwrap() {
            let address = json!(format!(":{}", port["containerPort"]));
            assert!(container["args"].as_array().unwrap().contains(&address), "{address}");
        }
    }
    // The module is where envoy.yaml has it.
    let edge = pods.iter().find(|pod| pod["metadata"]["labels"]["app"] == "edge").unwrap();
    let mounts = edge["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    let module = mounts.iter().find(|mount| mount["name"] == "module").unwrap();
    let local = format!("filename: {}/plugin.wasm", module["mountPath"].as_str().unwrap());
    assert!(fs::read_to_string(root.join("envoy.yaml")).unwrap().contains(&local), "{local}");
}

#[test]
fn no_container_may_more_than_it_needs_or_comes_by_a_name_that_moves() {
    let kubernetes = kubernetes();
    for pod in pods(&kubernetes) {
        let spec = &pod["spec"];
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(spec["automountServiceAccountToken"], false);
        for container in containers(pod) {
            let locked = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
            assert_eq!(container["securityContext"], locked, "{container}");
            let resources = &container["resources"];
            assert!(
                resources["requests"]["cpu"].is_string()
                    && resources["limits"]["memory"].is_string()
            );
            let image = container["image"].as_str().unwrap();
            let zeros = format!("@sha256:{}", "0".repeat(64));
            assert!(image.ends_with(&zeros) || image == "envoyproxy/envoy:v1.40.0", "{image}");
        }
    }
}

/// A PodMonitor that finds no port says nothing, and the rules know the jobs by their names.
#[test]
fn the_prometheus_operator_is_told_what_prometheus_yml_says() {
    let shipped = &objects("observability/prometheus.yml")[0];
    let jobs = shipped["scrape_configs"].as_array().unwrap();
    let (monitors, kubernetes) = (objects("kubernetes/prometheus.yaml"), kubernetes());
    assert_eq!(monitors.len(), jobs.len());
    for (monitor, job) in monitors.iter().zip(jobs) {
        let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
        assert_eq!(endpoint["path"], job["metrics_path"]);
        assert_eq!(endpoint["interval"], shipped["global"]["scrape_interval"]);
        let named = json!({"targetLabel": "job", "replacement": job["job_name"]});
        let without_pod = json!({"action": "labeldrop", "regex": "pod"});
        assert_eq!(endpoint["relabelings"], json!([named, without_pod]));
        let labels = &monitor["spec"]["selector"]["matchLabels"];
        let mut selected = pods(&kubernetes);
        selected.retain(|pod| pod["metadata"]["labels"] == *labels);
        assert!(!selected.is_empty(), "{labels}");
        for pod in selected {
            let ports = pod["spec"]["containers"][0]["ports"].as_array().unwrap();
            assert!(ports.iter().any(|port| port["name"] == endpoint["port"]), "{endpoint}");
        }
    }
}

/// The first filter of docs/callers.md, whose filters `tests/header_auth.rs` runs.
#[test]
fn istio_strips_the_header_from_the_pods_that_have_the_plugin() {
    let page = fs::read_to_string(workspace::root().join("docs/callers.md")).unwrap();
    let example = page.split("```").nth(1).unwrap().strip_prefix("yaml").unwrap();
    let filters: Value = serde_saphyr::from_str(example).unwrap();
    let stripping = &objects("istio/strip-header.yaml")[0];
    let patch = &stripping["spec"]["configPatches"][0]["patch"];
    assert_eq!((&patch["operation"], &patch["value"]), (&json!("INSERT_FIRST"), &filters[0]));
    let istio = objects(ISTIO);
    let plugin = only(&istio, "WasmPlugin");
    assert_eq!(
        stripping["spec"]["workloadSelector"]["labels"],
        plugin["spec"]["selector"]["matchLabels"]
    );
    assert_eq!(stripping["metadata"]["namespace"], plugin["metadata"]["namespace"]);
}

#[test]
fn istio_speaks_tls_to_a_store_outside_the_mesh() {
    let istio = objects("istio/outside-store.yaml");
    let host = &only(&istio, "ServiceEntry")["spec"]["hosts"][0];
    let rule = &only(&istio, "DestinationRule")["spec"];
    let tls = json!({"mode": "SIMPLE", "sni": host, "subjectAltNames": [host]});
    assert_eq!((&rule["host"], &rule["trafficPolicy"]["tls"]), (host, &tls));
}

#[test]
fn envoy_gateway_gets_the_labels_of_envoy_yaml() {
    let proxies = objects("envoy-gateway/envoyproxy.yaml");
    let bootstrap = &only(&proxies, "EnvoyProxy")["spec"]["bootstrap"];
    let added: Value = serde_saphyr::from_str(bootstrap["value"].as_str().unwrap()).unwrap();
    assert_eq!(added["stats_config"], envoy_yaml()["stats_config"]);
}
