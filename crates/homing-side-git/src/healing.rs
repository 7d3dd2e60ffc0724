//! Contents that were lost here, brought again by their blobs' ids.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use homing_core::{Contents, FetchRequest, Progress, SideError};
use homing_remote::git_id;

use crate::GitSide;
use crate::blobs::{self, Brought, Held};
use crate::lfs::Pointer;
use crate::mirror::{Mirror, Seen, Trouble, Want};
use crate::modules::Module;
use crate::remote::Remote;

impl GitSide {
    /// Brings what is asked for, from the mirror if it still has it, else from the revision that is meant now.
    pub(crate) async fn fetch_blobs(
        &self,
        requests: &[FetchRequest],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Vec<Result<(), SideError>> {
        let brought = self.bring_again(requests, contents, progress).await;
        let result = |request: &FetchRequest| match &brought {
            Err(error) => Err(error.repeat()),
            Ok(brought) => match git_id::of_request(request).and_then(|id| brought.get(id)) {
                Some(Brought::Kept { hash, .. }) if *hash == request.item.hash => Ok(()),
                Some(_) | None => Err(SideError::Changed {
                    key: request.key.to_string(),
                }),
            },
        };
        requests.iter().map(result).collect()
    }

    async fn bring_again(
        &self,
        requests: &[FetchRequest],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Result<BTreeMap<String, Brought>, SideError> {
        let mut ids: Vec<String> = requests
            .iter()
            .filter_map(git_id::of_request)
            .map(str::to_owned)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let mirror = self.mirror(progress).await?;
        let mut others = BTreeMap::new();
        if self.submodules
            && let Some(found) = self.find(progress).await?
        {
            let top = Module::top(&mirror, &self.remote, &found.commit);
            others = self
                .bring_from_submodules(top, &ids, contents, progress)
                .await?;
            ids.retain(|id| !others.contains_key(id));
        }
        let mut brought = self.bring_own(&mirror, &ids, contents, progress).await?;
        brought.append(&mut others);
        Ok(brought)
    }

    /// Brings contents of the repository itself.
    async fn bring_own(
        &self,
        mirror: &Mirror,
        ids: &[String],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Result<BTreeMap<String, Brought>, SideError> {
        let seen = mirror.seen();
        let is_broken = match self.bring_here(mirror, ids, contents, progress).await {
            Ok(brought) if brought.len() == ids.len() => return Ok(brought),
            Ok(_) => false,
            Err(Trouble::Broken(_)) => true,
            Err(Trouble::Side(error)) => return Err(error),
        };
        let Some(found) = self.find(progress).await? else {
            return Ok(BTreeMap::new());
        };
        let want = self.want(&found, None)?;
        if is_broken {
            mirror
                .rebuild(&self.git, &self.remote, (want, seen), progress)
                .await?;
        }
        let seen = mirror
            .ensure(&self.git, &self.remote, want, progress)
            .await?;
        self.bring_left_out(mirror, ids, seen, want, progress)
            .await?;
        let again = self.bring_here(mirror, ids, contents, progress).await;
        again.map_err(|trouble| self.beyond_repair(trouble))
    }

    /// Fetches blobs that are still missing, where they may have been left out; a mirror that lost them is made anew.
    async fn bring_left_out(
        &self,
        mirror: &Mirror,
        ids: &[String],
        seen: Seen,
        want: Want<'_>,
        progress: &Progress,
    ) -> Result<(), SideError> {
        let missing = match self.missing(mirror, ids, progress).await {
            Ok(missing) if missing.is_empty() => return Ok(()),
            Ok(missing) => missing,
            Err(trouble) => return Err(self.beyond_repair(trouble)),
        };
        let brought = mirror.bring_blobs(&self.git, &self.remote, &missing, progress);
        // What only an old revision had, which the remote has no more, is nobody's fault.
        if brought.await.is_ok() || mirror.is_sound(&self.git, progress).await? {
            return Ok(());
        }
        mirror
            .rebuild(&self.git, &self.remote, (want, seen), progress)
            .await
    }

    /// Returns the blobs that the mirror does not have.
    async fn missing(
        &self,
        mirror: &Mirror,
        ids: &[String],
        progress: &Progress,
    ) -> Result<Vec<String>, Trouble> {
        let sizes = blobs::sizes(&self.git, mirror, ids.to_vec(), progress).await?;
        let missing = ids.iter().zip(sizes);
        let missing = missing.filter(|(_, held)| *held == Held::Missing);
        Ok(missing.map(|(id, _)| id.clone()).collect())
    }

    /// Brings those that the mirror has.
    async fn bring_here(
        &self,
        mirror: &Mirror,
        ids: &[String],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Result<BTreeMap<String, Brought>, Trouble> {
        let missing = self.missing(mirror, ids, progress).await?;
        let missing: HashSet<String> = missing.into_iter().collect();
        let held = ids.iter().filter(|id| !missing.contains(*id));
        let place = (mirror, &*self.remote);
        self.bring_all(place, held.cloned().collect(), contents, progress)
            .await
    }

    /// Brings those that the mirror has, or that were left out of it.
    pub(crate) async fn bring_held(
        &self,
        (mirror, remote): (&Mirror, &Remote),
        ids: &[String],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Result<BTreeMap<String, Brought>, Trouble> {
        let sizes = self.sizes(mirror, remote, ids, progress).await?;
        let held: Vec<String> = ids
            .iter()
            .zip(sizes)
            .filter(|(_, held)| matches!(held, Held::Size(_)))
            .map(|(id, _)| id.clone())
            .collect();
        self.bring_all((mirror, remote), held, contents, progress)
            .await
    }

    async fn bring_all(
        &self,
        (mirror, remote): (&Mirror, &Remote),
        held: Vec<String>,
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Result<BTreeMap<String, Brought>, Trouble> {
        let brought = blobs::bring(&self.git, mirror, held.clone(), contents, progress).await?;
        let mut brought: BTreeMap<String, Brought> = held.into_iter().zip(brought).collect();
        let pointers = brought.iter().filter_map(|(id, one)| match one {
            Brought::Pointer(pointer) => Some((id.clone(), (*pointer)?)),
            Brought::Kept { .. } => None,
        });
        let pointers: Vec<_> = pointers.collect();
        let place = (mirror, remote);
        let (fetched, _) = self
            .fetch_pointed(place, &pointers, contents, progress)
            .await?;
        let kept = |(id, Pointer { hash, size })| (id, Brought::Kept { hash, size });
        brought.extend(fetched.into_iter().map(kept));
        Ok(brought)
    }
}
