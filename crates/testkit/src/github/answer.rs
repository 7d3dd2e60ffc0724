//! Answers in GitHub's form.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::access::{Allowance, Caller};

/// An answer before anything goes wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Returns an answer with a body of this type.
    pub(crate) fn new(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.into(),
        }
    }

    /// Returns a document.
    pub(crate) fn json(document: &Value) -> Self {
        Self::new("application/json; charset=utf-8", document.to_string())
    }

    /// Returns an error document.
    pub(crate) fn error(status: StatusCode, message: &str) -> Self {
        let document = json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": status.as_str(),
        });
        Self {
            status,
            ..Self::json(&document)
        }
    }

    /// GitHub's answer for what is not there and for what must not be known to be there.
    pub(crate) fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "Not Found")
    }

    /// Returns a redirection.
    pub(crate) fn redirect(status: StatusCode, location: &str) -> Self {
        let document = json!({ "message": "Moved Permanently", "url": location });
        Self {
            status,
            ..Self::json(&document)
        }
        .with("location", location.to_owned())
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a validator.
    #[must_use]
    pub(crate) fn tagged(self, etag: &str) -> Self {
        self.with("etag", etag)
    }

    /// Returns the validator.
    pub(crate) fn etag(&self) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(name, _)| *name == "etag")
            .map(|(_, value)| value.as_str())
    }

    /// Makes `304 Not Modified` of it when the client has it already.
    #[must_use]
    pub(crate) fn unless_known(self, if_none_match: Option<&str>) -> Self {
        let (Some(known), Some(etag)) = (if_none_match, self.etag()) else {
            return self;
        };
        let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        if self.status != StatusCode::OK || !known.split(',').any(|tag| strong(tag) == strong(etag))
        {
            return self;
        }
        Self {
            status: StatusCode::NOT_MODIFIED,
            headers: vec![("etag", etag.to_owned())],
            body: Bytes::new(),
        }
    }

    /// Adds what every answer of the API tells of the caller.
    #[must_use]
    pub(crate) fn for_caller(mut self, caller: &Caller, left: Allowance) -> Self {
        for (name, value) in [
            ("x-ratelimit-limit", left.limit),
            ("x-ratelimit-remaining", left.remaining),
            (
                "x-ratelimit-used",
                left.limit.saturating_sub(left.remaining),
            ),
            ("x-ratelimit-reset", left.reset_seconds()),
        ] {
            self.headers.push((name, value.to_string()));
        }
        self = self
            .with("x-ratelimit-resource", "core")
            .with("x-github-media-type", "github.v3; format=json")
            .with("vary", "Accept, Authorization, Accept-Encoding");
        match caller.token().and_then(|token| token.scopes()) {
            Some(scopes) => self
                .with("x-oauth-scopes", scopes)
                .with("x-accepted-oauth-scopes", "repo"),
            None => self,
        }
    }
}

/// Returns the error of somebody who has used all requests.
pub(crate) fn primary_limit(status: u16) -> Answer {
    Answer::error(
        StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN),
        "API rate limit exceeded for 127.0.0.1. (But here's the good news: Authenticated requests get a higher rate \
         limit. Check out the documentation for more details.)",
    )
}

/// Returns the error of somebody who asks too fast.
pub(crate) fn secondary_limit(status: u16, retry_after: Option<u64>) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    let answer = Answer::error(
        status,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    );
    match retry_after {
        Some(seconds) => answer.with("retry-after", seconds.to_string()),
        None => answer,
    }
}
