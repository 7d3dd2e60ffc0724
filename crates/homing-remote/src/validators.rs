//! What a server said of the version that it sent, for the next conditional request.

use http::HeaderMap;
use http::header::{
    ETAG, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};

/// No validator is longer; one that is, is not used.
const MOST_BYTES: usize = 512;

/// An `ETag`, weak or strong, and a date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// The `ETag`, as it was sent.
    pub etag: Option<String>,
    /// `Last-Modified`, as it was sent.
    pub last_modified: Option<String>,
}

impl Validators {
    /// Takes them from an answer; `None` when it has none that can be sent back.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: HeaderName| {
            let text = headers.get(name)?.to_str().ok()?.trim();
            (!text.is_empty() && text.len() <= MOST_BYTES).then(|| text.to_owned())
        };
        let validators = Self {
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
        };
        (validators != Self::default()).then_some(validators)
    }

    /// Returns them as one text, which [`Validators::parse`] reads.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some(etag) = &self.etag {
            text += "etag=";
            text += etag;
        }
        if let Some(date) = &self.last_modified {
            if !text.is_empty() {
                text.push(' ');
            }
            text += "modified=";
            text += date;
        }
        text
    }

    /// Reads what [`Validators::to_text`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (etag, date) = match text.strip_prefix("etag=") {
            // A date never has the word in it, so the last one is ours.
            Some(rest) => match rest.rsplit_once(" modified=") {
                Some((etag, date)) => (Some(etag), Some(date)),
                None => (Some(rest), None),
            },
            None => (None, Some(text.strip_prefix("modified=")?)),
        };
        let part = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let validators = Self {
            etag: part(etag),
            last_modified: part(date),
        };
        (validators != Self::default()).then_some(validators)
    }

    /// Adds them to a request: a server that knows the `ETag` ignores the date (RFC 9110, 13.1.3).
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        let mut add = |name: HeaderName, text: Option<&String>| {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
                headers.insert(name, value);
            }
        };
        add(IF_NONE_MATCH, self.etag.as_ref());
        add(IF_MODIFIED_SINCE, self.last_modified.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_survive_as_text() {
        for (etag, date) in [
            (Some("\"a b\""), Some("Wed, 21 Oct 2015 07:28:00 GMT")),
            (
                Some("W/\"x modified=y\""),
                Some("Wed, 21 Oct 2015 07:28:00 GMT"),
            ),
            (Some("W/\"abc\""), None),
            (Some("unquoted"), None),
            (None, Some("Wed, 21 Oct 2015 07:28:00 GMT")),
        ] {
            let validators = Validators {
                etag: etag.map(str::to_owned),
                last_modified: date.map(str::to_owned),
            };
            assert_eq!(
                Validators::parse(&validators.to_text()).as_ref(),
                Some(&validators)
            );
        }
        for nothing in ["", "etag=", "modified=", "12 34 56"] {
            assert_eq!(Validators::parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn what_cannot_be_sent_back_is_no_validator() {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::from_bytes(b"\"\xff\"").unwrap());
        assert_eq!(Validators::of(&headers), None);
        let endless = "e".repeat(MOST_BYTES + 1);
        headers.insert(ETAG, HeaderValue::from_str(&endless).unwrap());
        assert_eq!(Validators::of(&headers), None);
        headers.insert(LAST_MODIFIED, HeaderValue::from_static("yesterday"));
        let validators = Validators::of(&headers).unwrap();
        let mut request = HeaderMap::new();
        validators.add_to(&mut request);
        assert_eq!(request.get(IF_MODIFIED_SINCE).unwrap(), "yesterday");
        assert!(!request.contains_key(IF_NONE_MATCH));
    }
}
