//! What the configuration says of a source.

use std::path::PathBuf;
use std::time::Duration;

use homing_core::{Cron, ItemKey, Policy};
use jiff::tz::TimeZone;
use url::Url;

use crate::SecretSource;

/// What kind of place a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// Another directory.
    Dir {
        /// Where it is; absolute, links not resolved.
        root: PathBuf,
    },
    /// Files of an HTTP server.
    Http {
        /// Where they are; without user, password and what looks like a secret.
        url: Url,
        /// How it is known what there is.
        listing: HttpListing,
        /// Whose password the token is; `None`: it is a bearer token.
        user: Option<String>,
        /// Certificates that are trusted beside the system's; absolute.
        ca_file: Option<PathBuf>,
    },
    /// A repository of GitHub, or of a server that speaks like it.
    Github {
        /// `https://HOST/OWNER/REPOSITORY`.
        url: Url,
        /// The base of its API, where that is not known from the host.
        api: Option<Url>,
        /// A branch, tag or full commit; `None`: the default branch.
        reference: Option<String>,
        /// The full commit that takes the place of `reference` while it is there.
        pin: Option<String>,
        /// Certificates that are trusted beside the system's; absolute.
        ca_file: Option<PathBuf>,
    },
    /// A repository that Git reaches.
    Git {
        /// In a form that Git takes; without a password and what looks like a secret.
        url: String,
        /// A branch, tag, full commit or `latest`; `None`: the default branch.
        reference: Option<String>,
        /// The full commit that takes the place of `reference` while it is there.
        pin: Option<String>,
        /// Whose password the token is.
        user: Option<String>,
        /// Certificates that are trusted beside the system's; absolute.
        ca_file: Option<PathBuf>,
        /// What has to be signed, and by whom.
        verify: Option<Verify>,
        /// Submodules are followed.
        submodules: bool,
    },
}

/// What has to be signed before it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// What.
    pub signed: SignedObject,
    /// By whom.
    pub keys: SignerKeys,
}

/// What Git signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedObject {
    /// The commit.
    Commit,
    /// The annotated tag.
    Tag,
}

impl SignedObject {
    /// All of them, with the words for them.
    pub const WORDS: [(&str, Self); 2] = [("commit", Self::Commit), ("tag", Self::Tag)];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tag => "tag",
        }
    }
}

/// Whose signatures count; the files are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerKeys {
    /// SSH keys: a file of allowed signers.
    AllowedSigners(PathBuf),
    /// OpenPGP keys, exported.
    Keyring(PathBuf),
}

impl SignerKeys {
    /// Returns the key that names the file, and the file.
    pub fn setting(&self) -> (&'static str, &PathBuf) {
        match self {
            Self::AllowedSigners(path) => ("allowed_signers", path),
            Self::Keyring(path) => ("keyring", path),
        }
    }
}

impl SourceKind {
    /// Returns the word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Dir { .. } => "dir",
            Self::Http { .. } => "http",
            Self::Github { .. } => "github",
            Self::Git { .. } => "git",
        }
    }

    /// Returns where it is, as it may be shown.
    pub fn place(&self) -> String {
        match self {
            Self::Dir { root } => root.display().to_string(),
            Self::Http { url, .. } | Self::Github { url, .. } => {
                let mut url = url.clone();
                url.set_query(None);
                url.set_fragment(None);
                url.into()
            }
            Self::Git { url, .. } => url.clone(),
        }
    }

    /// Returns the revision that is asked for: a pin, else the `ref`.
    pub fn followed(&self) -> Option<&str> {
        match self {
            Self::Github { reference, pin, .. } | Self::Git { reference, pin, .. } => {
                pin.as_deref().or(reference.as_deref())
            }
            Self::Dir { .. } | Self::Http { .. } => None,
        }
    }

    /// Returns what only this kind has beside its place: each key that is given, with its value as it may be shown.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let given = |key: &'static str, value: Option<String>| value.map(|value| (key, value));
        let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        match self {
            Self::Dir { .. } => Vec::new(),
            Self::Http {
                listing,
                user,
                ca_file,
                ..
            } => {
                let way = match listing {
                    HttpListing::Files(files) => ("files", files.join(", ")),
                    HttpListing::Index(index) => ("index", index.clone()),
                    HttpListing::AgentSkills => ("agent_skills", "true".to_owned()),
                    HttpListing::Archive => ("archive", "true".to_owned()),
                };
                [
                    Some(way),
                    given("user", user.clone()),
                    given("ca_file", shown(ca_file)),
                ]
                .into_iter()
                .flatten()
                .collect()
            }
            Self::Github {
                api,
                reference,
                pin,
                ca_file,
                ..
            } => [
                given("ref", reference.clone()),
                given("pin", pin.clone()),
                given("api", api.as_ref().map(Url::to_string)),
                given("ca_file", shown(ca_file)),
            ]
            .into_iter()
            .flatten()
            .collect(),
            Self::Git {
                reference,
                pin,
                user,
                ca_file,
                verify,
                submodules,
                ..
            } => {
                let verify = verify.as_ref().map(|verify| {
                    let (key, file) = verify.keys.setting();
                    let signed = verify.signed.as_str().to_owned();
                    [("verify", signed), (key, file.display().to_string())]
                });
                [
                    given("ref", reference.clone()),
                    given("pin", pin.clone()),
                    given("user", user.clone()),
                    given("ca_file", shown(ca_file)),
                ]
                .into_iter()
                .flatten()
                .chain(verify.into_iter().flatten())
                .chain(submodules.then(|| ("submodules", "true".to_owned())))
                .collect()
            }
        }
    }

    /// Tells whether everyone on the way to it could read what it is sent.
    pub fn is_unencrypted(&self) -> bool {
        let address;
        let asked = match self {
            Self::Dir { .. } => return false,
            Self::Http { url, .. } => url,
            Self::Github { url, api, .. } => api.as_ref().unwrap_or(url),
            Self::Git { url, .. } => match Url::parse(url) {
                Ok(url) => {
                    address = url;
                    &address
                }
                // A path, or over ssh.
                Err(_no_url) => return false,
            },
        };
        asked.scheme() == "http" && !crate::source::is_this_machine(asked)
    }

    /// Tells whether a secret that one is given may be given to the other: whether they are one place.
    pub(crate) fn is_one_place_with(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Http {
                    url, user, ca_file, ..
                },
                Self::Http {
                    url: other_url,
                    user: other_user,
                    ca_file: other_ca_file,
                    ..
                },
            ) => (url, user, ca_file) == (other_url, other_user, other_ca_file),
            (
                Self::Github {
                    url, api, ca_file, ..
                },
                Self::Github {
                    url: other_url,
                    api: other_api,
                    ca_file: other_ca_file,
                    ..
                },
            ) => (url, api, ca_file) == (other_url, other_api, other_ca_file),
            (
                Self::Git {
                    url, user, ca_file, ..
                },
                Self::Git {
                    url: other_url,
                    user: other_user,
                    ca_file: other_ca_file,
                    ..
                },
            ) => (url, user, ca_file) == (other_url, other_user, other_ca_file),
            (one, other) => one == other,
        }
    }
}

/// How it is known what there is at a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpListing {
    /// These paths below it.
    Files(Vec<String>),
    /// A document at this path below it, or at this URL, lists them.
    Index(String),
    /// Agent Skills discovery.
    AgentSkills,
    /// It is an archive.
    Archive,
}

/// Whether and how edits go back to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushMode {
    /// They stay here.
    Never,
    /// They are written to the origin.
    Direct,
}

impl PushMode {
    /// All of them, with the words for them.
    pub const WORDS: [(&str, Self); 2] = [("never", Self::Never), ("direct", Self::Direct)];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        words
            .find(|(_, mode)| *mode == self)
            .map_or("never", |(word, _)| word)
    }
}

/// Whether a source runs when the daemon starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtStart {
    /// If it is due, or was never synced.
    Due,
    /// Always.
    Always,
    /// Not before its next turn.
    Never,
}

impl AtStart {
    /// All of them, with the words for them.
    pub const WORDS: [(&str, Self); 3] = [
        ("due", Self::Due),
        ("always", Self::Always),
        ("never", Self::Never),
    ];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        words
            .find(|(_, when)| *when == self)
            .map_or("due", |(word, _)| word)
    }
}

/// `[sources.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// The kind, with what only that kind has.
    pub kind: SourceKind,
    /// Only this subdirectory.
    pub path: Option<ItemKey>,
    /// Patterns in gitignore syntax, not yet judged; empty: everything.
    pub include: Vec<String>,
    /// Patterns in gitignore syntax, not yet judged.
    pub exclude: Vec<String>,
    /// The interval; `None`: by [`SourceConfig::cron`], or by hand only.
    pub every: Option<Duration>,
    /// The times of its turns; never beside an interval.
    pub cron: Option<Cron>,
    /// Where those times hold; `None`: as `[daemon]` says.
    pub timezone: Option<TimeZone>,
    /// See [`AtStart`].
    pub at_start: AtStart,
    /// `None`: three intervals.
    pub stale_after: Option<Duration>,
    /// Whether a change in the root starts a run.
    pub watch: bool,
    /// 0 to 1000; lower wins.
    pub priority: u16,
    /// See [`PushMode`].
    pub push: PushMode,
    /// What becomes of overlapping changes.
    pub on_conflict: Policy,
    /// Bytes of one file, at most.
    pub max_file_size: u64,
    /// Bytes of all files together, at most.
    pub max_total_size: u64,
    /// Files, at most.
    pub max_files: u64,
    /// Where the secret comes from that the origin asks for; `None`: it asks for none.
    pub token: Option<SecretSource>,
    /// Whether it is synced at all.
    pub enabled: bool,
}
