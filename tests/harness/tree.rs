//! A directory that tests write and read whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{PATIENCE, TestResult};

/// A directory that tests write and read whole.
#[derive(Debug, Clone)]
pub(crate) struct Tree(pub(crate) PathBuf);

impl Tree {
    /// Returns a path in it.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.0.join(relative)
    }

    /// Writes a file as an editor does: a new file takes the place of the old one.
    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> TestResult {
        write(&self.path(relative), content.as_ref())
    }

    /// Reads a file as text.
    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        let path = self.path(relative);
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// Removes a file.
    pub(crate) fn remove(&self, relative: &str) -> TestResult {
        let path = self.path(relative);
        fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))
    }

    /// Tells whether anything is under the path.
    pub(crate) fn has(&self, relative: &str) -> bool {
        fs::symlink_metadata(self.path(relative)).is_ok()
    }

    /// Returns every file with its bytes and its permissions; a link with where it points.
    pub(crate) fn snapshot(&self) -> Result<BTreeMap<PathBuf, (u32, Vec<u8>)>> {
        let mut found = BTreeMap::new();
        let mut waiting = vec![self.0.clone()];
        while let Some(directory) = waiting.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error)
                    if error.kind() == std::io::ErrorKind::NotFound && directory == self.0 =>
                {
                    continue;
                }
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("{} cannot be listed", directory.display()));
                }
            };
            for entry in entries {
                let path = entry?.path();
                let metadata = fs::symlink_metadata(&path)?;
                let relative = path.strip_prefix(&self.0)?.to_owned();
                let mode = metadata.permissions().mode();
                if metadata.is_dir() {
                    waiting.push(path);
                } else if metadata.is_symlink() {
                    found.insert(
                        relative,
                        (
                            mode,
                            fs::read_link(&path)?.into_os_string().into_encoded_bytes(),
                        ),
                    );
                } else if metadata.is_file() {
                    found.insert(relative, (mode, fs::read(&path)?));
                } else {
                    found.insert(relative, (mode, Vec::new()));
                }
            }
        }
        Ok(found)
    }

    /// Returns the names of all files with their text, to compare with what is expected.
    pub(crate) fn texts(&self) -> Result<BTreeMap<String, String>> {
        let snapshot = self.snapshot()?;
        let text = |(path, (_, bytes)): (PathBuf, (u32, Vec<u8>))| {
            (
                path.to_string_lossy().into_owned(),
                String::from_utf8_lossy(&bytes).into_owned(),
            )
        };
        Ok(snapshot.into_iter().map(text).collect())
    }

    /// Waits until the files are as `enough` wants them: something else brings that about.
    pub(crate) fn wait_until(
        &self,
        enough: impl Fn(&BTreeMap<String, String>) -> bool,
    ) -> TestResult {
        let since = Instant::now();
        loop {
            // A file may go away between the list and the look.
            let found = self.texts();
            if found.as_ref().is_ok_and(&enough) {
                return Ok(());
            }
            ensure!(since.elapsed() < PATIENCE, "it stays at {found:#?}");
            std::thread::yield_now();
        }
    }

    /// Fails unless exactly these files with these texts are there.
    pub(crate) fn expect(&self, expected: &[(&str, &str)]) -> TestResult {
        let found = self.texts()?;
        let expected: BTreeMap<String, String> = expected
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        ensure!(
            found == expected,
            "{} holds {found:#?} and not {expected:#?}",
            self.0.display()
        );
        Ok(())
    }
}

/// Writes a file and the directories on the way, a temporary file first.
pub(crate) fn write(path: &Path, content: &[u8]) -> TestResult {
    let parent = path.parent().context("a file is in a directory")?;
    fs::create_dir_all(parent)?;
    let temporary = parent.join(format!(".test-{}", std::process::id()));
    File::create(&temporary)?.write_all(content)?;
    fs::rename(&temporary, path).with_context(|| format!("{} cannot be written", path.display()))
}
