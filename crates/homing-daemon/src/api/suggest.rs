//! "Did you mean …?"

use homing_api::Problem;

/// How alike two words must be for one to be meant by the other.
const ALIKE: f64 = 0.7;

/// Adds the word that was probably meant as the hint, where there is one.
pub(super) fn among<'w>(
    problem: Problem,
    word: &str,
    known: impl IntoIterator<Item = &'w str>,
) -> Problem {
    match nearest(word, known) {
        Some(meant) => problem.with_hint(format!("did you mean `{meant}`?")),
        None => problem,
    }
}

/// Adds the field or word that was probably meant to a problem whose text is serde's, which names all that are known.
pub(super) fn in_message(problem: Problem) -> Problem {
    let Some((_, text)) = problem.detail.split_once("unknown ") else {
        return problem;
    };
    let text = text.to_owned();
    let mut words = text.split('`').skip(1).step_by(2);
    match words.next() {
        Some(word) => among(problem, word, words),
        None => problem,
    }
}

fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(word, known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use homing_api::ProblemKind;

    use super::*;

    #[test]
    fn what_is_near_is_suggested_and_what_is_not_is_not() {
        let hint = |word: &str| {
            let problem = Problem::new(ProblemKind::UnknownSource, "none");
            among(problem, word, ["team", "community"]).hint
        };
        assert_eq!(hint("taem").as_deref(), Some("did you mean `team`?"));
        assert_eq!(
            hint("comunity").as_deref(),
            Some("did you mean `community`?")
        );
        assert_eq!(hint("zzz"), None);
    }

    #[test]
    fn serdes_own_words_are_read() {
        let hint = |text: &str| in_message(Problem::new(ProblemKind::BadRequest, text)).hint;
        assert_eq!(
            hint("unknown field `verbs`, expected one of `verb`, `force` at line 1").as_deref(),
            Some("did you mean `verb`?")
        );
        assert_eq!(
            hint("the body: unknown variant `pul`, expected one of `sync`, `pull`").as_deref(),
            Some("did you mean `pull`?")
        );
        assert_eq!(hint("unknown field `x`, there are no fields"), None);
        assert_eq!(hint("missing field `verb`"), None);
    }
}
