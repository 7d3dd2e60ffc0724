//! An index document: a JSON list of paths, or of `{path, url, sha256, size}`.

use homing_core::{ContentHash, SideError, shown};
use serde_json::Value;
use url::Url;

use crate::options::below;

/// A file that is said to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its path, as it was said.
    pub(crate) name: String,
    /// Where it is; an `Err` says why it cannot be had.
    pub(crate) url: Result<Url, String>,
    /// What its bytes must hash to.
    pub(crate) digest: Option<ContentHash>,
    /// Bytes, as is said.
    pub(crate) size: Option<u64>,
}

impl Named {
    /// Returns a file at its own path below `base`.
    pub(crate) fn below(base: &Url, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            url: Ok(below(base, name)),
            digest: None,
            size: None,
        }
    }
}

/// Reads an index. Paths are below `base`; a relative `url` is relative to the index itself.
///
/// Returns the files, and what is wrong with entries that name none. [`SideError::Untrusted`] for what is no index.
pub(crate) fn read(
    bytes: &[u8],
    base: &Url,
    index: &Url,
    place: &str,
) -> Result<(Vec<Named>, Vec<String>), SideError> {
    let entries: Vec<Value> =
        serde_json::from_slice(bytes).map_err(|error| SideError::Untrusted {
            message: format!(
                "the index of {place} is no JSON list: {error}; write [\"a.md\", …] or [{{\"path\": \"a.md\", \"sha256\": …}}, …]"
            ),
        })?;
    let mut files = Vec::with_capacity(entries.len());
    let mut wrong = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        match file(entry, base, index) {
            Some(file) => files.push(file),
            None => wrong.push(format!(
                "entry {} of the index names no path; it is left out",
                at + 1
            )),
        }
    }
    Ok((files, wrong))
}

fn file(entry: &Value, base: &Url, index: &Url) -> Option<Named> {
    if let Value::String(path) = entry {
        return Some(Named::below(base, path));
    }
    let mut file = Named::below(base, entry.get("path")?.as_str()?);
    file.size = entry.get("size").and_then(Value::as_u64);
    match entry.get("url") {
        None | Some(Value::Null) => {}
        Some(url) => file.url = join(index, url),
    }
    match entry.get("sha256") {
        None | Some(Value::Null) => {}
        Some(digest) => match digest_of(digest, "") {
            Ok(digest) => file.digest = Some(digest),
            Err(why) => file.url = Err(why),
        },
    }
    Some(file)
}

/// Returns where a URL in a document leads.
pub(crate) fn join(document: &Url, url: &Value) -> Result<Url, String> {
    let text = url.as_str().ok_or("its `url` is no text")?;
    document
        .join(text)
        .map_err(|error| format!("its `url` is none: {error}"))
}

/// Reads a SHA-256 that stands behind `prefix`.
pub(crate) fn digest_of(value: &Value, prefix: &str) -> Result<ContentHash, String> {
    let text = value.as_str().unwrap_or_default();
    text.strip_prefix(prefix)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            let cut: String = text.chars().take(80).collect();
            format!("its digest `{}` is no SHA-256", shown(cut.as_bytes()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<Named>, Vec<String>), SideError> {
        let base = Url::parse("https://example.org/base/").unwrap();
        let index = base.join("lists/index.json").unwrap();
        super::read(
            text.as_bytes(),
            &base,
            &index,
            "`https://example.org/base/`",
        )
    }

    #[test]
    fn paths_and_objects_are_read_and_what_names_nothing_is_told() {
        let digest = ContentHash::of(b"x");
        let text = format!(
            r#"["a b.md", {{"path": "c.md", "url": "../files/c", "sha256": "{digest}", "size": 7, "more": true}},
                {{"path": "d.md", "url": null, "sha256": null}}, 5, {{"name": "e.md"}}, []]"#
        );
        let (files, wrong) = read(&text).unwrap();
        let urls: Vec<&str> = files
            .iter()
            .map(|file| file.url.as_ref().unwrap().as_str())
            .collect();
        assert_eq!(
            urls,
            [
                "https://example.org/base/a%20b.md",
                "https://example.org/base/files/c",
                "https://example.org/base/d.md"
            ]
        );
        assert_eq!((files[1].digest, files[1].size), (Some(digest), Some(7)));
        assert_eq!((files[2].digest, files[2].size), (None, None));
        assert_eq!(wrong.len(), 3);
        assert!(wrong[0].starts_with("entry 4"), "{wrong:?}");
    }

    #[test]
    fn an_entry_with_a_wrong_digest_or_url_is_named_and_cannot_be_had() {
        for entry in [
            r#"{"path": "a", "sha256": "abc"}"#,
            r#"{"path": "a", "sha256": 5}"#,
            r#"{"path": "a", "url": 5}"#,
            r#"{"path": "a", "url": "http://["}"#,
        ] {
            let (files, wrong) = read(&format!("[{entry}]")).unwrap();
            assert!(wrong.is_empty());
            assert!(files[0].url.is_err(), "{entry}");
        }
    }

    #[test]
    fn what_is_no_list_is_no_index() {
        for text in ["", "{}", "\"a\"", "[\"a\"", "<html>"] {
            let error = read(text).unwrap_err();
            assert!(matches!(&error, SideError::Untrusted { .. }), "{error:?}");
        }
        assert_eq!(read("[]").unwrap(), (Vec::new(), Vec::new()));
    }
}
