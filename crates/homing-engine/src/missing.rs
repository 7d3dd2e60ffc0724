//! What an origin has and did not give: a skill waits for each of its files.

use std::collections::BTreeMap;

use homing_core::{ItemKey, UnknownReason};

/// What an origin has and did not give: files, and directories of which it tells nothing.
pub(crate) type Unfetched = BTreeMap<ItemKey, Missing>;

/// Why a file is not at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) cause: Cause,
    /// In words, as the origin's side told it.
    pub(crate) reason: String,
}

/// What has to change before a file can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its origin has to give it.
    NotFetched,
    /// It has to stand still while it is read.
    Changing,
    /// A limit is in its way.
    OverLimit,
    /// Somebody has to follow a Git LFS pointer.
    Pointer,
    /// It may not be read.
    Unreadable,
    /// Something else stands where it was.
    NotAFile,
}

/// What [`UnknownReason::Unreadable`] says before it says why.
const UNREADABLE: &str = "it could not be read: ";
/// How each is called in the store.
const WORDS: &[(Cause, &str)] = &[
    (Cause::NotFetched, "not-fetched"),
    (Cause::Changing, "changing"),
    (Cause::OverLimit, "over-limit"),
    (Cause::Pointer, "pointer"),
    (Cause::Unreadable, "unreadable"),
    (Cause::NotAFile, "not-a-file"),
];

impl Missing {
    /// Returns what was not fetched.
    pub(crate) fn not_fetched(reason: String) -> Self {
        Self {
            cause: Cause::NotFetched,
            reason,
        }
    }

    /// Returns why a skill has to wait for what nothing is known of; `None` of what never was a file and is none.
    pub(crate) fn of(unknown: &UnknownReason, was_item: impl FnOnce() -> bool) -> Option<Self> {
        let cause = match unknown {
            UnknownReason::NotFetched(_) => Cause::NotFetched,
            UnknownReason::Changing => Cause::Changing,
            UnknownReason::OverLimit(_) => Cause::OverLimit,
            UnknownReason::Pointer => Cause::Pointer,
            UnknownReason::Unreadable(_) => Cause::Unreadable,
            // A skill may be made with links in it: it would never be published.
            UnknownReason::NotAFile(_) | UnknownReason::Collides(_) => {
                was_item().then_some(Cause::NotAFile)?
            }
        };
        Some(Self {
            cause,
            reason: unknown.to_string(),
        })
    }

    /// Returns what an origin told that still is what it was; `None` where it would have been asked anew.
    pub(crate) fn known(self) -> Option<UnknownReason> {
        let Self { cause, reason } = self;
        match cause {
            Cause::OverLimit => Some(UnknownReason::OverLimit(reason)),
            Cause::Pointer => Some(UnknownReason::Pointer),
            Cause::Changing => Some(UnknownReason::Changing),
            Cause::NotFetched => Some(UnknownReason::NotFetched(reason)),
            Cause::Unreadable => {
                let plain = reason.strip_prefix(UNREADABLE).unwrap_or(&reason);
                Some(UnknownReason::Unreadable(plain.to_owned()))
            }
            Cause::NotAFile => None,
        }
    }

    /// Tells whether the file comes without anybody doing something.
    pub(crate) fn passes(&self) -> bool {
        self.cause == Cause::NotFetched
    }

    /// Returns what can be done to have the file.
    pub(crate) fn way_out(&self) -> &'static str {
        match self.cause {
            Cause::NotFetched => "it comes as a whole when all of it is there",
            Cause::Changing => "it comes as a whole once nobody writes the file while it is read",
            Cause::OverLimit => "raise `max_file_size` of the source",
            Cause::Pointer => {
                "follow it with a source of kind `git` where git-lfs is installed, then sync with `--force`"
            }
            Cause::Unreadable => "see to it that it can be read",
            Cause::NotAFile => "put a file there",
        }
    }
}

/// Reads what an origin did not give.
pub(crate) fn read(stored: Option<&str>) -> Unfetched {
    let Some(stored) = stored else {
        return Unfetched::new();
    };
    let known: BTreeMap<String, (String, String)> =
        serde_json::from_str(stored).unwrap_or_else(|_| without_reasons(stored));
    let read = |(path, (word, reason)): (String, (String, String))| {
        let (cause, _) = WORDS.iter().find(|(_, known)| *known == word)?;
        let cause = *cause;
        Some((ItemKey::new(&path).ok()?, Missing { cause, reason }))
    };
    known.into_iter().filter_map(read).collect()
}

/// Reads what was written before reasons were kept.
fn without_reasons(stored: &str) -> BTreeMap<String, (String, String)> {
    let paths: Vec<String> = serde_json::from_str(stored).unwrap_or_default();
    let missing = || {
        let reason = "it was not given".to_owned();
        ("not-fetched".to_owned(), reason)
    };
    paths.into_iter().map(|path| (path, missing())).collect()
}

/// Returns it as the store keeps it.
pub(crate) fn stored(unfetched: &Unfetched) -> String {
    let word = |cause| WORDS.iter().find(|(known, _)| *known == cause);
    let entries = unfetched.iter().filter_map(|(key, missing)| {
        let (_, word) = word(missing.cause)?;
        let value = serde_json::json!([word, missing.reason]);
        Some((key.to_string(), value))
    });
    serde_json::Value::Object(entries.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_again_and_so_is_what_was_stored_without_reasons() {
        let causes = WORDS.iter().map(|(cause, word)| {
            let reason = format!("for {word}");
            let missing = Missing {
                cause: *cause,
                reason,
            };
            (ItemKey::new(word).unwrap(), missing)
        });
        let unfetched: Unfetched = causes.collect();
        assert_eq!(read(Some(&stored(&unfetched))), unfetched);
        let old = read(Some(r#"["s/a", "s/b"]"#));
        assert_eq!(old.len(), 2);
        assert!(old.values().all(Missing::passes), "{old:?}");
        assert!(read(None).is_empty() && read(Some("{")).is_empty());
    }
}
