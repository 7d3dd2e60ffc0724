//! Servers that lie, limit, and lead astray.

use std::io::Write;
use std::time::{Duration, Instant};

use homing_core::{ContentHash, ItemKey, ProblemKind, Side, SideError, UnknownReason};
use homing_side_http::What;
use testkit::RawServer;

use crate::world::{World, contents, expected, options};

/// Starts a server that answers a path with the status line's end, headers and body that `answer` gives.
fn serving(answer: impl Fn(&str) -> (String, String) + Send + Sync + 'static) -> RawServer {
    RawServer::start(move |lines, stream| {
        let path = lines[0].split(' ').nth(1).unwrap().trim_start_matches('/');
        let (head, body) = answer(path);
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .ok();
    })
    .unwrap()
}

fn ok(body: &str) -> (String, String) {
    ("200 OK".to_owned(), body.to_owned())
}

fn files(names: &[&str]) -> What {
    What::Files(names.iter().map(|&name| name.to_owned()).collect())
}

fn reason(listed: &homing_core::Listed, path: &str) -> String {
    match &listed.manifest.unknown[path] {
        UnknownReason::NotFetched(why) => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_html_page_is_no_file_unless_one_is_asked_for() {
    let server = serving(|path| match path {
        "good.md" => ok("good"),
        "named.md" | "run.sh" | "data.json" | "plain" => ok("\n<!DOCTYPE HTML><html>"),
        "view.html.j2" => ok("<html>{{ view }}"),
        "about.md" => ok("# <!doctype html>"),
        _ => (
            "200 OK\r\ncontent-type: text/html; charset=utf-8".to_owned(),
            "<html>".to_owned(),
        ),
    });
    let what = files(&[
        "good.md",
        "login.md",
        "named.md",
        "run.sh",
        "data.json",
        "plain",
        "about.md",
        "page.HTML",
        "view.html.j2",
    ]);
    let mut world = World::new(options(&server.url(""), what));
    let listed = world.sync().await;
    let taken = [
        ("about.md", "# <!doctype html>"),
        ("good.md", "good"),
        ("page.HTML", "<html>"),
        ("view.html.j2", "<html>{{ view }}"),
    ];
    assert_eq!(contents(&world, &listed), expected(&taken));
    for name in ["login.md", "named.md"] {
        assert!(reason(&listed, name).contains("HTML page"), "{name}");
    }
    let index = World::new(options(
        &server.url(""),
        What::Index("index.json".to_owned()),
    ));
    let error = index.ask().await.unwrap_err();
    assert!(
        matches!(&error, SideError::Permanent { message, .. } if message.contains("HTML page")),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_the_index_says_is_not_taken() {
    let digest = ContentHash::of(b"promised");
    let index = serde_json::json!([
        {"path": "digest.md", "sha256": digest.to_string()},
        {"path": "size.md", "size": 3},
        {"path": "no-digest.md", "sha256": "none"},
        {"path": "file.md", "url": "file:///etc/passwd"},
        {"path": "user.md", "url": "http://ann:s3cret@127.0.0.1:1/a"},
        {"path": "good.md", "sha256": ContentHash::of(b"swapped").to_string()},
        {"path": "large.md", "size": 999_999_999},
    ])
    .to_string();
    let server = serving(move |path| match path {
        "index.json" => ok(&index),
        _ => ok("swapped"),
    });
    let mut world = World::new(options(
        &server.url(""),
        What::Index("index.json".to_owned()),
    ));
    let listed = world.sync().await;
    assert_eq!(
        contents(&world, &listed),
        expected(&[("good.md", "swapped")])
    );
    assert!(reason(&listed, "digest.md").contains("SHA-256"));
    assert!(reason(&listed, "size.md").contains("7 bytes"));
    assert!(reason(&listed, "no-digest.md").contains("digest"));
    assert!(reason(&listed, "file.md").contains("only http and https"));
    assert!(reason(&listed, "user.md").contains("password"));
    assert!(matches!(
        listed.manifest.unknown["large.md"],
        UnknownReason::OverLimit(_)
    ));
    assert_eq!(listed.revision, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_in_an_index_are_told_and_never_asked_for() {
    let hostile = [
        "../evil.md",
        "a/../../evil.md",
        "/etc/passwd",
        "a\\b",
        "C:evil",
        "a\u{0}b",
        "a\nb",
        ".git/config",
        "x/.GIT/hooks/y",
        "",
        ".",
        "..",
    ];
    let mut names = hostile.to_vec();
    names.extend(["Twin.md", "twin.md", "twin.md"]);
    let index = serde_json::json!(names).to_string();
    let server = serving(move |path| match path {
        "index.json" => ok(&index),
        _ => ok("x"),
    });
    let mut world = World::new(options(
        &server.url(""),
        What::Index("index.json".to_owned()),
    ));
    let listed = world.sync().await;
    assert_eq!(listed.manifest.items.len(), 2);
    assert_eq!(server.requests().len(), 3);
    let of = |kind| {
        listed
            .manifest
            .problems
            .iter()
            .filter(|p| p.kind == kind)
            .count()
    };
    assert_eq!(of(ProblemKind::Name), hostile.len());
    assert_eq!(of(ProblemKind::Collision), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_keeps_what_is_at_hand_and_says_when_to_come_again() {
    let server = serving(|path| {
        if path < "05" {
            ok("x")
        } else {
            (
                "429 Too Many Requests\r\nretry-after: 90".to_owned(),
                String::new(),
            )
        }
    });
    let names: Vec<String> = (0..60).map(|number| format!("{number:02}")).collect();
    let mut world = World::new(options(&server.url(""), What::Files(names)));
    let listed = world.sync().await;
    assert_eq!(listed.manifest.items.len(), 5);
    assert_eq!(listed.manifest.unknown.len(), 55);
    assert!(matches!(
        listed.shortfall,
        Some(SideError::RateLimited { wait, .. }) if wait == Duration::from_secs(90)
    ));
    assert!(server.requests().len() < 25, "it went on asking");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_is_not_asked_for_everything() {
    let names: Vec<String> = (0..300).map(|number| format!("{number:03}")).collect();
    let silent = RawServer::start(|_, _| std::thread::park_timeout(Duration::from_secs(30)));
    let silent = silent.unwrap();
    let began = Instant::now();
    let world = World::new(options(&silent.url(""), What::Files(names.clone())));
    let error = world.ask().await.unwrap_err();
    assert!(matches!(error, SideError::Transient { .. }), "{error:?}");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let broken = serving(|_| ("500 Internal Server Error".to_owned(), String::new()));
    let world = World::new(options(&broken.url(""), What::Files(names)));
    assert!(matches!(
        world.ask().await,
        Err(SideError::Transient { .. })
    ));
    assert!(broken.requests().len() < 40, "{}", broken.requests().len());
    assert!(world.contents.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_broken_for_good_keep_no_others_away() {
    const FILES: usize = 100;
    const BROKEN: usize = 6;

    let names: Vec<String> = (0..FILES).map(|number| format!("{number:03}")).collect();
    // The first and the last ones, and every fourth.
    let is_broken = |name: &str| {
        let number: usize = name.parse().unwrap();
        number < BROKEN || number.is_multiple_of(4) || number >= FILES - BROKEN
    };
    let server = serving(move |path| {
        if is_broken(path) {
            ("500 Internal Server Error".to_owned(), String::new())
        } else {
            ok(path)
        }
    });
    let mut world = World::new(options(&server.url(""), What::Files(names.clone())));
    let listed = world.sync().await;
    let broken = names.iter().filter(|name| is_broken(name)).count();
    assert_eq!(listed.manifest.unknown.len(), broken, "{listed:#?}");
    assert_eq!(listed.manifest.items.len(), FILES - broken);
    assert!(matches!(
        listed.shortfall,
        Some(SideError::Transient { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_digest_is_named_is_what_was_asked_for() {
    let page = "<!doctype html><html>";
    let digest = ContentHash::of(page.as_bytes());
    let index = format!(
        r#"[{{"path": "page.md", "sha256": "{digest}"}}, {{"path": "other.md", "sha256": "{}"}}]"#,
        ContentHash::of(b"other")
    );
    let server = serving(move |path| match path {
        "index.json" => ok(&index),
        _ => (
            "200 OK\r\ncontent-type: text/html".to_owned(),
            page.to_owned(),
        ),
    });
    let what = What::Index("index.json".to_owned());
    let mut world = World::new(options(&server.url(""), what));
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&[("page.md", page)]));
    assert!(reason(&listed, "other.md").contains("HTML page"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_index_is_an_empty_listing_and_a_missing_one_an_error() {
    let server = serving(|path| match path {
        "index.json" => ok("[]"),
        _ => ("404 Not Found".to_owned(), String::new()),
    });
    let mut world = World::new(options(
        &server.url(""),
        What::Index("index.json".to_owned()),
    ));
    let listed = world.sync().await;
    assert!(listed.manifest.items.is_empty() && listed.manifest.unknown.is_empty());
    let world = World::new(options(
        &server.url(""),
        What::Index("other.json".to_owned()),
    ));
    assert!(matches!(world.ask().await, Err(SideError::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_files_or_bytes_end_the_listing() {
    let server = serving(|_| ok("0123456789"));
    let names: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    let mut few = options(&server.url(""), What::Files(names.clone()));
    few.limits.max_files = 29;
    let mut small = options(&server.url(""), What::Files(names));
    small.limits.max_total_size = 299;
    for (options, key) in [(few, "max_files"), (small, "max_total_size")] {
        let error = World::new(options).ask().await.unwrap_err();
        assert!(
            matches!(&error, SideError::Untrusted { message } if message.contains(key)),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_server_that_is_gone_takes_only_its_own_files_away() {
    let mut entries =
        vec![serde_json::json!({"path": "far.md", "url": "http://127.0.0.1:1/far.md"})];
    entries.extend((0..600).map(|number| serde_json::json!(format!("{number:03}.md"))));
    let index = serde_json::Value::from(entries).to_string();
    let server = serving(move |path| match path {
        "index.json" => ok(&index),
        _ => ok("x"),
    });
    let mut world = World::new(options(
        &server.url(""),
        What::Index("index.json".to_owned()),
    ));
    let listed = world.sync().await;
    assert_eq!(listed.manifest.items.len(), 600);
    assert!(reason(&listed, "far.md").contains("127.0.0.1:1"));
    assert!(matches!(
        listed.shortfall,
        Some(SideError::Unreachable { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_leads_to_so_many_servers_and_no_more() {
    let entry = |number: u32| {
        let port = 1 + number;
        serde_json::json!({"path": format!("{number:02}.md"), "url": format!("http://127.0.0.1:{port}/a")})
    };
    let mut entries: Vec<_> = (0..40).map(entry).collect();
    entries.push(serde_json::json!("own.md"));
    let index = serde_json::Value::from(entries).to_string();
    let server = serving(move |path| match path {
        "index.json" => ok(&index),
        _ => ok("own"),
    });
    let mut world = World::new(options(
        &server.url(""),
        What::Index("index.json".to_owned()),
    ));
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&[("own.md", "own")]));
    assert!(!reason(&listed, "00.md").contains("more than 32 servers"));
    assert!(reason(&listed, "39.md").contains("more than 32 servers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_more_than_is_taken_is_given_up_and_what_is_not_wanted_does_not_count() {
    let server = serving(|path| match path {
        "same.json" => ok(&serde_json::json!(vec!["a"; 30]).to_string()),
        "many.json" => {
            let mut names: Vec<String> = (0..30).map(|number| format!("{number}.txt")).collect();
            names.push("a.md".to_owned());
            ok(&serde_json::json!(names).to_string())
        }
        _ => ok("x"),
    });
    let narrow = |list: &str| {
        let mut options = options(&server.url(""), What::Index(list.to_owned()));
        options.limits.max_files = 10;
        options.include = vec!["a".to_owned(), "*.md".to_owned()];
        World::new(options)
    };
    let error = narrow("same.json").ask().await.unwrap_err();
    assert!(
        matches!(&error, SideError::Untrusted { message } if message.contains("max_files")),
        "{error:?}"
    );
    let listed = narrow("many.json").sync().await;
    assert_eq!(listed.manifest.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_person_lists_no_more_is_not_covered_any_more() {
    let mut options = options(
        "http://127.0.0.1:1/",
        files(&["sub/a.md", "sub/b.txt", "c.md"]),
    );
    options.path = Some("sub".to_owned());
    options.include = vec!["*.md".to_owned()];
    let world = World::new(options);
    let covers = |key: &str| world.side.covers(&ItemKey::new(key).unwrap());
    assert!(covers("a.md"));
    for key in ["b.txt", "c.md", "sub/a.md", "other.md"] {
        assert!(!covers(key), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_listed_files_finds_one_that_is_there_and_no_login_page() {
    let server = serving(|path| match path {
        "b.md" => ok("b"),
        "named.md" => ok("<!doctype html><html>"),
        "login.md" => (
            "200 OK\r\ncontent-type: text/html".to_owned(),
            "<html>".to_owned(),
        ),
        _ => ("404 Not Found".to_owned(), String::new()),
    });
    let look = async |names: &[&str]| {
        let world = World::new(options(&server.url(""), files(names)));
        world.side.examine().await
    };
    let examined = look(&["a.md", "b.md"]).await.unwrap();
    assert_eq!(examined.files, 2);
    assert!(
        matches!(&examined.problems[..], [one] if one.path == "a.md"),
        "{examined:?}"
    );
    let examined = look(&["login.md", "b.md"]).await.unwrap();
    assert_eq!(examined.problems.len(), 1, "{examined:?}");
    for page in ["login.md", "named.md"] {
        let error = look(&[page]).await.unwrap_err();
        assert!(
            matches!(&error, SideError::Permanent { message, .. } if message.contains("HTML page")),
            "{error:?}"
        );
    }
    let error = look(&["a.md", "c.md"]).await.unwrap_err();
    assert!(matches!(error, SideError::NotFound { .. }), "{error:?}");
}
