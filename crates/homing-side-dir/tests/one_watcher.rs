//! All watched directories share one instance of inotify. In a file of its own, for it counts those of its process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use homing_core::{Notice, Side, Watch};
use homing_side_dir::{DirOptions, DirSide};

/// Far longer than a notice takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than a user may have instances, where nobody has changed `fs.inotify.max_user_instances`.
const MANY: usize = 150;

struct Place {
    watch: Option<Arc<dyn Watch>>,
    notices: Receiver<Notice>,
}

async fn watched(root: &Path) -> Place {
    let side = DirSide::new(DirOptions {
        root: root.to_owned(),
        ..DirOptions::default()
    })
    .unwrap();
    let (sender, notices) = channel();
    let listener = Arc::new(move |notice| sender.send(notice).unwrap_or_default());
    Place {
        watch: side.watch(listener).await.unwrap(),
        notices,
    }
}

impl Place {
    /// Waits for a notice of that kind; returns how many others came before.
    fn hears(&self, is_meant: impl Fn(&Notice) -> bool) -> usize {
        let next = || self.notices.recv_timeout(PATIENCE).expect("a notice");
        std::iter::repeat_with(next)
            .take_while(|notice| !is_meant(notice))
            .count()
    }

    fn hears_a_change(&self) {
        self.hears(|notice| matches!(notice, Notice::Changed));
    }

    fn has_heard_nothing(&self) -> bool {
        self.notices.try_recv().is_err()
    }
}

fn instances() -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let leads_to = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    leads_to
        .filter(|to| to.as_os_str() == "anon_inode:inotify")
        .count()
}

fn write(path: &Path) {
    drop(fs::File::create(path).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_places_share_one_instance_and_each_hears_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let root = |number: usize| home.path().join(format!("place-{number}"));
    let mut places = Vec::new();
    for number in 0..MANY {
        fs::create_dir(root(number)).unwrap();
        places.push(watched(&root(number)).await);
    }
    assert_eq!(instances(), 1);
    write(&root(7).join("a.md"));
    places[7].hears_a_change();
    // The system tells in order: when the last has heard, whoever was to hear of what came before has.
    write(&root(MANY - 1).join("a.md"));
    places[MANY - 1].hears_a_change();
    let others = (0..MANY - 1).filter(|number| *number != 7);
    assert!(
        others
            .into_iter()
            .all(|number| places[number].has_heard_nothing())
    );

    // Who goes takes nothing of anybody else's along.
    let last = places.pop().unwrap();
    drop(places);
    write(&root(MANY - 1).join("b.md"));
    last.hears_a_change();
    nested_places(home.path()).await;
    the_same_place_twice(home.path()).await;
    drop(last);
    // The thread ends when it has been told to, which nobody waits for.
    let begun = std::time::Instant::now();
    while instances() > 0 {
        assert!(begun.elapsed() < PATIENCE, "nobody watches, but inotify");
        tokio::task::yield_now().await;
    }
}

/// The end of a watch leaves the ones above and below it whole.
async fn nested_places(home: &Path) {
    let (above, root, below) = (home.join("n"), home.join("n/m"), home.join("n/m/l"));
    fs::create_dir_all(&below).unwrap();
    let inner = watched(&below).await;
    let middle = watched(&root).await;
    drop(middle.watch);
    // What is below lost its watch for a moment, so it is told to look.
    inner.hears(|notice| matches!(notice, Notice::Missed));
    write(&below.join("a.md"));
    inner.hears_a_change();

    let outer = watched(&above).await;
    drop(inner.watch);
    write(&below.join("b.md"));
    outer.hears_a_change();
}

/// Two sources of one directory, as after a reload: the old watch ends when the new one has begun.
async fn the_same_place_twice(home: &Path) {
    let root = home.join("twice");
    fs::create_dir(&root).unwrap();
    let old = watched(&root).await;
    let new = watched(&root).await;
    write(&root.join("a.md"));
    old.hears_a_change();
    new.hears_a_change();
    drop(old.watch);
    write(&root.join("b.md"));
    new.hears_a_change();

    // Another directory in its place is watched by whoever begins anew.
    fs::rename(&root, home.join("moved")).unwrap();
    new.hears(|notice| matches!(notice, Notice::Lost(_)));
    fs::create_dir(&root).unwrap();
    let newest = watched(&root).await;
    drop(new.watch);
    // The old directory's watch is taken back by its name, which the new one has too.
    newest.hears(|notice| matches!(notice, Notice::Missed));
    write(&root.join("c.md"));
    newest.hears_a_change();
}
