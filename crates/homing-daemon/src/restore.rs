//! `--restore-store`: replaces the state by a backup while no daemon runs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use homing_api::Restored;

use crate::lock::Lock;
use crate::start::StartError;

/// Puts the backup in `file` (`-`: standard input) in place of the state in `data_dir`.
///
/// [`StartError::Held`] while a daemon runs.
pub(crate) fn restore(data_dir: &Path, file: &Path) -> Result<Restored, StartError> {
    let _lock = Lock::acquire(data_dir)?;
    let backup: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(file).map_err(|error| StartError::path("open", file, error))?)
    };
    let restored =
        homing_store::restore(data_dir, backup).map_err(|source| StartError::Restore {
            file: file.to_owned(),
            source,
        })?;
    Ok(Restored {
        created_at: restored.created_at,
        contents: restored.contents,
        replaced: restored.replaced.map(|path| path.display().to_string()),
    })
}

/// Returns what was done, and what is next.
pub(crate) fn text(restored: &Restored) -> String {
    let replaced = restored.replaced.as_ref().map_or_else(String::new, |path| {
        format!("the state before is kept as {path}\n")
    });
    format!(
        "restored the backup of {} with {} contents\n{replaced}next: start homingd and look at `homing diff`; nothing is \
         deleted or pushed until `homing db accept-rebuild`\n",
        restored.created_at, restored.contents
    )
}
