//! What was meant by a path that nothing has.

use std::path::{Path, PathBuf};

use homing_api::{FilesQuery, ProblemKind, Target};
use homing_client::ClientError;
use tokio::time::timeout;

use crate::context::Context;
use crate::error::CliError;
use crate::names::{LIMIT, did_you_mean, nearest_path};

/// So many files are looked at: more would not be read in time.
const MOST: u32 = 10_000;

/// Adds to the error which item of the source was meant by the first of the typed paths that it does not have.
pub(crate) async fn with_nearest_item(
    error: ClientError,
    source: &str,
    typed: &[String],
    context: &Context,
) -> CliError {
    with_hint(error, async {
        let items = items(source, context).await?;
        let unknown = typed.iter().find(|path| !items.contains(path))?;
        nearest_path(unknown, items.iter().map(String::as_str)).map(did_you_mean)
    })
    .await
}

/// Adds to the error which published file was meant by a path that was `typed`, and is `absolute`.
pub(crate) async fn with_nearest_file(
    error: ClientError,
    typed: &Path,
    absolute: &Path,
    context: &Context,
) -> CliError {
    with_hint(error, async {
        for target in context.client.targets().await.ok()?.targets {
            let root = context.absolute(&in_home(&target.path, context));
            let Some(path) = absolute.strip_prefix(&root).ok().and_then(Path::to_str) else {
                continue;
            };
            let mut published = Vec::new();
            for source in &target.from {
                let items = items(source, context).await.unwrap_or_default();
                published.extend(items.iter().map(|item| place(item, &target).to_owned()));
            }
            let found = nearest_path(path, published.iter().map(String::as_str));
            if let Some(meant) = found {
                let before = typed.to_str().and_then(|typed| typed.strip_suffix(path));
                let whole = before.map_or_else(
                    || root.join(meant).display().to_string(),
                    |before| format!("{before}{meant}"),
                );
                return Some(did_you_mean(&whole));
            }
        }
        None
    })
    .await
}

/// Replaces the hint of an error that says that nothing has a path, if a better one is found in time.
async fn with_hint(error: ClientError, hint: impl Future<Output = Option<String>>) -> CliError {
    let ClientError::Problem(mut problem) = error else {
        return error.into();
    };
    if problem.kind == ProblemKind::UnknownPath
        && let Ok(Some(hint)) = timeout(LIMIT, hint).await
    {
        problem.hint = Some(hint);
    }
    ClientError::Problem(problem).into()
}

async fn items(source: &str, context: &Context) -> Option<Vec<String>> {
    let query = FilesQuery {
        limit: Some(MOST),
        ..FilesQuery::default()
    };
    let listed = context.client.files(source, &query).await.ok()?;
    Some(listed.files.into_iter().map(|file| file.path).collect())
}

/// Returns where an item is in a target.
fn place<'i>(item: &'i str, target: &Target) -> &'i str {
    let is_flat = target
        .config
        .as_ref()
        .is_some_and(|config| matches!(config.layout.as_str(), "flat" | "agents"));
    match item.rsplit_once('/') {
        Some((_, name)) if is_flat => name,
        _ => item,
    }
}

fn in_home(path: &str, context: &Context) -> PathBuf {
    let below = path.strip_prefix("~/");
    match (below, &context.env.home) {
        (Some(below), Some(home)) => home.join(below),
        _ => path.into(),
    }
}
