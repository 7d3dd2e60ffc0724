//! Precedence: which of two versions is the higher one.

use semver::{BuildMetadata, Prerelease, Version};

/// A version that was read leniently, for comparison only.
///
/// `2.1` is 2.1.0, a leading `v` and whatever follows `+` mean nothing, `2.1.0-beta` comes before `2.1.0`. A text that is
/// no version has no precedence; `None` comes before any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence(Version);

impl Precedence {
    /// Reads a version.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text).trim_start();
        let text = text.split('+').next().unwrap_or(text);
        let (numbers, prerelease) = match text.split_once('-') {
            Some((numbers, prerelease)) => (numbers, Some(prerelease)),
            None => (text, None),
        };
        let mut parts = [0; 3];
        for (at, part) in numbers.split('.').enumerate() {
            let number: u64 = part.trim().parse().ok()?;
            // What follows the third number has no place in a semantic version.
            if let Some(place) = parts.get_mut(at) {
                *place = number;
            }
        }
        let [major, minor, patch] = parts;
        Some(Self(Version {
            major,
            minor,
            patch,
            pre: prerelease.map_or(Prerelease::EMPTY, lenient),
            build: BuildMetadata::EMPTY,
        }))
    }
}

/// Reads what follows the hyphen; whatever it is, it comes before the release.
fn lenient(text: &str) -> Prerelease {
    let tidy = |part: &str| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0".to_owned(),
        rest if rest.bytes().all(|byte| byte.is_ascii_digit()) => rest.to_owned(),
        _ => part.to_owned(),
    };
    let parts: Vec<String> = text.trim().split('.').map(tidy).collect();
    let pre = Prerelease::new(&parts.join(".")).unwrap_or(Prerelease::EMPTY);
    if pre.is_empty() {
        Prerelease::new("0").unwrap_or(Prerelease::EMPTY)
    } else {
        pre
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_leniently_and_compared_semantically() {
        let ascending = [
            "nightly",
            "0.2.0",
            "2.1.0-0",
            "2.1.0-alpha",
            "2.1.0-beta",
            "2.1.0-beta.2",
            "2.1.0-beta.10",
            "2.1.0",
            "v2.1.1",
            "2.2",
            "2.10.0",
            "3",
        ];
        for pair in ascending.windows(2) {
            let (lower, higher) = (Precedence::of(pair[0]), Precedence::of(pair[1]));
            assert!(lower < higher, "{pair:?}");
        }
        assert_eq!(Precedence::of("nightly"), None);
        for same in [
            "2.1",
            "2.1.0",
            "v2.1",
            "V 2.1.0",
            " 2.1.0+build.7",
            "2.1.0.9",
        ] {
            assert_eq!(Precedence::of(same), Precedence::of("2.1.0"), "{same}");
        }
        // Not a semantic version, and yet before the release.
        for odd in ["2.1.0-", "2.1.0-rc_1", "2.1.0-rc.01"] {
            assert!(Precedence::of(odd).is_some(), "{odd}");
            assert!(Precedence::of(odd) < Precedence::of("2.1.0"), "{odd}");
            assert!(Precedence::of(odd) > Precedence::of("2.0.9"), "{odd}");
        }
        for no_version in ["", "v", "latest", "1.x", "-1", "99999999999999999999"] {
            assert_eq!(Precedence::of(no_version), None, "{no_version}");
        }
    }
}
