//! A mirror that is broken: how that is noticed, and how another one takes its place.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::sync::atomic::Ordering;

use homing_core::{Progress, SideError};

use super::fetching::{Failure, Reach, State};
use super::{KEPT, Mirror, Seen, Trouble, Want, blocking, files, patiently};
use crate::git::{Git, Question};
use crate::modules::NOTES;
use crate::remote::Remote;

impl Mirror {
    /// Has another mirror take the place of one that was found broken, unless one did since: `seen` is what was read.
    ///
    /// The old one stays until the new one has what is wanted, and gives it whatever else of its own can be read.
    pub(crate) async fn rebuild(
        &self,
        git: &Git,
        remote: &Remote,
        (want, seen): (Want<'_>, Seen),
        progress: &Progress,
    ) -> Result<(), SideError> {
        let _waiter = self.waiting.begin(&want);
        let reach = Reach {
            git,
            remote,
            progress,
        };
        let mut state = self.state(progress).await;
        if self.seen() == seen {
            Box::pin(self.remake(&mut state, reach, want)).await
        } else {
            Box::pin(self.bring(&mut state, reach, want)).await
        }
    }

    /// Makes another mirror beside this one, and gives it its place.
    pub(super) async fn remake(
        &self,
        state: &mut State,
        reach: Reach<'_>,
        want: Want<'_>,
    ) -> Result<(), SideError> {
        let other = Self::at(files::beside(self.path(), ".new"));
        other.remove().await?;
        let made = other.make(state, reach, want).await;
        if let Err(error) = made {
            other.remove().await?;
            return Err(error);
        }
        self.hand_over(&other, reach).await?;
        let (place, path) = (self.path.clone(), other.path);
        self.changes.fetch_add(1, Ordering::SeqCst);
        blocking(move || {
            // What was noted beside the revisions is still so; where nothing can be read of it, it comes again.
            fs::rename(place.join(NOTES), path.join(NOTES)).unwrap_or_default();
            files::replace(&place, &path)
        })
        .await
    }

    async fn make(
        &self,
        state: &mut State,
        reach: Reach<'_>,
        want: Want<'_>,
    ) -> Result<(), SideError> {
        self.open(reach.git, want.id, reach.progress).await?;
        let fetched = self.fetch_alone(state, reach, want).await;
        fetched.map_err(|failure| failure.error)
    }

    /// Gives another mirror the whole revisions of this one that can still be read: the remote may have them no more.
    async fn hand_over(&self, other: &Self, reach: Reach<'_>) -> Result<(), SideError> {
        // Where the names themselves cannot be read there is nothing to hand over.
        let old = self.kept().await.unwrap_or_default();
        let new = other.kept().await?;
        for id in old.whole.iter().filter(|id| !new.whole.contains(id)) {
            let name = format!("{KEPT}{id}");
            let arguments = [
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--update-shallow",
                "--",
            ];
            let mut arguments = arguments.map(OsString::from).to_vec();
            arguments.push(self.path.clone().into());
            arguments.push(format!("{name}:{name}").into());
            let question = Question {
                arguments: &arguments.iter().map(OsStr::new).collect::<Vec<_>>(),
                input: Vec::new(),
                most: 1 << 20,
            };
            let asked = Git::ask(other.reading(reach.git), question, reach.progress);
            // Those that the damage is in cannot be had, and the others still can.
            patiently(reach.progress, asked).await?;
        }
        Ok(())
    }

    /// Tells whether all that was fetched can be read: the packs byte by byte, and that nothing is missing but blobs,
    /// which may have been left out.
    pub(crate) async fn is_sound(&self, git: &Git, progress: &Progress) -> Result<bool, SideError> {
        let path = self.path.clone();
        let packs = blocking(move || files::with_ending(&path.join("objects/pack"), "idx")).await?;
        let mut verify = vec![OsStr::new("verify-pack")];
        verify.extend(packs.iter().map(|path| path.as_os_str()));
        let reach = [
            "rev-list",
            "--objects",
            "--filter=blob:none",
            "--quiet",
            "--all",
        ];
        Ok(self.answers(git, &reach.map(OsStr::new), progress).await?
            && (packs.is_empty() || self.answers(git, &verify, progress).await?))
    }

    /// Tells whether Git finds nothing wrong.
    async fn answers(
        &self,
        git: &Git,
        arguments: &[&OsStr],
        progress: &Progress,
    ) -> Result<bool, SideError> {
        let question = Question {
            arguments,
            input: Vec::new(),
            most: 1 << 20,
        };
        let asked = Git::ask(self.reading(git), question, progress);
        let (_, ended) = patiently(progress, asked).await?;
        Ok(ended.status.success())
    }

    /// Tells whether a failure is the mirror's.
    pub(super) async fn blame(&self, failure: Failure, reach: Reach<'_>) -> Trouble {
        let Failure { error, is_suspect } = failure;
        if is_suspect && let Ok(false) = self.is_sound(reach.git, reach.progress).await {
            return Trouble::Broken(error.to_string());
        }
        Trouble::Side(error)
    }
}
