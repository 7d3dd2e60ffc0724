//! Agent Skills discovery: `/.well-known/agent-skills/index.json`, version 0.2.0, and 0.1 before it.

use homing_core::{ContentHash, SideError, shown};
use serde_json::Value;
use url::Url;

use crate::index::{Named, digest_of, join};
use crate::options::below;

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

/// All that an index names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Skills {
    /// Skills and parts of skills that are files.
    pub(crate) files: Vec<Named>,
    /// Skills that are archives.
    pub(crate) archives: Vec<Packed>,
    /// What is wrong with entries that name nothing.
    pub(crate) wrong: Vec<String>,
}

/// Reads an index that was found at `url`; [`SideError::Untrusted`] for what is none, or of a version not known here.
pub(crate) fn read(bytes: &[u8], url: &Url, place: &str) -> Result<Skills, SideError> {
    let untrusted = |why: String| SideError::Untrusted {
        message: format!("the index of agent skills of {place} {why}"),
    };
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| untrusted(format!("is no JSON: {error}")))?;
    let entries = document
        .get("skills")
        .and_then(Value::as_array)
        .ok_or_else(|| untrusted("has no list `skills`".to_owned()))?;
    let read = match document.get("$schema") {
        None => of_0_1,
        Some(Value::String(schema)) if schema == SCHEMA => of_0_2,
        Some(schema) => {
            let schema: String = schema.to_string().chars().take(200).collect();
            return Err(untrusted(format!(
                "has the schema {}, which this version does not know; it is not processed",
                shown(schema.as_bytes())
            )));
        }
    };
    let mut skills = Skills::default();
    for (at, entry) in entries.iter().enumerate() {
        let name = entry.get("name").and_then(Value::as_str);
        match name.filter(|name| !name.contains('/')) {
            Some(name) => read(entry, name, url, &mut skills),
            None => skills.wrong.push(format!(
                "entry {} of the index names no skill; it is left out",
                at + 1
            )),
        }
    }
    Ok(skills)
}

/// `{name, type, description, url, digest}`.
fn of_0_2(entry: &Value, name: &str, index: &Url, skills: &mut Skills) {
    let url = join(index, entry.get("url").unwrap_or(&Value::Null));
    let digest = digest_of(entry.get("digest").unwrap_or(&Value::Null), "sha256:");
    let (url, digest) = match digest {
        Ok(digest) => (url, Some(digest)),
        Err(why) => (Err(why), None),
    };
    match entry.get("type").and_then(Value::as_str) {
        Some("skill-md") => skills.files.push(Named {
            name: format!("{name}/{SKILL}"),
            url,
            digest,
            size: None,
        }),
        Some("archive") => skills.archives.push(Packed {
            name: name.to_owned(),
            url,
            digest,
        }),
        other => {
            let cut: String = other.unwrap_or("none").chars().take(80).collect();
            skills.wrong.push(format!(
                "the skill `{}` is of the type `{}`, which this version does not know; it is left out",
                shown(name.as_bytes()),
                shown(cut.as_bytes())
            ));
        }
    }
}

/// `{name, description, files}`: everything in a directory of the skill's name, beside the index.
fn of_0_1(entry: &Value, name: &str, index: &Url, skills: &mut Skills) {
    let mut directory = index.clone();
    if let Ok(mut segments) = directory.path_segments_mut() {
        segments.pop();
    }
    let files = entry.get("files").and_then(Value::as_array);
    let mut names: Vec<&str> = match files {
        Some(files) => files.iter().filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    if !names.contains(&SKILL) {
        names.insert(0, SKILL);
    }
    for file in names {
        let path = format!("{name}/{file}");
        skills.files.push(Named {
            url: Ok(below(&directory, &path)),
            name: path,
            digest: None,
            size: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Skills, SideError> {
        let url = Url::parse("https://example.org/.well-known/agent-skills/index.json").unwrap();
        super::read(text.as_bytes(), &url, "`https://example.org/`")
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
        assert_eq!(skills.wrong.len(), 3, "{:?}", skills.wrong);
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
