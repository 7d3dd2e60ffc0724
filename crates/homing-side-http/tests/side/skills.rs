//! Agent Skills discovery.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use homing_core::{ContentHash, ItemKey, ProblemKind, SideError, UnknownReason};
use homing_side_http::What;
use testkit::{Nginx, RawServer};

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
    let archive = packed(&[("SKILL.md", "two"), ("scripts/run", "#!sh")]);
    let odd = packed(&[("SKILL.md", "odd"), (".git/evil", "evil")]);
    nginx
        .put(".well-known/agent-skills/one/SKILL.md", b"one")
        .unwrap();
    nginx.put("two.tar.gz", &archive).unwrap();
    nginx.put("odd.tar.gz", &odd).unwrap();
    put_index(
        &nginx,
        &[
            ("one", "skill-md", "one/SKILL.md", b"one"),
            ("two", "archive", "/two.tar.gz", &archive),
            ("odd", "archive", "/odd.tar.gz", &odd),
        ],
    );
    let mut world = World::new(options(&nginx.url(""), What::AgentSkills));
    let listed = world.sync().await;
    let all = [
        ("odd/SKILL.md", "odd"),
        ("one/SKILL.md", "one"),
        ("two/SKILL.md", "two"),
        ("two/scripts/run", "#!sh"),
    ];
    assert_eq!(contents(&world, &listed), expected(&all));
    let tells_of_evil = |listed: &homing_core::Listed| {
        let mut problems = listed.manifest.problems.iter();
        problems.any(|problem| problem.path.contains("evil"))
    };
    assert!(tells_of_evil(&listed));
    nginx.requests().unwrap();
    assert!(world.is_unchanged().await);
    assert_eq!(nginx.requests().unwrap().len(), 1);
    // One skill changes: another one's archive is not asked for, unless there is something wrong with it.
    nginx
        .put(".well-known/agent-skills/one/SKILL.md", b"ONE")
        .unwrap();
    put_index(
        &nginx,
        &[
            ("one", "skill-md", "one/SKILL.md", b"ONE"),
            ("two", "archive", "/two.tar.gz", &archive),
            ("odd", "archive", "/odd.tar.gz", &odd),
        ],
    );
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed)["one/SKILL.md"], "ONE");
    assert_eq!(listed.manifest.items.len(), 4);
    assert!(tells_of_evil(&listed));
    let requests = nginx.requests().unwrap();
    let paths: Vec<&str> = requests
        .iter()
        .map(|request| request.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "/.well-known/agent-skills/index.json",
            "/.well-known/agent-skills/one/SKILL.md",
            "/odd.tar.gz"
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

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_with_a_hostile_archive_stays_as_it_was() {
    let Some(nginx) = nginx() else { return };
    let (mut world, _) = with_two(&nginx, &[], None).await;
    let hostile = packed(&[("SKILL.md", "evil"), ("../../evil.py", "evil")]);
    nginx.put("two.tar.gz", &hostile).unwrap();
    let good = packed(&[("SKILL.md", "three")]);
    nginx.put("three.tar.gz", &good).unwrap();
    put_index(
        &nginx,
        &[
            ("two", "archive", "/two.tar.gz", &hostile),
            ("three", "archive", "/three.tar.gz", &good),
        ],
    );
    let listed = world.sync().await;
    assert_eq!(
        contents(&world, &listed),
        expected(&[("three/SKILL.md", "three")])
    );
    for path in ["two/SKILL.md", "two/run.py"] {
        let key = ItemKey::new(path).unwrap();
        let why = listed.manifest.unknown_reason(&key).unwrap().to_string();
        assert!(why.contains("`../../evil.py`"), "{why}");
    }
}

/// Zips files; of a name with `->` comes a link to what follows.
fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in files {
        if let Some((name, target)) = name.split_once("->") {
            zip.add_symlink(name, target, options).unwrap();
            continue;
        }
        zip.start_file(*name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_is_a_skill_or_a_source_like_any_archive() {
    let Some(nginx) = nginx() else { return };
    let archive = zipped(&[("SKILL.md", "two"), ("run.py", "pass")]);
    nginx.put("two.zip", &archive).unwrap();
    put_index(&nginx, &[("two", "archive", "/two.zip", &archive)]);
    let mut world = World::new(options(&nginx.url(""), What::AgentSkills));
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&TWO));
    assert!(world.is_unchanged().await);

    let mut whole = World::new(options(&nginx.url("two.zip"), What::Archive));
    let listed = whole.sync().await;
    assert_eq!(
        contents(&whole, &listed),
        expected(&[("SKILL.md", "two"), ("run.py", "pass")])
    );
    nginx.requests().unwrap();
    assert!(whole.is_unchanged().await);
    assert_eq!(nginx.requests().unwrap()[0].status, 304);

    for hostile in ["../evil", "link->../../secret"] {
        let archive = zipped(&[("SKILL.md", "evil"), (hostile, "evil")]);
        nginx.put("two.zip", &archive).unwrap();
        put_index(&nginx, &[("two", "archive", "/two.zip", &archive)]);
        for world in [&world, &whole] {
            let error = world.ask().await.unwrap_err();
            assert!(matches!(error, SideError::Untrusted { .. }), "{error:?}");
            let name = hostile.split("->").next().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

/// Returns a world that has taken the skill `two`, and its archive.
async fn with_two(nginx: &Nginx, include: &[&str], path: Option<&str>) -> (World, Vec<u8>) {
    let archive = packed(&[("SKILL.md", "two"), ("run.py", "pass")]);
    nginx.put("two.tar.gz", &archive).unwrap();
    put_index(nginx, &[("two", "archive", "/two.tar.gz", &archive)]);
    let mut options = options(&nginx.url(""), What::AgentSkills);
    options.include = include.iter().map(|&one| one.to_owned()).collect();
    options.path = path.map(str::to_owned);
    let mut world = World::new(options);
    world.sync().await;
    (world, archive)
}

const TWO: [(&str, &str); 2] = [("two/SKILL.md", "two"), ("two/run.py", "pass")];

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_with_another_name_is_another_skill_whatever_its_archive() {
    let Some(nginx) = nginx() else { return };
    let (mut world, archive) = with_two(&nginx, &[], None).await;
    put_index(
        &nginx,
        &[
            ("two", "archive", "/two.tar.gz", &archive),
            ("three", "archive", "/two.tar.gz", &archive),
        ],
    );
    let listed = world.sync().await;
    let three = [("three/SKILL.md", "two"), ("three/run.py", "pass")];
    let both = expected(&[TWO, three].concat());
    assert_eq!(contents(&world, &listed), both);
    assert!(listed.manifest.problems.is_empty(), "{listed:?}");
    put_index(&nginx, &[("three", "archive", "/two.tar.gz", &archive)]);
    nginx.requests().unwrap();
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&three));
    assert_eq!(nginx.requests().unwrap().len(), 1, "its archive is known");
    put_index(&nginx, &[("two", "archive", "/two.tar.gz", &archive)]);
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&TWO));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_wider_selection_wants_of_a_known_archive_comes() {
    let Some(nginx) = nginx() else { return };
    let (world, _) = with_two(&nginx, &["*/SKILL.md"], None).await;
    let mut world = world.reconfigured(options(&nginx.url(""), What::AgentSkills));
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&TWO));
    // The same of a path, whose keys are others.
    let (world, _) = with_two(&nginx, &[], Some("two")).await;
    let mut world = world.reconfigured(options(&nginx.url(""), What::AgentSkills));
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&TWO));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_of_which_something_was_left_out_is_looked_at_again() {
    let Some(nginx) = nginx() else { return };
    let archive = packed(&[("SKILL.md", "two"), ("large.md", "this is too large")]);
    nginx.put("two.tar.gz", &archive).unwrap();
    nginx.put("one.md", b"one").unwrap();
    let two = ("two", "archive", "/two.tar.gz", &archive[..]);
    put_index(&nginx, &[two]);
    let mut narrow = options(&nginx.url(""), What::AgentSkills);
    narrow.limits.max_file_size = 10;
    let mut world = World::new(narrow);
    world.sync().await;
    put_index(&nginx, &[two, ("one", "skill-md", "/one.md", b"one")]);
    let listed = world.sync().await;
    let large = ItemKey::new("two/large.md").unwrap();
    assert!(
        listed.manifest.unknown_reason(&large).is_some(),
        "it looks deleted"
    );
    let mut world = world.reconfigured(options(&nginx.url(""), What::AgentSkills));
    let listed = world.sync().await;
    assert_eq!(listed.manifest.items.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_of_the_old_place_mean_nothing_at_the_new_one() {
    let moved = Arc::new(AtomicBool::new(false));
    let has_moved = Arc::clone(&moved);
    // One that tells versions by time and length has one validator for both, where a copy keeps its time.
    let server = RawServer::start(move |lines, stream| {
        let path = lines[0].split(' ').nth(1).unwrap().trim_start_matches('/');
        let skill = if has_moved.load(Ordering::Relaxed) { "new" } else { "old" };
        let (status, body) = match path {
            INDEX if skill == "old" => ("404 Not Found", String::new()),
            INDEX | ".well-known/skills/index.json" => {
                let digest = format!("sha256:{}", ContentHash::of(skill.as_bytes()));
                let known = lines.iter().any(|line| line.eq_ignore_ascii_case("if-none-match: \"x\""));
                let index = serde_json::json!({"$schema": SCHEMA, "skills": [
                    {"name": "one", "type": "skill-md", "url": format!("/{skill}"), "digest": digest}
                ]});
                if known {
                    ("304 Not Modified", String::new())
                } else {
                    ("200 OK", index.to_string())
                }
            }
            path => ("200 OK", path.to_owned()),
        };
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\netag: \"x\"\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").ok();
    })
    .unwrap();
    let mut world = World::new(options(&server.url(""), What::AgentSkills));
    let listed = world.sync().await;
    assert_eq!(
        contents(&world, &listed),
        expected(&[("one/SKILL.md", "old")])
    );
    assert!(world.is_unchanged().await);
    moved.store(true, Ordering::Relaxed);
    let listed = world.sync().await;
    assert_eq!(
        contents(&world, &listed),
        expected(&[("one/SKILL.md", "new")])
    );
    assert!(world.is_unchanged().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_skill_that_is_no_name_is_told() {
    let Some(nginx) = nginx() else { return };
    let index = br#"{"skills": [{"name": "one", "files": ["SKILL.md", 5, {"path": "a"}]}, {"name": "two", "files": 5}]}"#;
    nginx.put(".well-known/skills/index.json", index).unwrap();
    for name in ["one", "two"] {
        nginx
            .put(&format!(".well-known/skills/{name}/SKILL.md"), b"x")
            .unwrap();
    }
    let mut world = World::new(options(&nginx.url(""), What::AgentSkills));
    let listed = world.sync().await;
    assert_eq!(listed.manifest.items.len(), 2);
    let problems = &listed.manifest.problems;
    let of = |name: &str| {
        problems
            .iter()
            .filter(|problem| problem.kind == ProblemKind::Name && problem.message.contains(name))
            .count()
    };
    assert_eq!((of("`one`"), of("`two`")), (1, 1), "{problems:?}");
}
