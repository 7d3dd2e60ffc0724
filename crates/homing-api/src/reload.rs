//! What a reload of the configuration changed.

use serde::{Deserialize, Serialize};

/// `POST /v1/reload`: what is in force now and was not before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The sources.
    pub sources: Changes,
    /// The targets.
    pub targets: Changes,
    /// Keys of `[daemon]` that took effect.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Keys of `[daemon]` that were changed and take effect when homingd starts again.
    #[serde(default)]
    pub restart_needed: Vec<String>,
    /// Commands, by the place in the configuration, that take effect by an explicit reload only.
    #[serde(default)]
    pub commands_waiting: Vec<String>,
}

impl Reloaded {
    /// Tells whether nothing took effect.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.targets.is_empty() && self.settings.is_empty()
    }
}

/// Names that came, went, or are not as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// New ones.
    #[serde(default)]
    pub added: Vec<String>,
    /// Those that are configured no more.
    #[serde(default)]
    pub removed: Vec<String>,
    /// Those whose settings are other ones.
    #[serde(default)]
    pub changed: Vec<String>,
}

impl Changes {
    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}
