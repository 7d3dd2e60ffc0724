//! The patches of a diff: the texts on both sides, read where they are.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::Arc;

use homing_core::{
    Contents, FetchRequest, Item, ItemKey, Manifest, PATCH_LIMIT_BYTES, PatchSide, Problem,
    ProblemKind, TargetId, Version, patch,
};

use super::Diff;
use crate::error::EngineError;
use crate::report::{ItemAction, ItemReport};

/// Bytes that are read for the patches of one diff.
const READ_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Patches that one diff has.
const PATCH_LIMIT: usize = 2_000;

/// What a patch belongs to.
type PatchOf = (Option<TargetId>, ItemKey, ItemAction);

/// A change whose patch is wanted.
pub(super) struct Wanted {
    of: PatchOf,
    before: Option<Content>,
    after: Option<Content>,
}

/// One side of it.
struct Content {
    version: Version,
    size: u64,
    /// Where it comes from when neither the store nor the scratch has it: a target, or the origin.
    fetch: Option<(Option<TargetId>, FetchRequest)>,
}

impl Content {
    /// A content that a target or, without one, the origin has under `key`.
    fn of(place: Option<&TargetId>, key: &ItemKey, version: Version, size: u64) -> Self {
        let Version { hash, executable } = version;
        let item = Item {
            hash,
            size,
            executable,
            identity: None,
        };
        Self {
            version,
            size,
            fetch: Some((place.cloned(), FetchRequest::new(key, &item))),
        }
    }

    /// A content that is in the store, or was merged.
    fn kept(version: Version, size: u64) -> Self {
        Self {
            version,
            size,
            fetch: None,
        }
    }

    fn is_large(&self) -> bool {
        self.size > PATCH_LIMIT_BYTES as u64
    }
}

impl Diff<'_> {
    /// Wants the patch of what a target gets. `near` is the target as it is.
    pub(super) fn want_published(&mut self, item: &ItemReport, near: &Manifest, size: u64) {
        let before = item.before.map(|version| {
            let size = near.items.get(&item.path).map_or(0, |item| item.size);
            Content::of(item.target.as_ref(), &item.path, version, size)
        });
        let after = item.after.map(|version| {
            if &item.source == self.id {
                Content::of(None, &item.key, version, size)
            } else {
                Content::kept(version, size)
            }
        });
        self.want(item, before, after);
    }

    /// Wants the patch of what the head takes from the origin, or the origin from the head.
    pub(super) fn want_taken(&mut self, item: &ItemReport, origin: &Manifest) {
        let size = origin.items.get(&item.key).map_or(0, |item| item.size);
        let content = |version| Content::of(None, &item.key, version, size);
        self.want(item, item.before.map(content), item.after.map(content));
    }

    fn want(&mut self, item: &ItemReport, before: Option<Content>, after: Option<Content>) {
        let changes = !matches!(
            item.action,
            ItemAction::Failed | ItemAction::Conflict | ItemAction::Adopted
        );
        if self.with_patches && changes {
            let of = (item.target.clone(), item.path.clone(), item.action);
            self.wanted.push(Wanted { of, before, after });
        }
    }

    /// Reads what the patches need and makes them.
    pub(super) async fn make_patches(&mut self) -> Result<(), EngineError> {
        let mut wanted = std::mem::take(&mut self.wanted);
        let mut bytes = 0;
        let fits = |wanted: &&Wanted| {
            let sides = wanted.before.iter().chain(&wanted.after);
            let small = sides.filter(|content| !content.is_large());
            bytes += small.map(|content| content.size).sum::<u64>();
            bytes <= READ_LIMIT_BYTES
        };
        let shown = wanted.iter().take(PATCH_LIMIT).take_while(fits).count();
        let left_out = wanted.len() - shown;
        wanted.truncate(shown);
        if left_out > 0 {
            self.report.problems.push(Problem {
                kind: ProblemKind::Limit,
                path: String::new(),
                message: format!("{left_out} more changes are listed without their patches"),
            });
        }
        self.fetch_wanted(&wanted).await?;
        let contents = Arc::clone(&self.contents);
        self.report.patches = tokio::task::block_in_place(|| {
            let texts = wanted.into_iter().filter_map(|wanted| {
                let text = read(&wanted, contents.as_ref())?;
                Some((wanted.of, text))
            });
            texts.collect::<HashMap<_, _>>()
        });
        Ok(())
    }

    async fn fetch_wanted(&self, wanted: &[Wanted]) -> Result<(), EngineError> {
        let mut requests: BTreeMap<Option<TargetId>, Vec<FetchRequest>> = BTreeMap::new();
        let sides = wanted
            .iter()
            .flat_map(|wanted| wanted.before.iter().chain(&wanted.after));
        for content in sides.filter(|content| !content.is_large()) {
            if let Some((place, request)) = &content.fetch
                && self.contents.open(&content.version.hash).is_err()
            {
                let of_place = requests.entry(place.clone()).or_default();
                of_place.push(request.clone());
            }
        }
        for (place, requests) in requests {
            // What cannot be read has no patch; that it changes is told all the same.
            match place {
                Some(target) => {
                    let (spec, _) = self.shared.target(&target)?;
                    self.fetch(spec.place.as_ref(), requests).await?;
                }
                None => {
                    self.fetch(self.spec.origin.as_ref(), requests).await?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the patch of a change, unless a side of it cannot be read.
fn read(wanted: &Wanted, contents: &dyn Contents) -> Option<String> {
    let hash = |side: &Option<Content>| side.as_ref().map(|content| content.version.hash);
    let only_mode = hash(&wanted.before) == hash(&wanted.after);
    let bytes = |side: &Option<Content>| match side {
        None => Some(None),
        Some(_) if only_mode => Some(Some(Vec::new())),
        Some(content) if content.is_large() => Some(None),
        Some(content) => {
            let mut bytes = Vec::new();
            let reader = contents.open(&content.version.hash).ok()?;
            reader
                .take(PATCH_LIMIT_BYTES as u64 + 1)
                .read_to_end(&mut bytes)
                .ok()?;
            Some(Some(bytes))
        }
    };
    let (before, after) = (bytes(&wanted.before)?, bytes(&wanted.after)?);
    let (_, path, _) = &wanted.of;
    Some(patch(
        path.as_str(),
        shown(wanted.before.as_ref(), before.as_deref()),
        shown(wanted.after.as_ref(), after.as_deref()),
    ))
}

fn shown<'a>(content: Option<&Content>, bytes: Option<&'a [u8]>) -> Option<PatchSide<'a>> {
    content.map(|content| PatchSide {
        bytes,
        executable: content.version.executable,
    })
}
