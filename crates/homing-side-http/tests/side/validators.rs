//! What a list is asked about, and that the newest validators are what it is asked with.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use homing_core::{ContentHash, Listing};
use homing_side_http::What;
use testkit::RawServer;

use crate::world::{World, contents, expected, options};

/// Serves an index and the file `a.md`, each under an `ETag` with the number that it is told.
struct Server {
    raw: RawServer,
    index_tag: Arc<AtomicUsize>,
    file_tag: Arc<AtomicUsize>,
}

impl Server {
    fn start(index: &str) -> Self {
        let (index_tag, file_tag) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let tags = (Arc::clone(&index_tag), Arc::clone(&file_tag));
        let index = index.to_owned();
        let raw = RawServer::start(move |lines, stream| {
            let is_index = lines[0].contains("index.json");
            let (tag, body) = if is_index {
                (&tags.0, index.clone())
            } else {
                (
                    &tags.1,
                    format!("version {}", tags.1.load(Ordering::Relaxed) / 10),
                )
            };
            let tag = format!("\"{}\"", tag.load(Ordering::Relaxed));
            let asked = format!("if-none-match: {tag}");
            let is_known = lines.iter().any(|line| line.eq_ignore_ascii_case(&asked));
            let (status, body) = if is_known {
                ("304 Not Modified", String::new())
            } else {
                ("200 OK", body)
            };
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\netag: {tag}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").ok();
        });
        Self {
            raw: raw.unwrap(),
            index_tag,
            file_tag,
        }
    }

    fn world(&self) -> World {
        let what = What::Index("index.json".to_owned());
        World::new(options(&self.raw.url(""), what))
    }

    /// Returns which paths were asked for since `before`, and whether on condition.
    fn asked(&self, before: usize) -> Vec<(String, bool)> {
        let requests = self.raw.requests();
        let of = |lines: &Vec<String>| {
            let path = lines[0].split(' ').nth(1).unwrap().to_owned();
            let is_conditional = |line: &String| line.to_lowercase().starts_with("if-none-match");
            (path, lines.iter().any(is_conditional))
        };
        requests[before..].iter().map(of).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_index_under_another_etag_is_unchanged_and_asked_about_with_that() {
    let digest = ContentHash::of(b"version 0");
    let server = Server::start(&format!(r#"[{{"path": "a.md", "sha256": "{digest}"}}]"#));
    let mut world = server.world();
    let listed = world.sync().await;
    server.index_tag.store(1, Ordering::Relaxed);
    let Listing::Unchanged(unchanged) = world.ask().await.unwrap() else {
        panic!("it is the same");
    };
    let revision = unchanged.revision.unwrap();
    assert_eq!(revision.name, listed.revision.unwrap().name);
    assert!(
        revision.validator.as_ref().unwrap().contains("\"1\""),
        "{revision:?}"
    );
    let world = world.since(revision);
    let Listing::Unchanged(unchanged) = world.ask().await.unwrap() else {
        panic!("it is the same");
    };
    assert_eq!(unchanged.revision, None, "the server did not say 304");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_paths_is_asked_on_condition_while_all_that_it_names_is_there() {
    let server = Server::start(r#"["a.md"]"#);
    let mut world = server.world();
    world.sync().await;
    let conditional = [("/index.json".to_owned(), true), ("/a.md".to_owned(), true)];
    for _ in 0..2 {
        let before = server.raw.requests().len();
        let listed = world.sync().await;
        assert_eq!(
            contents(&world, &listed),
            expected(&[("a.md", "version 0")])
        );
        assert_eq!(server.asked(before), conditional);
    }
    // What it names may change while it does not.
    server.file_tag.store(10, Ordering::Relaxed);
    let listed = world.sync().await;
    assert_eq!(
        contents(&world, &listed),
        expected(&[("a.md", "version 1")])
    );
    let before = server.raw.requests().len();
    world.sync().await;
    assert_eq!(server.asked(before), conditional);

    for index in [
        r#"["a.md", "../x"]"#,
        r#"[{"path": "a.md", "url": "elsewhere/a.md"}]"#,
        r#"[{"path": "a.md", "size": 9}]"#,
    ] {
        let server = Server::start(index);
        let mut world = server.world();
        let listed = world.sync().await;
        assert_eq!(listed.manifest.items.len(), 1);
        let before = server.raw.requests().len();
        world.sync().await;
        let asked = server.asked(before);
        assert_eq!(asked[0], ("/index.json".to_owned(), false), "{index}");
        assert!(asked[1].1, "{asked:?}");
    }
}
