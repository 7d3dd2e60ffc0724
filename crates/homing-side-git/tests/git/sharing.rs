//! Several sources on one repository: one mirror, one fetch, and nobody pays for somebody else's failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use homing_core::{Intake, ListRequest, Progress, Scope, Side, SideError};
use homing_side_git::{GitSide, Mirrors};
use testkit::Node;
use tokio::sync::watch;

use crate::gateway::Gateway;
use crate::support::{TestResult, World, until};

/// A repository with one file that a gate is before, and two sources of it.
struct Two {
    world: World,
    gateway: Gateway,
    mirrors: Mirrors,
}

impl Two {
    fn start() -> anyhow::Result<Option<Self>> {
        let Some(mut world) = World::over_http()? else {
            return Ok(None);
        };
        world.commit(&[("a.md", Node::File(b"1"))])?;
        let gateway = Gateway::start(&world.url)?;
        world.url = gateway.url(&world.url)?;
        Ok(Some(Self {
            mirrors: world.mirrors(),
            world,
            gateway,
        }))
    }

    fn side(&self) -> anyhow::Result<GitSide> {
        self.world.sharing(&self.mirrors, |_| {})
    }

    /// Has fetches wait for a gate, and counts them.
    fn hold(&self) -> (Arc<AtomicUsize>, watch::Sender<bool>) {
        let held = Arc::new(AtomicUsize::new(0));
        let (open, opened) = watch::channel(false);
        let counted = Arc::clone(&held);
        self.gateway.on_fetch(move |_| {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                while !*opened.borrow() && opened.has_changed().is_ok() {
                    std::thread::yield_now();
                }
            }
            true
        });
        (held, open)
    }

    fn request(&self, progress: &Progress) -> ListRequest {
        ListRequest {
            intake: Intake::ungated(self.world.contents.clone()),
            progress: progress.clone(),
            ..ListRequest::new(Scope::Whole)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sources_at_one_moment_need_one_fetch_and_who_waits_does_not_stand_still() -> TestResult
{
    let Some(two) = Two::start()? else {
        return Ok(());
    };
    let (held, open) = two.hold();
    let (one, other) = (two.side()?, two.side()?);
    let (fetching, waiting) = (Progress::default(), Progress::default());
    let late = async {
        until(|| held.load(Ordering::SeqCst) == 1).await?;
        Ok::<_, anyhow::Error>(other.list(two.request(&waiting)).await?)
    };
    let judge = async {
        until(|| waiting.requests() == 1).await?;
        // It has asked for the refs; whatever counts from now on is that it waits.
        let before = waiting.counts().0;
        until(|| waiting.counts().0 > before + 4).await?;
        open.send(true).context("somebody waits")
    };
    let (first, second, judged) = tokio::join!(one.list(two.request(&fetching)), late, judge);
    judged?;
    for listed in [first?, second?] {
        assert_eq!(listed.whole()?.manifest.items.len(), 1);
    }
    // Each asked for the refs.
    assert_eq!(two.world.requests()?.len(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_fails_for_two_leaves_the_mirror() -> TestResult {
    let Some(two) = Two::start()? else {
        return Ok(());
    };
    let sides = [two.side()?, two.side()?];
    let first = two.world.list(&sides[0]).await?;
    let mirror = two.world.mirror_number()?;
    two.world.commit(&[("a.md", Node::File(b"2"))])?;
    two.gateway.on_fetch(|_| false);
    let both = tokio::join!(two.world.list(&sides[0]), two.world.list(&sides[1]));
    for result in [both.0, both.1] {
        let error = result.unwrap_err();
        let told = error.to_string();
        assert!(!told.contains("anew"), "{told}");
        let is_theirs = matches!(
            error,
            SideError::Transient { .. } | SideError::Unreachable { .. }
        );
        assert!(is_theirs, "{error:?}");
    }
    assert_eq!(two.world.mirror_number()?, mirror);
    // What was published is there still, and the next fetch is for both.
    let pinned = two.world.sharing(&two.mirrors, |options| {
        options.reference = Some(first.revision.clone().unwrap().name);
    })?;
    assert_eq!(two.world.list(&pinned).await?.manifest.items.len(), 1);
    two.gateway.lead();
    for side in &sides {
        let listed = two.world.list(side).await?;
        assert_eq!(two.world.files(&listed.manifest)["a.md"], "2");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_any_more_is_not_asked_for() -> TestResult {
    let Some(two) = Two::start()? else {
        return Ok(());
    };
    let side = two.side()?;
    let old = two.world.list(&side).await?.revision.unwrap().name;
    two.world.commit(&[("a.md", Node::File(b"gone"))])?;
    // A run is cancelled while it fetches.
    let (held, open) = two.hold();
    let progress = Progress::default();
    tokio::select! {
        result = side.list(two.request(&progress)) => panic!("{result:?}"),
        waited = until(|| held.load(Ordering::SeqCst) == 1) => waited?,
    }
    open.send(true).ok();
    two.gateway.lead();
    // The commit goes away for good.
    let repository = &two.world.repository;
    repository.git(&["update-ref", "refs/heads/main", &old])?;
    repository.git(&["prune", "--expire=now"])?;
    repository.git(&["repack", "-adq"])?;
    repository.git(&["prune-packed", "-q"])?;
    for text in ["2", "3"] {
        two.world.commit(&[("a.md", Node::File(text.as_bytes()))])?;
        two.world.requests()?;
        let listed = two.world.list(&side).await?;
        assert_eq!(two.world.files(&listed.manifest)["a.md"], text);
        assert_eq!(two.world.requests()?, ["200 /git-upload-pack"; 2]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_whole_and_a_partial_source_at_one_moment_both_have_what_they_need() -> TestResult {
    let Some(two) = Two::start()? else {
        return Ok(());
    };
    let repository = &two.world.repository;
    repository.git(&["config", "uploadpack.allowFilter", "true"])?;
    two.world.commit(&[("p/b.md", Node::File(b"b"))])?;
    let part = two.world.sharing(&two.mirrors, |options| {
        options.path = Some("p".to_owned());
    })?;
    let whole = two.side()?;
    let (part, whole) = tokio::join!(two.world.list(&part), two.world.list(&whole));
    assert_eq!(part?.manifest.items.len(), 1);
    assert_eq!(whole?.manifest.items.len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_counts_for_long_and_says_so_is_waited_for() -> TestResult {
    let Some(two) = Two::start()? else {
        return Ok(());
    };
    let began = std::time::Instant::now();
    let patience = Duration::from_millis(400);
    two.gateway.on_fetch_pack(move |client| {
        use std::io::Write;

        let packet = crate::gateway::packet;
        client.write_all(&packet(b"packfile\n")).ok();
        // Signs of life alone, for longer than a stall may take.
        while began.elapsed() < patience * 4 {
            let written = client.write_all(&packet(b"\x01"));
            if written.is_err() {
                return;
            }
            std::thread::park_timeout(patience / 4);
        }
        client.write_all(&packet(b"\x03enough")).ok();
    });
    let side = two.world.side_of_client(homing_remote::ClientOptions {
        stall_timeout: patience,
        proxies: false,
        ..homing_remote::ClientOptions::default()
    })?;
    // Its last word is a refusal, and Git hears the same.
    two.world.list(&side).await.unwrap_err();
    assert!(began.elapsed() >= patience * 4, "{:?}", began.elapsed());
    Ok(())
}
