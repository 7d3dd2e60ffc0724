//! Lists and indexes on a real nginx, with its requests counted.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Barrier;

use homing_core::{
    BoxFuture, FetchRequest, Gate, Intake, ProblemKind, Progress, Side, SideError, UnknownReason,
};
use homing_remote::ClientOptions;
use homing_side_http::What;
use testkit::{Logged, Nginx, NginxOptions, RawServer};

use crate::world::{World, connecting, contents, expected, index, login, nginx, options};

const FILES: usize = 40;

fn names() -> Vec<String> {
    (0..FILES)
        .map(|number| format!("d{}/f {number}.md", number % 7))
        .collect()
}

fn put_all(nginx: &Nginx) {
    for name in names() {
        nginx.put(&name, name.as_bytes()).unwrap();
    }
}

fn statuses(requests: &[Logged]) -> BTreeSet<u16> {
    requests.iter().map(|request| request.status).collect()
}

fn connections(requests: &[Logged]) -> usize {
    let connections: BTreeSet<u64> = requests.iter().map(|request| request.connection).collect();
    connections.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_files_are_asked_for_on_condition_over_kept_connections() {
    let Some(nginx) = nginx() else { return };
    put_all(&nginx);
    let mut world = World::new(options(&nginx.url(""), What::Files(names())));
    let listed = world.sync().await;
    assert_eq!(listed.manifest.items.len(), FILES);
    assert_eq!(contents(&world, &listed)["d1/f 1.md"], "d1/f 1.md");
    let first = nginx.requests().unwrap();
    assert_eq!((first.len(), statuses(&first)), (FILES, [200].into()));

    let again = world.sync().await;
    assert_eq!(again.manifest, listed.manifest);
    let second = nginx.requests().unwrap();
    assert_eq!((second.len(), statuses(&second)), (FILES, [304].into()));
    let both = [first, second].concat();
    // A connection that comes back too late makes room for another.
    assert!(connections(&both) <= 16, "connections are not kept");
    nginx.put("d1/f 1.md", b"edited").unwrap();
    let edited = world.sync().await;
    assert_eq!(contents(&world, &edited)["d1/f 1.md"], "edited");
    let third = nginx.requests().unwrap();
    assert_eq!(
        third.iter().filter(|request| request.status == 200).count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_asked_for_side_by_side() {
    let together = Barrier::new(4);
    let server = RawServer::start(move |lines, stream| {
        // The first one goes alone: its answer tells how many may follow.
        if !lines[0].contains("/0 ") {
            together.wait();
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close";
        write!(stream, "{head}\r\n\r\nx").ok();
    })
    .unwrap();
    let names = (0..5).map(|number| number.to_string()).collect();
    let mut world = World::new(options(&server.url(""), What::Files(names)));
    assert_eq!(world.sync().await.manifest.items.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_file_that_is_gone_is_absent_and_all_of_them_gone_are_a_missing_place() {
    let Some(nginx) = nginx() else { return };
    nginx.put("a.md", b"a").unwrap();
    nginx.put("b.md", b"b").unwrap();
    let names = ["a.md", "b.md"].map(str::to_owned);
    let mut world = World::new(options(&nginx.url(""), What::Files(names.into())));
    world.sync().await;
    nginx.remove("b.md").unwrap();
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&[("a.md", "a")]));
    assert!(listed.manifest.unknown.is_empty());
    assert_eq!(listed.manifest.problems[0].path, "b.md");
    nginx.remove("a.md").unwrap();
    assert!(matches!(world.ask().await, Err(SideError::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_index_with_digests_is_one_request() {
    let Some(nginx) = nginx() else { return };
    let files = [("a.md", "one"), ("d/b.md", "two"), ("c.md", "three")];
    for (path, text) in files {
        nginx.put(path, text.as_bytes()).unwrap();
    }
    nginx.put("index.json", index(&files).as_bytes()).unwrap();
    let what = What::Index("index.json".to_owned());
    let mut world = World::new(options(&nginx.url(""), what));
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&files));
    assert!(listed.revision.unwrap().name.starts_with("sha256:"));
    assert_eq!(nginx.requests().unwrap().len(), 4);
    assert!(world.is_unchanged().await);
    let requests = nginx.requests().unwrap();
    assert_eq!((requests.len(), requests[0].status), (1, 304));
    // A touched index has another ETag, and says the same.
    nginx.put("index.json", index(&files).as_bytes()).unwrap();
    assert!(world.is_unchanged().await);
    assert_eq!(nginx.requests().unwrap().len(), 1);
    // One edit is two requests; a file that moved is none.
    let files = [("a.md", "ONE"), ("moved/b.md", "two"), ("c.md", "three")];
    nginx.put("a.md", b"ONE").unwrap();
    nginx.put("index.json", index(&files).as_bytes()).unwrap();
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&files));
    let requests = nginx.requests().unwrap();
    let paths: Vec<&str> = requests
        .iter()
        .map(|request| request.path.as_str())
        .collect();
    assert_eq!(paths, ["/index.json", "/a.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_paths_says_nothing_of_contents_so_each_is_asked_for() {
    let Some(nginx) = nginx() else { return };
    nginx.put("base/a.md", b"one").unwrap();
    nginx.put("base/b.md", b"two").unwrap();
    nginx
        .put("base/index.json", br#"["a.md", "b.md", "gone.md"]"#)
        .unwrap();
    let what = What::Index("index.json".to_owned());
    let mut world = World::new(options(&nginx.url("base"), what));
    let listed = world.sync().await;
    assert_eq!(
        contents(&world, &listed),
        expected(&[("a.md", "one"), ("b.md", "two")])
    );
    assert!(matches!(
        &listed.manifest.unknown["gone.md"],
        UnknownReason::NotFetched(why) if why.contains("does not have it")
    ));
    assert_eq!(listed.revision, None);
    nginx.requests().unwrap();
    nginx.put("base/b.md", b"TWO").unwrap();
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed)["b.md"], "TWO");
    let requests = nginx.requests().unwrap();
    let of = |status| {
        requests
            .iter()
            .filter(|request| request.status == status)
            .count()
    };
    assert_eq!((of(200), of(304), of(404)), (2, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_are_of_one_url_and_never_of_a_name() {
    let Some(nginx) = nginx() else { return };
    // Two files of one name and, to nginx, of one ETag: of the same second and size.
    nginx.put("one/SKILL.md", b"one").unwrap();
    nginx.put("two/SKILL.md", b"two").unwrap();
    let time = std::fs::metadata(nginx.files().join("one/SKILL.md"))
        .unwrap()
        .modified()
        .unwrap();
    let second = std::fs::File::options()
        .write(true)
        .open(nginx.files().join("two/SKILL.md"));
    second.unwrap().set_modified(time).unwrap();
    let write = |url: &str| {
        let text = serde_json::json!([{"path": "SKILL.md", "url": url}]).to_string();
        nginx.put("index.json", text.as_bytes()).unwrap();
    };
    write("one/SKILL.md");
    let what = What::Index("index.json".to_owned());
    let mut world = World::new(options(&nginx.url(""), what));
    world.sync().await;
    write("two/SKILL.md");
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed)["SKILL.md"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_one_connection_and_tls_wants_a_known_ca() {
    let Some(nginx) = Nginx::start(&NginxOptions {
        tls: true,
        ..NginxOptions::default()
    })
    .unwrap() else {
        return;
    };
    put_all(&nginx);
    let options = options(&nginx.url(""), What::Files(names()));
    let error = World::new(options.clone()).ask().await.unwrap_err();
    assert!(
        matches!(&error, SideError::Permanent { message, .. } if message.contains("ca_file")),
        "{error:?}"
    );
    let connecting = ClientOptions {
        ca_file: Some(nginx.ca_file()),
        ..connecting()
    };
    nginx.requests().unwrap();
    let mut world = World::connecting(options.clone(), connecting.clone());
    world.sync().await;
    world.sync().await;
    let requests = nginx.requests().unwrap();
    assert_eq!(requests.len(), 2 * FILES);
    assert!(
        requests
            .iter()
            .all(|request| request.protocol == "HTTP/2.0")
    );
    assert_eq!(connections(&requests), 1);
    let mut elsewhere = options;
    elsewhere.url = nginx
        .url("")
        .replace("127.0.0.1", "127.0.0.2")
        .parse()
        .unwrap();
    let error = World::connecting(elsewhere, connecting)
        .ask()
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        SideError::Unreachable { .. } | SideError::Permanent { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_told_by_user_and_password() {
    let Some(nginx) = Nginx::start(&NginxOptions {
        login: Some(("ann", "s3cret")),
        ..NginxOptions::default()
    })
    .unwrap() else {
        return;
    };
    nginx.put("a.md", b"one").unwrap();
    let mut options = options(&nginx.url(""), What::Files(vec!["a.md".to_owned()]));
    options.login = Some(login(Some("ann"), "s3cret"));
    let mut world = World::new(options.clone());
    assert_eq!(world.sync().await.manifest.items.len(), 1);
    let requests = nginx.requests().unwrap();
    assert!(
        requests
            .iter()
            .all(|request| request.has_credentials && request.status == 200)
    );
    for (login, word) in [
        (Some(login(Some("ann"), "wrong")), "does not accept"),
        (Some(login(None, "s3cret")), "does not accept"),
        (None, "wants credentials"),
    ] {
        options.login = login;
        let error = World::new(options.clone()).ask().await.unwrap_err();
        assert!(
            matches!(&error, SideError::Auth { message, .. } if message.contains(word)),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compressed_on_the_way_is_kept_as_it_is() {
    let Some(nginx) = Nginx::start(&NginxOptions {
        directives: "gzip on; gzip_types *; gzip_min_length 1; gzip_http_version 1.0;".to_owned(),
        ..NginxOptions::default()
    })
    .unwrap() else {
        return;
    };
    let text = "the same line again\n".repeat(10_000);
    nginx.put("a.md", text.as_bytes()).unwrap();
    let mut world = World::new(options(
        &nginx.url(""),
        What::Files(vec!["a.md".to_owned()]),
    ));
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed)["a.md"], text);
    let identity = listed
        .manifest
        .items
        .values()
        .next()
        .unwrap()
        .identity
        .clone();
    assert!(
        identity.unwrap().as_str().contains("W/"),
        "nginx did not compress"
    );
    nginx.requests().unwrap();
    world.sync().await;
    assert_eq!(statuses(&nginx.requests().unwrap()), [304].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_fetched_again_and_what_changed_is_told() {
    let Some(nginx) = nginx() else { return };
    let files = [("a.md", "one"), ("b.md", "two")];
    for (path, text) in files {
        nginx.put(path, text.as_bytes()).unwrap();
    }
    let names = files.map(|(path, _)| path.to_owned());
    let mut world = World::new(options(&nginx.url(""), What::Files(names.into())));
    let listed = world.sync().await;
    let items = listed.manifest.items.iter();
    let requests: Vec<FetchRequest> = items
        .map(|(key, item)| FetchRequest::new(key, item))
        .collect();
    world.contents.forget(&requests[0].item.hash);
    nginx.put("b.md", b"TWO").unwrap();
    let contents = world.contents.clone();
    let results = world
        .side
        .fetch(requests.clone(), contents, Progress::default())
        .await;
    assert!(results[0].is_ok(), "{results:?}");
    assert!(
        matches!(results[1], Err(SideError::Changed { .. })),
        "{results:?}"
    );
    assert!(world.contents.has(&requests[0].item.hash));
}

/// Lets nobody through before it is opened.
#[derive(Default)]
struct Shut {
    reached: tokio::sync::Notify,
    open: tokio::sync::Notify,
}

impl Gate for Shut {
    fn begin(&self, _items: u64, _bytes: u64) -> BoxFuture<'_, Result<(), SideError>> {
        Box::pin(async {
            self.reached.notify_one();
            self.open.notified().await;
            Ok(())
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_turn_to_transfer_keeps_no_other_run_from_the_host() {
    let Some(nginx) = nginx() else { return };
    nginx.put("a.md", b"one").unwrap();
    let client = homing_remote::Client::new(ClientOptions {
        per_host: 1,
        ..connecting()
    })
    .unwrap();
    let options = options(&nginx.url(""), What::Files(vec!["a.md".to_owned()]));
    let mut waiting = World::sharing(options.clone(), client.clone());
    waiting.sync().await;
    nginx.put("a.md", b"edited").unwrap();
    let gate = std::sync::Arc::new(Shut::default());
    let intake = Intake::new(waiting.contents.clone(), gate.clone());
    let others = async {
        gate.reached.notified().await;
        let mut other = World::sharing(options, client);
        let listed = tokio::time::timeout(std::time::Duration::from_secs(10), other.sync()).await;
        gate.open.notify_one();
        listed.expect("the other run waits for a turn at the host")
    };
    let (waited, other) = tokio::join!(waiting.ask_into(intake), others);
    assert_eq!(waited.unwrap().whole().unwrap().manifest, other.manifest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_takes_nothing() {
    let Some(nginx) = nginx() else { return };
    let files = [("a.md", "one"), ("d/b.md", "three")];
    nginx.put("a.md", b"one").unwrap();
    nginx.put("index.json", index(&files).as_bytes()).unwrap();
    let world = World::new(options(
        &nginx.url(""),
        What::Index("index.json".to_owned()),
    ));
    let examined = world.side.examine().await.unwrap();
    assert_eq!((examined.files, examined.bytes), (2, Some(8)));
    assert!(examined.problems.is_empty(), "{examined:?}");
    assert_eq!(nginx.requests().unwrap().len(), 1);
    let names = vec!["a.md".to_owned(), "../b.md".to_owned()];
    let world = World::new(options(&nginx.url(""), What::Files(names)));
    let examined = world.side.examine().await.unwrap();
    assert_eq!((examined.files, examined.bytes), (1, None));
    assert_eq!(examined.problems[0].kind, ProblemKind::Name);
    let world = World::new(options(
        &nginx.url("none"),
        What::Files(vec!["a.md".to_owned()]),
    ));
    assert!(matches!(
        world.side.examine().await,
        Err(SideError::NotFound { .. })
    ));
}
