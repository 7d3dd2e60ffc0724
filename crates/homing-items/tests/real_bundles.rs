//! What the real repositories hold is read leniently, and what is said against it is true.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use homing_core::ItemKey;
use homing_items::{Facts, Kind, Level, Rule, Skills, examine};

/// Everything in a bundle at a commit, or nothing where the bundles are not.
fn items(name: &str, commit: &str) -> Option<BTreeMap<ItemKey, (Vec<u8>, Facts)>> {
    let bundle = testkit::real_bundle(name)?;
    let base = tempfile::tempdir().expect("a temporary directory");
    let clone = Command::new("git")
        .args(["clone", "--quiet"])
        .arg(&bundle)
        .arg(base.path().join("clone"))
        .output()
        .expect("git starts");
    assert!(
        clone.status.success(),
        "{}",
        String::from_utf8_lossy(&clone.stderr)
    );
    let checkout = Command::new("git")
        .args(["checkout", "--quiet", "--detach", commit])
        .current_dir(base.path().join("clone"))
        .status()
        .expect("git starts");
    assert!(checkout.success(), "{name} has no {commit}");
    fs::remove_dir_all(base.path().join("clone/.git")).expect("git's own files go");
    let mut items = BTreeMap::new();
    read(&base.path().join("clone"), "", &mut items);
    Some(items)
}

fn read(directory: &Path, prefix: &str, items: &mut BTreeMap<ItemKey, (Vec<u8>, Facts)>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let path = format!("{prefix}{}", entry.file_name().to_str().expect("UTF-8"));
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            read(&entry.path(), &format!("{path}/"), items);
        } else if kind.is_file() {
            let key = ItemKey::new(&path).expect("a key");
            let bytes = fs::read(entry.path()).expect("a file");
            let facts = examine(&bytes).facts(&key);
            items.insert(key, (bytes, facts));
        }
    }
}

fn count(items: &BTreeMap<ItemKey, (Vec<u8>, Facts)>, rule: Rule) -> usize {
    let findings = items.values().flat_map(|(_, facts)| &facts.findings);
    findings.filter(|one| one.rule == rule).count()
}

/// Returns the items whose frontmatter is no YAML.
fn broken(items: &BTreeMap<ItemKey, (Vec<u8>, Facts)>) -> Vec<&Facts> {
    let is_broken = |(bytes, _): &&(Vec<u8>, Facts)| {
        let text = String::from_utf8_lossy(bytes);
        homing_items::Frontmatter::of(&text)
            .is_some_and(|found| serde_saphyr::from_str::<serde_json::Value>(found.yaml).is_err())
    };
    let broken = items.values().filter(is_broken);
    broken.map(|(_, facts)| facts).collect()
}

fn told(items: &BTreeMap<ItemKey, (Vec<u8>, Facts)>, least: Level) -> Vec<String> {
    let mut told = Vec::new();
    for (key, (_, facts)) in items {
        for one in facts.findings.iter().filter(|one| one.level() >= least) {
            told.push(format!(
                "{key}:{}:{}: {}: {}",
                one.line, one.column, one.rule, one.message
            ));
        }
    }
    told
}

/// Returns how many names two or more items of a kind have, outside of skills' directories.
fn duplicated(items: &BTreeMap<ItemKey, (Vec<u8>, Facts)>, kind: Kind) -> usize {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, facts) in items.values().filter(|(_, facts)| facts.kind == kind) {
        *names
            .entry(facts.name.as_deref().unwrap_or(""))
            .or_default() += 1;
    }
    names.values().filter(|count| **count > 1).count()
}

fn of_kind(items: &BTreeMap<ItemKey, (Vec<u8>, Facts)>, kind: Kind) -> usize {
    items
        .values()
        .filter(|(_, facts)| facts.kind == kind)
        .count()
}

#[test]
fn the_plugins_are_agents_commands_and_skills() {
    let Some(items) = items("wshobson-agents.bundle", "HEAD") else {
        return;
    };
    assert_eq!(of_kind(&items, Kind::Agent), 202);
    assert_eq!(of_kind(&items, Kind::Command), 105);
    assert_eq!(of_kind(&items, Kind::Skill), 181);
    assert!(
        items
            .values()
            .all(|(_, facts)| facts.kind == Kind::File || facts.name.is_some())
    );
    assert_eq!(duplicated(&items, Kind::Agent), 0);
    assert_eq!(count(&items, Rule::NameDiffersFromDirectory), 1);
    assert_eq!(count(&items, Rule::NoFrontmatter), 0);
    assert_eq!(told(&items, Level::Blocking), [""; 0]);
    let warnings = told(&items, Level::Warning);
    assert_eq!(warnings.len(), 6, "{warnings:#?}");
    assert!(warnings.iter().all(|told| told.contains("piped-download")));
    let place = "plugins/kubernetes-operations/skills/gitops-workflow/SKILL.md:120:1: ";
    assert!(
        warnings.iter().any(|told| told.starts_with(place)),
        "{warnings:#?}"
    );
}

#[test]
fn the_skills_are_skills_with_all_their_files() {
    let Some(items) = items("claude-mpm-skills.bundle", "HEAD") else {
        return;
    };
    assert_eq!(of_kind(&items, Kind::Skill), 172);
    assert_eq!(of_kind(&items, Kind::Agent), 0);
    let skills = Skills::among(items.keys());
    assert_eq!(
        items.keys().filter(|key| skills.of(key).is_some()).count(),
        543
    );
    assert_eq!(count(&items, Rule::NameDiffersFromDirectory), 2);
    assert_eq!(told(&items, Level::Blocking), [""; 0]);
    assert_eq!(told(&items, Level::Warning).len(), 3);
    assert_eq!(broken(&items).len(), 1, "it is read all the same");
}

#[test]
fn an_older_state_has_its_quirks_and_each_is_named() {
    let commit = "c81daa055d29479d73292e9bdbd4b9da2afcf1b0";
    let Some(items) = items("wshobson-agents.bundle", commit) else {
        return;
    };
    assert_eq!(of_kind(&items, Kind::Agent), 159);
    assert_eq!(
        duplicated(&items, Kind::Agent),
        30,
        "the plugins share agents"
    );
    assert_eq!(count(&items, Rule::NoFrontmatter), 5);
    assert_eq!(told(&items, Level::Blocking), [""; 0]);
}
