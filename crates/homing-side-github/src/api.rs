//! The requests that are made, and the documents that answer them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use homing_core::{Revision, SideError};
use homing_remote::{Answer, Request, Session, Validators};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::place::{Place, below};
use crate::refusal;
use homing_remote::git_id;

/// Bytes that are taken of a tree: GitHub's own limit is 7 MB.
const TREE_LIMIT: usize = 64 << 20;
/// Bytes that are taken of any other document.
const DOCUMENT_LIMIT: usize = 1 << 20;
/// Stands for what is left of a limit of which nothing is known.
const UNKNOWN: u64 = u64::MAX;

const ANY: &str = "application/vnd.github+json";
const COMMIT_ID: &str = "application/vnd.github.sha";
const RAW: &str = "application/vnd.github.raw";

/// A repository's API on behalf of one call.
#[derive(Debug)]
pub(crate) struct Api {
    session: Session,
    place: Place,
    /// Where the repository is; another than the place says after it was renamed.
    repository: Url,
    /// What is left of the limit, as the last answer told.
    remaining: AtomicU64,
    /// Seconds until the limit is renewed, as the last answer told.
    renewal: AtomicU64,
}

/// Where a ref is.
#[derive(Debug)]
pub(crate) enum Head {
    /// Where it was; it is to be asked about with another validator, where there is one.
    Unchanged(Option<Revision>),
    /// At this commit.
    At(Revision),
    /// There is no commit at all.
    Empty,
}

/// A directory, or everything below it.
#[derive(Debug, Deserialize)]
pub(crate) struct Tree {
    pub(crate) tree: Vec<Entry>,
    #[serde(default)]
    pub(crate) truncated: bool,
}

/// A line of a tree.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) mode: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) sha: String,
    pub(crate) size: Option<u64>,
}

/// What a repository says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct About {
    pub(crate) full_name: String,
    pub(crate) default_branch: Option<String>,
}

/// Whose token it is.
#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) login: String,
}

/// What is left of the limit.
#[derive(Debug, Deserialize)]
pub(crate) struct RateLimit {
    pub(crate) rate: Rate,
}

/// One limit.
#[derive(Debug, Deserialize)]
pub(crate) struct Rate {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) reset: i64,
}

impl Api {
    pub(crate) fn new(session: Session, place: Place) -> Self {
        Self {
            session,
            repository: place.repository(),
            place,
            remaining: AtomicU64::new(UNKNOWN),
            renewal: AtomicU64::new(0),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Returns how many requests are left, as far as known.
    pub(crate) fn remaining(&self) -> u64 {
        self.remaining.load(Ordering::Relaxed)
    }

    /// Returns how long it is until there is more, as far as known.
    pub(crate) fn renewal(&self) -> Duration {
        Duration::from_secs(self.renewal.load(Ordering::Relaxed))
    }

    /// Tells whether the repository has another name now.
    pub(crate) fn was_renamed(&self) -> bool {
        self.repository != self.place.repository()
    }

    /// Asks where a ref is, which costs nothing when it is where it was.
    pub(crate) async fn head(
        &mut self,
        reference: Option<&str>,
        since: Option<&Revision>,
    ) -> Result<Head, SideError> {
        let name = reference.unwrap_or("HEAD");
        let url = below(
            &self.repository,
            ["commits"].into_iter().chain(name.split('/')),
        );
        let validators = since
            .and_then(|since| since.validator.clone())
            .map(|etag| Validators {
                etag: Some(etag),
                last_modified: None,
            });
        let request = request(url, COMMIT_ID).unless(validators.as_ref());
        let answer = self.send(request).await?;
        self.follow(&answer.url);
        match answer.status {
            StatusCode::NOT_MODIFIED if since.is_some() => Ok(Head::Unchanged(None)),
            StatusCode::OK => {
                let etag = Validators::of(&answer.headers).and_then(|validators| validators.etag);
                let text = answer.body.collect(DOCUMENT_LIMIT).await?;
                let Some(id) = std::str::from_utf8(&text)
                    .ok()
                    .map(str::trim)
                    .filter(|id| git_id::is_full(id))
                else {
                    return Err(refusal::nonsense(&self.place, "no commit id"));
                };
                let revision = Revision {
                    name: id.to_owned(),
                    validator: etag,
                    about: None,
                };
                // The same commit gets another `ETag` with another token, or when it is branched from.
                if since.is_some_and(|since| since.name == revision.name) {
                    return Ok(Head::Unchanged(Some(revision)));
                }
                Ok(Head::At(revision))
            }
            StatusCode::CONFLICT => Ok(Head::Empty),
            StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => {
                Err(self.why_missing(reference, answer).await)
            }
            _ => Err(refusal::of(answer, &self.place).await),
        }
    }

    /// Lists a directory by its tree's or a commit's id.
    pub(crate) async fn tree(&self, id: &str, recursive: bool) -> Result<Tree, SideError> {
        let mut url = below(&self.repository, ["git", "trees", id]);
        if recursive {
            url.set_query(Some("recursive=1"));
        }
        let answer = self.success(request(url, ANY)).await?;
        self.document(answer, TREE_LIMIT).await
    }

    /// Asks for a blob's bytes.
    pub(crate) async fn blob(&self, id: &str) -> Result<Answer, SideError> {
        let url = below(&self.repository, ["git", "blobs", id]);
        self.success(request(url, RAW)).await
    }

    /// Asks for everything at a commit or ref, packed.
    pub(crate) async fn archive(&self, reference: &str) -> Result<Answer, SideError> {
        let segments = ["tarball"].into_iter().chain(reference.split('/'));
        let url = below(&self.repository, segments);
        self.success(request(url, ANY)).await
    }

    /// Asks the repository about itself.
    pub(crate) async fn about(&self) -> Result<About, SideError> {
        let answer = self.success(request(self.repository.clone(), ANY)).await?;
        self.document(answer, DOCUMENT_LIMIT).await
    }

    /// Asks whose token it is.
    pub(crate) async fn user(&self) -> Result<User, SideError> {
        let url = below(self.place.api(), ["user"]);
        let answer = self.success(request(url, ANY)).await?;
        self.document(answer, DOCUMENT_LIMIT).await
    }

    /// Asks for the limits, which costs nothing; the headers tell the token's scopes. `None` where there are none.
    pub(crate) async fn rate_limit(&self) -> Result<Option<(RateLimit, HeaderMap)>, SideError> {
        let url = below(self.place.api(), ["rate_limit"]);
        let answer = self.send(request(url, ANY)).await?;
        if answer.status == StatusCode::NOT_FOUND {
            // A server of one's own may have them switched off.
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(refusal::of(answer, &self.place).await);
        }
        let headers = answer.headers.clone();
        let limits = self.document(answer, DOCUMENT_LIMIT).await?;
        Ok(Some((limits, headers)))
    }

    async fn send(&self, request: Request) -> Result<Answer, SideError> {
        let answer = self.session.send(request).await?;
        if let Some(remaining) = refusal::remaining(&answer.headers) {
            self.remaining.store(remaining, Ordering::Relaxed);
            let renewal = refusal::renewal(&answer.headers).as_secs();
            self.renewal.store(renewal, Ordering::Relaxed);
        } else if self.remaining() != UNKNOWN {
            // What redirects to another host has counted, and that host tells of no limit.
            self.remaining
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    Some(left.saturating_sub(1))
                })
                .ok();
        }
        Ok(answer)
    }

    async fn success(&self, request: Request) -> Result<Answer, SideError> {
        let answer = self.send(request).await?;
        if answer.status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(refusal::of(answer, &self.place).await)
        }
    }

    async fn document<T: DeserializeOwned>(
        &self,
        answer: Answer,
        most: usize,
    ) -> Result<T, SideError> {
        let is_page = answer.is_a_page_instead_of("");
        let body = answer.body.collect(most).await?;
        serde_json::from_slice(&body).map_err(|_unreadable| {
            let what = if is_page {
                "a web page"
            } else {
                "no document of GitHub's API"
            };
            refusal::nonsense(&self.place, what)
        })
    }

    /// A renamed repository redirects to its number; what is asked next is asked there at once.
    fn follow(&mut self, answered: &Url) {
        let base_segments = self
            .place
            .api()
            .path()
            .split('/')
            .filter(|s| !s.is_empty())
            .count();
        let segments: Vec<&str> = answered
            .path()
            .split('/')
            .filter(|s| !s.is_empty())
            .collect();
        if let Some(["repositories", number, ..]) = segments.get(base_segments..)
            && answered.origin() == self.place.api().origin()
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            self.repository = below(self.place.api(), ["repositories", *number]);
        }
    }

    /// Finds out whether the repository or only the ref is missing, and says what mends it.
    async fn why_missing(&self, reference: Option<&str>, answer: Answer) -> SideError {
        let headers = answer.headers.clone();
        drop(answer);
        let request = request(self.repository.clone(), ANY);
        let about = match self.send(request).await {
            Ok(about) if about.status == StatusCode::NOT_FOUND => {
                return refusal::hidden(&self.place, self.session.is_authorized(), &headers);
            }
            Ok(about) if about.status == StatusCode::OK => about,
            Ok(other) => return refusal::of(other, &self.place).await,
            Err(error) => return error,
        };
        match self.document::<About>(about, DOCUMENT_LIMIT).await {
            Ok(about) => refusal::no_ref(&self.place, reference, &about),
            Err(error) => error,
        }
    }
}

fn request(url: Url, accept: &'static str) -> Request {
    Request::get(url).accept(accept).header(
        HeaderName::from_static("x-github-api-version"),
        HeaderValue::from_static("2022-11-28"),
    )
}
