//! What is said against real repositories, counted in another way.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::harness::{Home, TestResult};

/// The longest description that may be.
const LONGEST: usize = 1024;

/// Reads the frontmatter of a text as a person would: keys at the beginning of a line, what is indented goes on.
fn frontmatter(text: &str) -> Option<BTreeMap<String, String>> {
    let mut lines = text.lines();
    if lines.next()? != "---" {
        return None;
    }
    let mut entries: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in lines.take_while(|line| *line != "---") {
        if line.starts_with(' ') {
            if let Some(value) = entries.get_mut(&last) {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            key.clone_into(&mut last);
            let value = value.trim().trim_matches(['"', '\'']);
            entries.insert(last.clone(), value.to_owned());
        }
    }
    Some(entries)
}

/// Counts, by rule, what is to be said against the names and descriptions in a checkout.
fn counted(files: &BTreeMap<String, String>) -> BTreeMap<&'static str, usize> {
    let directory = |path: &str| path.rsplit_once('/').map(|(above, _)| above.to_owned());
    let is_skill = |path: &&String| path.ends_with("/SKILL.md");
    let skills: Vec<String> = files
        .keys()
        .filter(is_skill)
        .filter_map(|path| directory(path))
        .collect();
    let in_skill = |path: &str| {
        let mut skills = skills.iter();
        skills.any(|skill| {
            path.strip_prefix(skill.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let is_agent = |path: &&String| {
        path.contains("/agents/")
            && path.rsplit_once('.').is_some_and(|(_, end)| end == "md")
            && !in_skill(path)
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names: BTreeMap<(bool, String), usize> = BTreeMap::new();
    for (path, text) in files {
        if !is_skill(&path) && !is_agent(&path) {
            continue;
        }
        let found = frontmatter(text);
        if found.is_none() {
            *counts.entry("no-frontmatter").or_default() += 1;
        }
        let found = found.unwrap_or_default();
        let above = directory(path).unwrap_or_default();
        let own = if is_skill(&path) {
            above.rsplit('/').next().unwrap_or_default().to_owned()
        } else {
            path[above.len() + 1..].trim_end_matches(".md").to_owned()
        };
        let name = found.get("name").cloned().unwrap_or_else(|| own.clone());
        if is_skill(&path) && name != own {
            *counts.entry("name-differs-from-directory").or_default() += 1;
        }
        *names.entry((is_skill(&path), name)).or_default() += 1;
        if found
            .get("description")
            .is_some_and(|text| text.chars().count() > LONGEST)
        {
            *counts.entry("description-too-long").or_default() += 1;
        }
    }
    let doubled: usize = names.into_values().filter(|count| *count > 1).sum();
    if doubled > 0 {
        counts.insert("duplicated-name", doubled);
    }
    counts
}

fn git(arguments: &[&str], at: &Path) -> TestResult {
    let mut command = std::process::Command::new("git");
    let done = command.args(arguments).current_dir(at).status()?;
    ensure!(done.success(), "git {arguments:?} ended with {done}");
    Ok(())
}

fn audited(home: &Home) -> Result<BTreeMap<String, usize>> {
    let (audit, code) = home.json(&["audit"])?;
    // A file that a tool would obey is blocking.
    ensure!(code == 0 || code == 3, "{code}");
    let items = audit["items"].as_array().context("items")?;
    let findings = items.iter().filter_map(|item| item["findings"].as_array());
    let rules = findings.flatten().filter_map(|one| one["rule"].as_str());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for rule in rules {
        *counts.entry(rule.to_owned()).or_default() += 1;
    }
    Ok(counts)
}

#[test]
fn what_is_said_against_real_repositories_is_counted_right() -> TestResult {
    let older = "c81daa055d29479d73292e9bdbd4b9da2afcf1b0";
    for (bundle, commit, least) in [
        ("wshobson-agents.bundle", "HEAD", 1),
        ("wshobson-agents.bundle", older, 90),
        ("claude-mpm-skills.bundle", "HEAD", 2),
    ] {
        let Some(bundle) = testkit::real_bundle(bundle) else {
            return Ok(());
        };
        let home = Home::with_one_source()?;
        let origin = home.origin("team");
        std::fs::remove_dir_all(&origin.0)?;
        let path = bundle.to_str().context("UTF-8")?;
        let checkout = origin.0.to_str().context("UTF-8")?;
        git(&["clone", "--quiet", path, checkout], home.root())?;
        git(&["checkout", "--quiet", "--detach", commit], &origin.0)?;
        std::fs::remove_dir_all(origin.0.join(".git"))?;
        // The real ones are short enough.
        let long = format!(
            "---\nname: long\ndescription: {}\n---\n",
            "x".repeat(LONGEST + 1)
        );
        origin.write("more/agents/long.md", long)?;
        let fits = format!(
            "---\nname: fits\ndescription: {}\n---\n",
            "x".repeat(LONGEST)
        );
        origin.write("more/agents/fits.md", fits)?;

        let expected = counted(&origin.texts()?);
        let total: usize = expected.values().sum();
        ensure!(total > least, "{commit}: {expected:?}");
        let _daemon = home.start()?;
        home.homing(&["sync", "--all"])?;
        let found = audited(&home)?;
        for rule in [
            "no-frontmatter",
            "duplicated-name",
            "description-too-long",
            "name-differs-from-directory",
        ] {
            let (found, expected) = (found.get(rule), expected.get(rule));
            ensure!(
                found == expected,
                "{commit}: {rule}: {found:?}, {expected:?}"
            );
        }
    }
    Ok(())
}
