//! The suite that every side must pass, as far as it reads.

use std::sync::Arc;

use testkit::{Place, RepositoryPlace, reading_conformance};

use crate::support::{NAME, TestResult, World};

fn place() -> Box<dyn Place> {
    let world = World::empty().expect("an emulator");
    let side = Arc::new(world.side().expect("a side"));
    Box::new(RepositoryPlace {
        world,
        side,
        repository: |world| &world.repository,
        destroy: |world| world.github.set_private(NAME, true),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_a_side_that_can_be_read() -> TestResult {
    reading_conformance(&place).await
}
