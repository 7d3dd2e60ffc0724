//! Frontmatter: what a Markdown file says of itself between two lines of `---`.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

/// A frontmatter ends within so many bytes from the beginning of its text, or is none.
pub const FRONTMATTER_BYTES: usize = 64 << 10;

/// The frontmatter of a text, as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frontmatter<'t> {
    /// What stands between the two lines.
    pub yaml: &'t str,
    /// What stands after them.
    pub body: &'t str,
}

/// What a frontmatter says of its item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The version: at the top, else within `metadata`.
    pub version: Option<String>,
}

impl<'t> Frontmatter<'t> {
    /// Finds the frontmatter of a text: the first line is `---`, and so is (or `...`) the one that ends it.
    pub fn of(text: &'t str) -> Option<Self> {
        let whole = text.len();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let rest = text.strip_prefix("---")?;
        let (first, rest) = rest.split_once('\n')?;
        if !first.trim().is_empty() {
            return None;
        }
        let room = FRONTMATTER_BYTES.saturating_sub(whole - rest.len());
        let mut at = 0;
        for line in rest.split_inclusive('\n') {
            if at + line.len() > room {
                return None;
            }
            if matches!(line.trim_end(), "---" | "...") {
                return Some(Self {
                    yaml: &rest[..at],
                    body: &rest[at + line.len()..],
                });
            }
            at += line.len();
        }
        None
    }

    /// Returns what it says of its item. What is no YAML (`description: a: b`) is read line by line.
    pub fn header(&self) -> Header {
        let strict = serde_saphyr::from_str_with_options::<StrictHeader>(self.yaml, options());
        let header = match strict {
            Ok(header) => Header {
                name: header.name,
                description: header.description,
                version: header
                    .version
                    .or_else(|| header.metadata.and_then(|metadata| metadata.version)),
            },
            Err(_) => lenient_header(self.yaml),
        };
        let told = |text: Option<String>| {
            let text = text?;
            let trimmed = text.trim();
            (!trimmed.is_empty()).then(|| trimmed.to_owned())
        };
        Header {
            name: told(header.name),
            description: told(header.description),
            version: told(header.version),
        }
    }

    /// Returns all that it says, in its order, for whoever renders the item in another form.
    pub fn mapping(&self) -> Vec<(String, Value)> {
        if let Ok(mapping) = serde_saphyr::from_str_with_options::<Mapping>(self.yaml, options()) {
            return mapping.0;
        }
        let entries = entries(self.yaml).into_iter();
        entries
            .map(|entry| {
                let text = entry.text();
                (entry.key.to_owned(), Value::String(text))
            })
            .collect()
    }

    /// Returns the line of the text, from 1, on which a key stands; that of the beginning where it does not.
    pub fn line_of(&self, key: &str) -> u32 {
        let is_key = |line: &str| split_entry(line).is_some_and(|(found, _)| found == key);
        let line = self.yaml.lines().position(is_key);
        line.map_or(1, |line| u32::try_from(line + 2).unwrap_or(u32::MAX))
    }
}

impl Frontmatter<'_> {
    /// Returns the line of the text, from 1, that ends it.
    pub(crate) fn last_line(&self) -> u32 {
        u32::try_from(self.yaml.lines().count() + 2).unwrap_or(u32::MAX)
    }
}

#[derive(Deserialize, Default)]
struct StrictHeader {
    name: Option<String>,
    description: Option<String>,
    version: Option<String>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    version: Option<String>,
}

/// Small budgets: what a person writes at the top of a file, and no bomb.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        // `n` and `yes` are words.
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_events: 20_000,
            max_nodes: 10_000,
            max_aliases: 32,
            max_anchors: 32,
            max_merge_keys: 8,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 1_000,
            max_replay_stack_depth: 8,
        },
    }
}

/// A mapping in its order.
struct Mapping(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Mapping {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Mapping;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mapping, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Mapping(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A key at the beginning of a line, and the lines that belong to it.
struct Entry<'t> {
    key: &'t str,
    value: &'t str,
    /// The indented lines below.
    below: Vec<&'t str>,
}

fn lenient_header(yaml: &str) -> Header {
    let entries = entries(yaml);
    let text = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some(entry.text())
    };
    let nested_version = || {
        let metadata = entries.iter().find(|entry| entry.key == "metadata")?;
        let mut lines = metadata.below.iter();
        lines.find_map(|line| match split_entry(line.trim_start())? {
            ("version", value) => Some(unquoted(value).to_owned()),
            _ => None,
        })
    };
    Header {
        name: text("name"),
        description: text("description"),
        version: text("version").or_else(nested_version),
    }
}

fn entries(yaml: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for line in yaml.lines() {
        if line.starts_with([' ', '\t']) || line.is_empty() {
            if let Some(entry) = entries.last_mut() {
                entry.below.push(line);
            }
        } else if let Some((key, value)) = split_entry(line) {
            entries.push(Entry {
                key,
                value,
                below: Vec::new(),
            });
        } else if let Some(entry) = entries.last_mut()
            && !line.starts_with('#')
        {
            // A long value that somebody wrapped by hand.
            entry.below.push(line);
        }
    }
    entries
}

/// Splits `key: value`.
fn split_entry(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = !key.is_empty() && key.bytes().all(is_word);
    let ends = value.is_empty() || value.starts_with([' ', '\t', '\r']);
    (fits && ends).then(|| (key, value.trim()))
}

impl Entry<'_> {
    fn text(&self) -> String {
        let lines = self.below.iter().map(|line| line.trim());
        let joined = |separator: &str| lines.collect::<Vec<_>>().join(separator).trim().to_owned();
        match self.value.bytes().next() {
            Some(b'|') if self.value.len() <= 3 => joined("\n"),
            Some(b'>') if self.value.len() <= 3 => joined(" "),
            _ if self.below.is_empty() => unquoted(self.value).to_owned(),
            _ => unquoted(format!("{} {}", self.value, joined(" ")).trim()).to_owned(),
        }
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text
            .strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote))
        {
            return inner;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(yaml: &str) -> Header {
        Frontmatter::of(&format!("---\n{yaml}\n---\nbody\n"))
            .expect("a frontmatter")
            .header()
    }

    #[test]
    fn a_frontmatter_is_found_where_it_is_one() {
        let found = Frontmatter::of("---\nname: a\n---\nbody\n").unwrap();
        assert_eq!((found.yaml, found.body), ("name: a\n", "body\n"));
        let windows = Frontmatter::of("\u{feff}--- \r\nname: a\r\n---\r\nbody").unwrap();
        assert_eq!((windows.yaml, windows.body), ("name: a\r\n", "body"));
        assert_eq!(windows.header().name.as_deref(), Some("a"));
        let empty = Frontmatter::of("---\n---\n").unwrap();
        assert_eq!((empty.yaml, empty.body), ("", ""));
        assert_eq!(empty.header(), Header::default());
        assert!(Frontmatter::of("---\nname: a\n...").is_some());
        for none in [
            "",
            "---",
            "----\na: b\n---\n",
            "---\nname: a\n",
            "\n---\na: b\n---\n",
            "--- x\na: b\n---\n",
            "# a\n",
        ] {
            assert_eq!(Frontmatter::of(none), None, "{none:?}");
        }
        let long = |lines: usize| format!("---\n{}---\n", "a: b\n".repeat(lines));
        let fits = long((FRONTMATTER_BYTES - 8) / 5);
        assert!(Frontmatter::of(&fits).is_some());
        let endless = long(FRONTMATTER_BYTES / 5);
        assert_eq!(Frontmatter::of(&endless), None);
    }

    #[test]
    fn yaml_is_read_as_yaml() {
        let read = header(
            "name: \"a: b\"\ndescription: >\n  one\n  two\nversion: 1.10\nother: [1, {a: b}]",
        );
        assert_eq!(read.name.as_deref(), Some("a: b"));
        assert_eq!(read.description.as_deref(), Some("one two"));
        assert_eq!(
            read.version.as_deref(),
            Some("1.10"),
            "as it is written, not as a number"
        );
        assert_eq!(
            header("metadata:\n  version: 2\n  author: x")
                .version
                .as_deref(),
            Some("2")
        );
        assert_eq!(
            header("version: 1\nmetadata: {version: 2}")
                .version
                .as_deref(),
            Some("1")
        );
        assert_eq!(header("name:\ndescription: ''"), Header::default());
        assert_eq!(header("name: yes").name.as_deref(), Some("yes"));
    }

    #[test]
    fn what_is_no_yaml_is_read_line_by_line() {
        let read = header("name: a\ndescription: Use it when: you like\ncolor: blue");
        assert_eq!(read.name.as_deref(), Some("a"));
        assert_eq!(read.description.as_deref(), Some("Use it when: you like"));
        let read = header("name: 'a'\ndescription: one: two\n  three\nfour\nversion: \"2\"");
        assert_eq!(read.description.as_deref(), Some("one: two three four"));
        assert_eq!(
            (read.name.as_deref(), read.version.as_deref()),
            (Some("a"), Some("2"))
        );
        let read =
            header("description: |\n  one\n  two\nx: a: b\nmetadata:\n  author: y\n  version: v3");
        assert_eq!(read.description.as_deref(), Some("one\ntwo"));
        assert_eq!(read.version.as_deref(), Some("v3"));
        let read = header("description: >-\n  one\n  two\nx: a: b\nname: @x");
        assert_eq!(read.description.as_deref(), Some("one two"));
        assert_eq!(read.name.as_deref(), Some("@x"));
        let twice = header("name: a\nname: b");
        assert_eq!(twice.name.as_deref(), Some("a"));
        // The types are other than one would expect.
        let read = header("name: n\nmetadata: none\ndescription: [a, b]");
        assert_eq!(read.name.as_deref(), Some("n"));
        assert_eq!(read.description.as_deref(), Some("[a, b]"));
        let unquoted_once = header("name: \"a\ndescription: b");
        assert_eq!(unquoted_once.name.as_deref(), Some("\"a"));
    }

    #[test]
    fn bombs_are_not_unfolded() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            bomb += format!("a{level}: &a{level} [{aliases}]\n").as_str();
        }
        bomb.push_str("name: bomb\n");
        let text = format!("---\n{bomb}---\n");
        let frontmatter = Frontmatter::of(&text).unwrap();
        assert_eq!(frontmatter.header().name.as_deref(), Some("bomb"));
        assert!(frontmatter.mapping().len() == 10);
        let deep = format!(
            "name: deep\nx: {}{}",
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        assert_eq!(header(&deep).name.as_deref(), Some("deep"));
        let large = format!("name: large\nx: {}", "y".repeat(FRONTMATTER_BYTES - 50));
        assert_eq!(header(&large).name.as_deref(), Some("large"));
    }

    #[test]
    fn the_whole_mapping_is_given_in_its_order() {
        let text = "---\nz: 1\na: [x, {k: v}]\nname: n\n---\n";
        let mapping = Frontmatter::of(text).unwrap().mapping();
        assert_eq!(
            serde_json::to_string(&mapping).unwrap(),
            r#"[["z",1],["a",["x",{"k":"v"}]],["name","n"]]"#
        );
        let broken = "---\nname: n\ndescription: a: b\ntools: Read, Write\n---\n";
        let mapping = Frontmatter::of(broken).unwrap().mapping();
        assert_eq!(
            serde_json::to_string(&mapping).unwrap(),
            r#"[["name","n"],["description","a: b"],["tools","Read, Write"]]"#
        );
    }

    #[test]
    fn a_key_is_found_on_its_line() {
        let frontmatter = Frontmatter::of("---\na: b\nname: n\n---\n").unwrap();
        assert_eq!(frontmatter.line_of("name"), 3);
        assert_eq!(frontmatter.line_of("description"), 1);
    }
}
