//! Contents that were lost here, brought again by their blobs' ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use homing_core::{Contents, FetchRequest, Progress, SideError};
use homing_remote::git_id;

use crate::GitSide;
use crate::blobs::{self, Brought, Held};
use crate::mirror::{Mirror, Trouble};

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
        if let Ok(brought) = self.bring_held(&mirror, &ids, contents, progress).await
            && brought.len() == ids.len()
        {
            return Ok(brought);
        }
        let Some(found) = self.find(progress).await? else {
            return Ok(BTreeMap::new());
        };
        mirror
            .rebuild(&self.git, &self.remote, self.want(&found, None)?, progress)
            .await?;
        let again = self.bring_held(&mirror, &ids, contents, progress).await;
        again.map_err(|trouble| self.beyond_repair(trouble))
    }

    /// Brings those that the mirror has.
    async fn bring_held(
        &self,
        mirror: &Mirror,
        ids: &[String],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Result<BTreeMap<String, Brought>, Trouble> {
        let sizes = self.sizes(mirror, ids, progress).await?;
        let held: Vec<String> = ids
            .iter()
            .zip(sizes)
            .filter(|(_, held)| matches!(held, Held::Size(_)))
            .map(|(id, _)| id.clone())
            .collect();
        let brought = blobs::bring(&self.git, mirror, held.clone(), contents, progress).await?;
        Ok(held.into_iter().zip(brought).collect())
    }
}
