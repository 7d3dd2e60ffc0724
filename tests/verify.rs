//! `homing verify`: what differs from what was written.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::harness::{Home, TestResult};

fn published() -> Result<(Home, crate::harness::Daemon)> {
    let home = Home::with_one_source()?;
    for name in ["a.md", "b.md", "c.md"] {
        home.origin("team").write(name, format!("{name}\n"))?;
    }
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    Ok((home, daemon))
}

fn drift(document: &Value, path: &str) -> Option<String> {
    // One target asked for, or a list of all.
    let text = document.to_string();
    let found = find(document, path);
    found.or_else(|| text.contains(path).then(|| "listed".to_owned()))
}

fn find(document: &Value, path: &str) -> Option<String> {
    match document {
        Value::Object(fields) if fields.get("path").is_some_and(|found| found == path) => fields
            .get("drift")
            .and_then(Value::as_str)
            .map(str::to_owned),
        Value::Object(fields) => fields.values().find_map(|value| find(value, path)),
        Value::Array(values) => values.iter().find_map(|value| find(value, path)),
        _ => None,
    }
}

#[test]
fn what_is_as_written_verifies() -> TestResult {
    let (home, _daemon) = published()?;
    let document = home.json_ok(&["verify", "agents"])?;
    ensure!(drift(&document, "a.md").is_none(), "{document:#}");
    home.ok(&["verify"])?;
    Ok(())
}

#[test]
fn an_edit_and_a_missing_file_are_told_and_only_the_missing_one_is_repaired() -> TestResult {
    let (home, _daemon) = published()?;
    let target = home.target("agents");
    target.write("a.md", "edited\n")?;
    target.remove("b.md")?;
    let (document, _code) = home.json(&["verify", "agents"])?;
    ensure!(
        drift(&document, "a.md").as_deref() == Some("edited"),
        "{document:#}"
    );
    ensure!(
        drift(&document, "b.md").as_deref() == Some("missing"),
        "{document:#}"
    );
    ensure!(!target.has("b.md"), "verify alone wrote something");

    let (document, _code) = home.json(&["verify", "agents", "--repair"])?;
    ensure!(
        drift(&document, "b.md").as_deref() == Some("repaired"),
        "{document:#}"
    );
    target.expect(&[("a.md", "edited\n"), ("b.md", "b.md\n"), ("c.md", "c.md\n")])
}

#[test]
fn an_unknown_target_is_told() -> TestResult {
    let (home, _daemon) = published()?;
    home.homing(&["verify", "nobody"])?.expect(8, &["nobody"])
}
