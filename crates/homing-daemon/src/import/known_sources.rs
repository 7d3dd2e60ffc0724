//! `agent_sources.yaml` and `skill_sources.yaml`: where the other program's agents and skills come from.

use serde::Deserialize;

use super::place::{Origin, Place};

/// A repository that is listed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownSource {
    /// What its directory in the cache of skills is called.
    pub(super) id: Option<String>,
    /// The repository; without a subdirectory its path is empty.
    pub(super) place: Place,
    /// 0 to 1000; lower wins.
    pub(super) priority: Option<u16>,
    /// Whether it was synced.
    pub(super) enabled: bool,
}

#[derive(Deserialize)]
struct Agents {
    #[serde(default)]
    repositories: Vec<Listed>,
}

#[derive(Deserialize)]
struct Skills {
    #[serde(default)]
    sources: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: Option<String>,
    url: String,
    subdirectory: Option<String>,
    branch: Option<String>,
    priority: Option<i64>,
    enabled: Option<bool>,
}

/// Reads the list of agents' sources.
pub(super) fn agents(text: &str) -> Result<Vec<KnownSource>, String> {
    let agents: Agents = parse(text)?;
    Ok(known(agents.repositories))
}

/// Reads the list of skills' sources.
pub(super) fn skills(text: &str) -> Result<Vec<KnownSource>, String> {
    let skills: Skills = parse(text)?;
    Ok(known(skills.sources))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| {
        let told = error.to_string();
        told.lines().next().unwrap_or("it is no YAML").to_owned()
    })
}

fn known(listed: Vec<Listed>) -> Vec<KnownSource> {
    let known = listed.into_iter().filter_map(|one| {
        let mut place = Place::parse(&one.url).ok()?;
        if let Origin::Github { reference, .. } = &mut place.origin {
            // A list that names no branch means this one.
            reference.get_or_insert_with(|| one.branch.unwrap_or_else(|| "main".to_owned()));
        }
        let below = one.subdirectory.unwrap_or_default();
        Some(KnownSource {
            id: one.id,
            place: place.below(below.trim_matches('/')),
            priority: one
                .priority
                .and_then(|priority| u16::try_from(priority.clamp(0, 1000)).ok()),
            enabled: one.enabled.unwrap_or(true),
        })
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_are_read_as_their_program_writes_them() {
        let text = "# comment\n\ndisable_system_repo: true\nrepositories:\n- url: https://github.com/own/rep\n  \
                    subdirectory: agents\n  enabled: true\n  priority: 50\n- url: https://github.com/b/c\n  \
                    subdirectory: null\n  enabled: false\n  priority: 100\n";
        let [first, second] = &agents(text).unwrap()[..] else {
            panic!("two are listed");
        };
        assert_eq!(
            (first.place.path.as_str(), first.priority),
            ("agents", Some(50))
        );
        assert!(first.enabled && !second.enabled);
        assert_eq!(second.place.path, "");
        let text = "sources:\n- id: tst\n  type: git\n  url: https://github.com/own/skl\n  branch: dev\n  priority: 7\n";
        let [skill] = &skills(text).unwrap()[..] else {
            panic!("one is listed");
        };
        assert_eq!(skill.id.as_deref(), Some("tst"));
        let expected = Place::parse("https://github.com/own/skl/tree/dev").unwrap();
        assert_eq!(skill.place, expected);
    }

    #[test]
    fn what_is_no_list_is_told() {
        assert!(agents("repositories: [").is_err());
        assert!(skills("sources: 3").is_err());
        assert_eq!(agents("other: 1").unwrap(), Vec::new());
        let secret = "repositories:\n- url: https://me:s3cret@github.com/a/b\n";
        assert_eq!(agents(secret).unwrap(), Vec::new());
    }
}
