//! Agent Skills discovery: `/.well-known/agent-skills/index.json`, version 0.2.0, and 0.1 before it.

use std::borrow::Cow;
use std::fmt;

use homing_core::{ContentHash, SideError, shown};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use url::Url;

use crate::entries::{Each, Entry, Field as Schema};
use crate::index::{Named, digest_of, join};
use crate::names::Names;

/// Where the index is, below a host or the configured URL.
pub(crate) const PATH: &str = ".well-known/agent-skills/index.json";
/// Where that of version 0.1 is.
pub(crate) const OLD_PATH: &str = ".well-known/skills/index.json";
/// The schema of version 0.2.0.
const SCHEMA: &str = "https://schemas.agentskills.io/discovery/0.2.0/schema.json";
const SKILL: &str = "SKILL.md";

/// A skill that comes as an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// The skill, which is the directory of all that is in it.
    pub(crate) name: String,
    /// Where it is; an `Err` says why it cannot be had.
    pub(crate) url: Result<Url, String>,
    /// What the archive's own bytes must hash to.
    pub(crate) digest: Option<ContentHash>,
}

/// Reads an index that was found at `url` into `names`.
///
/// [`SideError::Untrusted`] for what is none, is of a version not known here, or names more than is taken.
pub(crate) fn read<'a>(
    bytes: &[u8],
    url: &Url,
    mut names: Names<'a>,
) -> Result<Names<'a>, SideError> {
    let place = names.place();
    let untrusted = |why: String| SideError::Untrusted {
        message: format!("the index of agent skills of {place} {why}"),
    };
    // What the schema is must be known before anything is read by it, wherever it stands.
    let version: Version =
        serde_json::from_slice(bytes).map_err(|error| untrusted(format!("is no JSON: {error}")))?;
    let read = match &version.schema {
        Schema::Nothing => of_0_1,
        Schema::Text(schema) if schema == SCHEMA => of_0_2,
        schema => {
            let schema = schema.text().unwrap_or("(no text)");
            let schema: String = schema.chars().take(200).collect();
            return Err(untrusted(format!(
                "has the schema `{}`, which this version does not know; it is not processed",
                shown(schema.as_bytes())
            )));
        }
    };
    let take = |names: &mut Names<'_>, number: usize, entry: Entry| {
        let name = entry.name.text().filter(|name| !name.contains('/'));
        match name {
            Some(name) => read(&entry, name, url, names),
            None => names
                .wrong(|| format!("entry {number} of the index names no skill; it is left out")),
        }
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let each = SkillsOf(Each {
        names: &mut names,
        take,
    });
    let read = json.deserialize_map(each);
    names.finish(read, |error| {
        untrusted(format!("has no list `skills`: {error}"))
    })
}

/// `{name, type, description, url, digest}`.
fn of_0_2(entry: &Entry, name: &str, index: &Url, names: &mut Names<'_>) {
    let made = || {
        let url = join(index, &entry.url);
        match digest_of(&entry.digest, "sha256:") {
            Ok(digest) => (url, Some(digest)),
            Err(why) => (Err(why), None),
        }
    };
    match entry.kind.text() {
        Some("skill-md") => {
            let path = format!("{name}/{SKILL}");
            names.file(&path, || {
                let (url, digest) = made();
                Named {
                    name: path.clone(),
                    url,
                    digest,
                    size: None,
                }
            });
        }
        Some("archive") => {
            let (url, digest) = made();
            names.archive(Packed {
                name: name.to_owned(),
                url,
                digest,
            });
        }
        other => names.wrong(|| {
            let cut: String = other.unwrap_or("none").chars().take(80).collect();
            format!(
                "the skill `{}` is of the type `{}`, which this version does not know; it is left out",
                shown_name(name),
                shown(cut.as_bytes())
            )
        }),
    }
}

/// `{name, description, files}`: everything in a directory of the skill's name, beside the index.
fn of_0_1(entry: &Entry, name: &str, index: &Url, names: &mut Names<'_>) {
    let mut directory = index.clone();
    if let Ok(mut segments) = directory.path_segments_mut() {
        segments.pop();
    }
    if entry.files.is_cut {
        names.too_many();
    }
    if entry.files.wrong > 0 {
        names.wrong(|| {
            format!(
                "{} of the `files` of the skill `{}` are no names; they are left out",
                entry.files.wrong,
                shown_name(name)
            )
        });
    }
    let files = entry.files.names.iter().map(String::as_str);
    let has_skill = files.clone().any(|file| file == SKILL);
    let first = (!has_skill).then_some(SKILL);
    for file in first.into_iter().chain(files) {
        if names.is_stopped() {
            return;
        }
        let path = format!("{name}/{file}");
        names.file(&path, || Named::below(&directory, &path));
    }
}

fn shown_name(name: &str) -> String {
    let cut: String = name.chars().take(80).collect();
    shown(cut.as_bytes())
}

/// What of an index tells its version.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "$schema", default)]
    schema: Schema,
}

/// An index, of which the list `skills` is read.
struct SkillsOf<'n, 'a, F>(Each<'n, 'a, F>);

impl<'de, F: FnMut(&mut Names<'_>, usize, Entry)> Visitor<'de> for SkillsOf<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list `skills`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut each = Some(self.0);
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            match each.take_if(|_| name == "skills") {
                Some(each) => map.next_value_seed(each)?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match each {
            None => Ok(()),
            Some(_) => Err(A::Error::missing_field("skills")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use homing_core::{Limits, Scope, Selection};
    use homing_remote::Wanted;

    use super::*;

    static EVERYTHING: LazyLock<Selection> = LazyLock::new(|| Selection::new(&[], &[]).unwrap());

    fn read(text: &str) -> Result<Names<'static>, SideError> {
        let url = Url::parse("https://example.org/.well-known/agent-skills/index.json").unwrap();
        let names = Names::new(Wanted {
            place: "`https://example.org/`",
            path: None,
            selection: &EVERYTHING,
            limits: Limits::default(),
            scope: &Scope::Whole,
        });
        super::read(text.as_bytes(), &url, names)
    }

    #[test]
    fn version_0_2_names_files_and_archives_with_their_digests() {
        let digest = ContentHash::of(b"x");
        let text = format!(
            r#"{{"$schema": "{SCHEMA}", "skills": [
                {{"name": "one", "type": "skill-md", "description": "d", "url": "one/SKILL.md", "digest": "sha256:{digest}"}},
                {{"name": "two", "type": "archive", "url": "/two.tar.gz", "digest": "sha256:{digest}"}},
                {{"name": "three", "type": "skill-md", "url": "x"}},
                {{"name": "four", "type": "tape"}},
                {{"name": "fi/ve", "type": "skill-md"}},
                {{}}
            ]}}"#
        );
        let skills = read(&text).unwrap();
        assert_eq!(skills.files[0].name, "one/SKILL.md");
        assert_eq!(
            skills.files[0].url.as_ref().unwrap().as_str(),
            "https://example.org/.well-known/agent-skills/one/SKILL.md"
        );
        assert_eq!(skills.files[0].digest, Some(digest));
        assert!(skills.files[1].url.is_err(), "a digest is required");
        let two = &skills.archives[0];
        assert_eq!(
            two.url.as_ref().unwrap().as_str(),
            "https://example.org/two.tar.gz"
        );
        assert_eq!((two.name.as_str(), two.digest), ("two", Some(digest)));
        assert_eq!(skills.wrong.told().len(), 3, "{:?}", skills.wrong);
    }

    #[test]
    fn version_0_1_names_files_beside_the_index() {
        let skills = read(
            r#"{"skills": [{"name": "one", "description": "d", "files": ["SKILL.md", "a/b.py"]}, {"name": "two"}]}"#,
        )
        .unwrap();
        let names: Vec<&str> = skills.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["one/SKILL.md", "one/a/b.py", "two/SKILL.md"]);
        assert_eq!(
            skills.files[1].url.as_ref().unwrap().as_str(),
            "https://example.org/.well-known/agent-skills/one/a/b.py"
        );
    }

    #[test]
    fn another_schema_is_not_processed() {
        for text in [
            r#"{"$schema": "https://schemas.agentskills.io/discovery/0.3.0/schema.json", "skills": []}"#,
            r#"{"$schema": 5, "skills": []}"#,
            "[]",
            "{}",
            "<html>",
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(&error, SideError::Untrusted { .. }), "{error:?}");
        }
    }
}
