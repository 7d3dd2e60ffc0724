//! Which mirrors a revision leads to by its submodules, noted in the mirror of its own repository.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use homing_core::SideError;

use super::Module;
use crate::mirror::{Mirror, blocking};

/// Where it is noted, a file for each commit.
pub(crate) const NOTES: &str = "homing-submodules";

/// Mirrors by name, and the commits in them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) mirrors: BTreeSet<String>,
    pub(crate) commits: BTreeSet<String>,
}

/// Notes what a revision leads to.
pub(crate) async fn note(
    top: &Mirror,
    commit: &str,
    modules: impl Iterator<Item = &Module>,
) -> Result<(), SideError> {
    let line = |module: &Module| {
        let name = module.mirror.path().file_stem().unwrap_or_default();
        [&*name.to_string_lossy(), " ", &module.commit, "\n"].concat()
    };
    let text: String = modules.map(line).collect();
    let (directory, commit) = (top.path().join(NOTES), commit.to_owned());
    blocking(move || {
        fs::create_dir_all(&directory)?;
        let mut file = tempfile::NamedTempFile::new_in(&directory)?;
        file.write_all(text.as_bytes())?;
        file.persist(directory.join(commit))
            .map_err(|error| error.error)?;
        Ok(())
    })
    .await
}

/// Returns what the revisions of a mirror lead to.
pub(crate) async fn used(top: &Mirror) -> Result<Used, SideError> {
    let directory = top.path().join(NOTES);
    blocking(move || {
        let mut used = Used::default();
        for path in notes(&directory)? {
            for line in fs::read_to_string(path)?.lines() {
                if let Some((mirror, commit)) = line.split_once(' ') {
                    used.mirrors.insert(mirror.to_owned());
                    used.commits.insert(commit.to_owned());
                }
            }
        }
        Ok(used)
    })
    .await
}

/// Forgets what revisions lead to that are not among those that stay, and were noted long ago.
pub(crate) async fn forget_outdated(
    top: &Mirror,
    stay: &BTreeSet<String>,
    others: Duration,
) -> Result<(), SideError> {
    let (directory, stay) = (top.path().join(NOTES), stay.clone());
    blocking(move || {
        let now = SystemTime::now();
        for path in notes(&directory)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let noted = fs::metadata(&path)?.modified()?;
            // Of a clock that was set back nothing is known.
            let is_old = now.duration_since(noted).is_ok_and(|age| age > others);
            if is_old && !stay.contains(&*name) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    })
    .await
}

fn notes(directory: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}
