//! A process group: its leader and all that it started.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::Child;

/// A child with all that it started; they end with this value.
pub(crate) struct Group {
    pub(crate) child: Child,
    pub(crate) leader: Pid,
    reaped: bool,
}

impl Group {
    pub(crate) fn of(child: Child) -> io::Result<Self> {
        let leader = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .ok_or_else(|| io::Error::other("the command has no process"))?;
        Ok(Self {
            child,
            leader,
            reaped: false,
        })
    }

    /// Waits until the leader has ended, and leaves it unreaped: until then its number is nobody else's.
    pub(crate) async fn ended(&self) -> io::Result<()> {
        let leader = self.leader;
        let waited = tokio::task::spawn_blocking(move || {
            loop {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                match waitid(WaitId::Pid(leader), options) {
                    Err(rustix::io::Errno::INTR) => {}
                    waited => return waited.map(drop),
                }
            }
        });
        Ok(waited.await??)
    }

    /// Ends whoever is left and returns how the leader ended.
    pub(crate) async fn end(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        let status = self.child.wait().await?;
        self.reaped = true;
        Ok(status)
    }

    fn kill(&self) {
        // Nobody may be left.
        kill_process_group(self.leader, Signal::KILL).unwrap_or_default();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
        }
    }
}
