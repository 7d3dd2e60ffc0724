//! The suite that every side must pass, as far as it reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use homing_core::Side;
use testkit::{GitRepository, Node, Place, reading_conformance};

use crate::support::{TestResult, World};

struct Repository {
    world: World,
    side: Arc<dyn Side>,
}

impl Repository {
    fn place(world: World) -> Box<dyn Place> {
        let side = Arc::new(world.side().expect("a side"));
        Box::new(Self { world, side })
    }

    fn over_http() -> Box<dyn Place> {
        Self::place(World::over_http().expect("a server").expect("it can be"))
    }

    fn of_this_machine() -> Box<dyn Place> {
        let repository = GitRepository::new().expect("a repository");
        Self::place(World::of(repository).expect("a world"))
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
        match &self.world.server {
            Some(server) => server.withdraw("agents.git").expect("it was served"),
            None => std::fs::remove_dir_all(self.world.repository.path()).expect("it is there"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_over_http_is_a_side_that_can_be_read() -> TestResult {
    if World::over_http()?.is_none() {
        return Ok(());
    }
    reading_conformance(&Repository::over_http).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_this_machine_is_a_side_that_can_be_read() -> TestResult {
    reading_conformance(&Repository::of_this_machine).await
}
