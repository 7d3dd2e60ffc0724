//! Archives and raw files, which are on another host than the API.

use anyhow::{Context, Result};
use http::StatusCode;

use super::answer::Answer;
use super::routes::{Question, may_see};

/// Answers `tarball/REF` of the API: where the archive is.
pub(crate) fn redirection(question: &Question<'_>, reference: &str) -> Result<Answer> {
    let reference = if reference.is_empty() {
        "HEAD"
    } else {
        reference
    };
    let Some(commit) = question.repository.commit(reference)? else {
        return Ok(Answer::not_found());
    };
    let name = question.repository.name();
    let id = &commit.id;
    let mut location = format!("http://{}/{name}/legacy.tar.gz/{id}", question.state.files);
    if question.repository.settings().private {
        // The ticket takes the place of credentials, which do not go to another host.
        location += "?token=";
        location += &ticket(&name, id);
    }
    Ok(Answer::redirect(StatusCode::FOUND, &location))
}

/// Answers `legacy.tar.gz/REF` and `REF/PATH` of the host of files.
pub(crate) fn file(question: &Question<'_>) -> Result<Answer> {
    match question.path {
        [kind, reference @ ..] if kind == "legacy.tar.gz" => {
            archive(question, &reference.join("/"))
        }
        [reference, path @ ..] => raw(question, reference, &path.join("/")),
        [] => Ok(Answer::not_found()),
    }
}

fn archive(question: &Question<'_>, reference: &str) -> Result<Answer> {
    let Some(commit) = question.repository.commit(reference)? else {
        return Ok(Answer::not_found());
    };
    let name = question.repository.name();
    let with_ticket = question.parameter("token") == Some(ticket(&name, &commit.id));
    if !with_ticket && !may_see(question.repository, question.caller) {
        return Ok(Answer::not_found());
    }
    let directory = format!("{}-{}", name.replace('/', "-"), &commit.id[..7]);
    let packed = question.repository.git.archive(&commit.id, &directory)?;
    let etag = format!("W/\"{}\"", commit.id);
    Ok(Answer::new("application/x-gzip", packed)
        .tagged(&etag)
        .with(
            "content-disposition",
            format!("attachment; filename={directory}.tar.gz"),
        ))
}

fn raw(question: &Question<'_>, reference: &str, path: &str) -> Result<Answer> {
    let repository = question.repository;
    if !may_see(repository, question.caller) {
        return Ok(Answer::not_found());
    }
    let Some(commit) = repository.commit(reference)? else {
        return Ok(Answer::not_found());
    };
    let object = repository.git.find(&format!("{}:{path}", commit.id))?;
    let Some(object) = object.filter(|object| object.kind == "blob") else {
        return Ok(Answer::not_found());
    };
    let (_, bytes) = repository.git.read(&object.id)?.context("the blob")?;
    let etag = format!("\"{}\"", object.id);
    Ok(Answer::new("text/plain; charset=utf-8", bytes).tagged(&etag))
}

fn ticket(name: &str, id: &str) -> String {
    format!("ticket-{}-{}", name.replace('/', "-"), &id[..12])
}
