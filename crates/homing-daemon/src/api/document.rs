//! The description of the interface: what utoipa gathers from the handlers, and what all of them have in common.

use homing_api::{Problem, ProblemKind};
use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{ContentBuilder, OpenApi as Description, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use super::{Held, Live, described, examples};

/// The name of the answer that every request may get.
const PROBLEM: &str = "Problem";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "homingd",
        description = "HTTP over the Unix socket of one user's homingd. Timestamps are UTC, `2026-01-02T03:04:05.678Z`. \
            Durations are milliseconds in fields that end in `_ms`. Bodies of requests refuse fields that they do not know; \
            answers may gain fields and words. Every request names the host `homing` or `localhost` and comes without \
            `Origin` and `Referer`. A client may tell the versions of the interface that it speaks in the header \
            `homing-api`, as `1` or `1-3`; every answer tells homingd's. What went wrong is told as a `Problem`, save for \
            what is no HTTP at all: that gets 400 without a body."
    ),
    components(schemas(Problem)),
    tags(
        (name = "daemon", description = "homingd itself"),
        (name = "sources", description = "Where things come from"),
        (name = "targets", description = "Where things are published"),
        (name = "runs", description = "What was done, and what is under way"),
        (name = "conflicts", description = "What a person must decide"),
        (name = "store", description = "The state database"),
        (name = "import", description = "Taking over what another program has fetched"),
    )
)]
struct Document;

/// Returns a router without routes, whose description has its introduction.
pub(super) fn empty() -> OpenApiRouter<Live> {
    OpenApiRouter::with_openapi(Document::openapi())
}

/// Describes every route.
pub(super) fn document() -> Description {
    plain(gathered())
}

/// Returns it with names where our own documentation has links: `Run::next` is `next` to a client.
fn plain(document: Description) -> Description {
    let rewritten = serde_json::to_value(&document).and_then(|mut value| {
        reword(&mut value);
        serde_json::from_value(value)
    });
    rewritten.unwrap_or(document)
}

fn reword(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match field {
                    Value::String(text) if name == "description" || name == "summary" => {
                        *text = without_links(text);
                    }
                    other => reword(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(reword),
        _ => {}
    }
}

fn without_links(text: &str) -> String {
    let mut parts = text.split("[`");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once("`]") {
            Some((path, rest)) => {
                let name = path.rsplit("::").next().unwrap_or(path);
                plain.extend(["`", name, "`", rest]);
            }
            None => plain.extend(["[`", part]),
        }
    }
    plain
}

fn gathered() -> Description {
    let mut document = described(&Held::default()).into_openapi();
    for path in document.paths.paths.values_mut() {
        for operation in operations(path) {
            let problem = Ref::from_response_name(PROBLEM);
            operation
                .responses
                .responses
                .insert("default".to_owned(), RefOr::Ref(problem));
        }
    }
    let components = document.components.get_or_insert_default();
    components
        .responses
        .insert(PROBLEM.to_owned(), problem_answer().into());
    for (name, value) in examples::all() {
        if let Some(schema) = components.schemas.get_mut(name) {
            examples::add(schema, value);
        }
    }
    document
}

fn problem_answer() -> utoipa::openapi::Response {
    let examples = ProblemKind::ALL.iter().map(|kind| {
        let problem = Problem::new(kind.clone(), kind.title());
        let value = serde_json::to_value(problem).unwrap_or_default();
        let example: Example = ExampleBuilder::new().value(Some(value)).build();
        (kind.to_string(), example)
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(PROBLEM)))
        .examples_from_iter(examples)
        .build();
    ResponseBuilder::new()
        .description("What went wrong, why, and how to mend it (RFC 9457)")
        .content(Problem::CONTENT_TYPE, content)
        .build()
}

/// Returns the operations of a path.
fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut path.get,
        &mut path.post,
        &mut path.put,
        &mut path.delete,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::path::Path;

    use axum::body::Body;
    use axum::http::{Method, Request, StatusCode, header};

    use tower::ServiceExt;

    use super::*;
    use crate::api::tests::without_configuration;

    /// Every path that `homing_api::routes` names.
    fn named_paths() -> BTreeSet<String> {
        include_str!("../../../homing-api/src/routes.rs")
            .lines()
            .filter(|line| line.starts_with("pub const"))
            .filter_map(|line| line.split('"').nth(1))
            .filter(|text| text.starts_with('/'))
            .map(str::to_owned)
            .collect()
    }

    fn described_methods() -> BTreeSet<(String, String)> {
        let document = serde_json::to_value(document()).unwrap();
        let mut all = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                all.insert((path.clone(), method.to_uppercase()));
            }
        }
        all
    }

    #[tokio::test]
    async fn what_is_served_is_described_and_the_other_way_round() {
        let router = without_configuration();
        let mut served = BTreeSet::new();
        for path in named_paths() {
            // No route takes this method, so the answer names those that it takes.
            let request = Request::builder()
                .method(Method::from_bytes(b"NOTHING").unwrap())
                .uri(path.replace("{id}", "x"))
                .header(header::HOST, "homing")
                .body(Body::empty())
                .unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(
                answer.status(),
                StatusCode::METHOD_NOT_ALLOWED,
                "{path} is a path of `homing_api::routes` that homingd does not serve"
            );
            let allowed = answer.headers()[header::ALLOW].to_str().unwrap();
            for method in allowed.split(',').filter(|method| *method != "HEAD") {
                served.insert((path.clone(), method.to_owned()));
            }
        }
        assert_eq!(served, described_methods());
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_a_description_and_a_tag() {
        let document = serde_json::to_value(document()).unwrap();
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap().to_owned();
                assert!(names.insert(name), "{method} {path}");
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(operation["tags"].is_array(), "{method} {path}");
                assert!(
                    operation["responses"]["default"].is_object(),
                    "{method} {path}"
                );
            }
        }
    }

    #[test]
    fn every_kind_of_problem_is_described_with_an_example() {
        let document = serde_json::to_value(document()).unwrap();
        let kinds = &document["components"]["schemas"]["ProblemKind"]["enum"];
        let examples = &document["components"]["responses"]["Problem"]["content"]
            [Problem::CONTENT_TYPE]["examples"];
        assert_eq!(kinds.as_array().unwrap().len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            assert!(
                kinds
                    .as_array()
                    .unwrap()
                    .contains(&Value::from(kind.as_str()))
            );
            assert_eq!(examples[kind.as_str()]["value"]["kind"], kind.as_str());
        }
    }

    #[test]
    fn every_example_has_its_place() {
        let document = serde_json::to_value(document()).unwrap();
        for (name, value) in examples::all() {
            let schema = &document["components"]["schemas"][name];
            assert!(
                schema["examples"]
                    .as_array()
                    .is_some_and(|all| all.contains(&value)),
                "{name}"
            );
        }
    }

    #[test]
    fn no_link_of_our_own_documentation_is_in_it() {
        let text = serde_json::to_string(&document()).unwrap();
        for link in ["[`", "`]", "crate::", "Run::next"] {
            assert!(!text.contains(link), "{link}");
        }
        assert_eq!(
            without_links("A [`crate::Run`], [`Files::next`] or [this`"),
            "A `Run`, `next` or [this`"
        );
    }

    #[test]
    fn the_description_in_docs_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        let current = document().to_pretty_json().unwrap() + "\n";
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        if kept != current {
            let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
            file.write_all(current.as_bytes()).unwrap();
            file.persist(&path).unwrap();
            panic!("docs/openapi.json was not current; it is now: look at it and commit it");
        }
    }
}
