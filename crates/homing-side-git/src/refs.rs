//! Which revision is meant: what a remote says of its refs, and what `ref` asks for.

use homing_core::SideError;
use homing_remote::git_id;
use semver::Version;

/// The word for the tag with the highest version.
const LATEST: &str = "latest";

/// A ref of a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ref {
    /// Its full name: `refs/heads/main`, `HEAD`.
    pub(crate) name: String,
    /// What it points to: a commit, or an annotated tag.
    pub(crate) id: String,
    /// The commit that the tag is of.
    pub(crate) peeled: Option<String>,
}

/// What `ref` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The default branch.
    Default,
    /// A branch or a tag.
    Name(String),
    /// A commit, which never changes.
    Commit(String),
    /// The tag with the highest version.
    Latest,
}

/// The revision that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The ref that leads to it; `None` for a commit that was named.
    pub(crate) name: Option<String>,
    /// The commit.
    pub(crate) commit: String,
    /// What the ref itself points to, where that is an annotated tag.
    pub(crate) tag: Option<String>,
}

impl Wanted {
    /// Reads the setting. [`SideError::Config`] for what Git takes for no ref's name.
    pub(crate) fn parse(setting: Option<&str>) -> Result<Self, SideError> {
        match setting {
            None | Some("HEAD") => Ok(Self::Default),
            Some(LATEST) => Ok(Self::Latest),
            Some(id) if git_id::is_full(id) => Ok(Self::Commit(id.to_ascii_lowercase())),
            Some(name) => {
                git_id::check_reference(name)?;
                Ok(Self::Name(name.to_owned()))
            }
        }
    }

    /// Returns how the names begin that a remote is to be asked for.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        match self {
            Self::Default | Self::Commit(_) => vec!["HEAD".to_owned()],
            Self::Latest => vec!["refs/tags/".to_owned()],
            Self::Name(name) => candidates(name),
        }
    }

    /// Chooses among the refs that a remote has; `None` when it has none at all.
    ///
    /// Of a branch and a tag of one name it is the branch, as with `git clone --branch`. [`SideError::NotFound`] when what
    /// is asked for is not there.
    pub(crate) fn choose(&self, refs: &[Ref]) -> Result<Option<Found>, SideError> {
        let found = match self {
            Self::Commit(id) => {
                return Ok(Some(Found {
                    name: None,
                    commit: id.clone(),
                    tag: None,
                }));
            }
            Self::Default => {
                // A remote without a commit has no HEAD to tell of.
                return Ok(refs.iter().find(|one| one.name == "HEAD").map(Found::of));
            }
            Self::Latest => latest(refs),
            Self::Name(name) => candidates(name)
                .iter()
                .find_map(|candidate| refs.iter().find(|one| one.name == *candidate)),
        };
        match (found, self) {
            (Some(found), _) => Ok(Some(Found::of(found))),
            (None, Self::Latest) => Err(not_found(
                "it has no tag that is a version, such as `v1.2.0`, which `ref = \"latest\"` asks for".to_owned(),
            )),
            (None, _) => {
                let Self::Name(name) = self else {
                    return Ok(None);
                };
                Err(not_found(format!(
                    "it has no branch or tag `{name}`; it may have been renamed or deleted: set `ref` to one that is there"
                )))
            }
        }
    }
}

impl Found {
    fn of(one: &Ref) -> Self {
        Self {
            name: Some(one.name.clone()),
            commit: one.peeled.clone().unwrap_or_else(|| one.id.clone()),
            tag: one.peeled.as_ref().map(|_| one.id.clone()),
        }
    }
}

fn not_found(message: String) -> SideError {
    SideError::NotFound {
        message,
        source: None,
    }
}

/// Returns the full names that a short one may stand for, the first that is there counts.
fn candidates(name: &str) -> Vec<String> {
    if name.starts_with("refs/") {
        return vec![name.to_owned()];
    }
    vec![
        format!("refs/heads/{name}"),
        format!("refs/tags/{name}"),
        format!("refs/{name}"),
    ]
}

/// Returns the tag with the highest version; one that is a pre-release only where there is no other.
fn latest(refs: &[Ref]) -> Option<&Ref> {
    refs.iter()
        .filter_map(|one| Some((version(one.name.strip_prefix("refs/tags/")?)?, one)))
        .max_by(|(a, _), (b, _)| (a.pre.is_empty(), a).cmp(&(b.pre.is_empty(), b)))
        .map(|(_, one)| one)
}

/// Reads a tag as a version: `v1.2.0`, `1.2`, `release-1.2.0`.
fn version(tag: &str) -> Option<Version> {
    let start = tag.find(|letter: char| letter.is_ascii_digit())?;
    let (prefix, number) = tag.split_at(start);
    if !prefix
        .chars()
        .all(|letter| letter.is_alphabetic() || "-_/@.".contains(letter))
    {
        return None;
    }
    if let Ok(version) = Version::parse(number) {
        return Some(version);
    }
    // `1.2` and `1` are how many people write it.
    let (core, rest) = number.split_at(number.find(['-', '+']).unwrap_or(number.len()));
    let zeros = match core.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => return None,
    };
    Version::parse(&format!("{core}{zeros}{rest}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str) -> Ref {
        Ref {
            name: format!("refs/tags/{name}"),
            id: "t".repeat(40),
            peeled: None,
        }
    }

    #[test]
    fn a_branch_comes_before_a_tag_of_its_name() {
        let at = |name: &str, id: &str| Ref {
            name: name.to_owned(),
            id: id.to_owned(),
            peeled: None,
        };
        let refs = [
            at("refs/tags/x", "1"),
            at("refs/heads/x", "2"),
            at("refs/heads/x2", "3"),
        ];
        let choose = |name: &str| Wanted::parse(Some(name)).unwrap().choose(&refs);
        assert_eq!(choose("x").unwrap().unwrap().commit, "2");
        assert_eq!(choose("refs/tags/x").unwrap().unwrap().commit, "1");
        assert_eq!(choose("tags/x").unwrap().unwrap().commit, "1");
        let error = choose("y").unwrap_err();
        assert!(matches!(&error, SideError::NotFound { .. }) && error.to_string().contains("`y`"));
    }

    #[test]
    fn an_annotated_tag_leads_to_its_commit() {
        let annotated = Ref {
            peeled: Some("c".repeat(40)),
            ..tag("v1")
        };
        let found = Wanted::Latest.choose(&[annotated]).unwrap().unwrap();
        assert_eq!(
            (found.commit, found.tag),
            ("c".repeat(40), Some("t".repeat(40)))
        );
    }

    #[test]
    fn the_latest_is_the_highest_version_and_no_pre_release() {
        let latest = |names: &[&str]| {
            let refs: Vec<Ref> = names.iter().map(|name| tag(name)).collect();
            let found = Wanted::Latest.choose(&refs);
            found.map(|found| found.unwrap().name.unwrap())
        };
        for (names, highest) in [
            (&["v1.9.0", "v1.10.0", "v1.2.0"][..], "v1.10.0"),
            (&["1.0", "1.1", "nightly"], "1.1"),
            (&["v2.0.0-rc.1", "v1.9.9"], "v1.9.9"),
            (&["v2.0.0-rc.1", "v2.0.0-rc.2"], "v2.0.0-rc.2"),
            (&["release-3", "release-2.9"], "release-3"),
            (&["v1.0.0", "20x", "v1.0.0.0"], "v1.0.0"),
        ] {
            assert_eq!(
                latest(names).unwrap(),
                format!("refs/tags/{highest}"),
                "{names:?}"
            );
        }
        assert!(latest(&["nightly", "stable"]).is_err());
        assert!(latest(&[]).is_err());
    }

    #[test]
    fn what_is_asked_for_is_read_from_the_setting() {
        let id = "A".repeat(40);
        assert_eq!(
            Wanted::parse(Some(&id)).unwrap(),
            Wanted::Commit("a".repeat(40))
        );
        assert_eq!(Wanted::parse(None).unwrap(), Wanted::Default);
        assert_eq!(Wanted::parse(Some("latest")).unwrap(), Wanted::Latest);
        assert!(Wanted::parse(Some("-x")).is_err());
        // Nobody has a HEAD where there is no commit.
        assert_eq!(Wanted::Default.choose(&[]).unwrap(), None);
    }
}
