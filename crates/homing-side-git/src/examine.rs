//! What can be told of a repository without taking anything.

use std::collections::HashMap;
use std::sync::Arc;

use homing_core::{Examined, ProblemKind, Progress, Scope, SideError};

use crate::GitSide;
use crate::blobs::Held;
use crate::mirror::{Mirror, Trouble};
use crate::modules::Module;
use crate::refs::Found;
use crate::sorting::{self, Sorted};

impl GitSide {
    /// Looks at the tree of the revision that is meant.
    pub(crate) async fn look(&self) -> Result<Examined, SideError> {
        let progress = Progress::default();
        let Some(found) = self.find(&progress).await? else {
            return Ok(Examined {
                bytes: Some(0),
                problems: self.no_commit().problems,
                ..Examined::default()
            });
        };
        let mirror = self.mirror(&progress).await?;
        mirror
            .ensure(&self.git, &self.remote, self.want(&found, None)?, &progress)
            .await?;
        match self.count(&mirror, &found, &progress).await {
            Ok(examined) => Ok(examined),
            Err(Trouble::Side(error)) => Err(error),
            Err(Trouble::Broken(why)) => Err(SideError::Transient {
                message: format!("what {} sends cannot be read: {why}", self.shown_place),
                retry_after: None,
                source: None,
            }),
        }
    }

    async fn count(
        &self,
        mirror: &Arc<Mirror>,
        found: &Found,
        progress: &Progress,
    ) -> Result<Examined, Trouble> {
        let signer = self.verify(mirror, found, progress).await?;
        let top = Module::top(mirror, &self.remote, &found.commit);
        let scope = Scope::Whole;
        let mut gathering = self.gathering(&scope);
        let known = HashMap::new();
        let Sorted { missing, links } = self.sort(&top, &known, &mut gathering, progress).await?;
        let mut parts = vec![(Arc::clone(&top), missing)];
        let (here, shortfall) = self.followed(&top, links, &mut gathering, progress).await?;
        if let Some(error) = shortfall {
            gathering.problem(ProblemKind::Unreadable, "", error.to_string());
        }
        for (module, entries) in here {
            let sorted = sorting::sort(entries, &known, &mut gathering)?;
            parts.push((module, sorted.missing));
        }
        let (mut files, mut bytes) = (0, 0);
        for (module, missing) in parts {
            let (ids, places): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
            let Module { mirror, remote, .. } = &*module;
            let sizes = self.sizes(mirror, remote, &ids, progress).await?;
            for (held, places) in sizes.into_iter().zip(places) {
                let Held::Size(size) = held else { continue };
                for (key, _) in places {
                    if gathering.fits(&key, size) {
                        gathering.count(size)?;
                        files += 1;
                        bytes += size;
                    }
                }
            }
        }
        let short = found.commit.get(..12).unwrap_or(&found.commit);
        let revision = match &found.name {
            Some(name) => format!("`{name}` is at {short}"),
            None => format!("the commit is {short}"),
        };
        let signed = signer.map(|signer| format!("it is signed by {signer}"));
        Ok(Examined {
            files,
            bytes: Some(bytes),
            problems: gathering.finish_examined(files > 0),
            notes: std::iter::once(revision).chain(signed).collect(),
        })
    }
}
