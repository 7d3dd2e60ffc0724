//! Git's ids of contents, and names of refs.

use std::collections::HashMap;

use gix_hash::{Hasher, Kind, ObjectId};
use homing_core::{FetchRequest, Identity, Item, ListRequest, SideError, is_reference_name};

use crate::Witness;

/// What stands before a blob's id in an item's identity.
const IDENTITY_PREFIX: &str = "git:";
/// How a Git LFS pointer begins.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";
/// No LFS pointer is as long.
const POINTER_LIMIT: u64 = 1024;

/// Tells whether a text is a whole id, not the beginning of one.
pub fn is_full(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && ObjectId::from_hex(text.as_bytes()).is_ok()
}

/// Returns the identity of items with this blob.
pub fn identity(id: &str) -> Identity {
    Identity::new(&format!("{IDENTITY_PREFIX}{id}"))
}

/// Returns the blob's id that an identity has in it.
pub fn of_identity(identity: &Identity) -> Option<&str> {
    identity.as_str().strip_prefix(IDENTITY_PREFIX)
}

/// Returns the blob that is asked for again.
pub fn of_request(request: &FetchRequest) -> Option<&str> {
    of_identity(request.item.identity.as_ref()?).filter(|id| is_full(id))
}

/// Finds known items by their blobs, wherever they are: what was only moved costs nothing.
pub fn known_blobs(request: &ListRequest) -> HashMap<&str, &Item> {
    let items = request.known.values();
    items
        .filter_map(|item| Some((of_identity(item.identity.as_ref()?)?, item)))
        .collect()
}

/// Sees a blob's bytes and tells whether they are those of an id.
pub struct BlobCheck {
    hasher: Hasher,
    beginning: Vec<u8>,
    size: u64,
}

/// A blob whose bytes are those of its id.
#[derive(Debug)]
pub struct CheckedBlob {
    /// It only names a content that is elsewhere.
    pub is_pointer: bool,
}

impl BlobCheck {
    /// Begins with a blob of this id and size; SHA-1 or SHA-256, as the id's length tells.
    pub fn new(id: &str, size: u64) -> Self {
        let kind = if id.len() == 64 {
            Kind::Sha256
        } else {
            Kind::Sha1
        };
        let mut hasher = gix_hash::hasher(kind);
        hasher.update(format!("blob {size}\0").as_bytes());
        Self {
            hasher,
            beginning: Vec::new(),
            size,
        }
    }

    /// Tells whether what was seen is the blob of `id`.
    pub fn finish(self, id: &str) -> Option<CheckedBlob> {
        let is_pointer = self.size < POINTER_LIMIT && self.beginning.starts_with(POINTER);
        // A collision that was made on purpose is an error here, and no blob.
        let found = self.hasher.try_finalize().ok()?;
        let expected = ObjectId::from_hex(id.as_bytes()).ok()?;
        (found == expected).then_some(CheckedBlob { is_pointer })
    }
}

impl std::fmt::Debug for BlobCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobCheck")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Witness for BlobCheck {
    fn see(&mut self, bytes: &[u8]) {
        let missing = POINTER.len().saturating_sub(self.beginning.len());
        self.beginning
            .extend_from_slice(&bytes[..bytes.len().min(missing)]);
        self.hasher.update(bytes);
    }
}

/// Refuses what Git refuses as a ref's name, so that a URL made of it names what it seems to name. [`SideError::Config`] repeats it.
pub fn check_reference(reference: &str) -> Result<(), SideError> {
    if !is_reference_name(reference) {
        return Err(SideError::Config {
            message: format!("`ref = {reference:?}` is no name of a branch, tag or commit"),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, size: u64, parts: &[&[u8]]) -> Option<bool> {
        let mut check = BlobCheck::new(id, size);
        for part in parts {
            check.see(part);
        }
        check.finish(id).map(|blob| blob.is_pointer)
    }

    #[test]
    fn ids_are_those_of_git() {
        // `printf 'hello\n' | git hash-object --stdin`, in a repository of either kind.
        let sha1 = "ce013625030ba8dba906f756967f9e9ca394464a";
        let sha256 = "2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4";
        assert_eq!(check(sha1, 6, &[b"hel", b"lo\n"]), Some(false));
        assert_eq!(check(sha256, 6, &[b"hello\n"]), Some(false));
        assert_eq!(check(sha1, 6, &[b"Hello\n"]), None);
        assert_eq!(check(sha1, 5, &[b"hello\n"]), None);
        assert_eq!(check("no id", 6, &[b"hello\n"]), None);
    }

    #[test]
    fn a_full_id_is_told_from_a_name() {
        assert!(is_full("ce013625030ba8dba906f756967f9e9ca394464a"));
        assert!(!is_full("ce01362"));
        assert!(!is_full("main"));
        assert!(!is_full(&"g".repeat(40)));
    }

    #[test]
    fn an_identity_has_the_id_in_it() {
        let identity = identity("ce01");
        assert_eq!(identity.as_str(), "git:ce01");
        assert_eq!(of_identity(&identity), Some("ce01"));
        assert_eq!(of_identity(&Identity::new("etag=\"x\"")), None);
    }

    #[test]
    fn a_ref_is_a_name_that_git_takes() {
        for good in ["main", "feature/x", "v1.0", "heads/main", "a-b_c", "é"] {
            assert!(check_reference(good).is_ok(), "{good}");
        }
        for bad in [
            "", "/a", "a/", "a..b", "../a", "a b", "a?x=1", "a:b", "-a", "a/.b", "a\nb", "a//b",
        ] {
            let error = check_reference(bad).unwrap_err();
            assert!(matches!(error, SideError::Config { .. }), "{bad}");
        }
    }
}
