//! A target that is taken for what one person asked for: an undo, a resolution, a verification.

use std::collections::BTreeSet;
use std::sync::Arc;

use homing_core::{ItemKey, Manifest, TargetId};
use tokio::sync::MutexGuard;

use crate::error::EngineError;
use crate::pipeline::publish::{Assignment, Carried, Rows, carry_out};
use crate::pipeline::survey;
use crate::runs::Run;
use crate::shared::Shared;
use crate::spec::TargetSpec;
use crate::target::{Recovery, TargetState, read_state};

/// Nothing else plans or writes the target while this exists, and nothing was left under way in it.
pub(crate) struct TargetTurn<'a> {
    shared: &'a Shared,
    id: &'a TargetId,
    run: &'a Arc<Run>,
    /// How the target is configured.
    pub(crate) spec: &'a TargetSpec,
    /// What the store knows of it.
    pub(crate) state: TargetState,
    recovery: MutexGuard<'a, Recovery>,
}

impl<'a> TargetTurn<'a> {
    /// Waits for the target.
    pub(crate) async fn take(
        shared: &'a Shared,
        id: &'a TargetId,
        run: &'a Arc<Run>,
    ) -> Result<Self, EngineError> {
        let (spec, actor) = shared.target(id)?;
        let recovery = actor.take_turn(shared, id).await?;
        Ok(Self {
            shared,
            id,
            run,
            spec,
            state: read_state(shared, id).await?,
            recovery,
        })
    }

    /// Lists these paths. With `read_all` nothing is taken as known: every file is read.
    pub(crate) async fn survey(
        &self,
        paths: BTreeSet<ItemKey>,
        read_all: bool,
    ) -> Result<Manifest, EngineError> {
        let rules = survey::RootRules {
            boot_id: &self.shared.boot_id,
            accept: false,
            read_all,
        };
        survey::target(
            self.run,
            &self.shared.specs.settings,
            self.spec,
            self.state.root.as_ref(),
            &self.state.ledger,
            paths,
            rules,
        )
        .await
    }

    /// Carries out and records; whatever ends this early leaves the target marked for recovery.
    pub(crate) async fn carry_out(
        &mut self,
        assignments: Vec<Assignment>,
        rows: Rows,
    ) -> Result<Carried, EngineError> {
        *self.recovery = Recovery::Due;
        let carried =
            carry_out(self.shared, self.id, self.spec, self.run, assignments, rows).await?;
        *self.recovery = Recovery::Done;
        Ok(carried)
    }
}
