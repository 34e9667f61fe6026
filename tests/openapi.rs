//! `openapi.yaml` says what the code does: names, domains, statuses, faults. So do the README and the
//! contract.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use backup_sharing_count::filters::{FILTERS, FilterRules};
use backup_sharing_count::reply::Reply;
use backup_sharing_count::request::Validator;
use backup_sharing_count::{route, status};
use serde_json::Value;

fn document() -> Value {
    let text = include_str!("../openapi.yaml");
    serde_saphyr::from_str(text).expect("openapi.yaml is YAML")
}

/// The one operation of the document.
fn operation(document: &Value) -> &Value {
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.keys().collect::<Vec<_>>(), [&pattern()]);
    let methods = paths[&pattern()].as_object().unwrap();
    assert_eq!(methods.keys().collect::<Vec<_>>(), ["get"]);
    &methods["get"]
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn pattern() -> String {
    [route::BEFORE, "{project_id}", route::AFTER].concat()
}

#[test]
fn the_parameters_are_the_filters() {
    let document = document();
    let parameters = operation(&document)["parameters"].as_array().unwrap();
    let names = |place: &str| -> Vec<&str> {
        let there = parameters.iter().filter(|parameter| parameter["in"] == place);
        there.map(|parameter| parameter["name"].as_str().unwrap()).collect()
    };
    let filters: Vec<&str> =
        FILTERS.iter().flat_map(|filter| [Some(filter.name), filter.alias]).flatten().collect();
    let documented = names("query");
    for name in &filters {
        assert!(documented.contains(name), "openapi.yaml lacks the parameter {name}");
    }
    assert_eq!(documented, filters, "in the order of src/filters/mod.rs");
    assert_eq!(names("path"), ["project_id"]);
    assert!(parameters.iter().all(|p| p["in"] == "path" || p["required"] != true));
}

#[test]
fn the_domains_are_those_of_the_code() {
    let document = document();
    let validator = Validator::new(FilterRules::default()).unwrap();
    // What the schema of a parameter says of a value, and what the code says.
    let uuid = "8332443e-9866-41d8-8a58-a898cf5db030";
    let words = "true Yes oN 0 n 2 tru off F NO t 1 gone é p.1 p_1-Z %_";
    let mut candidates: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let statuses = FilterRules::default().statuses;
    candidates.extend(statuses.iter().map(|status| status.as_str().to_owned()));
    candidates.extend(["", "a b", "a\tb", "a\u{85}b", uuid].map(str::to_owned));
    candidates.extend([uuid.to_uppercase(), uuid.replace('-', "")]);
    candidates.extend([64, 65, 255, 256].map(|length| "a".repeat(length)));
    let mut seen = BTreeMap::new();
    let parameters = operation(&document)["parameters"].as_array().unwrap();
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap();
        let schema = resolve(&document, &parameter["schema"]);
        let schema = jsonschema::validator_for(schema).unwrap();
        for value in &candidates {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let path = match name {
                "project_id" => format!("/v2/{value}/os-vendor-backup-sharing/count"),
                _ => format!("/v2/p/os-vendor-backup-sharing/count?{name}={encoded}"),
            };
            let get = [(&b":method"[..], &b"GET"[..])];
            let taken = validator
                .locate(path.as_bytes())
                .is_some_and(|target| validator.check(target, get.into_iter()).is_ok());
            assert_eq!(schema.is_valid(&value.as_str().into()), taken, "{name}={value}");
            *seen.entry((name, taken)).or_insert(0) += 1;
        }
    }
    let twice = parameters.len() * 2;
    assert_eq!(seen.len(), twice, "every parameter takes something and refuses something");
}

#[test]
fn each_example_of_a_parameter_counts_something_in_the_demo() {
    let document = document();
    let own = "17fbda95add24720a4038ba4b1c705ed";
    let mut rows = include_str!("../demo/sharings.csv").lines().map(|row| row.split(','));
    let columns: Vec<&str> = rows.next().unwrap().collect();
    let rows: Vec<Vec<&str>> = rows.map(Iterator::collect).collect();
    for parameter in operation(&document)["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        let column = match name {
            "project_id" => "from_project_id",
            "avalilability_zone" => "availability_zone",
            "share_to_me" => continue,
            name => name,
        };
        let Some(example) = parameter["example"].as_str() else { continue };
        let schema = resolve(&document, &parameter["schema"]);
        assert!(jsonschema::is_valid(schema, &parameter["example"]), "{name}={example}");
        let value = |row: &[&str], column| {
            row[columns.iter().position(|c| *c == column).unwrap()].to_owned()
        };
        let counted = rows.iter().filter(|row| value(row, "from_project_id") == own);
        let found = counted.map(|row| value(row, column)).any(|value| value.contains(example));
        assert!(found, "{name}={example}");
    }
}

#[test]
fn the_statuses_and_their_faults_are_those_of_the_code() {
    let document = document();
    let responses = operation(&document)["responses"].as_object().unwrap();
    let documented: BTreeSet<&str> = responses.keys().map(String::as_str).collect();
    let codes: Vec<String> = status::ALL.iter().map(|status| status.code.to_string()).collect();
    for code in &codes {
        assert!(documented.contains(code.as_str()), "openapi.yaml lacks the response {code}");
    }
    let expected = codes.iter().map(String::as_str).chain(["200"]).collect();
    assert_eq!(documented, expected, "those of src/status.rs, and 200");

    for (status, code) in status::ALL.iter().zip(&codes) {
        let json = &responses[code]["content"]["application/json"];
        let body: Value = serde_json::from_str(&Reply::fault(status, "x").body).unwrap();
        let reference = json["schema"]["$ref"].as_str().unwrap();
        assert_eq!(reference, format!("#/components/schemas/{}", status.fault));
        if status.code == 400 {
            // The example of a 400 is a real one: see the next test.
            continue;
        }
        assert_eq!(json["example"], body, "{code}");
    }
}

#[test]
fn the_examples_are_answers_the_code_gives() {
    let document = document();
    let responses = operation(&document)["responses"].as_object().unwrap();
    let example = |code: &str| responses[code]["content"]["application/json"]["example"].clone();

    let validator = Validator::new(FilterRules::default()).unwrap();
    let path = b"/v2/p/os-vendor-backup-sharing/count?share_to_me=maybe";
    let fault = validator
        .check(validator.locate(path).unwrap(), [(&b":method"[..], &b"GET"[..])].into_iter())
        .unwrap_err();
    let body: Value = serde_json::from_str(&fault.body).unwrap();
    assert_eq!(example("400"), body);

    let body: Value = serde_json::from_str(&Reply::counted(2).body).unwrap();
    assert_eq!(example("200"), body);
}

#[test]
fn the_pages_have_a_line_for_each_filter_and_each_status() {
    let (readme, contract) = (include_str!("../README.md"), include_str!("../docs/contract.md"));
    let has = |page: &str, word: &str| {
        let first_cells =
            page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
        first_cells.flat_map(|cell| cell.split([' ', ',', '`'])).any(|found| found == word)
    };
    for name in FILTERS.iter().map(|filter| filter.name) {
        assert!(has(readme, name), "README.md has no line for the filter {name}");
        assert!(has(contract, name), "docs/contract.md#query has no line for the filter {name}");
    }
    let (_, answers) = contract.split_once("## Answers").unwrap();
    let (answers, _) = answers.split_once("\n## ").unwrap();
    for code in status::ALL.iter().map(|status| status.code.to_string()) {
        assert!(has(answers, &code), "docs/contract.md#answers has no line for the status {code}");
    }
}
