//! A URL as it may be shown.

use std::fmt;

use url::Url;

/// Prints a URL without user info, query and fragment, where secrets stand.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownUrl(String);

impl ShownUrl {
    /// Takes what may be shown of `url`.
    pub fn of(url: &Url) -> Self {
        let mut shown = url.clone();
        // A URL without a host can have neither, and keeps what it has: nothing.
        shown.set_username("").ok();
        shown.set_password(None).ok();
        shown.set_query(None);
        shown.set_fragment(None);
        Self(if shown.has_host() {
            shown.into()
        } else {
            format!("{}:…", url.scheme())
        })
    }
}

impl fmt::Display for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        for (url, shown) in [
            (
                "https://ann:s3cret@example.org:8443/a/b.md?token=s3cret#s3cret",
                "https://example.org:8443/a/b.md",
            ),
            ("http://127.0.0.1/", "http://127.0.0.1/"),
            ("data:s3cret", "data:…"),
        ] {
            let url = ShownUrl::of(&Url::parse(url).unwrap());
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("{shown:?}"));
        }
    }
}
