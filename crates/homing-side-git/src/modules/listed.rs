//! What is in submodules, taken in with the rest.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use homing_core::{
    Contents, Item, ListRequest, ProblemKind, Progress, SideError, UnknownReason, shown,
};
use homing_remote::{Gathering, key_of};

use super::{Loss, Module, used};
use crate::GitSide;
use crate::blobs::Brought;
use crate::mirror::{Trouble, Want};
use crate::sorting::{self, Sorted};
use crate::tree::{Entry, Kind};

/// What stands where a submodule is that is not followed.
const NOT_FOLLOWED: &str = "a submodule (`submodules = true` follows it; `exclude` leaves it out, and with it what is published of it)";

/// Submodules that are here, with all that is in each.
type Here = Vec<(Arc<Module>, Vec<Entry>)>;

impl GitSide {
    /// Takes in what is in submodules; returns why some of it could not be had.
    pub(crate) async fn take_in_submodules(
        &self,
        top: &Arc<Module>,
        links: Vec<Entry>,
        known: &HashMap<&str, &Item>,
        gathering: &mut Gathering<'_>,
        request: &ListRequest,
    ) -> Result<Option<SideError>, SideError> {
        let progress = &request.progress;
        let (here, mut shortfall) = self.followed(top, links, gathering, progress).await?;
        for (module, entries) in here {
            let Sorted { missing, .. } = sorting::sort(entries, known, gathering)?;
            match self.take_in(&module, missing, gathering, request).await {
                Ok(missing) => shortfall = shortfall.or(missing),
                // More than is taken of all together.
                Err(Trouble::Side(error @ SideError::Untrusted { .. })) => return Err(error),
                Err(trouble) => {
                    let loss = Loss::Failed(self.beyond_repair(trouble)).unless_ours()?;
                    let path = &module.prefix[..module.prefix.len() - 1];
                    shortfall = shortfall.or(self.note_loss(path, loss, gathering)?);
                }
            }
        }
        Ok(shortfall)
    }

    /// Follows submodules, where that is wanted, and notes what became of the others; also returns why some of them could
    /// not be had.
    pub(crate) async fn followed(
        &self,
        top: &Arc<Module>,
        links: Vec<Entry>,
        gathering: &mut Gathering<'_>,
        progress: &Progress,
    ) -> Result<(Here, Option<SideError>), SideError> {
        if !self.submodules {
            for link in links {
                gathering.not_a_file(&link.path, ProblemKind::SpecialFile, NOT_FOLLOWED);
            }
            return Ok((Vec::new(), None));
        }
        let mut shortfall = None;
        let followed = self.follow(Arc::clone(top), links, progress).await?;
        for (path, loss) in followed.lost {
            shortfall = shortfall.or(self.note_loss(&path, loss, gathering)?);
        }
        if !followed.modules.is_empty() {
            let modules = followed.modules.iter().map(|(module, _)| &**module);
            used::note(&top.mirror, &top.commit, modules).await?;
        }
        Ok((followed.modules, shortfall))
    }

    /// Notes that nothing is known of what is in a submodule; returns why it could not be had. An error where all that is
    /// wanted would be in it.
    fn note_loss(
        &self,
        path: &[u8],
        loss: Loss,
        gathering: &mut Gathering<'_>,
    ) -> Result<Option<SideError>, SideError> {
        let below = match &self.path {
            None => Some(path),
            Some(wanted) => {
                let rest = path.strip_prefix(wanted.as_bytes());
                rest.and_then(|rest| rest.strip_prefix(b"/"))
            }
        };
        let named = format!("the submodule `{}`", shown(path));
        let Some(below) = below else {
            return Err(match loss {
                Loss::Failed(error) => error,
                Loss::Refused(why) => SideError::Permanent {
                    message: format!("{named} is not followed: {why}"),
                    source: None,
                },
            });
        };
        let Ok(key) = key_of(below) else {
            // What is in it would have no name either.
            gathering.not_a_file(path, ProblemKind::Name, "a submodule");
            return Ok(None);
        };
        match loss {
            Loss::Refused(why) => {
                let reason = UnknownReason::Unreadable(format!("{named} is not followed: {why}"));
                gathering.cannot_tell(&key, ProblemKind::SpecialFile, reason);
                Ok(None)
            }
            Loss::Failed(error) => {
                let why = format!("{named} could not be fetched: {error}");
                gathering.not_fetched_below(key.as_str(), why);
                Ok(Some(error))
            }
        }
    }

    /// Brings contents that were lost here from the submodules that have them.
    pub(crate) async fn bring_from_submodules(
        &self,
        top: Arc<Module>,
        ids: &[String],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Result<BTreeMap<String, Brought>, SideError> {
        let want = Want {
            id: &top.commit,
            name: None,
            since: None,
            may_be_partial: self.path.is_some(),
        };
        top.mirror
            .ensure(&self.git, &top.remote, want, progress)
            .await?;
        let mut links = Vec::new();
        let take = |entry: Entry| {
            if entry.kind == Kind::Submodule {
                links.push(entry);
            }
            Ok(())
        };
        self.each(&top, self.path.as_deref(), progress, take)
            .await
            .map_err(|trouble| self.beyond_repair(trouble))?;
        let mut brought = BTreeMap::new();
        for (module, entries) in self.follow(top, links, progress).await?.modules {
            let has: HashSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
            let wanted: Vec<String> = ids
                .iter()
                .filter(|id| has.contains(id.as_str()))
                .cloned()
                .collect();
            let place = (&*module.mirror, &*module.remote);
            let held = self.bring_held(place, &wanted, contents, progress).await;
            brought.extend(held.map_err(|trouble| self.beyond_repair(trouble))?);
        }
        Ok(brought)
    }
}
