//! Agent Skills discovery.

use homing_core::{ContentHash, SideError, UnknownReason};
use homing_side_http::What;
use testkit::Nginx;

use crate::archives::packed;
use crate::world::{World, contents, expected, nginx, options};

const SCHEMA: &str = "https://schemas.agentskills.io/discovery/0.2.0/schema.json";
const INDEX: &str = ".well-known/agent-skills/index.json";

fn put_index(nginx: &Nginx, skills: &[(&str, &str, &str, &[u8])]) {
    let entry = |(name, kind, url, bytes): &(&str, &str, &str, &[u8])| {
        let digest = format!("sha256:{}", ContentHash::of(bytes));
        serde_json::json!({"name": name, "type": kind, "description": "d", "url": url, "digest": digest})
    };
    let skills: Vec<_> = skills.iter().map(entry).collect();
    let index = serde_json::json!({"$schema": SCHEMA, "skills": skills});
    nginx.put(INDEX, index.to_string().as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn skills_are_directories_whether_they_come_as_a_file_or_as_an_archive() {
    let Some(nginx) = nginx() else { return };
    let archive = packed(&[
        ("SKILL.md", "two"),
        ("scripts/run", "#!sh"),
        ("../evil", "evil"),
    ]);
    nginx
        .put(".well-known/agent-skills/one/SKILL.md", b"one")
        .unwrap();
    nginx.put("two.tar.gz", &archive).unwrap();
    put_index(
        &nginx,
        &[
            ("one", "skill-md", "one/SKILL.md", b"one"),
            ("two", "archive", "/two.tar.gz", &archive),
        ],
    );
    let mut world = World::new(options(&nginx.url(""), What::AgentSkills));
    let listed = world.sync().await;
    let both = [
        ("one/SKILL.md", "one"),
        ("two/SKILL.md", "two"),
        ("two/scripts/run", "#!sh"),
    ];
    assert_eq!(contents(&world, &listed), expected(&both));
    assert!(
        listed
            .manifest
            .problems
            .iter()
            .any(|problem| problem.path.contains("evil"))
    );
    nginx.requests().unwrap();
    assert!(world.is_unchanged().await);
    assert_eq!(nginx.requests().unwrap().len(), 1);
    // One skill changes: the other's archive is not asked for.
    nginx
        .put(".well-known/agent-skills/one/SKILL.md", b"ONE")
        .unwrap();
    put_index(
        &nginx,
        &[
            ("one", "skill-md", "one/SKILL.md", b"ONE"),
            ("two", "archive", "/two.tar.gz", &archive),
        ],
    );
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed)["one/SKILL.md"], "ONE");
    assert_eq!(listed.manifest.items.len(), 3);
    let requests = nginx.requests().unwrap();
    let paths: Vec<&str> = requests
        .iter()
        .map(|request| request.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "/.well-known/agent-skills/index.json",
            "/.well-known/agent-skills/one/SKILL.md"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_digest_fails_the_skill_alone() {
    let Some(nginx) = nginx() else { return };
    let archive = packed(&[("SKILL.md", "two")]);
    nginx.put("one.md", b"one").unwrap();
    nginx.put("bad.md", b"swapped").unwrap();
    nginx.put("two.tar.gz", &archive).unwrap();
    nginx
        .put("torn.tar.gz", &archive[..archive.len() - 12])
        .unwrap();
    put_index(
        &nginx,
        &[
            ("one", "skill-md", "/one.md", b"one"),
            ("bad", "skill-md", "/bad.md", b"what was promised"),
            ("two", "archive", "/two.tar.gz", b"what was promised"),
            (
                "torn",
                "archive",
                "/torn.tar.gz",
                &archive[..archive.len() - 12],
            ),
            ("../evil", "archive", "/two.tar.gz", &archive),
            ("..", "skill-md", "/one.md", b"one"),
        ],
    );
    let mut world = World::new(options(&nginx.url(""), What::AgentSkills));
    let listed = world.sync().await;
    assert_eq!(
        contents(&world, &listed),
        expected(&[("one/SKILL.md", "one")])
    );
    let unknown = &listed.manifest.unknown;
    let why = |path: &str| match &unknown[path] {
        UnknownReason::NotFetched(why) => why.clone(),
        other => panic!("{other:?}"),
    };
    assert!(why("bad/SKILL.md").contains("SHA-256"));
    assert!(why("two").contains("SHA-256"));
    assert!(why("torn").contains("cannot be read"));
    assert_eq!(unknown.len(), 3, "{unknown:?}");
    assert_eq!(
        listed.manifest.problems.len(),
        2,
        "{:?}",
        listed.manifest.problems
    );
    assert_eq!(listed.revision, None, "what failed is asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_0_1_is_found_at_its_own_place() {
    let Some(nginx) = nginx() else { return };
    let index =
        br#"{"skills": [{"name": "one", "description": "d", "files": ["SKILL.md", "a/b.py"]}]}"#;
    nginx.put(".well-known/skills/index.json", index).unwrap();
    nginx
        .put(".well-known/skills/one/SKILL.md", b"one")
        .unwrap();
    nginx.put(".well-known/skills/one/a/b.py", b"two").unwrap();
    let mut world = World::new(options(&nginx.url(""), What::AgentSkills));
    let listed = world.sync().await;
    let files = [("one/SKILL.md", "one"), ("one/a/b.py", "two")];
    assert_eq!(contents(&world, &listed), expected(&files));
    let again = world.sync().await;
    assert_eq!(again.manifest, listed.manifest);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_skills_are_offered_nothing_is_known() {
    let Some(nginx) = nginx() else { return };
    let world = World::new(options(&nginx.url(""), What::AgentSkills));
    let error = world.ask().await.unwrap_err();
    assert!(
        matches!(&error, SideError::NotFound { message, .. } if message.contains("no agent skills")),
        "{error:?}"
    );
    nginx
        .put(
            INDEX,
            br#"{"$schema": "https://example.org/9.9", "skills": []}"#,
        )
        .unwrap();
    let error = world.ask().await.unwrap_err();
    assert!(
        matches!(&error, SideError::Untrusted { message } if message.contains("not processed")),
        "{error:?}"
    );
}
