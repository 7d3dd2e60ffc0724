//! curl, with one entity tag kept for each file.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// A `curl --parallel` that gets the same files again and again.
#[derive(Debug)]
pub(super) struct Curl {
    configuration: PathBuf,
    directory: PathBuf,
}

impl Curl {
    /// Prepares one that gets `paths` below `base` into `directory`.
    pub(super) fn new(
        directory: &Path,
        base: &str,
        paths: &[String],
        ca_file: Option<&Path>,
    ) -> Result<Self> {
        let (files, tags) = (directory.join("files"), directory.join("tags"));
        fs::create_dir_all(&tags)?;
        let mut text = String::new();
        for (number, path) in paths.iter().enumerate() {
            if number > 0 {
                text.push_str("next\n");
            }
            let file = files.join(path);
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            let tag = tags.join(path.replace('/', "-"));
            let (file, tag) = (file.display(), tag.display());
            writeln!(text, "url = \"{base}/{path}\"\noutput = \"{file}\"")?;
            writeln!(text, "etag-save = \"{tag}\"\netag-compare = \"{tag}\"")?;
            if let Some(ca_file) = ca_file {
                writeln!(text, "cacert = \"{}\"\nhttp2", ca_file.display())?;
            }
        }
        let configuration = directory.join("curl.conf");
        File::create(&configuration)?.write_all(text.as_bytes())?;
        Ok(Self {
            configuration,
            directory: files,
        })
    }

    /// Gets what changed and returns how long that took.
    pub(super) fn get(&self) -> Result<Duration> {
        let mut command = Command::new("curl");
        command
            .args(["--disable", "--silent", "--show-error", "--fail"])
            .args(["--parallel", "--config"])
            .arg(&self.configuration);
        let begun = Instant::now();
        let output = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()?;
        let took = begun.elapsed();
        ensure!(
            output.status.success(),
            "curl ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(took)
    }

    /// Returns where the files are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}
