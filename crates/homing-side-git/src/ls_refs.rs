//! The one request that tells whether anything changed: Git's protocol v2, `ls-refs`, over HTTP.

use bytes::BytesMut;
use homing_core::SideError;
use homing_remote::{Request, Session, git_id};
use http::{HeaderName, HeaderValue, StatusCode};
use url::Url;

use crate::pkt_line::{self, Malformed, Message, Packet};
use crate::refs::Ref;

/// What is sent and what comes back.
pub(crate) const REQUEST: &str = "application/x-git-upload-pack-request";
pub(crate) const RESULT: &str = "application/x-git-upload-pack-result";
/// What the refs are called by servers that tell all of them at once.
const ADVERTISED: &str = "application/x-git-upload-pack-advertisement";
/// Bytes of an answer: some hundred thousand tags.
const MOST_BYTES: usize = 64 << 20;
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

/// Asks for the refs that begin with one of the prefixes.
pub(crate) async fn ask(
    session: &Session,
    repository: &Url,
    prefixes: &[String],
    format: Option<&str>,
) -> Result<Answer, SideError> {
    let mut message = Message::default()
        .line("command=ls-refs")
        .line(concat!("agent=homing/", env!("CARGO_PKG_VERSION")));
    if let Some(format) = format {
        message = message.line(&format!("object-format={format}"));
    }
    message = message.delimiter().line("peel");
    for prefix in prefixes {
        message = message.line(&format!("ref-prefix {prefix}"));
    }
    let request = Request::post(service(repository), REQUEST, message.flush())
        .accept(RESULT)
        .header(
            HeaderName::from_static("git-protocol"),
            HeaderValue::from_static("version=2"),
        );
    let answer = session.send(request).await?;
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
        status if status.is_server_error() => return Err(answer.error()),
        _ => return Ok(Answer::Surprise),
    }
    let mut received = BytesMut::from(answer.body.collect(MOST_BYTES).await?);
    Ok(read(&mut received).map_or(Answer::Surprise, Answer::Refs))
}

/// Tells whether there is a repository that speaks Git's own protocol, of whichever version: nothing is not yet no ref.
pub(crate) async fn is_spoken(session: &Session, repository: &Url) -> Result<bool, SideError> {
    let mut url = service(repository);
    let path = url.path().strip_suffix("git-upload-pack");
    let path = format!("{}info/refs", path.unwrap_or_default());
    url.set_path(&path);
    url.set_query(Some("service=git-upload-pack"));
    let answer = session.send(Request::get(url)).await?;
    let is_advertised = answer.media_type().as_deref() == Some(ADVERTISED);
    Ok(answer.status == StatusCode::OK && is_advertised)
}

/// Returns where a repository's refs and packs are asked for.
pub(crate) fn service(repository: &Url) -> Url {
    let mut url = repository.clone();
    // User and password go into a header, if anywhere.
    url.set_username("").ok();
    url.set_password(None).ok();
    let path = format!("{}/git-upload-pack", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// Reads the whole answer; anything unknown is a surprise.
fn read(received: &mut BytesMut) -> Result<Vec<Ref>, Malformed> {
    let mut refs = Vec::new();
    loop {
        match pkt_line::next(received)?.ok_or(Malformed)? {
            Packet::Data(line) if line.starts_with(ERROR) => return Err(Malformed),
            Packet::Data(line) => refs.push(one(&line).ok_or(Malformed)?),
            Packet::Flush if received.is_empty() => return Ok(refs),
            Packet::Flush | Packet::Delimiter | Packet::End => return Err(Malformed),
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

    fn read_lines(lines: &[&str]) -> Result<Vec<Ref>, Malformed> {
        let message = lines
            .iter()
            .fold(Message::default(), |message, line| message.line(line));
        read(&mut BytesMut::from(message.flush()))
    }

    #[test]
    fn refs_are_read_with_what_tags_are_of() {
        let refs = read_lines(&[
            &format!("{A} HEAD symref-target:refs/heads/main"),
            &format!("{A} refs/tags/v1 peeled:{B}"),
        ])
        .unwrap();
        let names: Vec<_> = refs
            .iter()
            .map(|one| (one.name.as_str(), one.peeled.as_deref()))
            .collect();
        assert_eq!(names, [("HEAD", None), ("refs/tags/v1", Some(B))]);
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
        assert!(read(&mut BytesMut::from(&b"000"[..])).is_err());
        assert!(read(&mut BytesMut::from(&b"00000000"[..])).is_err());
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
