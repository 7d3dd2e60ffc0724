//! Which revision is meant: what a remote says of its refs, and what `ref` asks for.

mod versions;

use homing_core::SideError;
use homing_remote::git_id;

/// The word for the tag with the highest version.
const LATEST: &str = "latest";
const TAGS: &str = "refs/tags/";
const BRANCHES: &str = "refs/heads/";

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
    /// Any branch: whether there is one tells an empty repository from one whose default branch is gone.
    AnyBranch,
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
            Self::Latest => vec![TAGS.to_owned()],
            Self::Name(name) => candidates(name),
            Self::AnyBranch => vec![BRANCHES.to_owned()],
        }
    }

    /// Tells whether a ref of this name matters: a remote may tell of others, and of very many.
    pub(crate) fn concerns(&self, name: &str) -> bool {
        match self {
            Self::Default | Self::Commit(_) => name == "HEAD",
            Self::Latest => name.strip_prefix(TAGS).is_some_and(versions::is_one),
            Self::Name(wanted) => candidates(wanted).iter().any(|one| one == name),
            Self::AnyBranch => name.starts_with(BRANCHES),
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
            Self::Latest => Some(versions::latest(refs)?),
            Self::AnyBranch => return Ok(refs.first().map(Found::of)),
            Self::Name(name) => candidates(name)
                .iter()
                .find_map(|candidate| refs.iter().find(|one| one.name == *candidate)),
        };
        match (found, self) {
            (Some(found), _) => Ok(Some(Found::of(found))),
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
            ..tag("v1.0")
        };
        let found = Wanted::Latest.choose(&[annotated]).unwrap().unwrap();
        assert_eq!(
            (found.commit, found.tag),
            ("c".repeat(40), Some("t".repeat(40)))
        );
    }

    #[test]
    fn a_remote_may_tell_of_more_than_what_matters() {
        let concerns = |setting: Option<&str>, name: &str| {
            let wanted = Wanted::parse(setting).unwrap();
            wanted.concerns(name)
        };
        assert!(concerns(None, "HEAD") && !concerns(None, "refs/heads/main"));
        assert!(concerns(Some("x"), "refs/tags/x") && !concerns(Some("x"), "refs/heads/x2"));
        assert!(concerns(Some("latest"), "refs/tags/v1.2"));
        assert!(!concerns(Some("latest"), "refs/tags/nightly-20240102"));
        assert!(!concerns(Some("latest"), "refs/heads/v1.2"));
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
