//! A side that trusts the certificates of a file, which may not be there yet, and may be another one tomorrow.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use homing_core::{
    BoxFuture, ContentHash, Contents, Examined, FetchRequest, ItemKey, ListRequest, Listing,
    Progress, Side, SideError,
};
use homing_remote::Client;

use super::remote::Clients;

/// How a side is made of a client.
pub(crate) type Make = dyn Fn(Client) -> Result<Arc<dyn Side>, SideError> + Send + Sync;

/// Makes its side anew whenever the file is another one. Without the file nothing is known of the side.
#[derive(Clone)]
pub(crate) struct Rereading {
    inner: Arc<Inner>,
}

struct Inner {
    ca_file: PathBuf,
    clients: Arc<Clients>,
    make: Box<Make>,
    /// The same side without the file, for what needs no client.
    unconnected: Arc<dyn Side>,
    made: Mutex<Option<(ContentHash, Arc<dyn Side>)>>,
}

impl Rereading {
    /// Makes a side of `make`, whose complaints of its options are told now.
    pub(crate) fn new(
        ca_file: PathBuf,
        clients: Arc<Clients>,
        make: Box<Make>,
    ) -> Result<Self, SideError> {
        let unconnected = make(clients.trusting_the_system()?)?;
        Ok(Self {
            inner: Arc::new(Inner {
                ca_file,
                clients,
                make,
                unconnected,
                made: Mutex::default(),
            }),
        })
    }

    /// Returns the side that trusts the file as it is now.
    async fn side(&self) -> Result<Arc<dyn Side>, SideError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.side())
            .await
            .map_err(|_ended| SideError::Cancelled)?
    }
}

impl Inner {
    fn side(&self) -> Result<Arc<dyn Side>, SideError> {
        let (hash, client) = self.clients.trusting(&self.ca_file)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, side)) = made.as_ref().filter(|(known, _)| *known == hash) {
            return Ok(Arc::clone(side));
        }
        let side = (self.make)(client)?;
        *made = Some((hash, Arc::clone(&side)));
        Ok(side)
    }
}

impl Side for Rereading {
    fn covers(&self, key: &ItemKey) -> bool {
        self.inner.unconnected.covers(key)
    }

    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, SideError>> {
        Box::pin(async move { self.side().await?.list(request).await })
    }

    fn fetch(
        &self,
        requests: Vec<FetchRequest>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Result<(), SideError>>> {
        Box::pin(async move {
            match self.side().await {
                Ok(side) => side.fetch(requests, contents, progress).await,
                Err(error) => requests.iter().map(|_| Err(error.repeat())).collect(),
            }
        })
    }

    fn examine(&self) -> BoxFuture<'_, Result<Examined, SideError>> {
        Box::pin(async move { self.side().await?.examine().await })
    }

    fn is_remote(&self) -> bool {
        self.inner.unconnected.is_remote()
    }
}
