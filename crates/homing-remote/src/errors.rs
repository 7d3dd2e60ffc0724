//! What a status, or a connection that failed, means for the engine.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use homing_core::SideError;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use rustls::CertificateError;
use url::Url;

use crate::ShownUrl;
use crate::addresses::LocalAddress;
use crate::proxies::Proxies;

/// How long a server is left alone that asks for it and does not say how long.
const SOME_TIME: Duration = Duration::from_mins(1);
/// No server is left alone for longer, whatever it says.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Returns what a status that is no success means.
pub(crate) fn of_status(
    status: StatusCode,
    headers: &HeaderMap,
    url: &Url,
    was_authorized: bool,
) -> SideError {
    let shown = ShownUrl::of(url);
    let answered = format!("`{shown}` answered {}", worded(status));
    let wait = retry_after(headers, SystemTime::now());
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let why = match (status, was_authorized) {
                (StatusCode::UNAUTHORIZED, true) => "it does not accept the token",
                (_, true) => "the token does not allow it",
                (_, false) => "it wants credentials, and none are sent there",
            };
            SideError::Auth {
                message: format!("{answered}: {why}"),
                source: None,
            }
        }
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => proxy_wants_credentials(None, &shown),
        StatusCode::NOT_FOUND | StatusCode::GONE => SideError::NotFound {
            message: answered,
            source: None,
        },
        StatusCode::TOO_MANY_REQUESTS => SideError::RateLimited {
            message: answered,
            wait: wait.unwrap_or(SOME_TIME),
        },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => transient(answered, wait, None),
        status if status.is_server_error() => transient(answered, wait, None),
        _ => SideError::Permanent {
            message: format!("{answered}, which is of no use here"),
            source: None,
        },
    }
}

/// Returns what it means that a proxy does not know us.
pub(crate) fn proxy_wants_credentials(proxy: Option<&str>, shown: &ShownUrl) -> SideError {
    let proxy = proxy.map_or_else(String::new, |proxy| format!(" `{proxy}`"));
    SideError::Auth {
        message: format!(
            "the proxy{proxy} on the way to `{shown}` wants other credentials: give homingd a user and a password in \
             the variable that names the proxy (`HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`)"
        ),
        source: None,
    }
}

fn worded(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// Returns how long `Retry-After` asks to wait: seconds, or a date.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_no_number) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?;
            let until = SystemTime::from(date.timestamp());
            until.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Returns what it means that no answer came.
pub(crate) fn of_request(error: reqwest::Error, url: &Url, proxies: &Proxies) -> SideError {
    let shown = ShownUrl::of(url);
    // The URL of the error would be shown whole.
    let error = error.without_url();
    if let Some(local) = find::<LocalAddress>(&error) {
        return SideError::Untrusted {
            message: format!(
                "the server leads to `{shown}`, but {local}, where a public server may not send us"
            ),
        };
    }
    if let Some(tls) = find::<rustls::Error>(&error) {
        return of_tls(tls, &shown);
    }
    if error.is_connect() && !broke_off(&error) {
        let why = if error.is_timeout() {
            "it does not answer".to_owned()
        } else {
            innermost(&error)
        };
        let proxy = proxies.on_the_way_to(url);
        if proxy.is_some() && why.contains("proxy authorization required") {
            return proxy_wants_credentials(proxy.as_deref(), &shown);
        }
        let message = match proxy {
            // What the HTTP library says when a proxy answers, and has no way on.
            Some(proxy) if why.contains("tunnel error") => {
                format!("the proxy `{proxy}` makes no connection to `{shown}`")
            }
            Some(proxy) => {
                format!(
                    "there is no connection to the proxy `{proxy}` on the way to `{shown}`: {why}"
                )
            }
            None => format!("there is no connection to `{shown}`: {why}"),
        };
        // What lies between says where in the client it came up, and nothing else.
        return SideError::Unreachable {
            message,
            source: None,
        };
    }
    // There is no other way to ask hyper.
    if innermost(&error).contains("too large") {
        return SideError::Untrusted {
            message: format!("`{shown}` sends more header lines than are taken of an answer"),
        };
    }
    // What of HTTP/2 this side does not take: headers over its limits, or what is none.
    let detected = innermost(&error);
    let is_refused = |why: &&str| detected.contains(&format!(" error detected: {why}"));
    let refusals = [
        "unspecific protocol error",
        "detected excessive load generating behavior",
    ];
    if refusals.iter().any(is_refused) {
        return SideError::Untrusted {
            message: format!(
                "`{shown}` sends header lines that are none, or more than are taken of an answer"
            ),
        };
    }
    let why = match innermost(&error) {
        // What rustls says of a server that hangs up, and of one that answers in plain HTTP.
        eof if eof.contains("handshake eof") => {
            "the secure connection broke off while it came about; if it goes on, check the scheme and the port in the URL"
                .to_owned()
        }
        why => why,
    };
    transient(format!("`{shown}` gave no answer: {why}"), None, None)
}

/// Tells whether a connection ended before anything of an answer came.
pub(crate) fn is_stale(error: &reqwest::Error) -> bool {
    // There is no other way to ask hyper.
    !error.is_connect()
        && !error.is_timeout()
        && (broke_off(error) || innermost(error).contains("closed before message completed"))
}

/// Tells whether somebody did answer, and then ended it: that machine is there, and so is the network.
fn broke_off(error: &reqwest::Error) -> bool {
    innermost_io(error).is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        )
    })
}

/// Returns what it means that a body broke off.
pub(crate) fn of_body(error: reqwest::Error, url: &Url) -> SideError {
    let error = error.without_url();
    let what = if error.is_decode() {
        "cannot be decompressed, or was cut off"
    } else {
        "was cut off, or is not as long as it should be"
    };
    transient(
        format!("what `{}` sent {what}", ShownUrl::of(url)),
        None,
        Some(innermost(&error).into()),
    )
}

/// Returns what it means that no headers came in time.
pub(crate) fn silent(url: &Url, patience: Duration) -> SideError {
    transient(
        format!(
            "`{}` did not answer within {}",
            ShownUrl::of(url),
            seconds(patience)
        ),
        None,
        None,
    )
}

/// Returns what it means that a body does not go on.
pub(crate) fn stalled(url: &Url, patience: Duration) -> SideError {
    transient(
        format!(
            "`{}` stopped in the middle, or trickles: next to nothing came within {}",
            ShownUrl::of(url),
            seconds(patience)
        ),
        None,
        None,
    )
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f32())
}

fn transient(
    message: String,
    retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
) -> SideError {
    SideError::Transient {
        message,
        retry_after,
        source,
    }
}

fn of_tls(error: &rustls::Error, shown: &ShownUrl) -> SideError {
    use CertificateError as Certificate;

    let why = match error {
        rustls::Error::InvalidCertificate(
            Certificate::UnknownIssuer | Certificate::BadSignature,
        ) => {
            "nobody vouches for its certificate whom this machine trusts; if the server has a CA of its own, name its \
             certificate with `ca_file`"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired, or the clock of this machine is wrong".to_owned()
        }
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "its certificate is for another name; check the host in the URL".to_owned(),
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS; check the scheme and the port in the URL".to_owned()
        }
        other => other.to_string(),
    };
    SideError::Permanent {
        message: format!("there is no secure connection to `{shown}`: {why}"),
        source: None,
    }
}

/// Returns an error with all its causes as one text; not for errors that carry a URL.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

/// Finds the `io::Error` that the others wrap.
fn innermost_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let outer = find::<io::Error>(error)?;
    let wrapped = outer.get_ref().and_then(|inner| innermost_io(inner));
    Some(wrapped.unwrap_or(outer))
}

/// Finds a cause of one type. One that is wrapped in an `io::Error` is no source of it.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(|e| e.get_ref());
        if let Some(found) = wrapped.and_then(|wrapped| find::<E>(wrapped)) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn error_of(status: u16, headers: &[(&'static str, &'static str)], token: bool) -> SideError {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let url = Url::parse("https://ann:s3cret@example.org/a?token=s3cret").unwrap();
        let error = of_status(StatusCode::from_u16(status).unwrap(), &map, &url, token);
        let text = format!("{error} {error:?}");
        assert!(!text.contains("s3cret") && !text.contains("ann"), "{text}");
        assert!(text.contains("https://example.org/a"), "{text}");
        error
    }

    #[test]
    fn a_status_is_a_decision() {
        for status in [401, 403] {
            for token in [true, false] {
                let error = error_of(status, &[], token);
                assert!(matches!(&error, SideError::Auth { .. }), "{error:?}");
                assert_eq!(error.to_string().contains("the token"), token, "{error}");
            }
        }
        for status in [404, 410] {
            assert!(matches!(
                error_of(status, &[], false),
                SideError::NotFound { .. }
            ));
        }
        for status in [408, 425, 500, 502, 503, 504, 599] {
            assert!(matches!(
                error_of(status, &[], false),
                SideError::Transient {
                    retry_after: None,
                    ..
                }
            ));
        }
        for status in [204, 206, 300, 400, 406, 418] {
            assert!(matches!(
                error_of(status, &[], false),
                SideError::Permanent { .. }
            ));
        }
    }

    #[test]
    fn a_server_says_how_long_to_wait() {
        let limited = |value: &'static str| match error_of(429, &[("retry-after", value)], false) {
            SideError::RateLimited { wait, .. } => wait,
            other => panic!("{other:?}"),
        };
        assert_eq!(limited("7"), Duration::from_secs(7));
        assert_eq!(limited("99999999999"), LONGEST_WAIT);
        assert_eq!(limited("soon"), SOME_TIME);
        assert_eq!(limited("Wed, 21 Oct 2015 07:28:00 GMT"), Duration::ZERO);
        assert!(matches!(
            error_of(503, &[("retry-after", "7")], false),
            SideError::Transient { retry_after: Some(wait), .. } if wait == Duration::from_secs(7)
        ));
        let mut headers = HeaderMap::new();
        headers.insert(
            RETRY_AFTER,
            HeaderValue::from_static("Wed, 21 Oct 2015 07:28:00 GMT"),
        );
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480 - 90);
        assert_eq!(retry_after(&headers, before), Some(Duration::from_secs(90)));
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_with_the_way_out() {
        let shown = ShownUrl::of(&Url::parse("https://example.org/").unwrap());
        for (error, word) in [
            (CertificateError::UnknownIssuer, "ca_file"),
            (CertificateError::Expired, "clock"),
            (CertificateError::NotValidForName, "another name"),
        ] {
            let error = of_tls(&rustls::Error::InvalidCertificate(error), &shown);
            assert!(matches!(&error, SideError::Permanent { .. }));
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_cause_is_found_inside_an_io_error() {
        let tls = rustls::Error::HandshakeNotComplete;
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, tls);
        let twice = io::Error::other(wrapped);
        assert!(find::<rustls::Error>(&twice).is_some());
        assert!(find::<LocalAddress>(&twice).is_none());
    }
}
