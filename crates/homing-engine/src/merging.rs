//! Settling what both sides changed, with the bytes of the content store.

use std::io::Read;

use homing_core::{
    ContentHash, Contents, MergeInput, MergeOutcome, Policy, SideError, Version, merge,
    merge_executable,
};

/// Contents over this size are not merged by lines; what the policy says of binary contents goes for them.
const MERGE_LIMIT: u64 = 16 * 1024 * 1024;

/// The three versions of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Versions {
    pub(crate) base: Option<Version>,
    pub(crate) near: Option<Version>,
    pub(crate) far: Option<Version>,
}

/// What became of a divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Both sides get this; `None`: nothing.
    As(Option<(Version, u64)>),
    /// A person must decide.
    Conflict,
}

/// Merges three versions whose contents are all in the store; a merged content is kept there. Blocks.
///
/// Where one of them is damaged, both sides stay as they are: a conflict, until it is there again.
pub(crate) fn settle(
    contents: &dyn Contents,
    versions: Versions,
    policy: Policy,
) -> Result<Settled, SideError> {
    match settle_kept(contents, versions, policy) {
        Err(error @ SideError::NotFound { .. }) => {
            tracing::warn!(%error, "two versions could not be merged");
            Ok(Settled::Conflict)
        }
        settled => settled,
    }
}

fn settle_kept(
    contents: &dyn Contents,
    versions: Versions,
    policy: Policy,
) -> Result<Settled, SideError> {
    let Versions { base, near, far } = versions;
    let executable = match (near, far) {
        (Some(near), Some(far)) => merge_executable(
            base.map(|base| base.executable),
            near.executable,
            far.executable,
        ),
        (Some(one), None) | (None, Some(one)) => one.executable,
        (None, None) => return Ok(Settled::As(None)),
    };
    if let (Some(near), Some(far)) = (near, far)
        && let Some(hash) = same_content(base, near, far)
    {
        let size = size_of(contents, &hash)?;
        return Ok(Settled::As(Some((Version { hash, executable }, size))));
    }
    let read = |version: Option<Version>| {
        version
            .map(|version| bytes_of(contents, &version.hash))
            .transpose()
    };
    let (base_bytes, near_bytes, far_bytes) = (read(base)?, read(near)?, read(far)?);
    let too_large = [&base_bytes, &near_bytes, &far_bytes]
        .into_iter()
        .any(|bytes| matches!(bytes, Some(None)));
    if too_large {
        let chosen = match policy {
            Policy::Ours => near,
            Policy::Theirs => far,
            Policy::Ask | Policy::Union => return Ok(Settled::Conflict),
        };
        let Some(chosen) = chosen else {
            return Ok(Settled::As(None));
        };
        let size = size_of(contents, &chosen.hash)?;
        return Ok(Settled::As(Some((
            Version {
                hash: chosen.hash,
                executable,
            },
            size,
        ))));
    }
    let input = MergeInput {
        base: base_bytes.as_ref().and_then(Option::as_deref),
        near: near_bytes.as_ref().and_then(Option::as_deref),
        far: far_bytes.as_ref().and_then(Option::as_deref),
        policy,
    };
    match merge(input) {
        MergeOutcome::Conflict => Ok(Settled::Conflict),
        MergeOutcome::Merged(None) => Ok(Settled::As(None)),
        MergeOutcome::Merged(Some(bytes)) => {
            let (hash, size) = contents.keep(&mut bytes.as_slice(), bytes.len() as u64)?;
            Ok(Settled::As(Some((Version { hash, executable }, size))))
        }
    }
}

/// Returns the content when only one side changed it, or none did (the executable bit is merged apart from it).
fn same_content(base: Option<Version>, near: Version, far: Version) -> Option<ContentHash> {
    let base = base.map(|base| base.hash);
    if near.hash == far.hash || base == Some(far.hash) {
        Some(near.hash)
    } else if base == Some(near.hash) {
        Some(far.hash)
    } else {
        None
    }
}

/// Reads a content; `None` when it is too large to merge.
fn bytes_of(contents: &dyn Contents, hash: &ContentHash) -> Result<Option<Vec<u8>>, SideError> {
    let mut bytes = Vec::new();
    contents
        .open(hash)?
        .take(MERGE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(hash, error))?;
    if bytes.len() as u64 > MERGE_LIMIT {
        return Ok(None);
    }
    if ContentHash::of(&bytes) != *hash {
        contents.report_damaged(hash);
        return Err(SideError::NotFound {
            message: format!("content {hash} in Homing's store is damaged"),
            source: None,
        });
    }
    Ok(Some(bytes))
}

fn size_of(contents: &dyn Contents, hash: &ContentHash) -> Result<u64, SideError> {
    std::io::copy(&mut contents.open(hash)?, &mut std::io::sink())
        .map_err(|error| unreadable(hash, error))
}

fn unreadable(hash: &ContentHash, error: std::io::Error) -> SideError {
    SideError::Storage {
        message: format!("content {hash} of the content store could not be read"),
        source: Some(Box::new(error)),
    }
}
