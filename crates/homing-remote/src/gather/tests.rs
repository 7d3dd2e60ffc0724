use homing_core::{ContentHash, Limits, Selection};

use super::*;

struct World {
    selection: Selection,
    scope: Scope,
    limits: Limits,
    path: Option<&'static str>,
}

impl World {
    fn new() -> Self {
        Self {
            selection: Selection::new(&[], &[]).unwrap(),
            scope: Scope::Whole,
            limits: Limits::default(),
            path: None,
        }
    }

    fn gathering(&self) -> Gathering<'_> {
        Gathering::new(Wanted {
            place: "`https://example.org/`",
            path: self.path,
            selection: &self.selection,
            limits: self.limits,
            scope: &self.scope,
        })
    }

    fn gather(&self, names: &[&[u8]]) -> Manifest {
        let mut gathering = self.gathering();
        for name in names {
            if let Some(key) = gathering.file(name).unwrap() {
                gathering.present(key, item());
            }
        }
        gathering.finish()
    }
}

fn item() -> Item {
    Item {
        hash: ContentHash::of(b"x"),
        size: 1,
        executable: false,
        identity: None,
    }
}

fn names(manifest: &Manifest) -> Vec<&str> {
    manifest.items.keys().map(ItemKey::as_str).collect()
}

fn scope(keys: &[&str]) -> Scope {
    Scope::Keys(keys.iter().map(|key| ItemKey::new(key).unwrap()).collect())
}

#[test]
fn hostile_names_are_reported_and_never_items() {
    let hostile: &[&[u8]] = &[
        b"../evil.md",
        b"a/../../evil.md",
        b"./a.md",
        b"/etc/passwd",
        b"",
        b"a//b",
        b"a/",
        b"a\\..\\b",
        b"C:evil.md",
        b"c:/evil.md",
        b"a/d:x",
        b"a\0b",
        b"a\nb",
        b"\x1b[31mred",
        b"\xff.md",
        b".git/config",
        b"a/.GIT/hooks/pre-commit",
        b".git",
        b".Git./config",
        b".git /config",
        b"GIT~1/config",
        b".git::$INDEX_ALLOCATION/config",
        b".homing-1-2",
        ".g\u{200c}it/config".as_bytes(),
    ];
    let manifest = World::new().gather(hostile);
    assert!(manifest.items.is_empty(), "{:?}", manifest.items);
    let told = |problem: &&Problem| problem.kind == ProblemKind::Name;
    assert_eq!(
        manifest.problems.iter().filter(told).count(),
        hostile.len(),
        "{:?}",
        manifest.problems
    );
    let is_plain = |problem: &Problem| !problem.path.chars().any(char::is_control);
    assert!(manifest.problems.iter().all(is_plain));
}

#[test]
fn unusual_names_that_do_no_harm_are_items() {
    let harmless: &[&[u8]] = &[
        b".github/a.md",
        b"a.git",
        b"git/config",
        b"ab:c",
        b"a b/c d.md",
        "\u{e9}.md".as_bytes(),
    ];
    let manifest = World::new().gather(harmless);
    assert_eq!(manifest.items.len(), harmless.len(), "{manifest:?}");
}

#[test]
fn only_what_is_below_the_path_and_selected_is_taken() {
    let mut world = World::new();
    world.path = Some("plugins");
    world.selection = Selection::new(&["*.md".to_owned()], &["secret/".to_owned()]).unwrap();
    let manifest = world.gather(&[
        b"plugins/a.md",
        b"plugins/deep/b.md",
        b"plugins/c.txt",
        b"plugins/secret/d.md",
        b"plugins-b/e.md",
        b"f.md",
        b"plugins",
        b"../plugins/g.md",
    ]);
    assert_eq!(names(&manifest), ["a.md", "deep/b.md"]);
    assert!(manifest.problems.is_empty(), "{:?}", manifest.problems);
    let nothing = world.gather(&[b"f.md"]);
    assert_eq!(nothing.problems[0].kind, ProblemKind::Empty);
    assert!(nothing.problems[0].message.contains("example.org"));
}

#[test]
fn a_few_keys_are_asked_for() {
    let mut world = World::new();
    let all: &[&[u8]] = &[b"a", b"b/c", b"b/d", b"e/f/g", b"e-x"];
    world.scope = scope(&["a", "b/d", "gone"]);
    let manifest = world.gather(all);
    assert_eq!(names(&manifest), ["a", "b/d"]);
    assert!(manifest.unknown.is_empty());
    world.scope = scope(&["a/below", "e"]);
    let manifest = world.gather(all);
    assert_eq!(names(&manifest), ["a"], "a file on the way blocks");
    let directory = UnknownReason::NotAFile("a directory");
    assert_eq!(manifest.unknown["e"], directory);
    world.scope = scope(&["e", "e/f/g"]);
    assert!(world.gather(all).unknown.is_empty());
    world.scope = scope(&["nothing"]);
    assert!(world.gather(all).problems.is_empty());
}

#[test]
fn names_that_are_one_elsewhere_are_reported_and_what_is_there_twice_is_taken_once() {
    let manifest = World::new().gather(&[
        b"Agents/a.md",
        b"agents/a.md",
        b"b.md",
        b"b.md",
        b"c",
        b"c/d",
    ]);
    assert_eq!(
        names(&manifest),
        ["Agents/a.md", "agents/a.md", "b.md", "c"]
    );
    let collisions = manifest.problems.iter();
    let paths: Vec<&str> = collisions
        .filter(|problem| problem.kind == ProblemKind::Collision)
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(paths, ["agents", "b.md", "c/d"]);
}

#[test]
fn limits_leave_out_one_file_and_end_the_listing_for_all() {
    let mut world = World::new();
    world.limits = Limits {
        max_file_size: 10,
        max_total_size: 15,
        max_files: 2,
    };
    let mut gathering = world.gathering();
    let key = gathering.file(b"a").unwrap().unwrap();
    assert!(gathering.fits(&key, 10));
    assert!(!gathering.fits(&key, 11));
    assert_eq!(gathering.manifest.problems[0].kind, ProblemKind::Limit);
    gathering.count(15).unwrap();
    let error = gathering.count(1).unwrap_err();
    assert!(
        matches!(&error, SideError::Untrusted { message } if message.contains("max_total_size"))
    );
    gathering.file(b"b").unwrap();
    let error = gathering.file(b"c").unwrap_err();
    assert!(matches!(&error, SideError::Untrusted { message } if message.contains("max_files")));
}

#[test]
fn links_are_reported_where_they_are_wanted_and_never_followed() {
    let mut world = World::new();
    world.selection = Selection::new(&["*.md".to_owned()], &["out".to_owned()]).unwrap();
    let mut gathering = world.gathering();
    for name in [&b"link.md"[..], b"dir", b"out", b"../evil.md"] {
        gathering.not_a_file(name, ProblemKind::Link, "a symbolic link");
    }
    let manifest = gathering.finish();
    let unknown: Vec<&String> = manifest.unknown.keys().collect();
    assert_eq!(unknown, ["dir", "link.md"]);
    let told: Vec<&str> = manifest.problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(told, ["link.md"]);
}

#[test]
fn problems_are_not_told_without_end() {
    let bad: Vec<Vec<u8>> = (0..MOST_PROBLEMS + 50)
        .map(|n| format!("../{n}").into())
        .collect();
    let bad: Vec<&[u8]> = bad.iter().map(Vec::as_slice).collect();
    let manifest = World::new().gather(&bad);
    assert_eq!(manifest.problems.len(), MOST_PROBLEMS + 1);
    let last = manifest.problems.last().unwrap();
    assert!(last.message.starts_with("51 further"), "{}", last.message);
}
