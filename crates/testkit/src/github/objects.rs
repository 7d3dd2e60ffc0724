//! Refs, tags, commits, trees, blobs and contents.

use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::{Context, Result};
use base64::Engine as _;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::git::{Entry, Object};
use super::routes::Question;

/// The largest file that `contents` carries.
const CONTENTS_LIMIT: u64 = 1024 * 1024;

/// Answers `git/ref/REF` and the older `git/refs/REF`.
pub(crate) fn reference(question: &Question<'_>, name: &str) -> Result<Answer> {
    let full = format!("refs/{name}");
    let git = &question.repository.git;
    let Some(object) = git.find(&full)? else {
        return Ok(Answer::not_found());
    };
    let document = json!({
        "ref": full,
        "url": question.url(&format!("git/{full}")),
        "object": named(question, &object),
    });
    Ok(tagged_json(&document))
}

/// Answers `git/tags/ID`, an annotated tag.
pub(crate) fn tag(question: &Question<'_>, id: &str) -> Result<Answer> {
    let git = &question.repository.git;
    let Some((object, bytes)) = git.read(id)?.filter(|(object, _)| object.kind == "tag") else {
        return Ok(Answer::not_found());
    };
    let text = String::from_utf8_lossy(&bytes);
    let (fields, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let field = |name: &str| {
        let mut lines = fields.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    };
    let target = field("object").context("a tag has an object")?;
    let target = git.find(target)?.context("the tag's object")?;
    let document = json!({
        "tag": field("tag"),
        "sha": object.id,
        "url": question.url(&format!("git/tags/{}", object.id)),
        "message": message,
        "object": named(question, &target),
    });
    Ok(tagged_json(&document))
}

/// Answers `commits/REF`, with the id alone when that is accepted.
pub(crate) fn commit(question: &Question<'_>, reference: &str) -> Result<Answer> {
    let Some(object) = question.repository.commit(reference)? else {
        return Ok(Answer::error(
            StatusCode::UNPROCESSABLE_ENTITY,
            &format!("No commit found for SHA: {reference}"),
        ));
    };
    if question.accept.contains("application/vnd.github.sha") {
        let etag = format!("\"{}\"", object.id);
        return Ok(
            Answer::new("application/vnd.github.sha; charset=utf-8", object.id).tagged(&etag),
        );
    }
    let git = &question.repository.git;
    let tree = git.find(&format!("{}^{{tree}}", object.id))?;
    let tree = tree.context("a commit has a tree")?;
    let (_, bytes) = git.read(&object.id)?.context("the commit")?;
    let text = String::from_utf8_lossy(&bytes);
    let (fields, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let parents: Vec<Value> = fields
        .lines()
        .filter_map(|line| line.strip_prefix("parent "))
        .map(|id| json!({ "sha": id, "url": question.url(&format!("commits/{id}")) }))
        .collect();
    let document = json!({
        "sha": object.id,
        "url": question.url(&format!("commits/{}", object.id)),
        "commit": {
            "message": message,
            "tree": { "sha": tree.id, "url": question.url(&format!("git/trees/{}", tree.id)) },
        },
        "parents": parents,
    });
    Ok(tagged_json(&document))
}

/// Answers `git/trees/NAME`, a tree's id or something that has a tree.
pub(crate) fn tree(question: &Question<'_>, name: &str) -> Result<Answer> {
    let git = &question.repository.git;
    let commit = question.repository.commit(name)?;
    let is_of_commit = commit.is_some();
    let name = commit.map_or_else(|| name.to_owned(), |commit| commit.id);
    let Some(tree) = git.find(&format!("{name}^{{tree}}"))? else {
        return Ok(Answer::not_found());
    };
    // Any value asks for it, `0` and `false` too.
    let recursive = question.parameter("recursive").is_some();
    let (truncate_after, extra) = {
        let settings = question.repository.settings();
        let of_all = settings.truncate_after.filter(|_| recursive);
        let after = settings.directories_after.or(of_all);
        (after, settings.extra_entries.clone())
    };
    let all = git.tree(&tree.id, recursive)?;
    let limit = truncate_after.unwrap_or(usize::MAX);
    let mut entries: Vec<Value> = all
        .iter()
        .take(limit)
        .map(|entry| line(question, entry))
        .collect();
    if !extra.is_empty() && (is_of_commit || git.is_root(&tree.id)?) {
        entries.extend(extra);
    }
    let document = json!({
        "sha": tree.id,
        "url": question.url(&format!("git/trees/{}", tree.id)),
        "tree": entries,
        "truncated": all.len() > limit,
    });
    Ok(tagged_json(&document))
}

/// Answers `git/blobs/ID`, raw when that is accepted.
pub(crate) fn blob(question: &Question<'_>, id: &str) -> Result<Answer> {
    let git = &question.repository.git;
    let Some((object, bytes)) = git.read(id)?.filter(|(object, _)| object.kind == "blob") else {
        return Ok(Answer::not_found());
    };
    let etag = format!("\"{}\"", object.id);
    if question.accept.contains("application/vnd.github.raw") {
        return Ok(Answer::new("application/vnd.github.raw; charset=utf-8", bytes).tagged(&etag));
    }
    let document = json!({
        "sha": object.id,
        "size": object.size,
        "url": question.url(&format!("git/blobs/{}", object.id)),
        "content": wrapped_base64(&bytes),
        "encoding": "base64",
    });
    Ok(Answer::json(&document).tagged(&etag))
}

/// Answers `contents/PATH`: a file, or the list of a directory.
pub(crate) fn contents(question: &Question<'_>, path: &str) -> Result<Answer> {
    let reference = question.parameter("ref");
    let reference = reference.unwrap_or_else(|| "HEAD".to_owned());
    let Some(commit) = question.repository.commit(&reference)? else {
        return Ok(Answer::error(
            StatusCode::NOT_FOUND,
            &format!("No commit found for the ref {reference}"),
        ));
    };
    let git = &question.repository.git;
    let Some(object) = git.find(&format!("{}:{path}", commit.id))? else {
        return Ok(Answer::not_found());
    };
    if object.kind == "tree" {
        let children = git.tree(&object.id, false)?;
        let list: Vec<Value> = children
            .iter()
            .map(|child| described(question, &join(path, &child.path), child))
            .collect();
        return Ok(tagged_json(&Value::Array(list)));
    }
    let (_, bytes) = git.read(&object.id)?.context("the blob")?;
    let etag = format!("\"{}\"", object.id);
    if question.accept.contains("application/vnd.github.raw") {
        return Ok(Answer::new("application/vnd.github.raw; charset=utf-8", bytes).tagged(&etag));
    }
    let entry = Entry {
        mode: "100644".to_owned(),
        kind: "blob".to_owned(),
        id: object.id.clone(),
        size: Some(object.size),
        path: path.to_owned(),
    };
    let mut document = described(question, path, &entry);
    let small = object.size <= CONTENTS_LIMIT;
    document["encoding"] = json!(if small { "base64" } else { "none" });
    document["content"] = json!(if small {
        wrapped_base64(&bytes)
    } else {
        String::new()
    });
    Ok(Answer::json(&document).tagged(&etag))
}

/// Returns a weak validator of these bytes.
pub(crate) fn weak_etag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("W/\"{:016x}\"", hasher.finish())
}

fn tagged_json(document: &Value) -> Answer {
    let answer = Answer::json(document);
    let etag = weak_etag(&answer.body);
    answer.tagged(&etag)
}

fn named(question: &Question<'_>, object: &Object) -> Value {
    let folder = format!("git/{}s/{}", object.kind, object.id);
    json!({ "type": object.kind, "sha": object.id, "url": question.url(&folder) })
}

fn line(question: &Question<'_>, entry: &Entry) -> Value {
    let mut line = json!({
        "path": entry.path,
        "mode": entry.mode,
        "type": entry.kind,
        "sha": entry.id,
    });
    if let Some(size) = entry.size {
        line["size"] = json!(size);
    }
    if entry.kind != "commit" {
        let folder = format!("git/{}s/{}", entry.kind, entry.id);
        line["url"] = json!(question.url(&folder));
    }
    line
}

fn described(question: &Question<'_>, path: &str, entry: &Entry) -> Value {
    let kind = match (entry.kind.as_str(), entry.mode.as_str()) {
        ("tree", _) => "dir",
        ("commit", _) => "submodule",
        (_, "120000") => "symlink",
        _ => "file",
    };
    json!({
        "type": kind,
        "name": path.rsplit('/').next(),
        "path": path,
        "sha": entry.id,
        "size": entry.size.unwrap_or(0),
        "url": question.url(&format!("contents/{path}")),
    })
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// GitHub breaks base64 into lines of 60 characters.
fn wrapped_base64(bytes: &[u8]) -> String {
    let whole = base64::engine::general_purpose::STANDARD.encode(bytes);
    let mut wrapped = String::with_capacity(whole.len() + whole.len() / 60 + 1);
    for (at, letter) in whole.chars().enumerate() {
        if at > 0 && at % 60 == 0 {
            wrapped.push('\n');
        }
        wrapped.push(letter);
    }
    wrapped.push('\n');
    wrapped
}
