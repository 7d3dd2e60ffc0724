//! A hook that outlives its homingd, as after a kill: it is ended before another one is told the same.

use homing_core::TargetId;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::EngineError;
use crate::shared::Shared;

/// Notes which process a target's hook is. What cannot be noted is only told: the hook does its work all the same.
pub(super) async fn note(shared: &Shared, target: &TargetId, leader: Pid) {
    let Some(begun) = begun(leader.as_raw_nonzero().get()) else {
        return;
    };
    let key = key(target);
    let value = format!("{} {} {begun}", shared.boot_id, leader.as_raw_nonzero());
    let noted = shared
        .store
        .write(move |writer| writer.set_metadata(&key, &value))
        .await;
    if let Err(error) = noted {
        tracing::warn!(%target, %error, "which process the hook is could not be noted");
    }
}

/// Forgets the process of a hook that has ended.
pub(super) async fn forget(shared: &Shared, target: &TargetId) {
    let key = key(target);
    let forgotten = shared
        .store
        .write(move |writer| writer.remove_metadata(&key))
        .await;
    if let Err(error) = forgotten {
        tracing::warn!(%target, %error, "the process of a hook that has ended could not be forgotten");
    }
}

/// Ends the hook that an earlier homingd began, with all that it started, if it still runs.
pub(super) async fn end(shared: &Shared, target: &TargetId) -> Result<(), EngineError> {
    let key = key(target);
    let noted = shared
        .store
        .read(move |reader| reader.metadata(&key))
        .await?;
    let Some(noted) = noted else { return Ok(()) };
    if let Some(leader) = still_running(&noted, &shared.boot_id) {
        tracing::warn!(%target, pid = leader.as_raw_nonzero(), "a hook outlived the homingd that began it and was ended");
        // It may end at this moment.
        kill_process_group(leader, Signal::KILL).unwrap_or_default();
    }
    forget(shared, target).await;
    Ok(())
}

/// Returns the process that was noted, if it is that one and not a later one of its number.
fn still_running(noted: &str, boot_id: &str) -> Option<Pid> {
    let mut words = noted.split(' ');
    let (boot, pid, noted) = (words.next()?, words.next()?, words.next()?);
    let pid: i32 = pid.parse().ok()?;
    (boot == boot_id && begun(pid)? == noted)
        .then(|| Pid::from_raw(pid))
        .flatten()
}

/// Returns when a process began, in the system's own count since it started; `None` where the system does not tell.
fn begun(pid: i32) -> Option<String> {
    /// The word's place behind the name, which may have blanks and brackets in it; see `proc_pid_stat(5)`.
    const START_TIME: usize = 22 - 3;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, words) = stat.rsplit_once(") ")?;
    words
        .split_ascii_whitespace()
        .nth(START_TIME)
        .map(str::to_owned)
}

fn key(target: &TargetId) -> String {
    format!("hook:{target}")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_process_that_was_noted_is_taken_for_it() {
        let own = i32::try_from(std::process::id()).unwrap();
        let time = begun(own).unwrap();
        let noted = format!("boot {own} {time}");
        assert_eq!(still_running(&noted, "boot"), Pid::from_raw(own));
        assert_eq!(still_running(&noted, "another boot"), None);
        assert_eq!(still_running(&format!("boot {own} {time}0"), "boot"), None);
        assert_eq!(still_running("boot", "boot"), None);
        assert_eq!(still_running("", ""), None);
    }
}
