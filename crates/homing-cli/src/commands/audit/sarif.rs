//! SARIF 2.1.0, which code hosts and editors read.

use std::collections::BTreeMap;
use std::fmt::Write;

use homing_api::{Finding, KnownItem, KnownItems, Level};
use serde_json::{Value, json};

use super::findings;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Returns the findings as one log. The path of a file begins with the name of its source.
pub(super) fn log(known: &KnownItems) -> Value {
    let rules: BTreeMap<&str, &Finding> = findings(known)
        .map(|(_, one)| (one.rule.as_str(), one))
        .collect();
    let places: BTreeMap<&str, usize> = rules
        .keys()
        .enumerate()
        .map(|(at, rule)| (*rule, at))
        .collect();
    let described: Vec<Value> = rules.values().map(|one| rule(one)).collect();
    let results: Vec<Value> = findings(known)
        .map(|(item, one)| result(item, one, places.get(one.rule.as_str()).copied()))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "homing",
                    "version": env!("CARGO_PKG_VERSION"),
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": described,
                },
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(finding: &Finding) -> Value {
    json!({
        "id": finding.rule,
        "shortDescription": { "text": finding.summary },
        "defaultConfiguration": { "level": level(finding) },
    })
}

fn result(item: &KnownItem, finding: &Finding, rule: Option<usize>) -> Value {
    json!({
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": level(finding),
        "message": { "text": format!("{} `{}`: {}", item.kind.as_str(), item.name, finding.message) },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&item.source, &finding.path) },
                "region": { "startLine": finding.line, "startColumn": finding.column },
            },
        }],
    })
}

fn level(finding: &Finding) -> &'static str {
    match finding.level {
        Level::Blocking => "error",
        Level::Warning => "warning",
        _ => "note",
    }
}

/// Returns a relative reference; what has a meaning in one, or is no ASCII, is encoded.
fn uri(source: &str, path: &str) -> String {
    let mut uri = String::new();
    for byte in source.bytes().chain([b'/']).chain(path.bytes()) {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a String takes all");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::super::tests::known;
    use super::*;

    #[test]
    fn a_log_names_each_rule_once_and_each_place() {
        let log = log(&known());
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let ids: Vec<_> = rules
            .iter()
            .map(|rule| rule["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["invalid-name", "piped-download", "unicode-tags"]);
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 4);
        for result in results {
            let at = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[at]["id"], result["ruleId"]);
            assert_eq!(rules[at]["defaultConfiguration"]["level"], result["level"]);
        }
        let place = &results[0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "team/my%20s/run%231.sh");
        assert_eq!(place["region"], json!({"startLine": 12, "startColumn": 4}));
        assert_eq!(results[1]["level"], "error");
        let empty = super::log(&KnownItems { items: Vec::new() });
        assert_eq!(empty["runs"][0]["results"], json!([]));
    }
}
