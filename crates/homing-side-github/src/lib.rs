//! A GitHub repository as a side.
//!
//! An unchanged one costs one conditional request. A changed one costs its tree and the blobs that are not known yet:
//! up to a few singly, more of them as one archive. Every content is verified by its Git id before it counts. No state
//! is held between calls but the connections.

mod api;
mod archive;
mod blobs;
mod examine;
mod listing;
mod place;
mod pointers;
mod refusal;
mod tree;

use std::sync::Arc;

use homing_core::{
    BoxFuture, Contents, Examined, FetchRequest, ItemKey, Limits, ListRequest, Listing, Progress,
    Selection, Side, SideError,
};
use homing_remote::{Client, Login, git_id};

pub use place::Place;

use api::Api;
use pointers::Pointers;

/// What is read of which repository, and how.
#[derive(Debug, Clone)]
pub struct GithubOptions {
    /// The repository.
    pub place: Place,
    /// A branch, a tag or a full commit id; the default branch where there is none.
    pub reference: Option<String>,
    /// Only this subdirectory, without a slash at the end.
    pub path: Option<String>,
    /// Patterns of what is wanted, below `path`; everything where there are none.
    pub include: Vec<String>,
    /// Patterns of what is not.
    pub exclude: Vec<String>,
    /// How much.
    pub limits: Limits,
    /// Who asks; anonymous without it.
    pub login: Option<Login>,
}

/// A GitHub repository.
#[derive(Debug)]
pub struct GithubSide {
    client: Client,
    place: Place,
    reference: Option<String>,
    path: Option<String>,
    selection: Selection,
    limits: Limits,
    login: Option<Login>,
    pointers: Pointers,
    /// The repository's name in quotes, for messages.
    shown_place: String,
}

impl GithubSide {
    /// Makes a side; connects to nothing. [`SideError::Config`] names the pattern or `ref` that cannot be.
    pub fn new(client: Client, options: GithubOptions) -> Result<Self, SideError> {
        if let Some(reference) = &options.reference {
            git_id::check_reference(reference)?;
        }
        Ok(Self {
            client,
            selection: Selection::new(&options.include, &options.exclude)?,
            shown_place: format!("`{}`", options.place),
            place: options.place,
            reference: options.reference,
            path: options.path,
            limits: options.limits,
            login: options.login,
            pointers: Pointers::default(),
        })
    }

    /// Returns the commit that `ref` is, when it is one: it never changes.
    fn pin(&self) -> Option<&str> {
        self.reference
            .as_deref()
            .filter(|reference| git_id::is_full(reference))
    }

    async fn api(&self, progress: &Progress) -> Result<Api, SideError> {
        let home = self.place.api();
        let session = self
            .client
            .session(home, self.login.as_ref(), progress)
            .await?;
        Ok(Api::new(session, self.place.clone()))
    }
}

impl Side for GithubSide {
    fn covers(&self, key: &ItemKey) -> bool {
        self.selection.covers(key.as_str())
    }

    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, SideError>> {
        Box::pin(async move { self.listing(&request).await })
    }

    fn fetch(
        &self,
        requests: Vec<FetchRequest>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Result<(), SideError>>> {
        Box::pin(async move { self.fetch_blobs(&requests, &contents, &progress).await })
    }

    fn examine(&self) -> BoxFuture<'_, Result<Examined, SideError>> {
        Box::pin(self.look())
    }

    fn is_remote(&self) -> bool {
        true
    }
}
