//! The suite that every side must pass, as far as it reads.

use std::sync::Arc;

use testkit::{GitRepository, Place, RepositoryPlace, reading_conformance};

use crate::support::{TestResult, World};

fn place(world: World) -> Box<dyn Place> {
    let side = Arc::new(world.side().expect("a side"));
    Box::new(RepositoryPlace {
        world,
        side,
        repository: |world| &world.repository,
        destroy: |world| match &world.server {
            Some(server) => server.withdraw("agents.git").expect("it was served"),
            None => std::fs::remove_dir_all(world.repository.path()).expect("it is there"),
        },
    })
}

fn over_http() -> Box<dyn Place> {
    place(World::over_http().expect("a server").expect("it can be"))
}

fn of_this_machine() -> Box<dyn Place> {
    let repository = GitRepository::new().expect("a repository");
    place(World::of(repository).expect("a world"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_over_http_is_a_side_that_can_be_read() -> TestResult {
    if World::over_http()?.is_none() {
        return Ok(());
    }
    reading_conformance(&over_http).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_this_machine_is_a_side_that_can_be_read() -> TestResult {
    reading_conformance(&of_this_machine).await
}
