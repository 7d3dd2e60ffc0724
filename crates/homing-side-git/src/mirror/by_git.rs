//! A fetch by `git fetch`, however it reaches the remote and whatever that cannot do.

use std::ffi::OsStr;

use homing_core::SideError;
use homing_process::Ended;

use super::fetching::{Errand, Failure, Reach, State};
use super::{KEPT, Mirror, blocking, files};
use crate::errors;
use crate::git::{Git, Question};

/// Where refs of the remote are until it is known what they lead to.
const INCOMING: &str = "refs/incoming";

/// What Git says of a remote that sends whole histories alone.
const KNOWS_NO_DEPTH: &str = "not support shallow";
/// Commits that are wanted alone, and none before them.
const ONE: &str = "--depth=1";
/// A depth that takes everything, whatever was left out before.
const ALL: &str = "--depth=2147483647";

/// What `git fetch` is to do.
#[derive(Debug)]
struct Ask {
    /// How much history; as the remote likes without it.
    depth: Option<String>,
    /// As if nothing were here.
    is_fresh: bool,
}

impl Mirror {
    /// Has Git fetch.
    pub(super) async fn fetch_by_git(
        &self,
        state: &mut State,
        reach: Reach<'_>,
        errand: &Errand<'_>,
    ) -> Result<(), Failure> {
        let refspec = |id: &String| {
            if errand.are_commits {
                format!("{id}:{KEPT}{id}\n")
            } else {
                format!("{id}\n")
            }
        };
        let refspecs: String = errand.ids.iter().map(refspec).collect();
        // Of what was left out Git knows nothing: it would say that all of a commit is here.
        let mut is_fresh = self.is_partial().await?;
        let mut since = errand.since;
        while !(errand.are_commits && state.gives_only_refs) {
            let depth = (errand.are_commits && !state.sends_history).then(|| match since {
                Some(time) => format!("--shallow-since={time}"),
                None => ONE.to_owned(),
            });
            let has_depth = depth.is_some();
            let ended = self.ask_git(reach, &refspecs, Ask { depth, is_fresh });
            let ended = ended.await?;
            let said = ended.complaints.as_str();
            if ended.status.success() {
                if errand.are_commits {
                    self.keep(reach, errand.ids, false).await?;
                }
                return Ok(());
            }
            if has_depth && said.contains(KNOWS_NO_DEPTH) {
                state.sends_history = true;
            } else if errand.are_commits && said.contains("unadvertised object") {
                state.gives_only_refs = true;
            } else if !is_fresh && said.contains("unresolved delta") {
                is_fresh = true;
            } else {
                let failure = self.refused(reach, errand, &ended).await?;
                // Some servers cannot, and none can where nothing is as young as what was known.
                let is_odd = matches!(failure.error, SideError::Transient { .. });
                if !is_odd || since.take().is_none() {
                    return Err(failure);
                }
            }
        }
        self.fetch_refs(state, reach, errand).await
    }

    /// Fetches what refs lead to, and looks whether what is wanted came with them.
    async fn fetch_refs(
        &self,
        state: &mut State,
        reach: Reach<'_>,
        errand: &Errand<'_>,
    ) -> Result<(), Failure> {
        let refspecs = match errand.name {
            Some(name) => format!("+{name}:{INCOMING}/one\n"),
            None => format!("+refs/heads/*:{INCOMING}/heads/*\n+refs/tags/*:{INCOMING}/tags/*\n"),
        };
        // Where no ref was named, any of their ancestors may be meant.
        let depth = errand.name.map_or(ALL, |_| ONE);
        let incoming = self.path.join(INCOMING);
        let clear = || {
            let incoming = incoming.clone();
            blocking(move || files::clear(&incoming))
        };
        clear().await?;
        let is_fresh = self.is_partial().await?;
        loop {
            let depth = (!state.sends_history).then(|| depth.to_owned());
            let has_depth = depth.is_some();
            let ended = self.ask_git(reach, &refspecs, Ask { depth, is_fresh });
            let ended = ended.await?;
            if ended.status.success() {
                break;
            }
            if !has_depth || !ended.complaints.contains(KNOWS_NO_DEPTH) {
                clear().await?;
                return Err(self.refused(reach, errand, &ended).await?);
            }
            state.sends_history = true;
        }
        let mut came = Vec::new();
        for id in errand.ids {
            if self.is_incoming(reach, id).await? {
                came.push(id.clone());
            }
        }
        self.keep(reach, &came, false).await?;
        clear().await?;
        if came.len() == errand.ids.len() {
            return Ok(());
        }
        let address = reach.remote.address(reach.progress).await?;
        Err(Failure::from(match errand.name {
            Some(name) => SideError::Transient {
                message: format!("`{name}` of `{address}` moved while it was fetched"),
                retry_after: None,
                source: None,
            },
            None => missing(
                &address.to_string(),
                errand,
                "no branch and no tag of it leads there, and it gives out nothing else",
            ),
        }))
    }

    /// Tells whether a commit or tag is among what refs lead to that just came.
    async fn is_incoming(&self, reach: Reach<'_>, id: &str) -> Result<bool, SideError> {
        let arguments = ["for-each-ref", "--count=1", "--contains", id, INCOMING];
        let question = Question {
            arguments: &arguments.map(OsStr::new),
            input: Vec::new(),
            most: 64 << 10,
        };
        let (found, ended) = Git::ask(self.reading(reach.git), question, reach.progress).await?;
        Ok(ended.status.success() && !found.is_empty())
    }

    async fn ask_git(
        &self,
        reach: Reach<'_>,
        refspecs: &str,
        ask: Ask,
    ) -> Result<Ended, SideError> {
        let address = reach.remote.address(reach.progress).await?;
        let command = reach.remote.command(Some(&self.path), reach.progress);
        let command = command.await?;
        let mut arguments = vec![
            "fetch",
            // There may be more than a command line takes.
            "--stdin",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--progress",
            "--force",
        ];
        arguments.extend(ask.depth.as_deref());
        if ask.is_fresh {
            arguments.push("--refetch");
        }
        arguments.extend(["--", address.as_str()]);
        let arguments: Vec<&OsStr> = arguments.into_iter().map(OsStr::new).collect();
        let question = Question {
            arguments: &arguments,
            input: refspecs.as_bytes().to_vec(),
            most: 1 << 20,
        };
        reach.progress.count_request();
        let (_, ended) = reach.git.take_in(command, question, reach.progress).await?;
        Ok(ended)
    }

    /// Returns what it means that Git fetched nothing.
    async fn refused(
        &self,
        reach: Reach<'_>,
        errand: &Errand<'_>,
        ended: &Ended,
    ) -> Result<Failure, SideError> {
        let address = reach.remote.address(reach.progress).await?;
        if let Some(error) = reach.git.ceilings().exceeded(&address, ended) {
            return Ok(Failure::from(error));
        }
        let said = ended.complaints.as_str();
        // What a ref led to a moment ago is another matter: it moved.
        if said.contains("Unable to find") && errand.are_commits && errand.name.is_none() {
            return Ok(Failure::from(missing(
                &address.to_string(),
                errand,
                "it is not there, or not any more",
            )));
        }
        let error = errors::of_git(&format!("fetching from `{address}`"), ended);
        let is_elsewhere = matches!(
            error,
            SideError::Unreachable { .. }
                | SideError::Auth { .. }
                | SideError::RateLimited { .. }
                | SideError::Untrusted { .. }
        );
        Ok(Failure {
            error,
            is_suspect: !is_elsewhere && !said.contains("not our ref"),
        })
    }
}

fn missing(address: &str, errand: &Errand<'_>, why: &str) -> SideError {
    SideError::NotFound {
        message: format!(
            "`{address}` gives no commit {}: {why}; if the source is pinned to it, `homing source unpin NAME` lets it go on",
            errand.ids.join(", ")
        ),
        source: None,
    }
}
