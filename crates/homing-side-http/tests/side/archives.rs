//! A source that is one archive.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use homing_core::{FetchRequest, ItemKey, ProblemKind, Progress, Side, SideError};
use homing_side_http::What;

use crate::world::{World, contents, expected, nginx, options};

/// Packs files; a name with `->` is a link to what follows, or a device.
pub(crate) fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_ustar();
        let (name, kind) = match name.split_once("->") {
            Some((name, "(device)")) => (name, tar::EntryType::Char),
            Some((name, target)) => {
                header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
                (name, tar::EntryType::Symlink)
            }
            None => (*name, tar::EntryType::Regular),
        };
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(text.len() as u64);
        header.set_mode(if text.starts_with("#!") { 0o755 } else { 0o644 });
        header.set_cksum();
        tar.append(&header, text.as_bytes()).unwrap();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&tar.into_inner().unwrap()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_archive_is_one_request_and_a_changed_one_is_read_whole() {
    let Some(nginx) = nginx() else { return };
    let files = [
        ("top/a.md", "one"),
        ("top/run", "#!sh"),
        ("other/c.md", "three"),
    ];
    nginx.put("a.tar.gz", &packed(&files)).unwrap();
    let mut options = options(&nginx.url("a.tar.gz"), What::Archive);
    options.path = Some("top".to_owned());
    let mut world = World::new(options);
    let listed = world.sync().await;
    assert_eq!(
        contents(&world, &listed),
        expected(&[("a.md", "one"), ("run", "#!sh")])
    );
    let modes: Vec<bool> = listed
        .manifest
        .items
        .values()
        .map(|item| item.executable)
        .collect();
    assert_eq!(modes, [false, true]);
    assert!(listed.manifest.capabilities.executable_bit);
    assert_eq!(world.contents.len(), 2, "what is not wanted is not kept");
    nginx.requests().unwrap();
    assert!(world.is_unchanged().await);
    let requests = nginx.requests().unwrap();
    assert_eq!((requests.len(), requests[0].status), (1, 304));
    let item = listed.manifest.items.iter().next().unwrap();
    world.contents.forget(&item.1.hash);
    let heal = vec![FetchRequest::new(item.0, item.1)];
    let healed = world
        .side
        .fetch(heal.clone(), world.contents.clone(), Progress::default())
        .await;
    assert!(healed[0].is_ok(), "{healed:?}");
    assert!(world.contents.has(&item.1.hash));
    nginx
        .put("a.tar.gz", &packed(&[("top/a.md", "ONE")]))
        .unwrap();
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&[("a.md", "ONE")]));
    let healed = world
        .side
        .fetch(heal, world.contents.clone(), Progress::default())
        .await;
    assert!(
        matches!(healed[0], Err(SideError::Changed { .. })),
        "{healed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_with_a_hostile_entry_is_refused_as_a_whole() {
    let Some(nginx) = nginx() else { return };
    nginx.put("a.tgz", &packed(&[("a.md", "one")])).unwrap();
    let mut options = options(&nginx.url("a.tgz"), What::Archive);
    // Also where it is not wanted.
    options.include = vec!["*.md".to_owned()];
    let mut world = World::new(options);
    world.sync().await;
    for hostile in [
        "../evil.txt",
        "x/../../evil.txt",
        "/etc/evil.txt",
        "C:/evil.txt",
        "..\\evil.txt",
        "d/link->../../secret",
        "link->/etc/passwd",
        "tty->(device)",
    ] {
        let archive = packed(&[("a.md", "two"), (hostile, "")]);
        nginx.put("a.tgz", &archive).unwrap();
        let error = world.ask().await.unwrap_err();
        let name = hostile.split("->").next().unwrap();
        let message = error.to_string();
        assert!(matches!(error, SideError::Untrusted { .. }), "{error:?}");
        assert!(
            message.contains(&homing_core::shown(name.as_bytes())) && message.contains("refused"),
            "{message}"
        );
        world.side.examine().await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_file_here_is_told_and_the_others_are_taken() {
    let Some(nginx) = nginx() else { return };
    let files = [
        ("a.md", "one"),
        (".git/config", "evil"),
        ("back\\slash.md", "evil"),
        ("link.md->a.md", ""),
        ("large.md", "this is too large"),
    ];
    nginx.put("a.tgz", &packed(&files)).unwrap();
    let mut options = options(&nginx.url("a.tgz"), What::Archive);
    options.limits.max_file_size = 10;
    let mut world = World::new(options);
    let listed = world.sync().await;
    assert_eq!(contents(&world, &listed), expected(&[("a.md", "one")]));
    assert_eq!(world.contents.len(), 1);
    let of = |kind| {
        listed
            .manifest
            .problems
            .iter()
            .filter(|p| p.kind == kind)
            .count()
    };
    assert_eq!((of(ProblemKind::Name), of(ProblemKind::Link)), (2, 1));
    assert_eq!(of(ProblemKind::Limit), 1);
    let link = ItemKey::new("link.md").unwrap();
    assert!(listed.manifest.unknown_reason(&link).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_for_all_of_an_archive_and_what_is_none_is_refused() {
    let Some(nginx) = nginx() else { return };
    let text = "x".repeat(1000);
    let files: Vec<(String, &str)> = (0..20)
        .map(|n| (format!("{n}.md"), text.as_str()))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), *text))
        .collect();
    nginx.put("a.tgz", &packed(&files)).unwrap();
    let narrow = |key: &str| {
        let mut options = options(&nginx.url("a.tgz"), What::Archive);
        match key {
            "max_files" => options.limits.max_files = 10,
            _ => options.limits.max_total_size = 15_000,
        }
        World::new(options)
    };
    for key in ["max_files", "max_total_size"] {
        let error = narrow(key).ask().await.unwrap_err();
        assert!(
            matches!(&error, SideError::Untrusted { message } if message.contains(key)),
            "{error:?}"
        );
    }
    nginx.put("page.html", b"<html>log in</html>").unwrap();
    nginx.put("text", b"no archive").unwrap();
    for path in ["page.html", "text"] {
        let world = World::new(options(&nginx.url(path), What::Archive));
        let error = world.ask().await.unwrap_err();
        assert!(
            matches!(
                error,
                SideError::Permanent { .. } | SideError::Untrusted { .. }
            ),
            "{error:?}"
        );
    }
    let world = World::new(options(&nginx.url("a.tgz"), What::Archive));
    let examined = world.side.examine().await.unwrap();
    assert_eq!((examined.files, examined.bytes), (20, Some(20_000)));
    assert!(world.contents.is_empty(), "a look took something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_there_twice_is_one_file_and_the_last_of_them_counts() {
    let Some(nginx) = nginx() else { return };
    let mut files: Vec<(&str, String)> =
        (0..10).map(|n| ("a.md", format!("version {n}"))).collect();
    files.push(("b.md", "other".to_owned()));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    nginx.put("a.tgz", &packed(&files)).unwrap();
    let mut options = options(&nginx.url("a.tgz"), What::Archive);
    options.limits.max_files = 10;
    let mut world = World::new(options);
    let listed = world.sync().await;
    let taken = [("a.md", "version 9"), ("b.md", "other")];
    assert_eq!(contents(&world, &listed), expected(&taken));
    let problems = &listed.manifest.problems;
    assert!(
        matches!(&problems[..], [one] if one.kind == ProblemKind::Collision && one.path == "a.md"),
        "{problems:?}"
    );
}
