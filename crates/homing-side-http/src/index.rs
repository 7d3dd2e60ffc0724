//! An index document: a JSON list of paths, or of `{path, url, sha256, size}`.

use homing_core::{ContentHash, SideError, shown};
use serde::de::DeserializeSeed;
use url::Url;

use crate::entries::{Each, Entry, Field};
use crate::names::Names;
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

/// Reads an index into `names`. Paths are below `base`; a relative `url` is relative to the index itself.
///
/// [`SideError::Untrusted`] for what is no index, or names more than is taken.
pub(crate) fn read<'a>(
    bytes: &[u8],
    base: &Url,
    index: &Url,
    mut names: Names<'a>,
) -> Result<Names<'a>, SideError> {
    let place = names.place();
    let take = |names: &mut Names<'_>, number: usize, entry: Entry| match name(&entry) {
        Some(name) => names.file(name, || file(name, &entry, base, index)),
        None => {
            names.wrong(|| format!("entry {number} of the index names no path; it is left out"));
        }
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let each = Each {
        names: &mut names,
        take,
    };
    let read = each.deserialize(&mut json).and_then(|()| json.end());
    names.finish(read, |error| SideError::Untrusted {
        message: format!(
            "the index of {place} is no JSON list: {error}; check that `index` names it; it is written [\"a.md\", …] or [{{\"path\": \"a.md\", \"sha256\": …}}, …]"
        ),
    })
}

fn name(entry: &Entry) -> Option<&str> {
    entry.text.as_deref().or_else(|| entry.path.text())
}

fn file(name: &str, entry: &Entry, base: &Url, index: &Url) -> Named {
    let mut file = Named::below(base, name);
    file.size = entry.size.number();
    if entry.url != Field::Nothing {
        file.url = join(index, &entry.url);
    }
    if entry.sha256 != Field::Nothing {
        match digest_of(&entry.sha256, "") {
            Ok(digest) => file.digest = Some(digest),
            Err(why) => file.url = Err(why),
        }
    }
    file
}

/// Returns where a URL in a document leads.
pub(crate) fn join(document: &Url, url: &Field) -> Result<Url, String> {
    let text = url.text().ok_or("its `url` is no text")?;
    document
        .join(text)
        .map_err(|error| format!("its `url` is none: {error}"))
}

/// Reads a SHA-256 that stands behind `prefix`.
pub(crate) fn digest_of(value: &Field, prefix: &str) -> Result<ContentHash, String> {
    let text = value.text().unwrap_or_default();
    text.strip_prefix(prefix)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            let cut: String = text.chars().take(80).collect();
            format!("its digest `{}` is no SHA-256", shown(cut.as_bytes()))
        })
}

#[cfg(test)]
mod tests {
    use homing_core::{Limits, Scope, Selection};
    use homing_remote::Wanted;

    use super::*;

    /// Returns the files, and what is wrong with entries.
    fn read(text: &str) -> Result<(Vec<Named>, Vec<String>), SideError> {
        let base = Url::parse("https://example.org/base/").unwrap();
        let index = base.join("lists/index.json").unwrap();
        let selection = Selection::new(&[], &[]).unwrap();
        let names = Names::new(Wanted {
            place: "`https://example.org/base/`",
            path: None,
            selection: &selection,
            limits: Limits::default(),
            scope: &Scope::Whole,
        });
        let names = super::read(text.as_bytes(), &base, &index, names)?;
        let wrong = names.wrong.told().iter();
        let wrong = wrong.map(|problem| problem.message.clone()).collect();
        Ok((names.files, wrong))
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
        for text in ["", "{}", "\"a\"", "[\"a\"", "[] 5", "<html>"] {
            let error = read(text).unwrap_err();
            assert!(matches!(&error, SideError::Untrusted { .. }), "{error:?}");
        }
        assert_eq!(read("[]").unwrap(), (Vec::new(), Vec::new()));
    }
}
