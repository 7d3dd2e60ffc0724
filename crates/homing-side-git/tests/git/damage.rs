//! Mirrors that are damaged, half made, or on a disk that is full.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use homing_core::{Contents, FetchRequest, Item, ItemKey, Progress, Side, SideError};
use homing_remote::ClientOptions;
use homing_remote::git_id;
use testkit::{GitRepository, Node, skipped};

use crate::gateway::{Gateway, packet};
use crate::support::{TestResult, World, prose, put};

/// Returns what Git says in a mirror.
fn git(mirror: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(mirror)
        .args(arguments)
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Overwrites the heads of objects in whichever pack they are.
fn damage(mirror: &Path, ids: &[String]) -> TestResult {
    let mut damaged = 0;
    for entry in fs::read_dir(mirror.join("objects/pack"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "pack") {
            continue;
        }
        let name = path.display().to_string();
        let listed = git(mirror, &["verify-pack", "-v", &name])?;
        let is_meant = |line: &&str| ids.iter().any(|id| line.starts_with(id.as_str()));
        for line in listed.lines().filter(is_meant) {
            let at = line.split_whitespace().nth(4).context("an offset")?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            let file = fs::File::options().write(true).open(&path)?;
            file.write_all_at(&[0xff; 4], at.parse()?)?;
            damaged += 1;
        }
    }
    anyhow::ensure!(damaged == ids.len(), "{damaged} of {ids:?} are in packs");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_whose_head_is_damaged_is_not_taken_for_one_that_was_left_out() -> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    world.commit(&[
        ("a.md", Node::File(prose(1).as_bytes())),
        ("b.md", Node::File(prose(2).as_bytes())),
        ("p/c.md", Node::File(b"c")),
    ])?;
    world.repository.git(&["repack", "-adfq"])?;
    world
        .repository
        .git(&["config", "uploadpack.allowFilter", "true"])?;
    let few = world.side_with(|options| options.include = vec!["c.md".to_owned()])?;
    for is_partial_too in [false, true] {
        world.list(&few).await?;
        if is_partial_too {
            // Something was left out of an older commit, so that something may be missing.
            world.commit(&[("p/c.md", Node::File(b"new"))])?;
            world
                .list(&world.side_with(|options| options.path = Some("p".to_owned()))?)
                .await?;
            world.commit(&[("p/c.md", Node::File(b"newer"))])?;
            world.list(&few).await?;
        }
        let mirror = world.mirror()?;
        let number = world.mirror_number()?;
        let blobs =
            ["main:a.md", "main:b.md"].map(|name| world.repository.git(&["rev-parse", name]));
        damage(&mirror, &blobs.into_iter().collect::<Result<Vec<_>, _>>()?)?;
        let listed = world.list(&world.side()?).await?;
        assert_eq!(world.files(&listed.manifest)["b.md"], prose(2));
        assert_ne!(world.mirror_number()?, number);
        fs::remove_dir_all(mirror)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_remote_has_no_more_outlives_a_mirror_that_is_made_anew() -> TestResult {
    let Some(mut world) = World::over_http()? else {
        return Ok(());
    };
    let gateway = Gateway::start(&world.url)?;
    world.url = gateway.url(&world.url)?;
    let old = world.commit(&[("a.md", Node::File(b"1")), ("b.md", Node::File(b"b"))])?;
    world.list(&world.side()?).await?;
    // A force-push, and the old commit is gone.
    world
        .repository
        .git(&["update-ref", "-d", "refs/heads/main"])?;
    let new = world.commit(&[("a.md", Node::File(b"2")), ("b.md", Node::File(b"b"))])?;
    world.repository.git(&["repack", "-adq"])?;
    world.list(&world.side()?).await?;
    let blob = world.repository.git(&["rev-parse", "main:a.md"])?;
    damage(&world.mirror()?, &[blob])?;
    let pinned = |id: &str| {
        let id = id.to_owned();
        world.side_with(|options| options.reference = Some(id))
    };
    // While the remote cannot be reached, what is here stays.
    let number = world.mirror_number()?;
    gateway.on_fetch(|_| false);
    let error = world.list(&world.side()?).await.unwrap_err();
    assert!(
        matches!(
            error,
            SideError::Transient { .. } | SideError::Unreachable { .. }
        ),
        "{error:?}"
    );
    assert_eq!(world.mirror_number()?, number);
    assert_eq!(
        world.files(&world.list(&pinned(&old)?).await?.manifest)["a.md"],
        "1"
    );
    gateway.lead();
    let listed = world.list(&world.side()?).await?;
    assert_eq!(listed.revision.unwrap().name, new);
    assert_ne!(world.mirror_number()?, number);
    let listed = world.list(&pinned(&old)?).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "1");
    assert_eq!(world.files(&listed.manifest)["b.md"], "b");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_find_one_damage_have_one_mirror_made() -> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    world.commit(&[("a.md", Node::File(b"1"))])?;
    let mirrors = world.mirrors();
    let sides = [
        world.sharing(&mirrors, |_| {})?,
        world.sharing(&mirrors, |_| {})?,
    ];
    world.list(&sides[0]).await?;
    fs::remove_dir_all(world.mirror()?.join("objects/pack"))?;
    world.requests()?;
    let (one, other) = tokio::join!(world.list(&sides[0]), world.list(&sides[1]));
    assert_eq!(one?.manifest.items, other?.manifest.items);
    // Refs twice, and one pack.
    assert_eq!(world.requests()?.len(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_content_that_nobody_has_costs_no_mirror() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    world.commit(&[("a.md", Node::File(b"1"))])?;
    let side = world.side()?;
    let listed = world.list(&side).await?;
    let number = world.mirror_number()?;
    let key = ItemKey::new("a.md").unwrap();
    let item = &listed.manifest.items[&key];
    let gone = Item {
        identity: Some(git_id::identity(&"1".repeat(40))),
        ..item.clone()
    };
    let requests = vec![
        FetchRequest::new(&key, item),
        FetchRequest::new(&key, &gone),
    ];
    let contents: std::sync::Arc<dyn Contents> = world.contents.clone();
    let results = side.fetch(requests, contents, Progress::default()).await;
    assert!(results[0].is_ok(), "{results:?}");
    assert!(
        matches!(results[1], Err(SideError::Changed { .. })),
        "{results:?}"
    );
    assert_eq!(world.mirror_number()?, number);
    Ok(())
}

/// Answers with the beginning of a pack, and then does not go on.
fn begin_a_pack(client: &mut std::net::TcpStream) {
    use std::io::{Read, Write};

    let pack = [b"\x01PACK\0\0\0\x02\0\0\0\x05", &[0x31; 200][..]].concat();
    let begun = [packet(b"packfile\n"), packet(&pack)].concat();
    if client.write_all(&begun).is_ok() {
        // Until the other side has had enough.
        client.read_to_end(&mut Vec::new()).ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_hangs_is_given_up_and_leaves_nothing_behind() -> TestResult {
    let Some(mut world) = World::over_http()? else {
        return Ok(());
    };
    let gateway = Gateway::start(&world.url)?;
    world.url = gateway.url(&world.url)?;
    world.commit(&[("a.md", Node::File(b"1"))])?;
    world.list(&world.side()?).await?;
    let before = world.packs()?.len();
    world.commit(&[("a.md", Node::File(b"2"))])?;
    let impatient = world.side_of_client(ClientOptions {
        stall_timeout: Duration::from_millis(300),
        proxies: false,
        ..ClientOptions::default()
    })?;
    gateway.on_fetch_pack(begin_a_pack);
    let error = world.list(&impatient).await.unwrap_err();
    assert!(matches!(error, SideError::Transient { .. }), "{error:?}");
    // One that is corrupted is refused by Git.
    gateway.on_fetch_pack(|client| {
        use std::io::Write;

        let pack = [b"\x01PACK\0\0\0\x02\0\0\0\x05", &[0x31; 200][..]].concat();
        let all = [packet(b"packfile\n"), packet(&pack), b"0000".to_vec()].concat();
        client.write_all(&all).ok();
    });
    let number = world.mirror_number()?;
    let error = world.list(&impatient).await.unwrap_err();
    assert!(matches!(error, SideError::Transient { .. }), "{error:?}");
    assert_eq!(
        (world.packs()?.len(), world.mirror_number()?),
        (before, number)
    );
    // Whoever was killed could take nothing away.
    let mirror = world.mirror()?;
    put(&mirror.join("objects/pack/tmp_pack_killed"), "PACK")?;
    fs::create_dir_all(mirror.join("objects/ab"))?;
    put(&mirror.join("objects/ab/tmp_obj_killed"), "x")?;
    gateway.lead();
    let listed = world.list(&world.side()?).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "2");
    assert!(!world.packs()?.iter().any(|name| name.starts_with("tmp_")));
    assert!(!mirror.join("objects/ab/tmp_obj_killed").exists());
    Ok(())
}

/// A small file system, which goes with this value.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(path: &'a Path) -> anyhow::Result<Option<Self>> {
        fs::create_dir_all(path)?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
        if command
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success())
        {
            return Ok(Some(Self(path)));
        }
        skipped("mounting a tmpfs needs root");
        Ok(None)
    }

    fn enlarge(&self) -> TestResult {
        let mut command = Command::new("mount");
        command.args(["-o", "remount,size=64m"]).arg(self.0);
        anyhow::ensure!(command.status()?.success(), "it stays small");
        Ok(())
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_its_room_is_given_back() -> TestResult {
    let Some(http) = World::over_http()? else {
        return Ok(());
    };
    for world in [http, World::of(GitRepository::new()?)?] {
        let place = world.home.path().join("mirrors");
        let Some(small) = Small::mount(&place)? else {
            return Ok(());
        };
        world.commit(&[("a.md", Node::File(b"1"))])?;
        let side = world.side()?;
        let first = world.list(&side).await?;
        let number = world.mirror_number()?;
        let noise: Vec<u8> = (0..1_000_000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(n).to_le_bytes())
            .collect();
        world.commit(&[("large.bin", Node::File(&noise))])?;
        let error = world.list(&side).await.unwrap_err();
        assert!(matches!(error, SideError::Storage { .. }), "{error:?}");
        assert!(!world.packs()?.iter().any(|name| name.starts_with("tmp_")));
        assert_eq!(world.mirror_number()?, number);
        let pinned =
            world.side_with(|options| options.reference = first.revision.map(|it| it.name))?;
        assert_eq!(world.list(&pinned).await?.manifest.items.len(), 1);
        small.enlarge()?;
        assert_eq!(world.list(&side).await?.manifest.items.len(), 2);
    }
    Ok(())
}
