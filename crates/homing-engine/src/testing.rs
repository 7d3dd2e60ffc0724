//! What unit tests share.

use std::sync::Arc;

use homing_core::{Capabilities, Policy};
use testkit::MemorySide;

use crate::spec::{AtStart, PushMode, SourceSpec};

/// Returns a source in memory that runs by hand only.
pub(crate) fn spec() -> SourceSpec {
    SourceSpec {
        kind: "memory".to_owned(),
        url: "memory".to_owned(),
        origin: Arc::new(MemorySide::new(Capabilities::default())),
        priority: 100,
        push: PushMode::Never,
        on_conflict: Policy::Ask,
        max_file_size: u64::MAX,
        selection: "all/".to_owned(),
        cadence: None,
        at_start: AtStart::Due,
        stale_after: None,
        watch: false,
        enabled: true,
    }
}
