//! Files of an HTTP server as a side of a sync.
//!
//! What there is, a list of names, an index document, Agent Skills discovery or an archive tells. Whatever is known by
//! its validators or its digest is not fetched again; nothing that the server says is believed unchecked.

mod archived;
mod document;
mod entries;
mod examine;
mod fetching;
mod identity;
mod index;
mod listing;
mod names;
mod options;
mod servers;
mod skills;
mod unpacking;

use std::collections::BTreeSet;
use std::sync::Arc;

use homing_core::{
    BoxFuture, Contents, Examined, FetchRequest, Intake, ItemKey, ItemState, ListRequest, Listing,
    Progress, Scope, Selection, Side, SideError,
};
use homing_remote::{Client, Session};
use url::Url;

pub use crate::identity::identity;
pub use crate::options::{HttpOptions, What, below};

/// Files of an HTTP server.
#[derive(Clone)]
pub struct HttpSide {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    options: HttpOptions,
    selection: Selection,
    /// The URL with a slash at the end, which all paths are below; an archive's as it is.
    base: Url,
    /// What it is called in messages.
    place: String,
    /// The keys of the files that a person has listed, if that is how it is known what there is.
    listed: Option<BTreeSet<ItemKey>>,
}

impl HttpSide {
    /// Checks the options; connects to nothing. [`SideError::Config`] for malformed patterns, paths and URLs.
    pub fn new(client: Client, options: HttpOptions) -> Result<Self, SideError> {
        let selection = Selection::new(&options.include, &options.exclude)?;
        let base = options.check()?;
        let place = format!("`{}`", homing_remote::ShownUrl::of(&options.url));
        let mut inner = Inner {
            client,
            options,
            selection,
            base,
            place,
            listed: None,
        };
        if let What::Files(names) = &inner.options.what {
            let wanted = inner.wanted(&Scope::Whole);
            let keys = names
                .iter()
                .filter_map(|name| wanted.key(name.as_bytes()).ok());
            inner.listed = Some(keys.flatten().collect());
        }
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

impl Inner {
    async fn session(&self, progress: &Progress) -> Result<Session, SideError> {
        let login = self.options.login.as_ref();
        self.client
            .session(&self.options.url, login, progress)
            .await
    }
}

impl Side for HttpSide {
    fn covers(&self, key: &ItemKey) -> bool {
        let listed = self.inner.listed.as_ref();
        // A name that a person has taken out of the list was not deleted on the server.
        listed.is_none_or(|listed| listed.contains(key))
            && self.inner.selection.covers(key.as_str())
    }

    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, SideError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.list(&request).await })
    }

    fn fetch(
        &self,
        requests: Vec<FetchRequest>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Result<(), SideError>>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            // Nothing is known, so everything is asked for unconditionally, and its hash is that of what came.
            let keys = requests.iter().map(|request| request.key.clone());
            let listing = ListRequest {
                intake: Intake::ungated(contents),
                progress,
                ..ListRequest::new(Scope::Keys(keys.collect()))
            };
            let listed = match inner.list(&listing).await.and_then(Listing::whole) {
                Ok(listed) => listed,
                Err(error) => return requests.iter().map(|_| Err(error.repeat())).collect(),
            };
            let result = |request: &FetchRequest| match listed.manifest.state(&request.key) {
                ItemState::Present(item) if item.hash == request.item.hash => Ok(()),
                ItemState::Present(_) | ItemState::Absent => Err(SideError::Changed {
                    key: request.key.as_str().to_owned(),
                }),
                ItemState::Unknown(reason) => Err(match &listed.shortfall {
                    Some(shortfall) => shortfall.repeat(),
                    None => SideError::Permanent {
                        message: format!("`{}`: {reason}", request.key),
                        source: None,
                    },
                }),
            };
            requests.iter().map(result).collect()
        })
    }

    fn examine(&self) -> BoxFuture<'_, Result<Examined, SideError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.examine().await })
    }

    fn is_remote(&self) -> bool {
        true
    }
}
