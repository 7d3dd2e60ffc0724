//! Which keys a run is about, as `--filter` says it.

use homing_core::{ItemKey, SideError};

/// Patterns in gitignore syntax; none of them means every key.
#[derive(Debug, Default)]
pub(crate) struct Filter(Option<ignore::gitignore::Gitignore>);

impl Filter {
    /// Compiles the patterns.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, SideError> {
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        let mut builder = ignore::gitignore::GitignoreBuilder::new("");
        for pattern in patterns {
            builder
                .add_line(None, pattern)
                .map_err(|error| invalid(pattern, &error))?;
        }
        let compiled = builder
            .build()
            .map_err(|error| invalid(&patterns.join(", "), &error))?;
        Ok(Self(Some(compiled)))
    }

    /// Tells whether every key is covered.
    pub(crate) fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Tells whether the run is about `key`.
    pub(crate) fn covers(&self, key: &ItemKey) -> bool {
        self.0.as_ref().is_none_or(|patterns| {
            patterns
                .matched_path_or_any_parents(key.as_str(), false)
                .is_ignore()
        })
    }
}

fn invalid(pattern: &str, error: &ignore::Error) -> SideError {
    SideError::Config {
        message: format!("the filter `{pattern}` is not a pattern in gitignore syntax: {error}"),
    }
}
