//! The suite that every side must pass, as far as it reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use homing_core::Side;
use testkit::github::GitHub;
use testkit::{GitRepository, Node, Place, reading_conformance};

use crate::support::{NAME, TestResult, World};

struct Repository {
    world: World,
    side: Arc<dyn Side>,
}

impl Repository {
    fn place() -> Box<dyn Place> {
        let world = World::empty().expect("an emulator");
        let side = Arc::new(world.side().expect("a side"));
        Box::new(Self { world, side })
    }
}

impl Place for Repository {
    fn side(&self) -> Arc<dyn Side> {
        Arc::clone(&self.side)
    }

    fn put(&self, path: &str, bytes: &[u8], executable: bool) {
        let node = if executable {
            Node::Executable(bytes)
        } else {
            Node::File(bytes)
        };
        self.world.commit(&[(path, node)]).expect("a commit");
    }

    fn remove(&self, path: &str) {
        self.world.commit(&[(path, Node::Gone)]).expect("a commit");
    }

    fn files(&self) -> BTreeMap<String, (Vec<u8>, bool)> {
        let repository: &GitRepository = &self.world.repository;
        let Ok(listed) = repository.git(&["ls-tree", "-r", "main"]) else {
            return BTreeMap::new();
        };
        let file = |line: &str| {
            let (words, path) = line.split_once('\t').expect("a line of a tree");
            let id = words.split(' ').nth(2).expect("an id");
            let bytes = repository.git(&["cat-file", "blob", id]).expect("a blob");
            let executable = words.starts_with("100755");
            (path.to_owned(), (bytes.into_bytes(), executable))
        };
        listed.lines().map(file).collect()
    }

    fn destroy(&self) {
        let github: &GitHub = &self.world.github;
        github.set_private(NAME, true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_a_side_that_can_be_read() -> TestResult {
    reading_conformance(&Repository::place).await
}
