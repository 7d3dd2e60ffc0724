//! Repositories whose names would lead out of the target.

use anyhow::ensure;
use serde_json::json;
use testkit::GitRepository;

use super::{NAME, Upstream};
use crate::harness::TestResult;

#[test]
fn nothing_of_a_hostile_repository_escapes() -> TestResult {
    let repository = GitRepository::new()?;
    let blob = repository.blob(b"evil\n")?;
    let good = repository.blob(b"good\n")?;
    let evil = |name: &'static [u8]| ("100644", name, blob.as_str());
    let inner = repository.literal_tree(&[evil(b"config"), evil(b"evil.md")])?;
    let up = repository.literal_tree(&[("40000", b"..", &inner)])?;
    let up_up = repository.literal_tree(&[("40000", b"..", &up)])?;
    let root = repository.literal_tree(&[
        ("40000", b"..", &inner),
        ("40000", b".Git", &inner),
        ("40000", b".git", &inner),
        ("40000", b"agents", &up_up),
        evil(b"bell\x07.md"),
        ("100644", b"good.md", &good),
        evil(b"new\nline.md"),
    ])?;
    repository.commit_tree("main", &root)?;
    let upstream = Upstream::serving("", "", repository)?;
    let lies = [
        "/etc/homing-evil.md",
        "agents/../../evil.md",
        "nul\0.md",
        "a//b.md",
        "..\\evil.md",
    ];
    upstream.github.add_to_trees(
        NAME,
        lies.iter()
            .map(|path| json!({"path": path, "mode": "100644", "type": "blob", "sha": blob, "size": 5}))
            .collect(),
    );
    let _daemon = upstream.home.start()?;
    let home_before = crate::harness::Tree(upstream.home.root().to_owned()).snapshot()?;
    let (document, _) = upstream.home.json(&["sync", "community"])?;
    upstream.target().expect(&[("good.md", "good\n")])?;
    let home_after = crate::harness::Tree(upstream.home.root().to_owned()).snapshot()?;
    for path in home_after
        .keys()
        .filter(|path| !home_before.contains_key(*path))
    {
        ensure!(
            path.starts_with("home/agents") || path.starts_with("home/.local/share/homing"),
            "{} came into being",
            path.display()
        );
    }
    let told = document["runs"][0]["problems"].to_string();
    for part in ["../evil.md", ".git", "agents/../", "homing-evil"] {
        ensure!(told.contains(part), "{part} is not told: {document:#}");
    }
    Ok(())
}
