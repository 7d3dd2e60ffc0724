//! `ref = "latest"`: which tags are versions, and which of them is the highest.

use std::collections::{BTreeMap, BTreeSet};

use homing_core::SideError;
use semver::Version;

use super::{Ref, TAGS, not_found};

/// So many prefixes are named.
const NAMED: usize = 5;

/// Tells whether a tag is a version.
pub(super) fn is_one(tag: &str) -> bool {
    prefix_and_version(tag).is_some()
}

/// Returns the tag with the highest version.
///
/// A release comes before every pre-release, and tags that are nothing but a version come before those with a name before
/// it (`agents-v1.2.0`). [`SideError::NotFound`] when there is none, or several names have versions of their own.
pub(super) fn latest(refs: &[Ref]) -> Result<&Ref, SideError> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    // The highest of each kind: without a name, and with one.
    let mut highest: BTreeMap<bool, ((bool, Version), &Ref)> = BTreeMap::new();
    for one in refs {
        let tag = one.name.strip_prefix(TAGS);
        let Some((name, version)) = tag.and_then(prefix_and_version) else {
            continue;
        };
        if !name.is_empty() {
            names.insert(name);
        }
        let rank = (version.pre.is_empty(), version);
        match highest.get(&name.is_empty()) {
            Some((other, _)) if *other >= rank => {}
            _ => drop(highest.insert(name.is_empty(), (rank, one))),
        }
    }
    if let Some((_, one)) = highest.get(&true) {
        return Ok(one);
    }
    if names.len() > 1 {
        let shown: Vec<String> = names
            .iter()
            .take(NAMED)
            .map(|name| format!("`{name}`"))
            .collect();
        let more = if names.len() > NAMED { ", …" } else { "" };
        return Err(not_found(format!(
            "its tags are versions of {} different things ({}{more}), so `ref = \"latest\"` could mean any of them: set `ref` to one tag",
            names.len(),
            shown.join(", ")
        )));
    }
    highest.get(&false).map(|(_, one)| *one).ok_or_else(|| {
        not_found(
            "it has no tag that is a version, such as `v1.2.0`, which `ref = \"latest\"` asks for"
                .to_owned(),
        )
    })
}

/// Reads a tag as a version, with the name that may stand before it: `v1.2.0`, `1.2`, `agents-1.2.0-rc.1`, `team/x@v1.2`.
fn prefix_and_version(tag: &str) -> Option<(&str, Version)> {
    if let Some(version) = version(tag) {
        return Some(("", version));
    }
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || "._-/@+".contains(letter);
    if !tag.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '@') {
        return None;
    }
    // The first place that a version can begin at: what follows it may be a pre-release with such letters in it.
    tag.match_indices(['-', '/', '@'])
        .map(|(at, _)| tag.split_at(at + 1))
        .find_map(|(name, rest)| Some((name, version(rest)?)))
        .filter(|(name, _)| name.len() > 1 && name.chars().all(is_of_a_name))
}

/// Reads `v?MAJOR.MINOR[.PATCH][-PRE][+BUILD]`.
fn version(text: &str) -> Option<Version> {
    let number = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if let Ok(version) = Version::parse(number) {
        return Some(version);
    }
    // `1.2` is how many people write it.
    let (core, rest) = number.split_at(number.find(['-', '+']).unwrap_or(number.len()));
    if core.split('.').count() != 2 {
        return None;
    }
    Version::parse(&format!("{core}.0{rest}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Result<String, SideError> {
        let tag = |name: &&str| Ref {
            name: format!("{TAGS}{name}"),
            id: "t".repeat(40),
            peeled: None,
        };
        let refs: Vec<Ref> = names.iter().map(tag).collect();
        Ok(latest(&refs)?.name[TAGS.len()..].to_owned())
    }

    #[test]
    fn the_latest_is_the_highest_version_and_no_pre_release() {
        for (names, highest) in [
            (&["v1.9.0", "v1.10.0", "v1.2.0"][..], "v1.10.0"),
            (&["1.0", "1.1", "nightly"], "1.1"),
            (&["v2.0.0-rc.1", "v1.9.9"], "v1.9.9"),
            (&["v2.0.0-rc.1", "v2.0.0-rc.2"], "v2.0.0-rc.2"),
            (&["v2.0-rc.1", "V1.9+build"], "V1.9+build"),
            (&["v1.0.0", "20x", "v1.0.0.0"], "v1.0.0"),
        ] {
            assert_eq!(of(names).unwrap(), highest, "{names:?}");
        }
    }

    #[test]
    fn what_is_no_version_is_never_the_latest() {
        for other in [
            "nightly-20240102",
            "nightly-2024",
            "rc1",
            "pr-4711",
            "build-9999999",
            "v20240102",
            "2024",
            "release9.9",
            "x.9.9.9",
            "-9.9.9",
            "\u{202e}a-9.9.9",
        ] {
            assert_eq!(of(&["v1.2.3", other]).unwrap(), "v1.2.3", "{other}");
            assert!(of(&[other]).is_err(), "{other}");
        }
        assert!(of(&[]).is_err());
    }

    #[test]
    fn a_name_before_the_version_counts_where_no_tag_is_without_one_and_only_one_name_is_there() {
        for (names, highest) in [
            (&["agents-1.2.0", "agents-v1.10"][..], "agents-v1.10"),
            (&["agents-1.2.0", "agents-2.0.0-rc-1.0"], "agents-1.2.0"),
            (&["@team/agents@1.2.0"], "@team/agents@1.2.0"),
            (&["agents/v2.0.0", "v1.0.0", "tools/v3.0.0"], "v1.0.0"),
            // Also where only a pre-release is without one.
            (&["agents-2.0.0", "v1.0.0-rc.1"], "v1.0.0-rc.1"),
        ] {
            assert_eq!(of(names).unwrap(), highest, "{names:?}");
        }
        let error = of(&["agents-1.2.0", "tools-1.3.0"]).unwrap_err();
        assert!(matches!(error, SideError::NotFound { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("`agents-`, `tools-`"), "{text}");
    }
}
