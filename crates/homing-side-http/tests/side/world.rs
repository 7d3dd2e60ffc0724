//! A side, what it kept, and what it said last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use homing_core::{
    ContentHash, Intake, Item, ItemKey, ListRequest, Listed, Listing, Revision, Scope, Side,
    SideError,
};
use homing_remote::{Client, ClientOptions, Login};
use homing_side_http::{HttpOptions, HttpSide, What};
use secrecy::SecretString;
use testkit::{MemoryContents, Nginx, NginxOptions};
use url::Url;

/// A password that is shown nowhere.
pub(crate) const SECRET: &str = "s3cret";

/// Returns who asks with a secret.
pub(crate) fn login(user: Option<&str>, secret: &'static str) -> Login {
    Login {
        credentials: Arc::new(SecretString::from(secret)),
        user: user.map(str::to_owned),
    }
}

/// Starts an nginx; `None` where there is none.
pub(crate) fn nginx() -> Option<Nginx> {
    Nginx::start(&NginxOptions::default()).unwrap()
}

/// Returns the way in which tests connect.
pub(crate) fn connecting() -> ClientOptions {
    ClientOptions {
        answer_timeout: Duration::from_millis(500),
        stall_timeout: Duration::from_millis(500),
        proxies: false,
        ..ClientOptions::default()
    }
}

/// Returns options for a URL.
pub(crate) fn options(url: &str, what: What) -> HttpOptions {
    HttpOptions::new(Url::parse(url).unwrap(), what)
}

/// A side, as the engine uses it.
pub(crate) struct World {
    pub(crate) side: HttpSide,
    pub(crate) contents: Arc<MemoryContents>,
    known: Arc<BTreeMap<ItemKey, Item>>,
    since: Option<Revision>,
}

impl World {
    pub(crate) fn new(options: HttpOptions) -> Self {
        Self::connecting(options, connecting())
    }

    pub(crate) fn connecting(options: HttpOptions, connecting: ClientOptions) -> Self {
        Self::sharing(options, Client::new(connecting).unwrap())
    }

    pub(crate) fn sharing(options: HttpOptions, client: Client) -> Self {
        Self {
            side: HttpSide::new(client, options).unwrap(),
            contents: Arc::default(),
            known: Arc::default(),
            since: None,
        }
    }

    /// Goes on with other options, as after an edit of the configuration that changes what is wanted.
    pub(crate) fn reconfigured(self, options: HttpOptions) -> Self {
        Self {
            side: Self::new(options).side,
            since: None,
            ..self
        }
    }

    /// Goes on from another revision, as it was recorded.
    pub(crate) fn since(self, revision: Revision) -> Self {
        Self {
            since: Some(revision),
            ..self
        }
    }

    /// Lists with what is known, as a run does.
    pub(crate) async fn ask(&self) -> Result<Listing, SideError> {
        self.ask_into(Intake::ungated(self.contents.clone())).await
    }

    /// Does the same, with another place for contents.
    pub(crate) async fn ask_into(&self, intake: Intake) -> Result<Listing, SideError> {
        let request = ListRequest {
            known: Arc::clone(&self.known),
            since: self.since.clone(),
            intake,
            ..ListRequest::new(Scope::Whole)
        };
        let answer = self.side.list(request).await;
        if let Err(error) = &answer {
            assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
        }
        answer
    }

    /// Lists, and remembers what came; everything that is listed must be kept.
    pub(crate) async fn sync(&mut self) -> Listed {
        let listed = self.ask().await.unwrap().whole().unwrap();
        let text = format!("{listed:?}");
        assert!(!text.contains(SECRET), "{text}");
        for (key, item) in &listed.manifest.items {
            assert!(self.contents.has(&item.hash), "{key} is not kept");
        }
        let items = listed.manifest.items.iter();
        let known = items.filter(|(_, item)| item.identity.is_some());
        self.known = Arc::new(
            known
                .map(|(key, item)| (key.clone(), item.clone()))
                .collect(),
        );
        self.since.clone_from(&listed.revision);
        listed
    }

    /// Tells whether the side says that nothing changed.
    pub(crate) async fn is_unchanged(&self) -> bool {
        matches!(self.ask().await.unwrap(), Listing::Unchanged(_))
    }
}

/// Returns the paths and contents that were listed.
pub(crate) fn contents(world: &World, listed: &Listed) -> BTreeMap<String, String> {
    let items = listed.manifest.items.iter();
    items
        .map(|(key, item)| {
            let bytes = world.contents.get(&item.hash).unwrap();
            (key.to_string(), String::from_utf8(bytes).unwrap())
        })
        .collect()
}

/// Returns what is expected to be listed.
pub(crate) fn expected(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

/// Returns an index of these files with their digests.
pub(crate) fn index(files: &[(&str, &str)]) -> String {
    let entry = |(path, text): &(&str, &str)| {
        let digest = ContentHash::of(text.as_bytes());
        serde_json::json!({"path": path, "sha256": digest.to_string(), "size": text.len()})
    };
    serde_json::Value::from(files.iter().map(entry).collect::<Vec<_>>()).to_string()
}
