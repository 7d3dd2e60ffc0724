//! What GitHub's refusals mean, and what mends them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use homing_core::{SideError, shown};
use homing_remote::{Answer, retry_after};
use http::header::DATE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::api::About;
use crate::place::Place;

/// How long GitHub is left alone after a secondary limit that does not say how long, as its documentation asks.
const SOME_TIME: Duration = Duration::from_mins(1);
/// No reset is waited for longer, whatever is said.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// Bytes of an error document that are read.
const READ: usize = 16 << 10;
/// Letters of its message that are shown.
const SHOWN: usize = 200;

#[derive(Debug, Default, Deserialize)]
struct Document {
    #[serde(default)]
    message: String,
}

/// Returns what is left of the limit, as an answer's headers tell.
pub(crate) fn remaining(headers: &HeaderMap) -> Option<u64> {
    number(headers, "x-ratelimit-remaining")
}

/// Returns how long it is until the limit is renewed, as an answer's headers tell.
pub(crate) fn renewal(headers: &HeaderMap) -> Duration {
    let reset = number(headers, "x-ratelimit-reset").map(Duration::from_secs);
    reset
        .and_then(|reset| {
            let at = UNIX_EPOCH.checked_add(reset)?;
            at.duration_since(server_time(headers)).ok()
        })
        .unwrap_or(SOME_TIME)
        .clamp(Duration::from_secs(1), LONGEST_WAIT)
}

/// Returns what it means that more is wanted than the limit has room for.
pub(crate) fn no_room(wait: Duration) -> SideError {
    SideError::RateLimited {
        message: "what is left of GitHub's rate limit is too little for the rest, which comes when it is renewed"
            .to_owned(),
        wait,
    }
}

/// Returns what a status means that is no success.
pub(crate) async fn of(answer: Answer, place: &Place) -> SideError {
    let general = answer.error();
    let (status, headers) = (answer.status, answer.headers.clone());
    let body = answer.body.collect(READ).await.unwrap_or_default();
    let document: Document = serde_json::from_slice(&body).unwrap_or_default();
    judge(status, &headers, &document.message, place).unwrap_or(general)
}

/// Returns what it means that the repository is not there for whoever asks.
pub(crate) fn hidden(place: &Place, is_authorized: bool, headers: &HeaderMap) -> SideError {
    if !is_authorized {
        return SideError::NotFound {
            message: format!(
                "there is no public repository `{place}`: check the spelling; if it is private, set a token that may read it"
            ),
            source: None,
        };
    }
    match scopes(headers) {
        Some(scopes) if !scopes.iter().any(|scope| scope == "repo") => SideError::Auth {
            message: format!(
                "the token cannot see a repository `{place}`: check the spelling; for a private one the token needs the scope \
                 `repo`, and it has {}",
                listed(&scopes)
            ),
            source: None,
        },
        Some(_) => SideError::NotFound {
            message: format!(
                "the token cannot see a repository `{place}`: check the spelling, and whether the token's owner has access to it"
            ),
            source: None,
        },
        None => SideError::Auth {
            message: format!(
                "the token cannot see a repository `{place}`: check the spelling, and whether the token was given this repository \
                 with the permission to read its contents"
            ),
            source: None,
        },
    }
}

/// Returns what it means that the repository is there and the ref is not.
pub(crate) fn no_ref(place: &Place, reference: Option<&str>, about: &About) -> SideError {
    let now = if about.full_name.eq_ignore_ascii_case(&place.full_name()) {
        String::new()
    } else {
        format!(" (now `{}`)", plain(&about.full_name))
    };
    let default = about.default_branch.as_deref().map(plain);
    let message = match (reference, default) {
        (Some(reference), Some(default)) => format!(
            "`{place}`{now} has no branch, tag or commit `{reference}`: it was renamed or deleted, or is misspelt; the default \
             branch is `{default}`, which is taken where there is no `ref`"
        ),
        (Some(reference), None) => format!(
            "`{place}`{now} has no branch, tag or commit `{reference}`: it was renamed or deleted, or is misspelt"
        ),
        (None, Some(default)) => format!(
            "the default branch of `{place}`{now}, `{default}`, is not there; name another one with `ref`"
        ),
        (None, None) => {
            format!("`{place}`{now} has no default branch; name a branch with `ref`")
        }
    };
    SideError::NotFound {
        message,
        source: None,
    }
}

/// Returns what it means that an answer is not what the API sends.
pub(crate) fn nonsense(place: &Place, what: &str) -> SideError {
    SideError::Transient {
        message: format!(
            "`{}` answered for `{place}` with {what}",
            homing_remote::ShownUrl::of(place.api())
        ),
        retry_after: None,
        source: None,
    }
}

/// Returns the scopes of a classic token; a fine-grained one has none, and an answer to nobody neither.
pub(crate) fn scopes(headers: &HeaderMap) -> Option<Vec<String>> {
    let text = headers.get("x-oauth-scopes")?.to_str().ok()?;
    let scopes = text.split(',').map(str::trim);
    Some(
        scopes
            .filter(|scope| !scope.is_empty())
            .map(plain)
            .collect(),
    )
}

/// Returns scopes as they are shown.
pub(crate) fn listed(scopes: &[String]) -> String {
    if scopes.is_empty() {
        return "none".to_owned();
    }
    let quoted: Vec<String> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
    quoted.join(", ")
}

/// Returns what a server says as it may be shown.
pub(crate) fn plain(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    shown(short.as_bytes())
}

fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    message: &str,
    place: &Place,
) -> Option<SideError> {
    let auth = |message: String| {
        Some(SideError::Auth {
            message,
            source: None,
        })
    };
    match status {
        StatusCode::UNAUTHORIZED => auth(format!(
            "GitHub refuses the token for `{place}`: it has expired, was revoked or is mistyped; set another one"
        )),
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
            if let Some(limited) = limit(status, headers, message) {
                return Some(limited);
            }
            if headers.contains_key("x-github-sso") {
                return auth(format!(
                    "the organisation of `{place}` wants the token to be authorised for its single sign-on; do that in the \
                     token's settings at GitHub"
                ));
            }
            auth(format!(
                "GitHub does not allow the token to read `{place}`: {}",
                plain(message)
            ))
        }
        StatusCode::NOT_FOUND => Some(SideError::NotFound {
            message: format!("a part of `{place}` is not there"),
            source: None,
        }),
        StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => Some(SideError::Permanent {
            message: format!("GitHub has blocked `{place}` (451): {}", plain(message)),
            source: None,
        }),
        _ => None,
    }
}

/// Returns which limit is exceeded and how long to wait, `None` when it is none.
fn limit(status: StatusCode, headers: &HeaderMap, message: &str) -> Option<SideError> {
    let now = server_time(headers);
    if let Some(wait) = retry_after(headers, now) {
        return Some(SideError::RateLimited {
            message: "GitHub asks for a pause (secondary rate limit)".to_owned(),
            wait,
        });
    }
    if remaining(headers) == Some(0) {
        let limit = number(headers, "x-ratelimit-limit");
        let message = match limit {
            Some(limit @ ..=60) => format!(
                "GitHub's rate limit is used up ({limit} requests an hour without a token; with one it is 5,000)"
            ),
            Some(limit) => format!("GitHub's rate limit is used up ({limit} requests an hour)"),
            None => "GitHub's rate limit is used up".to_owned(),
        };
        return Some(SideError::RateLimited {
            message,
            wait: renewal(headers),
        });
    }
    let says_so = message.contains("rate limit") || message.contains("abuse detection");
    (says_so || status == StatusCode::TOO_MANY_REQUESTS).then(|| SideError::RateLimited {
        message: "GitHub asks for a pause (secondary rate limit)".to_owned(),
        wait: SOME_TIME,
    })
}

/// The reset is a time of the server's clock, and ours may be another.
fn server_time(headers: &HeaderMap) -> SystemTime {
    headers
        .get(DATE)
        .and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok())
        .map_or_else(SystemTime::now, |date| date.timestamp().into())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use url::Url;

    use super::*;

    fn place() -> Place {
        let url = Url::parse("https://github.com/octo/agents").unwrap();
        Place::parse(&url, None).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    fn wait(status: u16, pairs: &[(&'static str, &'static str)], message: &str) -> Option<u64> {
        let status = StatusCode::from_u16(status).unwrap();
        match judge(status, &headers(pairs), message, &place()) {
            Some(SideError::RateLimited { wait, .. }) => Some(wait.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn both_limits_say_how_long_to_wait() {
        let reset = [
            ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1445413080"),
        ];
        assert_eq!(wait(403, &reset, ""), Some(600));
        assert_eq!(wait(429, &reset, ""), Some(600));
        assert_eq!(
            wait(403, &reset[1..], ""),
            Some(60),
            "the reset is long past"
        );
        assert_eq!(wait(403, &[("retry-after", "7")], ""), Some(7));
        assert_eq!(wait(429, &[], ""), Some(60));
        let secondary = "You have exceeded a secondary rate limit. Please wait";
        assert_eq!(
            wait(403, &[("x-ratelimit-remaining", "10")], secondary),
            Some(60)
        );
        assert_eq!(
            wait(403, &[("x-ratelimit-remaining", "10")], "Forbidden"),
            None
        );
    }

    #[test]
    fn a_hidden_repository_is_told_with_what_may_mend_it() {
        for (authorized, pairs, is_auth, word) in [
            (false, &[][..], false, "set a token"),
            (
                true,
                &[("x-oauth-scopes", "gist, user")],
                true,
                "`gist`, `user`",
            ),
            (true, &[("x-oauth-scopes", "")], true, "it has none"),
            (
                true,
                &[("x-oauth-scopes", "repo")],
                false,
                "owner has access",
            ),
            (true, &[], true, "was given this repository"),
        ] {
            let error = hidden(&place(), authorized, &headers(pairs));
            assert_eq!(matches!(error, SideError::Auth { .. }), is_auth, "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn what_a_server_says_is_shown_without_what_a_terminal_obeys() {
        let status = StatusCode::FORBIDDEN;
        let error = judge(status, &headers(&[]), "no\u{1b}[31m", &place()).unwrap();
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}
