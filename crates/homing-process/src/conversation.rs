//! A program whose input and output are streams, and whose complaints are kept.

use std::io::{self, PipeReader, PipeWriter};
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::errand::{Ear, LAST_WORDS};
use crate::group::Group;
use crate::tail::Tail;

/// A program that runs; it ends, with all that it started, when this value is dropped.
pub struct Conversation {
    group: Group,
    input: Option<PipeWriter>,
    output: Option<PipeReader>,
    /// Ends with this value, also where a grandchild holds the pipe.
    complaints: AbortOnDropHandle<Tail>,
}

/// How much a program, and each that it starts, may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// Bytes of a file that it writes; more end it (`SIGXFSZ`).
    pub file: u64,
    /// Bytes of memory that it writes to; it is given no more.
    pub memory: u64,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// The end of what it said on standard error.
    pub complaints: String,
}

impl Conversation {
    /// Starts a program; `heard` is called whenever it says something on standard error.
    ///
    /// An error means that it could not be started. Called within a runtime.
    pub fn begin(mut command: Command, heard: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (reads, input) = io::pipe()?;
        let (output, prints) = io::pipe()?;
        let (complaints, complains) = io::pipe()?;
        command
            .stdin(Stdio::from(reads))
            .stdout(Stdio::from(prints))
            .stderr(Stdio::from(complains))
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn()?;
        // It holds the other ends of the pipes, which would keep us reading for ever.
        drop(command);
        let complaints = pipe::Receiver::from_owned_fd(complaints.into())?;
        Ok(Self {
            group: Group::of(child)?,
            input: Some(input),
            output: Some(output),
            complaints: AbortOnDropHandle::new(TaskTracker::new().spawn(listen(complaints, heard))),
        })
    }

    /// Holds it, and whatever it starts from now on, to this; without effect on systems that are not Linux.
    pub fn limit(&self, most: Most) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

            for (resource, most) in [(Resource::Fsize, most.file), (Resource::Data, most.memory)] {
                let now = getrlimit(resource);
                let lowest = |limit: Option<u64>| Some(limit.map_or(most, |limit| limit.min(most)));
                let limit = Rlimit {
                    current: lowest(now.current),
                    maximum: now.maximum,
                };
                // It is not reaped yet, so its number is nobody else's.
                prlimit(Some(self.group.leader), resource, limit)?;
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = most;
        Ok(())
    }

    /// Returns where it reads from; once. It sees the end of its input when that is dropped.
    pub fn input(&mut self) -> Option<PipeWriter> {
        self.input.take()
    }

    /// Returns what it prints, once; reading blocks.
    pub fn output(&mut self) -> Option<PipeReader> {
        self.output.take()
    }

    /// Returns all that it prints; `None` when that is more than `most` bytes.
    pub async fn answer(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        drop(self.input.take());
        let Some(output) = self.output.take() else {
            return Ok(Some(Vec::new()));
        };
        let mut output = pipe::Receiver::from_owned_fd(output.into())?;
        let mut bytes = Vec::new();
        // A grandchild may hold the pipe for ever; what it would say is not what was asked for.
        tokio::select! {
            read = take(&mut output, &mut bytes, most) => {
                read?;
            }
            ended = self.group.ended() => {
                ended?;
                timeout(LAST_WORDS, take(&mut output, &mut bytes, most)).await.ok();
            }
        }
        Ok((bytes.len() <= most).then_some(bytes))
    }

    /// Waits for its end. Nothing of its process group is left then.
    pub async fn end(self) -> io::Result<Ended> {
        let Self {
            mut group,
            input,
            output,
            mut complaints,
        } = self;
        drop((input, output));
        group.ended().await?;
        let status = group.end().await?;
        // A grandchild in a group of its own may hold the pipe for ever.
        let Ok(tail) = timeout(LAST_WORDS, &mut complaints).await else {
            return Ok(Ended {
                status,
                complaints: String::new(),
            });
        };
        Ok(Ended {
            status,
            complaints: tail.map(|tail| tail.text()).unwrap_or_default(),
        })
    }
}

impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversation").finish_non_exhaustive()
    }
}

async fn take(output: &mut pipe::Receiver, bytes: &mut Vec<u8>, most: usize) -> io::Result<()> {
    while bytes.len() <= most && output.read_buf(bytes).await? > 0 {}
    Ok(())
}

async fn listen(mut complaints: pipe::Receiver, heard: impl Fn()) -> Tail {
    let mut tail = Tail::default();
    let mut buffer = [0; 4096];
    // An error is the end of it too.
    while let Ok(read @ 1..) = complaints.read(&mut buffer).await {
        heard();
        tail.add(&buffer[..read]);
    }
    tail
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn it_is_asked_and_answers_until_its_input_ends() {
        let mut talk = Conversation::begin(shell("cat; echo no >&2; exit 3"), || {}).unwrap();
        let (mut input, mut output) = (talk.input().unwrap(), talk.output().unwrap());
        let said = tokio::task::spawn_blocking(move || {
            input.write_all(b"one").unwrap();
            let mut first = [0; 3];
            output.read_exact(&mut first).unwrap();
            input.write_all(b" two").unwrap();
            drop(input);
            let mut rest = String::new();
            output.read_to_string(&mut rest).unwrap();
            (first, rest)
        });
        assert_eq!(said.await.unwrap(), (*b"one", " two".to_owned()));
        let ended = talk.end().await.unwrap();
        assert_eq!(
            (ended.status.code(), ended.complaints.as_str()),
            (Some(3), "no")
        );
    }

    #[tokio::test]
    async fn an_answer_is_bounded() {
        let mut talk = Conversation::begin(shell("yes"), || {}).unwrap();
        assert_eq!(talk.answer(100).await.unwrap(), None);
        let mut talk = Conversation::begin(shell("echo yes"), || {}).unwrap();
        assert_eq!(talk.answer(4).await.unwrap().unwrap(), b"yes\n");
        assert!(talk.end().await.unwrap().status.success());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_it_starts_has_no_more_than_it_may_have() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let script = format!(
            "read go; head -c 9000 /dev/zero > {}; echo $?",
            file.display()
        );
        let mut talk = Conversation::begin(shell(&script), || {}).unwrap();
        let most = Most {
            file: 8192,
            memory: 1 << 30,
        };
        talk.limit(most).unwrap();
        talk.input().unwrap().write_all(b"go\n").unwrap();
        let said = talk.answer(100).await.unwrap().unwrap();
        let signal = 128 + rustix::process::Signal::XFSZ.as_raw();
        assert_eq!(String::from_utf8(said).unwrap(), format!("{signal}\n"));
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 8192);
        talk.end().await.unwrap();
        // Memory that is not there is not given.
        let hungry = shell("read go; head -c 100000000 /dev/zero | sort -S 90M > /dev/null");
        let mut talk = Conversation::begin(hungry, || {}).unwrap();
        let most = Most {
            file: 1 << 30,
            memory: 16 << 20,
        };
        talk.limit(most).unwrap();
        talk.input().unwrap().write_all(b"go\n").unwrap();
        let ended = talk.end().await.unwrap();
        assert!(!ended.status.success(), "{ended:?}");
    }

    #[tokio::test]
    async fn a_grandchild_that_holds_its_pipes_holds_nothing() {
        for start in ["", "setsid "] {
            let directory = tempfile::tempdir().unwrap();
            let pid = directory.path().join("pid");
            let script = format!(
                "{start}tail -f /dev/null & echo $! > {}; echo done",
                pid.display()
            );
            let since = Instant::now();
            let mut talk = Conversation::begin(shell(&script), || {}).unwrap();
            assert_eq!(talk.answer(100).await.unwrap().unwrap(), b"done\n");
            assert!(talk.end().await.unwrap().status.success());
            assert!(since.elapsed() < Duration::from_secs(20));
            let pid = std::fs::read_to_string(pid).unwrap();
            if let Some(pid) = pid
                .trim()
                .parse()
                .ok()
                .and_then(rustix::process::Pid::from_raw)
            {
                // One that left the group goes on; this test takes it along.
                rustix::process::kill_process(pid, rustix::process::Signal::KILL)
                    .unwrap_or_default();
            }
        }
    }

    #[tokio::test]
    async fn whoever_drops_it_ends_it_and_hears_of_its_words() {
        let heard = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&heard);
        let mut talk = Conversation::begin(shell("echo x >&2; echo $$; cat"), move || {
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
        let mut output = talk.output().unwrap();
        let output = tokio::task::spawn_blocking(move || {
            let mut first = [0; 1];
            output.read_exact(&mut first).unwrap();
            output
        });
        let mut output = output.await.unwrap();
        drop(talk);
        // The end comes only if nobody holds the other end any more.
        let rest = tokio::task::spawn_blocking(move || output.read_to_end(&mut Vec::new()));
        rest.await.unwrap().unwrap();
    }
}
