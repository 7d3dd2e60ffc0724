//! From a request to an answer.

use std::sync::Arc;

use anyhow::Result;
use http::StatusCode;
use http::request::Parts;
use serde_json::json;

use super::State;
use super::access::Caller;
use super::answer::{self, Answer};
use super::fault::Effect;
use super::repository::Repository;
use super::{archives, objects};

/// What is asked of a repository.
pub(crate) struct Question<'a> {
    pub(crate) state: &'a State,
    pub(crate) caller: &'a Caller,
    pub(crate) repository: &'a Repository,
    /// What follows the repository's name, decoded.
    pub(crate) path: &'a [String],
    pub(crate) query: &'a str,
    pub(crate) accept: &'a str,
}

impl Question<'_> {
    /// Returns a value of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&');
        pairs.find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then(|| decoded(value))
        })
    }

    /// Returns the address of something of this repository.
    pub(crate) fn url(&self, rest: &str) -> String {
        let name = self.repository.name();
        format!("http://{}/repos/{name}/{rest}", self.state.api)
    }
}

/// Answers a request to the API.
pub(crate) fn api(state: &State, request: &Parts, effect: Option<&Effect>) -> Answer {
    let header = |name: &str| request.headers.get(name).and_then(|it| it.to_str().ok());
    let caller = state.access().caller(header("authorization"));
    let counted = request.uri.path() != "/rate_limit";
    let limited = match effect {
        Some(Effect::PrimaryLimit) => Some(403),
        Some(Effect::PrimaryLimitAs(status)) => Some(*status),
        _ => None,
    };
    if counted && limited.is_some() {
        let reset = state.access().left(&caller).reset;
        let token = header("authorization").and_then(|text| text.split(' ').nth(1));
        let token = caller.token().and(token);
        state.access().leave(token, 0, reset);
    }
    if counted && !state.access().take(&caller) {
        let left = state.access().left(&caller);
        return answer::primary_limit(limited.unwrap_or(403)).for_caller(&caller, left);
    }
    let answer = match effect {
        Some(Effect::SecondaryLimit {
            status,
            retry_after,
        }) => answer::secondary_limit(*status, *retry_after),
        Some(Effect::SingleSignOn) => Answer::error(
            StatusCode::FORBIDDEN,
            "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization.",
        )
        .with("x-github-sso", "required; url=https://example.invalid/sso"),
        Some(Effect::Status(status)) => Answer::error(
            StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY),
            "Server Error",
        ),
        _ => dispatch(state, &caller, request, header("accept").unwrap_or_default())
            .unwrap_or_else(|error| {
                Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}"))
            })
            .unless_known(header("if-none-match")),
    };
    if answer.status == StatusCode::NOT_MODIFIED && caller.token().is_some() {
        state.access().give_back(&caller);
    }
    let left = state.access().left(&caller);
    answer.for_caller(&caller, left)
}

/// Answers a request to the host of archives and raw files.
pub(crate) fn files(state: &State, request: &Parts, effect: Option<&Effect>) -> Answer {
    if let Some(Effect::Status(status)) = effect {
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
        return Answer {
            status,
            ..Answer::new("text/plain; charset=utf-8", "error")
        };
    }
    let header = |name: &str| request.headers.get(name).and_then(|it| it.to_str().ok());
    let caller = state.access().caller(header("authorization"));
    let path = components(request.uri.path());
    let found = match &path[..] {
        [owner, name, rest @ ..] if !rest.is_empty() => state
            .repository(&format!("{owner}/{name}"))
            .map(|(repository, _)| (repository, rest)),
        _ => None,
    };
    let Some((repository, rest)) = found else {
        return Answer::not_found();
    };
    let question = Question {
        state,
        caller: &caller,
        repository: &repository,
        path: rest,
        query: request.uri.query().unwrap_or_default(),
        accept: "",
    };
    archives::file(&question)
        .unwrap_or_else(|error| {
            Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}"))
        })
        .unless_known(header("if-none-match"))
}

fn dispatch(state: &State, caller: &Caller, request: &Parts, accept: &str) -> Result<Answer> {
    if matches!(caller, Caller::Unknown) {
        return Ok(Answer::error(StatusCode::UNAUTHORIZED, "Bad credentials"));
    }
    if request.method != http::Method::GET {
        return Ok(Answer::not_found());
    }
    let path = components(request.uri.path());
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let (repository, at) = match &words[..] {
        ["rate_limit"] => return Ok(rate_limit(state, caller)),
        ["user"] => return Ok(user(caller)),
        ["repos", owner, name, ..] => {
            let Some((repository, former)) = state.repository(&format!("{owner}/{name}")) else {
                return Ok(Answer::not_found());
            };
            if former {
                return Ok(moved(state, caller, request, &repository));
            }
            (repository, 3)
        }
        ["repositories", id, ..] => match state.repository_by_id(id.parse().unwrap_or(0)) {
            Some(repository) => (repository, 2),
            None => return Ok(Answer::not_found()),
        },
        _ => return Ok(Answer::not_found()),
    };
    if !may_see(&repository, caller) {
        return Ok(Answer::not_found());
    }
    let question = Question {
        state,
        caller,
        repository: &repository,
        path: &path[at..],
        query: request.uri.query().unwrap_or_default(),
        accept,
    };
    of_repository(&question)
}

/// Tells whether a caller may know that a repository is there.
pub(crate) fn may_see(repository: &Repository, caller: &Caller) -> bool {
    !repository.settings().private
        || caller
            .token()
            .is_some_and(|token| token.may_see(&repository.name()))
}

fn of_repository(question: &Question<'_>) -> Result<Answer> {
    let words: Vec<&str> = question.path.iter().map(String::as_str).collect();
    if words.is_empty() {
        return about(question);
    }
    if question.repository.git.is_empty()? {
        return Ok(Answer::error(
            StatusCode::CONFLICT,
            "Git Repository is empty.",
        ));
    }
    match &words[..] {
        ["git", "ref" | "refs", rest @ ..] => objects::reference(question, &rest.join("/")),
        ["git", "tags", id] => objects::tag(question, id),
        ["git", "trees", rest @ ..] => objects::tree(question, &rest.join("/")),
        ["git", "blobs", id] => objects::blob(question, id),
        ["commits", rest @ ..] if !rest.is_empty() => objects::commit(question, &rest.join("/")),
        ["contents", rest @ ..] => objects::contents(question, &rest.join("/")),
        ["tarball", rest @ ..] => archives::redirection(question, &rest.join("/")),
        _ => Ok(Answer::not_found()),
    }
}

/// Describes the repository itself.
fn about(question: &Question<'_>) -> Result<Answer> {
    let name = question.repository.name();
    let (owner, short) = name.split_once('/').unwrap_or(("", &name));
    let private = question.repository.settings().private;
    let document = json!({
        "id": question.repository.id,
        "name": short,
        "full_name": name,
        "private": private,
        "visibility": if private { "private" } else { "public" },
        "owner": { "login": owner, "type": "User" },
        "html_url": format!("https://github.com/{name}"),
        "url": format!("http://{}/repos/{name}", question.state.api),
        "default_branch": question.repository.default_branch()?,
        "fork": false,
        "archived": false,
        "disabled": false,
    });
    let etag = objects::weak_etag(document.to_string().as_bytes());
    Ok(Answer::json(&document).tagged(&etag))
}

/// Answers for a repository that has another name now; to strangers a private one stays unknown.
fn moved(state: &State, caller: &Caller, request: &Parts, repository: &Arc<Repository>) -> Answer {
    if !may_see(repository, caller) {
        return Answer::not_found();
    }
    let rest = request.uri.path().splitn(5, '/').nth(4);
    let mut location = format!("http://{}/repositories/{}", state.api, repository.id);
    if let Some(part) = rest {
        location += "/";
        location += part;
    }
    if let Some(query) = request.uri.query() {
        location += "?";
        location += query;
    }
    Answer::redirect(StatusCode::MOVED_PERMANENTLY, &location)
}

fn rate_limit(state: &State, caller: &Caller) -> Answer {
    let left = state.access().left(caller);
    let core = json!({
        "limit": left.limit,
        "remaining": left.remaining,
        "used": left.limit.saturating_sub(left.remaining),
        "reset": left.reset_seconds(),
    });
    Answer::json(&json!({ "resources": { "core": core }, "rate": core }))
}

fn user(caller: &Caller) -> Answer {
    match caller.token() {
        Some(token) => Answer::json(&json!({ "login": token.login(), "id": 1, "type": "User" })),
        None => Answer::error(StatusCode::UNAUTHORIZED, "Requires authentication"),
    }
}

fn components(path: &str) -> Vec<String> {
    path.trim_start_matches('/')
        .split('/')
        .filter(|part| !part.is_empty())
        .map(decoded)
        .collect()
}

/// Undoes percent-encoding; what is not text becomes what is shown in its place.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten();
        if let Some(byte) = escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            plain.push(byte);
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
