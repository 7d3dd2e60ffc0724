//! The commits between two revisions of a source.

use homing_core::Commits;
use homing_store::RunFilter;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::report::RunReport;
use crate::spec::SourceSpec;

/// So many are told by name.
const NAMED: usize = 20;
/// So many runs are asked which revision there was before: those that failed at first had none.
const RUNS_ASKED: usize = 20;

impl Engine {
    /// Returns the commits between the revision that a source had before a run and the one after it.
    pub async fn commits_of(&self, run: &RunReport) -> Result<Option<Commits>, EngineError> {
        let (Some(source), Some(until)) = (&run.source, &run.revision) else {
            return Ok(None);
        };
        // A source that was removed keeps its history, and there is nobody to ask.
        let Ok((spec, _)) = self.shared.source(source) else {
            return Ok(None);
        };
        let filter = RunFilter {
            source: Some(source.clone()),
            target: None,
            status: None,
            before: Some(run.id),
            own: false,
            limit: RUNS_ASKED,
        };
        let before = self.shared.store.read(move |reader| reader.runs(filter));
        let since = before.await?.into_iter().find_map(|row| row.revision);
        Ok(between(spec, since.as_deref(), Some(until)).await)
    }
}

/// Returns the commits from the one revision to the other; a failure to tell them fails nothing else.
pub(crate) async fn between(
    spec: &SourceSpec,
    since: Option<&str>,
    until: Option<&str>,
) -> Option<Commits> {
    let (since, until) = (since?, until?);
    if since == until {
        return None;
    }
    match spec.origin.commits(since, until, NAMED).await {
        Ok(commits) => commits,
        Err(error) => {
            tracing::warn!(%error, "the commits between two revisions cannot be told");
            None
        }
    }
}
