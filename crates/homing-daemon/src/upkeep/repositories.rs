//! Upkeep of the mirrors of repositories.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use homing_core::SideError;
use homing_engine::Engine;
use homing_side_git::{Address, Keep, Mirrors, Tidied};

/// The mirrors, and what `git` finds in its environment.
#[derive(Debug, Clone)]
pub(crate) struct Repositories {
    pub(crate) mirrors: Mirrors,
    pub(crate) environment: Vec<(OsString, OsString)>,
}

impl Repositories {
    /// Removes mirrors that no source reads, and of the others what is neither published nor young enough for history.
    pub(super) async fn tidy(&self, engine: &Engine, keep_history: Duration) {
        match self.tidied(engine, keep_history).await {
            Ok(tidied) if tidied == Tidied::default() => {}
            Ok(tidied) => tracing::info!(?tidied, "the mirrors of repositories were tidied up"),
            Err(error) => {
                tracing::warn!(%error, "the mirrors of repositories could not be tidied up");
            }
        }
    }

    async fn tidied(&self, engine: &Engine, others: Duration) -> Result<Tidied, SideError> {
        let status = engine.status().await.map_err(|error| SideError::Storage {
            message: error.to_string(),
            source: None,
        })?;
        let sources = status.sources.iter().filter(|source| source.kind == "git");
        // One that cannot be read would make its mirror nobody's.
        let addresses: Result<Vec<_>, _> = sources
            .clone()
            .map(|source| Address::parse(&source.url))
            .collect();
        let revisions: BTreeSet<String> = sources
            .filter_map(|source| source.revision.clone())
            .collect();
        let keep = Keep {
            environment: &self.environment,
            addresses: &addresses?,
            revisions: &revisions,
            others,
        };
        self.mirrors.tidy(&keep).await
    }
}
