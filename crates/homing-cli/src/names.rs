//! What was meant by a name that nothing has.

use std::future::Future;
use std::time::Duration;

use homing_api::{Problem, ProblemKind, Status, names_target};
use homing_client::ClientError;
use tokio::time::timeout;

use crate::context::{Context, target_names};
use crate::error::CliError;

/// How long it may take to find out what was meant.
pub(crate) const LIMIT: Duration = Duration::from_millis(300);

/// Carries out a command; when the daemon does not know a name, the hint tells the nearest that it does know.
pub(crate) async fn with_nearest<T>(
    work: impl Future<Output = Result<T, CliError>>,
    context: &Context,
) -> Result<T, CliError> {
    match work.await {
        Err(CliError::Client(ClientError::Problem(problem))) => {
            Err(CliError::from(hinted(*problem, context).await))
        }
        other => other,
    }
}

async fn hinted(mut problem: Problem, context: &Context) -> Problem {
    if !matches!(
        problem.kind,
        ProblemKind::UnknownSource | ProblemKind::UnknownTarget
    ) {
        return problem;
    }
    let word = problem.source.clone().or_else(|| quoted(&problem.detail));
    if let (Some(word), Ok(Ok(status))) = (word, timeout(LIMIT, context.client.status()).await)
        && let Some(hint) = meant(&word, &problem.kind, &status)
    {
        problem.hint = Some(hint);
    }
    problem
}

/// Returns the hint for a name of the wrong kind or one that is nearly right.
fn meant(word: &str, kind: &ProblemKind, status: &Status) -> Option<String> {
    let sources = || status.sources.iter().map(|source| source.id.as_str());
    let targets = || target_names(status);
    if *kind == ProblemKind::UnknownTarget {
        if sources().any(|source| source == word) {
            return Some(format!(
                "`{word}` is a source, and this is for targets; `homing status` lists both"
            ));
        }
        return nearest(word, targets()).map(did_you_mean);
    }
    if let Some(target) = status
        .targets
        .iter()
        .find(|target| names_target(word, &target.id))
    {
        let from = target.from.join("`, `");
        return Some(format!("`{word}` is a target; it follows `{from}`"));
    }
    nearest(word, sources()).map(did_you_mean)
}

/// Returns the hint that names what may have been meant.
pub(crate) fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// Returns the one of `known` that a mistyped or unfinished word means, if one is near.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let letters = word.chars().count();
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        if letters > 1 && candidate.starts_with(&word) {
            return Some(1);
        }
        let longer = candidate.chars().count().max(letters);
        let distance = strsim::damerau_levenshtein(&word, &candidate);
        // A word that has nothing in common with it is not nearly right.
        (distance < longer && distance <= (longer / 3).max(1)).then_some(distance)
    };
    known
        .into_iter()
        .filter_map(|candidate| Some((distance(candidate)?, candidate)))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the one of `paths` whose beginning, or whole, a mistyped beginning means.
pub(crate) fn nearest_path<'k>(
    beginning: &str,
    paths: impl IntoIterator<Item = &'k str> + Clone,
) -> Option<&'k str> {
    if let Some(path) = nearest(beginning, paths.clone()) {
        return Some(path);
    }
    let letters = beginning.chars().count();
    let cut = |path: &'k str| {
        let end = path
            .char_indices()
            .nth(letters)
            .map_or(path.len(), |(at, _)| at);
        &path[..end]
    };
    let beginnings: Vec<&str> = paths.clone().into_iter().map(cut).collect();
    let near = nearest(beginning, beginnings)?;
    paths.into_iter().find(|path| cut(path) == near)
}

/// Returns what a message has between its first two backticks.
fn quoted(detail: &str) -> Option<String> {
    let mut parts = detail.split('`');
    parts.nth(1).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["team", "community", "notes", "a"];
        for (word, found) in [
            ("taem", Some("team")),
            ("Team", Some("team")),
            ("commun", Some("community")),
            ("comunnity", Some("community")),
            ("note", Some("notes")),
            ("b", None),
            ("elsewhere", None),
            ("--x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), found, "{word:?}");
        }
        assert_eq!(nearest("team", []), None);
    }

    #[test]
    fn a_mistyped_beginning_of_a_path_means_one() {
        let paths = ["agents/review.md", "skills/日本語.md"];
        for (beginning, found) in [
            ("agnets/", Some("agents/review.md")),
            ("agents/reveiw.md", Some("agents/review.md")),
            ("skils/日", Some("skills/日本語.md")),
            ("commands/x.md", None),
        ] {
            assert_eq!(nearest_path(beginning, paths), found, "{beginning}");
        }
    }

    #[test]
    fn a_message_names_what_was_not_found() {
        assert_eq!(quoted("there is no source `a b`").as_deref(), Some("a b"));
        assert_eq!(quoted("nothing there"), None);
    }
}
