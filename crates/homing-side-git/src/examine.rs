//! What can be told of a repository without taking anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use homing_core::{Examined, ProblemKind, Progress, Scope, SideError};

use crate::GitSide;
use crate::blobs::Held;
use crate::mirror::{Mirror, Trouble};
use crate::modules::Module;
use crate::refs::Found;
use crate::sorting::{self, Sorted};

/// How long a repository may be silent: nobody else watches over a look.
const PATIENCE: Duration = Duration::from_mins(1);

impl GitSide {
    /// Looks at the tree of the revision that is meant; no longer than something comes.
    pub(crate) async fn look(&self) -> Result<Examined, SideError> {
        let progress = Progress::default();
        let looked =
            while_it_goes_on(&progress, Box::pin(self.look_at_all(progress.clone()))).await;
        looked.unwrap_or_else(|| {
            Err(SideError::Transient {
                message: format!(
                    "{} sent nothing for {} s, so it is not waited for",
                    self.shown_place,
                    PATIENCE.as_secs()
                ),
                retry_after: None,
                source: None,
            })
        })
    }

    async fn look_at_all(&self, progress: Progress) -> Result<Examined, SideError> {
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
            notes: std::iter::once(revision)
                .chain(signed)
                .chain(self.remote.note(progress).await?)
                .collect(),
        })
    }
}

/// Waits for work as long as it counts steps; `None` of work that stands still.
async fn while_it_goes_on<T>(progress: &Progress, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        let before = progress.counts();
        match tokio::time::timeout(PATIENCE, &mut work).await {
            Ok(done) => return Some(done),
            Err(_elapsed) if progress.counts() == before => return None,
            Err(_elapsed) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_stands_still_is_not_waited_for() {
        let progress = Progress::default();
        let never = std::future::pending::<()>();
        assert_eq!(while_it_goes_on(&progress, never).await, None);
        let slow = async {
            for _ in 0..10 {
                sleep(PATIENCE / 2).await;
                progress.advance(1);
            }
        };
        assert_eq!(while_it_goes_on(&progress, slow).await, Some(()));
    }
}
