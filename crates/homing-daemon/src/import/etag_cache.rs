//! `.etag-cache.json` and `.etag_cache.json`: what was downloaded from where, or to where.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// What such a file says of one download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CacheEntry {
    /// The URL, or the path of the downloaded file.
    pub(super) name: String,
    /// The `ETag` of that URL.
    pub(super) etag: String,
    /// `Last-Modified`, if it is what the server said.
    pub(super) last_modified: Option<String>,
    /// When it was written, if `last_modified` is that.
    pub(super) written: Option<Timestamp>,
    /// Bytes.
    pub(super) size: Option<u64>,
}

/// Reads it: the entries, and what is wrong with others. The error says why it is none.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<CacheEntry>, Vec<String>), String> {
    if bytes.trim_ascii().is_empty() {
        return Err("it is empty".to_owned());
    }
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON: {error}"))?;
    let Value::Object(entries) = value else {
        let found = kind(&value);
        return Err(format!("an object of URLs belongs there, not {found}"));
    };
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in &entries {
        match entry(name, value) {
            Ok(entry) => read.push(entry),
            Err(why) => problems.push(format!("{}: {why}", shown(name))),
        }
    }
    match problems.first() {
        Some(first) if read.is_empty() => Err(format!("none of its entries is one: {first}")),
        _ => Ok((read, problems)),
    }
}

fn entry(name: &str, value: &Value) -> Result<CacheEntry, String> {
    let nothing = Map::new();
    let (etag, more) = match value {
        Value::String(etag) => (Some(etag.as_str()), &nothing),
        Value::Object(more) => match more.get("etag") {
            Some(Value::String(etag)) => (Some(etag.as_str()), more),
            Some(other) => return Err(format!("its etag is {}", kind(other))),
            None => (None, more),
        },
        other => return Err(format!("{} stands for it", kind(other))),
    };
    let etag = etag
        .filter(|etag| !etag.is_empty())
        .ok_or("it has no etag")?;
    let date = more.get("last_modified").and_then(Value::as_str);
    Ok(CacheEntry {
        name: name.to_owned(),
        etag: etag.to_owned(),
        // Its writer mostly notes when it wrote, in a form of its own, which no server would understand.
        last_modified: date.filter(|date| is_http_date(date)).map(str::to_owned),
        // With its offset: nobody knows which clock another one was read from.
        written: date.and_then(|date| date.trim().parse().ok()),
        size: more.get("file_size").and_then(Value::as_u64),
    })
}

fn is_http_date(text: &str) -> bool {
    text.ends_with("GMT") && jiff::fmt::rfc2822::parse(text).is_ok()
}

/// Returns what names an entry without what may be secret in it.
pub(super) fn shown(name: &str) -> String {
    let plain = name.split(['?', '#']).next().unwrap_or_default();
    let plain = match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}/{path}")
        }
        None => plain.to_owned(),
    };
    let cut: String = plain.chars().take(300).collect();
    homing_core::shown(cut.as_bytes())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let text = br#"{
            "https://example.org/a.md": {"etag": "\"a\"", "last_modified": "2026-11-20T19:21:10.124656+00:00",
                "file_size": 62},
            "https://example.org/b.md": {"etag": "W/\"b\"", "last_modified": "Wed, 21 Oct 2015 07:28:00 GMT"},
            "/home/me/.claude-mpm/cache/skills/s/SKILL.md": "\"c\""
        }"#;
        let (entries, problems) = read(text).unwrap();
        assert_eq!(problems, Vec::<String>::new());
        let of = |part: &str| {
            entries
                .iter()
                .find(|entry| entry.name.contains(part))
                .unwrap()
        };
        assert_eq!(
            (of("a.md").size, &of("a.md").last_modified),
            (Some(62), &None)
        );
        assert_eq!(
            of("a.md").written,
            "2026-11-20T19:21:10.124656Z".parse().ok()
        );
        assert_eq!(of("b.md").written, None);
        assert!(of("b.md").last_modified.is_some());
        assert_eq!(of("SKILL.md").etag, "\"c\"");
    }

    #[test]
    fn each_wrong_shape_is_told_as_what_it_is() {
        for (text, told) in [
            ("", "empty"),
            (" \n", "empty"),
            ("{", "no JSON"),
            ("[]", "a list"),
            ("3", "a number"),
            ("\"x\"", "a text"),
            ("null", "nothing"),
            (
                r#"{"https://example.org/a.md": 3}"#,
                "a number stands for it",
            ),
            (r#"{"https://example.org/a.md": {}}"#, "it has no etag"),
            (
                r#"{"https://example.org/a.md": {"etag": ""}}"#,
                "it has no etag",
            ),
            (
                r#"{"https://example.org/a.md": {"etag": 3}}"#,
                "its etag is a number",
            ),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        assert_eq!(read(b"{}").unwrap(), (Vec::new(), Vec::new()));
    }

    #[test]
    fn one_entry_that_is_wrong_does_not_keep_the_others_from_being_read() {
        let text = r#"{"https://me:s3cret@example.org/a.md?t=s3cret": [], "https://example.org/b.md": {"etag": "b"}}"#;
        let (entries, problems) = read(text.as_bytes()).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(problems, ["https://example.org/a.md: a list stands for it"]);
    }
}
