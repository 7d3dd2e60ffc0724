//! Contents that were lost here, brought again by their blobs' ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use homing_core::{Contents, FetchRequest, Progress, SideError};
use homing_remote::git_id;

use crate::GitSide;
use crate::blobs::{self, Brought, Held};
use crate::lfs::Pointer;
use crate::mirror::{Mirror, Trouble};
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
        let (top, seen) = ((&*mirror, &*self.remote), mirror.seen());
        if let Ok(mut brought) = self.bring_held(top, &ids, contents, progress).await
            && brought.len() == ids.len()
        {
            brought.append(&mut others);
            return Ok(brought);
        }
        let Some(found) = self.find(progress).await? else {
            return Ok(others);
        };
        let want = self.want(&found, None)?;
        mirror
            .rebuild(&self.git, &self.remote, (want, seen), progress)
            .await?;
        let again = self.bring_held(top, &ids, contents, progress).await;
        let mut brought = again.map_err(|trouble| self.beyond_repair(trouble))?;
        brought.append(&mut others);
        Ok(brought)
    }

    /// Brings those that the mirror has.
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
