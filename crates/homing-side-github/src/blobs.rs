//! Fetching blobs: a few singly and side by side, many as one archive.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use homing_core::{ContentHash, Contents, FetchRequest, Progress, SideError};
use homing_remote::{ArchiveLimits, Keeper, Kept};

use crate::GithubSide;
use crate::api::Api;
use crate::archive::{self, Ending};
use crate::refusal;
use homing_remote::git_id::{self, BlobCheck};

/// Up to so many blobs are fetched singly; an anonymous user has 60 requests an hour.
const SINGLY: usize = 32;
/// Blobs under way at the same time; the client has its own limit for each host.
const SIDE_BY_SIDE: usize = 100;

/// A blob to fetch.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) id: String,
    pub(crate) size: u64,
    /// Where it is in the repository.
    pub(crate) paths: Vec<String>,
}

/// A blob whose bytes came, and were those of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brought {
    /// It is in the contents.
    Kept {
        /// SHA-256 of its bytes.
        hash: ContentHash,
        /// Bytes.
        size: u64,
    },
    /// It is a Git LFS pointer, which is no content.
    Pointer,
}

/// What came of fetching.
#[derive(Debug, Default)]
pub(crate) struct Harvest {
    /// By the blob's id.
    pub(crate) brought: HashMap<String, Brought>,
    /// Why others could not be had.
    pub(crate) failed: HashMap<String, SideError>,
    /// Why some could not be had, and when to come again.
    pub(crate) shortfall: Option<SideError>,
}

/// Where blobs come from and go to.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) api: &'a Api,
    pub(crate) contents: &'a Arc<dyn Contents>,
    /// The commit or ref whose archive has them.
    pub(crate) archive_of: &'a str,
    /// How much that may be.
    pub(crate) archive_limits: ArchiveLimits,
    pub(crate) max_file_size: u64,
}

impl GithubSide {
    /// Fetches contents again by the blobs' ids.
    pub(crate) async fn fetch_blobs(
        &self,
        requests: &[FetchRequest],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Vec<Result<(), SideError>> {
        let fetched = self.fetch_all(requests, contents, progress).await;
        let result = |request: &FetchRequest| match &fetched {
            Err(error) => Err(error.repeat()),
            Ok(harvest) => of_request(request, harvest),
        };
        requests.iter().map(result).collect()
    }

    async fn fetch_all(
        &self,
        requests: &[FetchRequest],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Result<Harvest, SideError> {
        let mut blobs: HashMap<&str, Blob> = HashMap::new();
        for request in requests {
            if let Some(id) = git_id::of_request(request) {
                let blob = blobs.entry(id).or_insert_with(|| Blob {
                    id: id.to_owned(),
                    size: request.item.size,
                    paths: Vec::new(),
                });
                blob.paths.push(match &self.path {
                    Some(path) => format!("{path}/{}", request.key),
                    None => request.key.to_string(),
                });
            }
        }
        let blobs: Vec<Blob> = blobs.into_values().collect();
        let api = self.api(progress).await?;
        let plan = Plan {
            api: &api,
            contents,
            archive_of: self.reference.as_deref().unwrap_or("HEAD"),
            archive_limits: self.limits.into(),
            max_file_size: self.limits.max_file_size,
        };
        plan.bring(&blobs).await
    }
}

fn of_request(request: &FetchRequest, harvest: &Harvest) -> Result<(), SideError> {
    let changed = || {
        Err(SideError::Changed {
            key: request.key.to_string(),
        })
    };
    let Some(id) = git_id::of_request(request) else {
        return changed();
    };
    match harvest.brought.get(id) {
        Some(Brought::Kept { hash, .. }) if *hash == request.item.hash => Ok(()),
        Some(_) => changed(),
        None => match harvest.failed.get(id).or(harvest.shortfall.as_ref()) {
            Some(SideError::NotFound { .. }) | None => changed(),
            Some(error) => Err(error.repeat()),
        },
    }
}

impl Plan<'_> {
    /// Fetches blobs. What GitHub refuses or breaks off is told in the harvest, and what came before is kept;
    /// an `Err` is this machine's.
    pub(crate) async fn bring(&self, blobs: &[Blob]) -> Result<Harvest, SideError> {
        let mut harvest = Harvest::default();
        let missing = |harvest: &Harvest| -> Vec<&Blob> {
            let is_missing = |blob: &&Blob| !harvest.brought.contains_key(&blob.id);
            blobs.iter().filter(is_missing).collect()
        };
        // An archive is one request, however little is left.
        if blobs.len() > SINGLY || blobs.len() as u64 > self.api.remaining() {
            let ending = archive::bring(self, blobs, &mut harvest).await?;
            let left = missing(&harvest).len() as u64;
            harvest.shortfall = match ending {
                // The next run tries it again: a request for each blob would use the limit up.
                Ending::Broken(error) if left > SINGLY as u64 || is_hopeless(Some(&error)) => {
                    Some(error)
                }
                Ending::Useless(error) if left > self.api.remaining() => Some(error),
                Ending::Read | Ending::Broken(_) | Ending::Useless(_) => None,
            };
        }
        if harvest.shortfall.is_none() {
            let mut missing = missing(&harvest);
            let room = usize::try_from(self.api.remaining()).unwrap_or(usize::MAX);
            let is_too_much = missing.len() > room;
            missing.truncate(room);
            self.bring_singly(&missing, &mut harvest).await?;
            if is_too_much && !is_hopeless(harvest.shortfall.as_ref()) {
                harvest.shortfall = Some(refusal::no_room(self.api.renewal()));
            }
        }
        Ok(harvest)
    }

    async fn bring_singly(&self, blobs: &[&Blob], harvest: &mut Harvest) -> Result<(), SideError> {
        if blobs.is_empty() {
            return Ok(());
        }
        let keeper = Keeper::new(self.contents, self.max_file_size);
        let is_over = AtomicBool::new(false);
        let single = Single {
            plan: *self,
            keeper: &keeper,
            is_over: &is_over,
        };
        let mut waiting = blobs.iter();
        let mut under_way = FuturesUnordered::new();
        loop {
            for blob in waiting.by_ref().take(SIDE_BY_SIDE - under_way.len()) {
                under_way.push(single.fetch(blob));
            }
            let Some((id, result)) = under_way.next().await else {
                break;
            };
            match result {
                Ok(Some(brought)) => {
                    harvest.brought.insert(id, brought);
                    self.api.session().progress().finish_item();
                }
                Ok(None) => {}
                Err(error @ (SideError::Storage { .. } | SideError::Cancelled)) => {
                    return Err(error);
                }
                Err(error) => harvest.note(id, error),
            }
        }
        Ok(())
    }
}

/// Tells whether asking for anything else is of no use now.
fn is_hopeless(error: Option<&SideError>) -> bool {
    matches!(
        error,
        Some(
            SideError::RateLimited { .. } | SideError::Auth { .. } | SideError::Unreachable { .. }
        )
    )
}

impl Harvest {
    /// Notes why a blob could not be had; what concerns all of them has the last word.
    fn note(&mut self, id: String, error: SideError) {
        if self.shortfall.is_none() || is_hopeless(Some(&error)) {
            self.shortfall = Some(error.repeat());
        }
        self.failed.insert(id, error);
    }
}

/// Fetches blobs one at a time.
struct Single<'a> {
    plan: Plan<'a>,
    keeper: &'a Keeper,
    /// GitHub has said that it will not answer any more.
    is_over: &'a AtomicBool,
}

impl Single<'_> {
    /// Fetches one; `None` when GitHub has said meanwhile that it will not answer.
    async fn fetch(&self, blob: &Blob) -> (String, Result<Option<Brought>, SideError>) {
        if self.is_over.load(Ordering::Relaxed) {
            return (blob.id.clone(), Ok(None));
        }
        let result = self.fetch_checked(blob).await;
        if is_hopeless(result.as_ref().err()) {
            self.is_over.store(true, Ordering::Relaxed);
        }
        (blob.id.clone(), result.map(Some))
    }

    async fn fetch_checked(&self, blob: &Blob) -> Result<Brought, SideError> {
        let answer = self.plan.api.blob(&blob.id).await?;
        let mut check = BlobCheck::new(&blob.id, blob.size);
        let kept = self.keeper.keep(answer.body, &mut check).await?;
        match (kept, check.finish(&blob.id)) {
            (Kept::Whole { .. }, Some(checked)) if checked.is_pointer => Ok(Brought::Pointer),
            (Kept::Whole { hash, size }, Some(_)) => Ok(Brought::Kept { hash, size }),
            _ => Err(SideError::Transient {
                message: "what GitHub sent is not what its Git id says".to_owned(),
                retry_after: None,
                source: None,
            }),
        }
    }
}
