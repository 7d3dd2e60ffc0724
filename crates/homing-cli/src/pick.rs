//! Which conflicts the user means.

use homing_api::{Conflict, Problem, ProblemKind, names_target};

use crate::names::nearest_path;

/// Returns the conflicts of a source or target that `paths` name, all without a path; each path is a whole one or the
/// beginning of just one.
pub(crate) fn pick<'c>(
    conflicts: &'c [Conflict],
    name: &str,
    paths: &[String],
) -> Result<Vec<&'c Conflict>, Box<Problem>> {
    let named: Vec<&Conflict> = conflicts
        .iter()
        .filter(|conflict| is_of(conflict, name))
        .collect();
    if named.is_empty() {
        let problem = Problem::new(
            ProblemKind::UnknownPath,
            format!("`{name}` has no open conflict"),
        );
        return Err(Box::new(problem.with_hint("see `homing conflicts`")));
    }
    if paths.is_empty() {
        return Ok(own_first(named, name));
    }
    let mut picked: Vec<&Conflict> = Vec::new();
    for path in paths {
        for conflict in matching(&named, name, path)? {
            if !picked.iter().any(|known| known.id == conflict.id) {
                picked.push(conflict);
            }
        }
    }
    Ok(own_first(picked, name))
}

/// Where a source itself has a conflict at a path, its name means that one: what its targets show at the same path is
/// another question, with another local side.
fn own_first<'c>(mut picked: Vec<&'c Conflict>, name: &str) -> Vec<&'c Conflict> {
    let own: Vec<String> = picked
        .iter()
        .filter(|conflict| conflict.target.is_none())
        .map(|conflict| conflict.path.clone())
        .collect();
    picked.retain(|conflict| match &conflict.target {
        None => true,
        Some(target) => names_target(name, target) || !own.contains(&conflict.path),
    });
    picked
}

/// Tells whether a conflict is shown under this source or target.
pub(crate) fn is_of(conflict: &Conflict, name: &str) -> bool {
    let target = conflict.target.as_deref();
    conflict.source == name || target.is_some_and(|target| names_target(name, target))
}

fn matching<'c>(
    named: &[&'c Conflict],
    name: &str,
    path: &str,
) -> Result<Vec<&'c Conflict>, Box<Problem>> {
    let exact: Vec<&Conflict> = named
        .iter()
        .copied()
        .filter(|conflict| conflict.path == path)
        .collect();
    if !exact.is_empty() {
        return Ok(exact);
    }
    let begins: Vec<&Conflict> = named
        .iter()
        .copied()
        .filter(|conflict| conflict.path.starts_with(path))
        .collect();
    let mut different: Vec<&str> = begins
        .iter()
        .map(|conflict| conflict.path.as_str())
        .collect();
    different.sort_unstable();
    different.dedup();
    let problem = match different.len() {
        1 => return Ok(begins),
        0 => Problem::new(
            ProblemKind::UnknownPath,
            format!("`{name}` has no open conflict at `{path}`"),
        )
        .with_hint(
            nearest_path(path, named.iter().map(|conflict| conflict.path.as_str())).map_or_else(
                || format!("see `homing conflicts {name}`"),
                |path| {
                    format!("did you mean `{path}`? `homing conflicts {name}` lists what is open")
                },
            ),
        ),
        _ => Problem::new(
            ProblemKind::BadRequest,
            format!("`{path}` fits several conflicts of `{name}`"),
        )
        .with_causes(different.iter().map(|path| format!("`{path}`")).collect())
        .with_hint("write the whole path, or name several"),
    };
    Err(Box::new(problem))
}

#[cfg(test)]
pub(crate) mod tests {
    use homing_api::{ConflictKind, Hop};

    use super::*;

    /// Returns an open conflict.
    pub(crate) fn conflict(id: i64, source: &str, target: Option<&str>, path: &str) -> Conflict {
        Conflict {
            id,
            hop: if target.is_some() {
                Hop::Publish
            } else {
                Hop::Pull
            },
            source: source.to_owned(),
            target: target.map(ToOwned::to_owned),
            path: path.to_owned(),
            kind: ConflictKind::Content,
            detail: None,
            since: "2026-01-02T03:04:05.678Z".to_owned(),
        }
    }

    fn picked(name: &str, paths: &[&str]) -> Result<Vec<i64>, (u8, String)> {
        let conflicts = [
            conflict(1, "team", Some("claude"), "agents/review.md"),
            conflict(2, "team", Some("codex"), "agents/review.md"),
            conflict(3, "team", None, "agents/reviewer.md"),
            conflict(4, "other", Some("claude"), "notes.md"),
            conflict(5, "team", Some("codex"), "agents/reviewer.md"),
        ];
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        pick(&conflicts, name, &paths)
            .map(|picked| picked.iter().map(|conflict| conflict.id).collect())
            .map_err(|problem| (problem.kind.exit().code(), problem.detail))
    }

    #[test]
    fn names_are_of_sources_and_targets() {
        assert_eq!(picked("team", &[]), Ok(vec![1, 2, 3]));
        assert_eq!(picked("claude", &[]), Ok(vec![1, 4]));
        assert_eq!(picked("nobody", &[]).unwrap_err().0, 8);
    }

    #[test]
    fn a_sources_own_conflict_is_not_decided_together_with_that_of_a_target() {
        assert_eq!(picked("team", &["agents/reviewer.md"]), Ok(vec![3]));
        assert_eq!(picked("codex", &["agents/reviewer.md"]), Ok(vec![5]));
    }

    #[test]
    fn a_whole_path_beats_a_beginning() {
        assert_eq!(picked("team", &["agents/review.md"]), Ok(vec![1, 2]));
        assert_eq!(picked("team", &["agents/reviewer"]), Ok(vec![3]));
        assert_eq!(
            picked("claude", &["n", "notes.md", "agents/"]),
            Ok(vec![4, 1])
        );
    }

    #[test]
    fn a_beginning_of_several_or_of_none_is_refused() {
        let (code, detail) = picked("team", &["agents/rev"]).unwrap_err();
        assert_eq!(
            (code, detail.as_str()),
            (2, "`agents/rev` fits several conflicts of `team`")
        );
        assert_eq!(picked("team", &["notes"]).unwrap_err().0, 8);
    }

    #[test]
    fn a_mistyped_beginning_is_told_what_it_may_mean() {
        let conflicts = [conflict(1, "team", Some("claude"), "agents/review.md")];
        let hint = |path: &str| {
            let paths = [path.to_owned()];
            pick(&conflicts, "team", &paths).unwrap_err().hint.unwrap()
        };
        assert!(hint("agnets/").starts_with("did you mean `agents/review.md`?"));
        assert_eq!(hint("elsewhere/x"), "see `homing conflicts team`");
    }
}
