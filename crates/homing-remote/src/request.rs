//! Asking for something, and going where the answer leads.

use bytes::Bytes;
use homing_core::{Progress, SideError};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::answer::{Answer, Body};
use crate::{Client, ShownUrl, Validators, errors};

/// Redirects that are followed for one request.
const MOST_REDIRECTS: usize = 5;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where.
    pub url: Url,
    headers: HeaderMap,
    /// What is posted.
    body: Option<Bytes>,
}

impl Request {
    /// Asks for what is at `url`.
    pub fn get(url: Url) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
            body: None,
        }
    }

    /// Asks with a body of this media type. It asks for something and changes nothing: it may be sent twice. Redirects
    /// are not followed.
    pub fn post(url: Url, media_type: &'static str, body: Bytes) -> Self {
        let request = Self {
            body: Some(body),
            ..Self::get(url)
        };
        request.header(CONTENT_TYPE, HeaderValue::from_static(media_type))
    }

    /// Asks for it only if it is no longer what the validators are of; the answer is 304 then.
    #[must_use]
    pub fn unless(mut self, validators: Option<&Validators>) -> Self {
        if let Some(validators) = validators {
            validators.add_to(&mut self.headers);
        }
        self
    }

    /// Says which media type is wanted.
    #[must_use]
    pub fn accept(self, media_type: &'static str) -> Self {
        self.header(ACCEPT, HeaderValue::from_static(media_type))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// What is asked on behalf of one source in one run.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) client: Client,
    pub(crate) home: Url,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) progress: Progress,
}

impl Session {
    /// Tells whether there is a secret to send.
    pub fn is_authorized(&self) -> bool {
        self.authorization.is_some()
    }

    /// Returns what counts the steps of this session.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Sends a request and returns the answer, whatever its status; redirects are followed.
    ///
    /// Credentials go to the scheme, host and port of the configured URL alone. [`SideError::Unreachable`] when there is
    /// no connection, [`SideError::Transient`] when the server does not answer, [`SideError::Untrusted`] when it leads
    /// where it must not.
    pub async fn send(&self, request: Request) -> Result<Answer, SideError> {
        self.send_if(request, || Ok(())).await
    }

    /// Does the same, if `go_on` still says so when it is the request's turn.
    pub async fn send_if(
        &self,
        request: Request,
        go_on: impl Fn() -> Result<(), SideError>,
    ) -> Result<Answer, SideError> {
        let mut request = request;
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.once(&request, &go_on).await?;
            let Some(location) = redirection(&answer).filter(|_| request.body.is_none()) else {
                return Ok(answer);
            };
            request.url = follow(&request.url, &location)?;
        }
        Err(SideError::Untrusted {
            message: format!(
                "`{}` is the end of {MOST_REDIRECTS} redirects and leads on; no more are followed: open the URL in a browser and set `url` to where it ends; if it ends nowhere, the server is to be mended",
                ShownUrl::of(&request.url)
            ),
        })
    }

    /// Sends a request and returns the answer if it is a success, `None` if nothing has changed since the validators.
    pub async fn get(&self, request: Request) -> Result<Option<Answer>, SideError> {
        let answer = self.send(request).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer)),
            StatusCode::NOT_MODIFIED => Ok(None),
            _ => Err(answer.error()),
        }
    }

    async fn once(
        &self,
        request: &Request,
        go_on: &impl Fn() -> Result<(), SideError>,
    ) -> Result<Answer, SideError> {
        let client = &self.client;
        let url = &request.url;
        let lanes = client.route(&self.home, url)?;
        let turn = client.turns().wait(url).await;
        go_on()?;
        let http = client.lane(lanes, turn.lane())?;
        let mut request = request.clone();
        let is_home = url.origin() == self.home.origin();
        if let (true, Some(authorization)) = (is_home, &self.authorization) {
            request.headers.insert(AUTHORIZATION, authorization.clone());
        }
        let response = match self.attempt(http, &request).await {
            // A server may end a kept connection at the moment that it is used again: that is nobody's failure.
            Some(Err(error)) if errors::is_stale(&error) => self.attempt(http, &request).await,
            other => other,
        };
        let response = response
            .ok_or_else(|| errors::silent(url, client.options().answer_timeout))?
            .map_err(|error| errors::of_request(error, url, client.proxies()))?;
        client.turns().answered(&turn, response.version());
        if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            && let Some(proxy) = client.proxies().on_the_way_to(url)
        {
            let shown = ShownUrl::of(url);
            return Err(errors::proxy_wants_credentials(Some(&proxy), &shown));
        }
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            url: url.clone(),
            was_authorized: is_home && self.authorization.is_some(),
            body: Body::new(
                response,
                turn,
                client.options().stall_timeout,
                &self.progress,
                client.options().directory.clone(),
            ),
        })
    }

    /// Sends a request once; `None` when no headers came in time.
    async fn attempt(
        &self,
        http: &reqwest::Client,
        request: &Request,
    ) -> Option<Result<reqwest::Response, reqwest::Error>> {
        let method = match request.body {
            None => http::Method::GET,
            Some(_) => http::Method::POST,
        };
        let mut asked = reqwest::Request::new(method, request.url.clone());
        *asked.headers_mut() = request.headers.clone();
        *asked.body_mut() = request.body.clone().map(reqwest::Body::from);
        self.progress.count_request();
        let patience = self.client.options().answer_timeout;
        let answer = tokio::time::timeout(patience, http.execute(asked)).await;
        self.progress.advance(0);
        answer.ok()
    }
}

fn redirection(answer: &Answer) -> Option<HeaderValue> {
    let is_redirection = matches!(
        answer.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    answer
        .headers
        .get(LOCATION)
        .filter(|_| is_redirection)
        .cloned()
}

/// Returns where a redirect leads. Whether we may go there is decided when we go.
fn follow(from: &Url, location: &HeaderValue) -> Result<Url, SideError> {
    let untrusted = |what: String| SideError::Untrusted {
        message: format!("`{}` {what}", ShownUrl::of(from)),
    };
    let target = std::str::from_utf8(location.as_bytes())
        .ok()
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| untrusted("redirects to what is no URL".to_owned()))?;
    if from.scheme() == "https" && target.scheme() == "http" {
        return Err(untrusted(format!(
            "redirects from https to `{}`, which is not encrypted; that is not followed",
            ShownUrl::of(&target)
        )));
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(from: &str, location: &[u8]) -> Result<String, String> {
        follow(
            &Url::parse(from).unwrap(),
            &HeaderValue::from_bytes(location).unwrap(),
        )
        .map(String::from)
        .map_err(|error| error.to_string())
    }

    #[test]
    fn a_redirect_is_relative_to_where_it_came_from() {
        assert_eq!(
            followed("https://a.example/b/c", b"../d?e=f").unwrap(),
            "https://a.example/d?e=f"
        );
        assert_eq!(
            followed("http://a.example/b", b"//other.example/d").unwrap(),
            "http://other.example/d"
        );
        assert_eq!(
            followed("http://a.example/b", b"https://a.example/b").unwrap(),
            "https://a.example/b"
        );
    }

    #[test]
    fn a_redirect_never_gives_up_encryption_and_must_be_a_url() {
        let error = followed(
            "https://a.example/b?t=s3cret",
            b"http://a.example/b?t=s3cret",
        );
        let error = error.unwrap_err();
        assert!(error.contains("not encrypted"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
        assert!(followed("http://a.example/", b"http://[").is_err());
        assert!(followed("http://a.example/", b"\xff\xfe").is_err());
    }
}
