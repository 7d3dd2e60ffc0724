//! A fetch over HTTP with one request: Git's protocol v2, whose answer goes straight to `git index-pack`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use homing_core::{Progress, SideError};
use homing_remote::{Answer, Request, Session, git_id};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::process::Command;
use tokio::sync::mpsc;
use url::Url;

use crate::ceilings::Ceilings;
use crate::errors;
use crate::git::Git;
use crate::ls_refs::{REQUEST, RESULT, service};
use crate::pkt_line::{self, Malformed, Message, Packet};

/// Chunks that wait for `git index-pack`.
const WAITING: usize = 16;
/// Bytes that `git index-pack` says of a pack that it took.
const MOST_SAID: usize = 1024;
/// Ends of histories that a server tells of; each that is wanted has one, and hardly more.
const MOST_SHALLOW: usize = 1 << 16;

/// What is to be fetched.
#[derive(Debug, Clone)]
pub(crate) struct Order<'a> {
    /// Commits, tags or blobs.
    pub(crate) wants: &'a [String],
    /// Commits that are there already, each the end of what is known of its history.
    pub(crate) haves: &'a [String],
    /// The commits whose parents the mirror does not have.
    pub(crate) shallow: &'a [String],
    /// How much of their history is wanted; all of it without one.
    pub(crate) depth: Option<Depth>,
    /// Commits and trees alone: blobs are asked for when it is known which are wanted.
    pub(crate) without_blobs: bool,
    /// `sha256`, where ids are that.
    pub(crate) format: Option<&'a str>,
    /// What it may cost.
    pub(crate) ceilings: Ceilings,
}

/// How far back a history is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Only the commits that are wanted.
    One,
    /// What was committed since then, in seconds since 1970.
    Since(u64),
}

/// How a fetch ended.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// All is in the mirror.
    Whole {
        /// Commits whose parents did not come.
        shallow: BTreeSet<String>,
        /// Commits whose parents came now.
        unshallow: BTreeSet<String>,
    },
    /// The server does not do it like this; Git may know how to.
    Surprise,
    /// Git does not take in what came, whole as it may be: it is broken, or the mirror is.
    Refused {
        /// What is wrong.
        error: SideError,
        /// It is made from objects that are not here.
        lacks_bases: bool,
    },
}

/// Fetches into the repository that `index_pack` is a command of.
pub(crate) async fn fetch(
    session: &Session,
    repository: &Url,
    order: &Order<'_>,
    index_pack: Command,
    progress: &Progress,
) -> Result<Fetched, SideError> {
    let request = Request::post(service(repository), REQUEST, message(order))
        .accept(RESULT)
        .header(
            HeaderName::from_static("git-protocol"),
            HeaderValue::from_static("version=2"),
        );
    let answer = session.send(request).await?;
    match answer.status {
        StatusCode::OK if answer.media_type().as_deref() == Some(RESULT) => {}
        StatusCode::TOO_MANY_REQUESTS => return Err(answer.error()),
        // Whoever serves files alone knows no POST.
        StatusCode::NOT_IMPLEMENTED => return Ok(Fetched::Surprise),
        status if status.is_server_error() => return Err(answer.error()),
        _ => return Ok(Fetched::Surprise),
    }
    let mut stream = Stream {
        answer,
        received: BytesMut::new(),
    };
    let mut shallow = BTreeSet::new();
    let mut unshallow = BTreeSet::new();
    loop {
        match stream.line().await? {
            Some(line) if line == "shallow-info" => {
                while let Some(line) = stream.line().await? {
                    if shallow.len() + unshallow.len() == MOST_SHALLOW {
                        return Err(SideError::Untrusted {
                            message: format!(
                                "`{}` tells of more than {MOST_SHALLOW} commits whose parents it leaves out, which is the most that is taken",
                                stream.answer.body.shown()
                            ),
                        });
                    }
                    let (sort, id) = match line.split_once(' ') {
                        Some(("shallow", id)) => (&mut shallow, id),
                        Some(("unshallow", id)) => (&mut unshallow, id),
                        _ => return Ok(Fetched::Surprise),
                    };
                    if !git_id::is_full(id) {
                        return Ok(Fetched::Surprise);
                    }
                    sort.insert(id.to_owned());
                }
            }
            Some(line) if line == "packfile" => break,
            _ => return Ok(Fetched::Surprise),
        }
    }
    let unpacked = stream.unpack(index_pack, order.ceilings, progress).await?;
    Ok(unpacked.unwrap_or(Fetched::Whole { shallow, unshallow }))
}

fn message(order: &Order<'_>) -> Bytes {
    let mut message = Message::default()
        .line("command=fetch")
        .line(concat!("agent=homing/", env!("CARGO_PKG_VERSION")));
    if let Some(format) = order.format {
        message = message.line(&format!("object-format={format}"));
    }
    message = message
        .delimiter()
        .line("ofs-delta")
        .line("thin-pack")
        .line("no-progress");
    for id in order.shallow {
        message = message.line(&format!("shallow {id}"));
    }
    match order.depth {
        Some(Depth::One) => message = message.line("deepen 1"),
        Some(Depth::Since(time)) => message = message.line(&format!("deepen-since {time}")),
        None => {}
    }
    if order.without_blobs {
        message = message.line("filter blob:none");
    }
    for id in order.wants {
        message = message.line(&format!("want {id}"));
    }
    for id in order.haves {
        message = message.line(&format!("have {id}"));
    }
    message.line("done").flush()
}

/// An answer that is read packet by packet.
struct Stream {
    answer: Answer,
    received: BytesMut,
}

impl Stream {
    /// Returns the next packet; `None` where the answer ends.
    async fn packet(&mut self) -> Result<Option<Packet>, SideError> {
        loop {
            match pkt_line::next(&mut self.received) {
                Ok(Some(packet)) => return Ok(Some(packet)),
                Ok(None) => {}
                Err(Malformed) => return Err(self.broken("it sends what is no packet")),
            }
            match self.answer.body.chunk().await? {
                Some(bytes) => self.received.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }

    /// Returns the next line of a section; `None` at its end.
    async fn line(&mut self) -> Result<Option<String>, SideError> {
        Ok(match self.packet().await? {
            Some(Packet::Data(line)) => {
                let line = String::from_utf8_lossy(&line);
                Some(line.trim_end_matches('\n').to_owned())
            }
            _ => None,
        })
    }

    /// Gives the pack to Git, and returns what came in between if that did not end well.
    async fn unpack(
        mut self,
        index_pack: Command,
        ceilings: Ceilings,
        progress: &Progress,
    ) -> Result<Option<Fetched>, SideError> {
        let mut talk = Git::begin(index_pack, progress)?;
        ceilings.hold(&talk);
        let Some(mut input) = talk.input() else {
            return Err(SideError::Cancelled);
        };
        let (sender, mut chunks) = mpsc::channel::<Bytes>(WAITING);
        let writing = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = chunks.blocking_recv() {
                input.write_all(&chunk)?;
            }
            Ok::<_, std::io::Error>(())
        });
        let mut received = 0;
        let broke_off = loop {
            let packet = self.packet().await?;
            // Whoever counts for long sends hardly anything meanwhile.
            self.answer.body.is_alive();
            match packet {
                Some(Packet::Data(data)) => {
                    received += data.len() as u64;
                    if received > ceilings.pack {
                        return Err(ceilings.too_long(self.answer.body.shown()));
                    }
                    match data.first() {
                        // Git takes no more, and says why below.
                        Some(1) if sender.send(data.slice(1..)).await.is_err() => break false,
                        // A word of the server's own. What came is not whole, so it is not to be kept.
                        Some(3) => return Ok(Some(Fetched::Surprise)),
                        _ => {}
                    }
                }
                Some(Packet::Flush | Packet::End) => break false,
                Some(Packet::Delimiter) | None => break true,
            }
        };
        drop(sender);
        if broke_off {
            return Err(self.broken("it broke off"));
        }
        // The end of its input is the end of the pack for it, whole or not: it checks that itself.
        writing.await.ok();
        let ended = async {
            // It tells the pack's name.
            talk.answer(MOST_SAID).await?;
            talk.end().await
        };
        let ended = ended.await.map_err(|error| SideError::Storage {
            message: format!("`git index-pack` cannot be heard: {error}"),
            source: None,
        })?;
        if ended.status.success() {
            return Ok(None);
        }
        let place = self.answer.body.shown();
        if let Some(error) = ceilings.exceeded(&place, &ended) {
            return Err(error);
        }
        Ok(Some(Fetched::Refused {
            error: errors::of_git(&format!("taking in what `{place}` sends"), &ended),
            lacks_bases: ended.complaints.contains("unresolved delta"),
        }))
    }

    fn broken(&self, why: &str) -> SideError {
        SideError::Transient {
            message: format!(
                "`{}` does not send a whole pack: {why}",
                self.answer.body.shown()
            ),
            retry_after: None,
            source: None,
        }
    }
}

/// Returns the commits whose parents a mirror does not have.
pub(crate) fn shallow_commits(mirror: &Path) -> std::io::Result<Vec<String>> {
    match std::fs::read_to_string(mirror.join("shallow")) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Notes commits whose parents did not come, before anything names them.
pub(crate) fn note_shallow(
    mirror: &Path,
    shallow: &BTreeSet<String>,
    unshallow: &BTreeSet<String>,
) -> std::io::Result<()> {
    let before: BTreeSet<String> = shallow_commits(mirror)?.into_iter().collect();
    let mut after: BTreeSet<String> = before.union(shallow).cloned().collect();
    after.retain(|id| !unshallow.contains(id));
    if after == before {
        return Ok(());
    }
    let mut file = tempfile::NamedTempFile::new_in(mirror)?;
    for id in &after {
        writeln!(file, "{id}")?;
    }
    file.as_file().sync_all()?;
    file.persist(mirror.join("shallow"))
        .map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_written_as_git_writes_it() {
        let (want, have) = (["a".repeat(40)], ["b".repeat(40)]);
        let order = Order {
            wants: &want,
            haves: &have,
            shallow: &have,
            depth: Some(Depth::One),
            without_blobs: true,
            format: Some("sha1"),
            ceilings: Ceilings::default(),
        };
        let mut message = BytesMut::from(message(&order));
        let mut lines = Vec::new();
        while let Some(packet) = pkt_line::next(&mut message).unwrap() {
            lines.push(match packet {
                Packet::Data(line) => String::from_utf8_lossy(&line).trim_end().to_owned(),
                other => format!("{other:?}"),
            });
        }
        let (a, b) = (&want[0], &have[0]);
        assert_eq!(lines[0], "command=fetch");
        assert_eq!(
            lines[2..],
            [
                "object-format=sha1".to_owned(),
                "Delimiter".to_owned(),
                "ofs-delta".to_owned(),
                "thin-pack".to_owned(),
                "no-progress".to_owned(),
                format!("shallow {b}"),
                "deepen 1".to_owned(),
                "filter blob:none".to_owned(),
                format!("want {a}"),
                format!("have {b}"),
                "done".to_owned(),
                "Flush".to_owned(),
            ]
        );
    }

    #[test]
    fn shallow_commits_are_noted_and_taken_away() {
        let mirror = tempfile::tempdir().unwrap();
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        note_shallow(mirror.path(), &set(&["b", "a"]), &set(&[])).unwrap();
        assert_eq!(shallow_commits(mirror.path()).unwrap(), ["a", "b"]);
        note_shallow(mirror.path(), &set(&["c"]), &set(&["a"])).unwrap();
        assert_eq!(shallow_commits(mirror.path()).unwrap(), ["b", "c"]);
    }
}
