//! Upkeep of the mirrors of repositories.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::Duration;

use homing_core::{SideError, SourceId};
use homing_engine::{Engine, EngineError};
use homing_side_git::{Address, Examination, Keep, Mirrors, Tidied};

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
            Ok(tidied) => {
                for failure in &tidied.failures {
                    tracing::warn!(%failure, "a repository's mirror could not be tidied up");
                }
                tracing::info!(?tidied, "the mirrors of repositories were tidied up");
            }
            Err(error) => {
                tracing::warn!(%error, "the mirrors of repositories could not be tidied up");
            }
        }
    }

    /// Returns how many mirrors there are, and their bytes.
    pub(crate) async fn size(&self) -> Result<(u64, u64), SideError> {
        self.mirrors.size().await
    }

    /// Returns the bytes of the mirrors of each source that has some.
    pub(crate) async fn sizes(
        &self,
        engine: &Engine,
    ) -> Result<BTreeMap<SourceId, u64>, EngineError> {
        let mut sizes = BTreeMap::new();
        for (id, address) in addresses(engine).await? {
            let size = self.mirrors.size_of(&self.environment, &address).await?;
            sizes.insert(id, size);
        }
        Ok(sizes)
    }

    /// Tells whether the mirrors are whole.
    pub(crate) async fn examine(&self, engine: &Engine) -> Result<Examination, EngineError> {
        let addresses: Vec<_> = addresses(engine).await?.into_values().collect();
        Ok(self.mirrors.examine(&self.environment, &addresses).await?)
    }

    /// Removes the mirrors that only this source reads.
    pub(crate) async fn forget(
        &self,
        engine: &Engine,
        source: &SourceId,
    ) -> Result<(), EngineError> {
        let mut addresses = addresses(engine).await?;
        if let Some(address) = addresses.remove(source) {
            let others: Vec<_> = addresses.into_values().collect();
            let mirrors = self
                .mirrors
                .forget(&self.environment, &address, &others)
                .await?;
            tracing::info!(mirrors, %source, "its mirrors were removed");
        }
        Ok(())
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

/// Returns where the sources of the kind are.
async fn addresses(engine: &Engine) -> Result<BTreeMap<SourceId, Address>, EngineError> {
    let status = engine.status().await?;
    let sources = status.sources.iter().filter(|source| source.kind == "git");
    let addresses = sources.map(|source| Ok((source.id.clone(), Address::parse(&source.url)?)));
    addresses.collect()
}
