//! Single files: asked for on condition, side by side, each kept or told why not.

use std::collections::HashMap;

use futures_util::StreamExt;
use homing_core::{ContentHash, Item, ItemKey, ListRequest, SideError};
use homing_remote::{Answer, Keeper, Kept, Request, Session, Validators, Witness};
use tokio::sync::OnceCell;
use url::Url;

use crate::index::Named;
use crate::servers::Servers;
use crate::skills::Packed;
use crate::{Inner, identity};

/// So many requests wait or are under way; how many a host gets is decided for each host.
const SIDE_BY_SIDE: usize = 256;
/// What is said of a page where a file should be.
const PAGE: &str = "the server answered with an HTML page";

/// What became of a file.
#[derive(Debug)]
pub(crate) enum Got {
    /// It is known, or was kept.
    Item(Item),
    /// It has more bytes than are taken.
    TooLong,
    /// The server does not have it.
    Missing,
    /// What came is not what it should be.
    Refused(String),
}

/// What all files of one listing share.
pub(crate) struct Fetching<'a> {
    pub(crate) session: &'a Session,
    pub(crate) request: &'a ListRequest,
    keeper: Keeper,
    by_hash: HashMap<ContentHash, u64>,
    to_come: (u64, u64),
    turn: OnceCell<()>,
    servers: Servers,
}

impl<'a> Fetching<'a> {
    pub(crate) fn new(
        inner: &'a Inner,
        session: &'a Session,
        request: &'a ListRequest,
        wanted: &[(ItemKey, Named)],
        archives: &[Packed],
    ) -> Self {
        let known = request.known.values();
        let by_hash: HashMap<ContentHash, u64> = known.map(|item| (item.hash, item.size)).collect();
        let unknown = wanted.iter().filter(|(key, named)| match &named.digest {
            Some(digest) => !by_hash.contains_key(digest),
            None => !request.known.contains_key(key),
        });
        let to_come = unknown.fold((0, 0), |(items, bytes), (_, named)| {
            (items + 1, bytes + named.size.unwrap_or(0))
        });
        let files = wanted.iter().map(|(_, named)| &named.url);
        let urls = files.chain(archives.iter().map(|packed| &packed.url));
        let urls = urls.filter_map(|url| url.as_ref().ok());
        Self {
            session,
            request,
            keeper: Keeper::new(
                request.intake.contents(),
                inner.options.limits.max_file_size,
            ),
            by_hash,
            to_come,
            turn: OnceCell::new(),
            servers: Servers::new(&inner.base, urls),
        }
    }

    /// Asks for all of `wanted` that is not at hand, and tells of each as it comes.
    pub(crate) async fn each(
        &self,
        wanted: Vec<(ItemKey, Named)>,
        mut tell: impl FnMut(ItemKey, Result<Got, SideError>) -> Result<(), SideError>,
    ) -> Result<(), SideError> {
        if self.to_come.0 > 0 {
            self.begin().await?;
        }
        let mut all = futures_util::stream::iter(wanted)
            .map(|(key, named)| async move {
                let got = self.one(&key, &named).await;
                self.request.progress.finish_item();
                (key, got)
            })
            .buffer_unordered(SIDE_BY_SIDE);
        while let Some((key, got)) = all.next().await {
            tell(key, got)?;
        }
        Ok(())
    }

    /// Waits for a turn to transfer, once.
    pub(crate) async fn begin(&self) -> Result<(), SideError> {
        let (items, bytes) = self.to_come;
        self.turn
            .get_or_try_init(|| self.request.intake.begin(items, bytes))
            .await
            .map(|_turn| ())
    }

    /// Does the same for an answer that is there already.
    pub(crate) async fn begin_for(&self, answer: &mut Answer) -> Result<(), SideError> {
        if self.turn.initialized() {
            return Ok(());
        }
        answer.body.aside(self.begin()).await
    }

    async fn one(&self, key: &ItemKey, named: &Named) -> Result<Got, SideError> {
        let url = match &named.url {
            Ok(url) => url,
            Err(why) => return Ok(Got::Refused(why.clone())),
        };
        let known = self.request.known.get(key);
        if let Some(digest) = &named.digest
            && let Some(item) = self.at_hand(digest, known)
        {
            return Ok(Got::Item(item));
        }
        if let Err(why) = self.may_lead_to(url) {
            return Ok(Got::Refused(why));
        }
        let validators = known
            .filter(|_| named.digest.is_none())
            .and_then(|item| identity::validators(item, url));
        let asked = Request::get(url.clone()).unless(validators.as_ref());
        let answer = self.session.send_if(asked, || self.go_on(url)).await;
        let answer = answer.map_err(|error| self.failed(url, error))?;
        if !answer.status.is_server_error() {
            self.servers.answered(url);
        }
        match (answer.status.as_u16(), known) {
            (200, _) => self.keep(answer, named, url).await,
            (304, Some(item)) if validators.is_some() => Ok(Got::Item(item.clone())),
            (404 | 410, _) => Ok(Got::Missing),
            _ => {
                let error = answer.error();
                self.servers.refused(url, &error);
                Err(error)
            }
        }
    }

    /// Returns the item that has this digest, if its content is kept.
    fn at_hand(&self, digest: &ContentHash, known: Option<&Item>) -> Option<Item> {
        let identity = identity::of_digest(digest);
        if let Some(item) = known.filter(|item| item.identity.as_ref() == Some(&identity)) {
            return Some(item.clone());
        }
        Some(Item {
            hash: *digest,
            size: *self.by_hash.get(digest)?,
            executable: false,
            identity: Some(identity),
        })
    }

    async fn keep(&self, mut answer: Answer, named: &Named, url: &Url) -> Result<Got, SideError> {
        let is_page = || Ok(Got::Refused(PAGE.to_owned()));
        let is_called_page = answer.is_a_page_instead_of(&named.name);
        if is_called_page && named.digest.is_none() {
            return is_page();
        }
        self.begin_for(&mut answer).await?;
        let validators = Validators::of(&answer.headers);
        let mut beginning = Beginning::default();
        let kept = self.keeper.keep(answer.body, &mut beginning).await;
        let (hash, size) = match kept.map_err(|error| self.failed(url, error))? {
            Kept::Whole { hash, size } => (hash, size),
            Kept::TooLong => return Ok(Got::TooLong),
        };
        // A server that goes by file names calls its login page Markdown, or whatever the name says.
        let is_login = is_called_page || (beginning.is_page() && !holds_pages(&named.name));
        if is_login && named.digest != Some(hash) {
            return is_page();
        }
        if let Some(digest) = named.digest.filter(|digest| *digest != hash) {
            return Ok(Got::Refused(format!(
                "its SHA-256 is {hash}, and the index says {digest}"
            )));
        }
        if let Some(said) = named.size.filter(|said| *said != size) {
            return Ok(Got::Refused(format!(
                "it has {size} bytes, and the index says {said}"
            )));
        }
        let identity = match (&named.digest, validators) {
            (Some(digest), _) => Some(identity::of_digest(digest)),
            (None, Some(validators)) => Some(identity::identity(url, &validators)),
            (None, None) => None,
        };
        Ok(Got::Item(Item {
            hash,
            size,
            executable: false,
            identity,
        }))
    }

    /// Says why not, where a list leads to too many servers.
    pub(crate) fn may_lead_to(&self, url: &Url) -> Result<(), String> {
        self.servers.may_lead_to(url)
    }

    /// Fails when enough has failed for `url` not to be asked for.
    pub(crate) fn go_on(&self, url: &Url) -> Result<(), SideError> {
        self.servers.go_on(url)
    }

    /// Notes a failure, which may end the rest of what is at the same server.
    pub(crate) fn failed(&self, url: &Url, error: SideError) -> SideError {
        self.servers.failed(url, &error);
        error
    }
}

/// The first bytes of a content.
#[derive(Default)]
pub(crate) struct Beginning(Vec<u8>);

impl Beginning {
    const BYTES: usize = 4096;

    /// Tells whether no more of it is needed.
    pub(crate) fn is_enough(&self) -> bool {
        self.0.len() >= Self::BYTES
    }

    /// Tells whether this is how a whole web page begins.
    pub(crate) fn is_page(&self) -> bool {
        let text = String::from_utf8_lossy(&self.0).to_ascii_lowercase();
        let text = markup(text.trim_start_matches('\u{feff}'));
        text.starts_with("<!doctype html") || text.starts_with("<html")
    }
}

/// Returns a text from where its markup begins: behind declarations of XML and comments.
fn markup(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let (opened, end) = if let Some(opened) = text.strip_prefix("<?xml") {
            (opened, "?>")
        } else if let Some(opened) = text.strip_prefix("<!--") {
            (opened, "-->")
        } else {
            return text;
        };
        let Some((_, rest)) = opened.split_once(end) else {
            return text;
        };
        text = rest;
    }
}

impl Witness for Beginning {
    fn see(&mut self, bytes: &[u8]) {
        let room = Self::BYTES - self.0.len();
        self.0.extend(bytes.iter().take(room));
    }
}

/// Files that are web pages, or become some.
const PAGES: &[&str] = &[
    "html", "htm", "xhtml", "shtml", "php", "jsp", "asp", "aspx", "erb", "ejs", "hbs", "mustache",
    "njk", "j2", "jinja", "jinja2", "liquid", "twig", "tmpl", "tpl", "template", "vue", "svelte",
    "astro", "mht",
];

/// Tells whether a file may begin as a web page does, and be what was asked for.
pub(crate) fn holds_pages(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|one| PAGES.iter().any(|known| one.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_behind_what_may_come_before_it() {
        for (text, is_page) in [
            ("<!DOCTYPE html><p>", true),
            ("\u{feff} <HTML>", true),
            ("<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC>", true),
            ("\u{feff}<!-- a --> <!-- b\n-->\n<html>", true),
            ("<?xml version=\"1.0\"?><svg>", false),
            ("<!-- a comment --># Skill", false),
            ("<!-- <html>", false),
            ("# About <html>", false),
        ] {
            let mut beginning = Beginning::default();
            beginning.see(text.as_bytes());
            assert_eq!(beginning.is_page(), is_page, "{text}");
        }
        let mut beginning = Beginning::default();
        beginning.see(format!("<!--{}--><html>", " ".repeat(1000)).as_bytes());
        assert!(beginning.is_page());
    }
}
