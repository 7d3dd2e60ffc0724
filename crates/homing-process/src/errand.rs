//! A command of the user's: it is given something, and is heard until it ends or has had its time.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::group::Group;
use crate::tail::Tail;

/// How long a program's last words may take to arrive once it has ended.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(200);

/// What is to be run.
pub struct Errand<'a> {
    /// The program and its arguments.
    pub command: &'a [String],
    /// Where it runs.
    pub directory: &'a Path,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// What it may read from its standard input.
    pub input: Vec<u8>,
    /// It is ended after this long.
    pub timeout: Duration,
}

/// How it ended.
#[derive(Debug)]
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It took too long and was killed.
    TimedOut,
    /// The daemon's own end killed it.
    Stopped,
    /// It printed more than anybody wants to hear and was killed.
    SaidTooMuch,
}

/// How it ended and what it said last.
#[derive(Debug)]
pub struct Outcome {
    /// How.
    pub end: End,
    /// The end of what it printed on standard output and standard error.
    pub tail: String,
}

/// What a command answered on standard output; not to be printed, so it has no `Debug`.
pub struct Answer {
    /// How it ended.
    pub end: End,
    /// All that it printed there, when it ended by itself.
    pub bytes: Vec<u8>,
}

/// Runs a command for what it prints on standard output, `most` bytes of it; its standard error is dropped.
///
/// Nothing of its process group is left then. An error means that it could not be started.
pub async fn ask(errand: Errand<'_>, most: usize) -> io::Result<Answer> {
    let head = Head {
        bytes: Vec::new(),
        most,
    };
    let (end, head) = begin(errand, head)?.hear(&CancellationToken::new()).await?;
    Ok(Answer {
        end,
        bytes: head.bytes,
    })
}

/// Starts a command whose last words are kept. An error means that it could not be started.
pub fn start(errand: Errand<'_>) -> io::Result<Running<Tail>> {
    begin(errand, Tail::default())
}

fn begin<E: Ear>(errand: Errand<'_>, ear: E) -> io::Result<Running<E>> {
    let (program, arguments) = errand
        .command
        .split_first()
        .ok_or_else(|| io::Error::other("the command is empty"))?;
    let (said, words) = io::pipe()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(errand.environment)
        .current_dir(errand.directory)
        .stdin(Stdio::piped())
        .stdout(words.try_clone()?)
        .stderr(if ear.hears_errors() {
            words.into()
        } else {
            drop(words);
            Stdio::null()
        })
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn()?;
    // It holds the writing end of the pipe, which would keep us reading for ever.
    drop(command);
    Ok(Running {
        group: Group::of(child)?,
        said: pipe::Receiver::from_owned_fd(said.into())?,
        ear,
        input: errand.input,
        timeout: errand.timeout,
    })
}

/// A command that runs; it ends with this value.
pub struct Running<E> {
    group: Group,
    said: pipe::Receiver,
    ear: E,
    input: Vec<u8>,
    timeout: Duration,
}

impl Running<Tail> {
    /// Returns the process that leads its group.
    pub fn leader(&self) -> Pid {
        self.group.leader
    }

    /// Gives it its input and waits for its end. Nothing of its process group is left then.
    pub async fn end(self, stop: &CancellationToken) -> io::Result<Outcome> {
        let (end, tail) = self.hear(stop).await?;
        Ok(Outcome {
            end,
            tail: tail.text(),
        })
    }
}

impl<E: Ear> Running<E> {
    /// A command that does not read its input, closes it, or leaves somebody behind who holds its output, is waited for
    /// no longer than any other.
    async fn hear(self, stop: &CancellationToken) -> io::Result<(End, E)> {
        let Self {
            mut group,
            mut said,
            mut ear,
            input: text,
            timeout: limit,
        } = self;
        let input = group.child.stdin.take();
        let end = {
            let speaking = async {
                if let Some(mut input) = input {
                    // Whoever does not want to know closes it.
                    input.write_all(&text).await.unwrap_or_default();
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                end = timeout(limit, group.ended()) => match end {
                    Ok(ended) => {
                        ended?;
                        None
                    }
                    Err(_elapsed) => Some(End::TimedOut),
                },
                () = stop.cancelled() => Some(End::Stopped),
                () = speaking => None,
                () = listen(&mut ear, &mut said) => Some(End::SaidTooMuch),
            }
        };
        let status = group.end().await?;
        let all = timeout(LAST_WORDS, read_to_end(&mut ear, &mut said)).await;
        let end = match end {
            None if matches!(all, Ok(Heard::Enough)) => End::SaidTooMuch,
            end => end.unwrap_or(End::Exited(status)),
        };
        Ok((end, ear))
    }
}

/// Who listens to a command.
pub trait Ear {
    /// Tells whether standard error is heard, too.
    fn hears_errors(&self) -> bool;

    /// Takes what was said, and tells whether to go on.
    fn add(&mut self, bytes: &[u8]) -> bool;
}

#[derive(PartialEq, Eq)]
enum Heard {
    All,
    Enough,
}

/// Listens for ever, or until it is enough.
async fn listen(ear: &mut impl Ear, said: &mut pipe::Receiver) {
    if read_to_end(ear, said).await == Heard::All {
        std::future::pending::<()>().await;
    }
}

async fn read_to_end(ear: &mut impl Ear, said: &mut pipe::Receiver) -> Heard {
    let mut buffer = [0; 4096];
    // An error is the end of it too.
    while let Ok(read @ 1..) = said.read(&mut buffer).await {
        if !ear.add(&buffer[..read]) {
            return Heard::Enough;
        }
    }
    Heard::All
}

/// The whole of what was said, if it is not too much.
struct Head {
    bytes: Vec<u8>,
    most: usize,
}

impl Ear for Head {
    fn hears_errors(&self) -> bool {
        false
    }

    fn add(&mut self, bytes: &[u8]) -> bool {
        self.bytes.extend_from_slice(bytes);
        self.bytes.len() <= self.most
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;
    use std::time::Instant;

    use rustix::process::Signal;

    use super::*;
    use crate::tail::TAIL_BYTES;

    /// Far longer than anything here takes.
    const LONG: Duration = Duration::from_mins(1);

    async fn run(errand: Errand<'_>, stop: &CancellationToken) -> io::Result<Outcome> {
        start(errand)?.end(stop).await
    }

    async fn shell(script: &str, input: &[u8], timeout: Duration) -> Outcome {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let errand = Errand {
            command: &command,
            directory: Path::new("/"),
            environment: vec![
                ("PATH".into(), "/usr/bin:/bin".into()),
                ("GIVEN".into(), "a b".into()),
            ],
            input: input.to_owned(),
            timeout,
        };
        run(errand, &CancellationToken::new()).await.unwrap()
    }

    fn code(outcome: &Outcome) -> Option<i32> {
        match outcome.end {
            End::Exited(status) => status.code(),
            End::TimedOut | End::Stopped | End::SaidTooMuch => None,
        }
    }

    #[tokio::test]
    async fn it_has_its_input_its_directory_and_no_environment_but_what_is_given() {
        let outcome = shell("cat; pwd; env | sort; echo no >&2; exit 3", b"in\n", LONG).await;
        assert_eq!(code(&outcome), Some(3));
        let said = outcome.tail.replace("_=/usr/bin/env\n", "");
        assert_eq!(said, "in\n/\nGIVEN=a b\nPATH=/usr/bin:/bin\nPWD=/\nno");
    }

    #[tokio::test]
    async fn input_that_nobody_reads_or_that_is_closed_does_no_harm() {
        let much = vec![b'x'; 4 << 20];
        assert_eq!(code(&shell("exit 0", &much, LONG).await), Some(0));
        let closes = shell("exec <&-; echo closed", &much, LONG).await;
        assert_eq!((code(&closes), closes.tail.as_str()), (Some(0), "closed"));
        let reads = shell("wc -c", &much, LONG).await;
        assert_eq!(reads.tail.trim(), much.len().to_string());
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let script = format!(
            "mkfifo {0}; (echo begun; cat {0}; echo survived) & cat {0}",
            fifo.display()
        );
        let since = Instant::now();
        let outcome = shell(&script, b"", Duration::from_millis(300)).await;
        assert!(matches!(outcome.end, End::TimedOut), "{outcome:?}");
        assert!(since.elapsed() < LONG / 2);
        // Whoever still had the fifo open would let this writer in.
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
        let mut writer = std::fs::OpenOptions::new();
        writer.write(true).custom_flags(flags);
        let refused = writer.open(&fifo).unwrap_err();
        assert_eq!(
            refused.raw_os_error(),
            Some(rustix::io::Errno::NXIO.raw_os_error())
        );
    }

    #[tokio::test]
    async fn a_grandchild_that_holds_the_output_holds_nothing() {
        for script in [
            "tail -f /dev/null & echo done",
            "setsid tail -f /dev/null & echo done",
        ] {
            let directory = tempfile::tempdir().unwrap();
            let since = Instant::now();
            let script = format!("{script}; echo $! > {}/pid", directory.path().display());
            let outcome = shell(&script, b"", LONG).await;
            assert_eq!((code(&outcome), outcome.tail.as_str()), (Some(0), "done"));
            assert!(since.elapsed() < LONG / 2);
            let pid = std::fs::read_to_string(directory.path().join("pid")).unwrap();
            if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
                // One that left the group is the user's; this test takes it along.
                rustix::process::kill_process(pid, Signal::KILL).unwrap_or_default();
            }
        }
    }

    #[tokio::test]
    async fn of_much_output_the_end_is_kept() {
        let outcome = shell("seq 1 100000", b"", LONG).await;
        assert!(outcome.tail.ends_with("\n100000"), "{}", outcome.tail);
        assert!(outcome.tail.len() <= TAIL_BYTES);
        assert!(
            outcome
                .tail
                .starts_with(|digit: char| digit.is_ascii_digit())
        );
    }

    #[tokio::test]
    async fn an_answer_is_standard_output_alone_and_no_more_than_is_wanted() {
        let command = |script: &str| ["/bin/sh", "-c", script].map(str::to_owned);
        let asked = async |script: &str, timeout| {
            let command = command(script);
            let errand = Errand {
                command: &command,
                directory: Path::new("/"),
                environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
                input: Vec::new(),
                timeout,
            };
            ask(errand, 64).await.unwrap()
        };
        let answer = asked("echo no >&2; cat; echo yes; exit 3", LONG).await;
        assert!(matches!(answer.end, End::Exited(status) if status.code() == Some(3)));
        assert_eq!(answer.bytes, b"yes\n");
        for script in ["yes", "yes | head -n 40", "seq 40; tail -f /dev/null"] {
            let answer = asked(script, LONG).await;
            assert!(matches!(answer.end, End::SaidTooMuch), "{script}");
        }
        let answer = asked("echo yes; tail -f /dev/null", Duration::from_millis(300)).await;
        assert!(matches!(answer.end, End::TimedOut));
    }

    #[tokio::test]
    async fn a_stop_ends_it_and_what_is_not_there_does_not_start() {
        let stop = CancellationToken::new();
        stop.cancel();
        let command = ["tail", "-f", "/dev/null"].map(str::to_owned);
        let errand = |command| Errand {
            command,
            directory: Path::new("/"),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            input: Vec::new(),
            timeout: LONG,
        };
        let outcome = run(errand(&command), &stop).await.unwrap();
        assert!(matches!(outcome.end, End::Stopped), "{outcome:?}");
        let missing = ["homing-no-such-program".to_owned()];
        let error = run(errand(&missing), &stop).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
