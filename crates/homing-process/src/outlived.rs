//! Programs that outlive whoever started them, as after a kill.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Pid, Signal, getpgid, getpgrp, kill_process_group};

/// Marks what is started, in its environment, so that a later process finds it.
#[derive(Debug, Clone)]
pub struct Mark {
    variable: &'static str,
    value: OsString,
}

impl Mark {
    /// Returns a mark of this value.
    pub fn new(variable: &'static str, value: impl Into<OsString>) -> Self {
        let value = value.into();
        Self { variable, value }
    }

    /// Returns the variable that is to be in the environment of what is started.
    pub fn variable(&self) -> (OsString, OsString) {
        (self.variable.into(), self.value.clone())
    }

    /// Ends programs that have it and whose names begin like this, with their process groups; returns how many.
    ///
    /// For a moment at which nobody may have it: what is found has outlived whoever started it. Where the system does not
    /// tell other programs' environments, as only Linux does, nobody is found.
    pub fn end_outlived(&self, program: &str) -> usize {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let groups = processes.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            if !self.is_on(&entry.path(), program)? {
                return None;
            }
            getpgid(Pid::from_raw(pid))
                .ok()
                .filter(|group| *group != getpgrp())
        });
        groups
            .filter(|group| kill_process_group(*group, Signal::KILL).is_ok())
            .count()
    }

    fn is_on(&self, process: &Path, program: &str) -> Option<bool> {
        let name = fs::read(process.join("comm")).ok()?;
        if !name.starts_with(program.as_bytes()) {
            return Some(false);
        }
        let environment = fs::read(process.join("environ")).ok()?;
        let variable = [
            OsStr::new(self.variable).as_bytes(),
            b"=",
            self.value.as_bytes(),
        ]
        .concat();
        Some(
            environment
                .split(|byte| *byte == 0)
                .any(|one| one == variable),
        )
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_what_has_the_mark_is_ended_with_its_group() {
        let directory = tempfile::tempdir().unwrap();
        let start = |value: &OsStr, script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).env("HOMING_TEST_OF", value);
            // Whoever is left by mistake must not hold the output of the tests.
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.process_group(0).spawn().unwrap()
        };
        let mark = Mark::new("HOMING_TEST_OF", directory.path());
        let fifo = directory.path().join("fifo");
        let script = format!("mkfifo {0}; cat {0} & wait", fifo.display());
        let mut ours = start(directory.path().as_os_str(), &script);
        let mut other = start(OsStr::new("another"), "exec tail -f /dev/null");
        // Its grandchild is there when somebody may write.
        let writer = loop {
            if fifo.exists() {
                break fs::OpenOptions::new().write(true).open(&fifo).unwrap();
            }
            std::thread::yield_now();
        };
        assert_eq!(mark.end_outlived("git"), 0);
        assert!(mark.end_outlived("sh") > 0);
        assert!(!ours.wait().unwrap().success());
        drop(writer);
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
