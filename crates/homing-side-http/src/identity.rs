//! What a file's version is called, so that the next listing need not fetch it.

use homing_core::{ContentHash, Identity, Item};
use homing_remote::Validators;
use url::Url;

/// Returns the identity of what a URL answered with these validators.
///
/// Validators are of one URL: those of another, even of the same file's, mean nothing.
pub fn identity(url: &Url, validators: &Validators) -> Identity {
    Identity::new(&format!("{} {}", tag(url), validators.to_text()))
}

/// Returns the validators of an item, if they are of this URL.
pub(crate) fn validators(item: &Item, url: &Url) -> Option<Validators> {
    let text = item.identity.as_ref()?.as_str();
    let text = text.strip_prefix(&tag(url))?.strip_prefix(' ')?;
    Validators::parse(text)
}

/// Returns the identity of a content that an index names.
pub(crate) fn of_digest(digest: &ContentHash) -> Identity {
    Identity::new(&format!("sha256={digest}"))
}

/// Returns the identity of an item of an archive that is the whole source.
pub(crate) fn of_archive(digest: &str) -> Identity {
    Identity::new(&format!("archive={digest}"))
}

/// Returns the identity of an item of a skill's archive that brought `count` of them, so that it is known when all are
/// there. `None`: there is more in it, which was not taken, and which must be looked at again.
pub(crate) fn of_skill(digest: &str, tag: &str, count: Option<usize>) -> Identity {
    let count = count.map_or_else(|| "more".to_owned(), |count| count.to_string());
    Identity::new(&format!("archive={digest} as={tag} of={count}"))
}

/// Tells whether an item came out of this archive as an item of this skill.
pub(crate) fn is_of_skill(item: &Item, digest: &str, tag: &str) -> bool {
    item.identity.as_ref().is_some_and(|identity| {
        let begins = format!("archive={digest} as={tag} of=");
        identity.as_str().starts_with(&begins)
    })
}

/// Returns a short word for a URL, which may hold what no database should.
pub(crate) fn tag(url: &Url) -> String {
    let mut tag = ContentHash::of(url.as_str().as_bytes()).to_string();
    tag.truncate(16);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_are_of_one_url_alone() {
        let url = Url::parse("https://example.org/a.md?token=s3cret").unwrap();
        let other = Url::parse("https://example.org/b/a.md").unwrap();
        let sent = Validators {
            etag: Some("\"x\"".to_owned()),
            last_modified: None,
        };
        let mut item = Item {
            hash: ContentHash::of(b""),
            size: 0,
            executable: false,
            identity: Some(identity(&url, &sent)),
        };
        assert!(!item.identity.as_ref().unwrap().as_str().contains("s3cret"));
        assert_eq!(validators(&item, &url), Some(sent));
        assert_eq!(validators(&item, &other), None);
        item.identity = Some(of_digest(&item.hash));
        assert_eq!(validators(&item, &url), None);
    }
}
