//! The one request that tells whether anything changed: Git's protocol v2, `ls-refs`, over HTTP.

use bytes::BytesMut;
use homing_core::SideError;
use homing_remote::{Request, Session, git_id};
use http::{HeaderName, HeaderValue, StatusCode};
use url::Url;

use crate::pkt_line::{self, Malformed, Message, Packet};
use crate::refs::{Ref, Wanted};

/// What is sent and what comes back.
pub(crate) const REQUEST: &str = "application/x-git-upload-pack-request";
pub(crate) const RESULT: &str = "application/x-git-upload-pack-result";
/// Bytes of an answer: a server may tell of all its refs, whatever was asked.
const MOST_BYTES: usize = 64 << 20;
/// Refs that matter: versions, where the latest is wanted.
pub(crate) const MOST_REFS: usize = 200_000;
/// A server that does not want to be asked like this says so with an error line.
const ERROR: &[u8] = b"ERR ";

/// What a server answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Its refs.
    Refs(Vec<Ref>),
    /// It wants to know who asks.
    Unauthorized(SideError),
    /// It does not speak like this, or leads elsewhere: Git may know how to speak with it.
    Surprise,
}

/// Asks for the refs that matter for what is wanted.
pub(crate) async fn ask(
    session: &Session,
    repository: &Url,
    wanted: &Wanted,
    format: Option<&str>,
) -> Result<Answer, SideError> {
    let mut message = Message::default()
        .line("command=ls-refs")
        .line(concat!("agent=homing/", env!("CARGO_PKG_VERSION")));
    if let Some(format) = format {
        message = message.line(&format!("object-format={format}"));
    }
    message = message.delimiter().line("peel");
    for prefix in wanted.prefixes() {
        message = message.line(&format!("ref-prefix {prefix}"));
    }
    let request = Request::post(service(repository), REQUEST, message.flush())
        .accept(RESULT)
        .header(
            HeaderName::from_static("git-protocol"),
            HeaderValue::from_static("version=2"),
        );
    let mut answer = session.send(request).await?;
    match answer.status {
        StatusCode::OK if answer.media_type().as_deref() == Some(RESULT) => {}
        StatusCode::UNAUTHORIZED => return Ok(Answer::Unauthorized(answer.error())),
        StatusCode::OK if answer.is_a_page_instead_of("git-upload-pack") => {
            return Err(SideError::Transient {
                message: format!(
                    "`{}` answered with a web page where a repository's refs should be: check `url`, and whether a login page of the network is in the way",
                    answer.body.shown()
                ),
                retry_after: None,
                source: None,
            });
        }
        StatusCode::TOO_MANY_REQUESTS => return Err(answer.error()),
        // Whoever serves files alone knows no POST.
        StatusCode::NOT_IMPLEMENTED => return Ok(Answer::Surprise),
        status if status.is_server_error() => return Err(answer.error()),
        _ => return Ok(Answer::Surprise),
    }
    let mut reading = Reading::of(wanted);
    let mut length = 0;
    while let Some(bytes) = answer.body.chunk().await? {
        length += bytes.len();
        if length > MOST_BYTES || reading.refs.len() > MOST_REFS {
            return Err(SideError::Untrusted {
                message: format!(
                    "`{}` tells of more refs than are taken of one repository",
                    answer.body.shown()
                ),
            });
        }
        if reading.add(&bytes).is_err() {
            return Ok(Answer::Surprise);
        }
    }
    Ok(reading.end().map_or(Answer::Surprise, Answer::Refs))
}

/// Tells whether a server answers without a byte where a repository tells of itself: to Git as it was before protocol v2,
/// and to whoever reads its files.
pub(crate) async fn is_empty_answer(
    session: &Session,
    repository: &Url,
) -> Result<bool, SideError> {
    let beginning = async |query: Option<&str>, name: &str| {
        let mut url = below(repository, name);
        url.set_query(query);
        let mut answer = session.send(Request::get(url)).await?;
        if answer.status != StatusCode::OK {
            return Ok(None);
        }
        Ok::<_, SideError>(Some(answer.body.chunk().await?.unwrap_or_default()))
    };
    let refs = beginning(Some("service=git-upload-pack"), "info/refs").await?;
    if refs.is_none_or(|refs| !refs.is_empty()) {
        return Ok(false);
    }
    let head = beginning(None, "HEAD").await?;
    Ok(head.is_none_or(|head| head.is_empty()))
}

/// Asks where a repository is; `None` where nothing leads elsewhere.
pub(crate) async fn end(session: &Session, repository: &Url) -> Result<Option<Url>, SideError> {
    let name = "info/refs";
    let mut asked = below(repository, name);
    asked.set_query(Some("service=git-upload-pack"));
    let answer = session.send(Request::get(asked.clone())).await?;
    if answer.url == asked {
        return Ok(None);
    }
    let mut end = answer.url;
    end.set_query(None);
    let path = end.path().strip_suffix(name).map(str::to_owned);
    Ok(path.map(|path| {
        end.set_path(path.trim_end_matches('/'));
        end
    }))
}

/// Returns where a repository's refs and packs are asked for.
pub(crate) fn service(repository: &Url) -> Url {
    below(repository, "git-upload-pack")
}

fn below(repository: &Url, name: &str) -> Url {
    let mut url = repository.clone();
    // User and password go into a header, if anywhere.
    url.set_username("").ok();
    url.set_password(None).ok();
    let path = format!("{}/{name}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// An answer that is read as it comes; anything unknown is a surprise.
struct Reading<'a> {
    wanted: &'a Wanted,
    received: BytesMut,
    is_whole: bool,
    refs: Vec<Ref>,
}

impl<'a> Reading<'a> {
    fn of(wanted: &'a Wanted) -> Self {
        Self {
            wanted,
            received: BytesMut::new(),
            is_whole: false,
            refs: Vec::new(),
        }
    }

    /// Keeps what matters of what came.
    fn add(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.received.extend_from_slice(bytes);
        while let Some(packet) = pkt_line::next(&mut self.received)? {
            match packet {
                _ if self.is_whole => return Err(Malformed),
                Packet::Data(line) if line.starts_with(ERROR) => return Err(Malformed),
                Packet::Data(line) => {
                    let one = one(&line).ok_or(Malformed)?;
                    if self.wanted.concerns(&one.name) {
                        self.refs.push(one);
                    }
                }
                Packet::Flush => self.is_whole = true,
                Packet::Delimiter | Packet::End => return Err(Malformed),
            }
        }
        Ok(())
    }

    /// Returns what matters, if that was all.
    fn end(self) -> Result<Vec<Ref>, Malformed> {
        if self.is_whole && self.received.is_empty() {
            Ok(self.refs)
        } else {
            Err(Malformed)
        }
    }
}

/// Reads `ID NAME[ peeled:ID][ …]`.
fn one(line: &[u8]) -> Option<Ref> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    // A name that is no UTF-8 is nobody's `ref`; it must only not be taken for another one.
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let id = words.next().filter(|id| git_id::is_full(id))?;
    let name = words.next().filter(|name| !name.is_empty())?;
    let mut peeled = None;
    for word in words {
        if let Some(id) = word.strip_prefix("peeled:") {
            peeled = Some(id.to_owned()).filter(|id| git_id::is_full(id));
            peeled.as_ref()?;
        }
    }
    Some(Ref {
        name: name.to_owned(),
        id: id.to_owned(),
        peeled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn read(wanted: Option<&str>, bytes: &[u8]) -> Result<Vec<Ref>, Malformed> {
        let wanted = Wanted::parse(wanted).unwrap();
        let mut reading = Reading::of(&wanted);
        // However it comes.
        for chunk in bytes.chunks(7) {
            reading.add(chunk)?;
        }
        reading.end()
    }

    fn read_lines(lines: &[&str]) -> Result<Vec<Ref>, Malformed> {
        let message = lines
            .iter()
            .fold(Message::default(), |message, line| message.line(line));
        read(Some("latest"), &message.flush())
    }

    #[test]
    fn refs_are_read_with_what_tags_are_of() {
        let refs = read_lines(&[
            &format!("{A} HEAD symref-target:refs/heads/main"),
            &format!("{A} refs/tags/nightly"),
            &format!("{A} refs/tags/v1.0 peeled:{B}"),
        ])
        .unwrap();
        let names: Vec<_> = refs
            .iter()
            .map(|one| (one.name.as_str(), one.peeled.as_deref()))
            .collect();
        assert_eq!(names, [("refs/tags/v1.0", Some(B))]);
        assert_eq!(read_lines(&[]).unwrap(), []);
    }

    #[test]
    fn anything_else_is_a_surprise() {
        for line in [
            "ERR access denied",
            "# service=git-upload-pack",
            "abc refs/heads/main",
            A,
            &format!("{A} refs/tags/v1 peeled:x"),
        ] {
            assert_eq!(read_lines(&[line]), Err(Malformed), "{line}");
        }
        // Cut off, or with something after it.
        for bytes in [&b""[..], b"000", b"00000000"] {
            assert!(read(None, bytes).is_err());
        }
    }

    #[test]
    fn the_service_is_below_the_repository_and_has_no_user_in_it() {
        let of = |url: &str| service(&Url::parse(url).unwrap()).to_string();
        assert_eq!(
            of("https://me@a.example/b/c.git/"),
            "https://a.example/b/c.git/git-upload-pack"
        );
    }
}
