//! Errors as the interface tells them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use homing_api::{Problem, ProblemKind};
use homing_core::SourceId;
use homing_engine::{EngineError, Failure};

/// A problem on its way to a client.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Problem>);

impl Refusal {
    /// Returns a refusal without a hint.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Problem::new(kind, detail).into()
    }

    /// Returns what it tells, with a hint in any case.
    pub(crate) fn problem(self) -> Problem {
        self.0.with_some_hint()
    }

    /// Says which source it is about.
    pub(crate) fn of_source(mut self, source: &str) -> Self {
        self.0.source = Some(source.to_owned());
        self
    }

    /// Makes one of an error of a source, whose remedy names it.
    pub(crate) fn about(source: &SourceId, error: &EngineError) -> Self {
        Self::from(of_failure(&error.failure().of(source))).of_source(source.as_str())
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Box<Problem>> for Refusal {
    fn from(problem: Box<Problem>) -> Self {
        Self(problem)
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        of_failure(&error.failure()).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = self.problem();
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::debug!(kind = %problem.kind, detail = problem.detail, "a request failed");
        }
        // A problem has text and numbers only, so it can always be written.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let content_type = HeaderValue::from_static(Problem::CONTENT_TYPE);
        (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
    }
}

/// Returns a failure of the engine as a problem.
pub(crate) fn of_failure(failure: &Failure) -> Problem {
    let mut problem = Problem::new(ProblemKind::from(failure.kind), failure.message.clone())
        .with_causes(failure.causes.clone());
    problem.hint.clone_from(&failure.hint);
    problem
}

/// Returns the answer to somebody who may not ask.
pub(crate) fn forbidden(detail: &str, hint: &str) -> Response {
    Refusal::from(Problem::new(ProblemKind::Forbidden, detail).with_hint(hint)).into_response()
}

#[cfg(test)]
mod tests {
    use homing_engine::FAILURE_KINDS;

    use super::*;

    #[test]
    fn every_kind_of_failure_is_a_kind_of_problem() {
        for kind in FAILURE_KINDS {
            let known = ProblemKind::from(*kind);
            assert!(
                !matches!(known, ProblemKind::Other(_)),
                "`{kind}` is no kind of the interface"
            );
        }
    }

    #[test]
    fn every_refusal_has_a_hint() {
        for kind in ProblemKind::ALL {
            let problem = Refusal::new(kind.clone(), "x").problem();
            assert!(problem.hint.is_some_and(|hint| !hint.is_empty()), "{kind}");
        }
    }

    #[test]
    fn a_failure_keeps_its_causes_and_its_hint() {
        let failure = Failure {
            kind: "storage",
            message: "could not publish".to_owned(),
            causes: vec!["the disk is full".to_owned()],
            hint: Some("free some space".to_owned()),
        };
        let problem = of_failure(&failure);
        assert_eq!((problem.status, problem.kind), (500, ProblemKind::Storage));
        assert_eq!(problem.causes, ["the disk is full"]);
        assert_eq!(problem.hint.as_deref(), Some("free some space"));
    }
}
