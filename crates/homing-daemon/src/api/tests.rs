use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use homing_api::{ResolveRequest, VersionInfo};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::extract::MAX_BODY_BYTES;
use super::*;

pub(super) fn without_configuration() -> Router {
    let problem = Problem::new(ProblemKind::ConfigInvalid, "config.toml:3:1: unknown key")
        .with_hint("mend it");
    router(Live::new(Shared {
        conditions: vec![crate::condition::config_invalid(
            &problem,
            "2026-01-02T03:04:05.678Z",
        )],
        engine: Err(Box::new(problem)),
        reload: tokio::sync::mpsc::channel(1).0,
        identity: Identity {
            boot_id: "b".to_owned(),
            started_at: "2026-01-02T03:04:05.678Z".to_owned(),
            config_path: "/c/config.toml".into(),
            data_dir: "/d".into(),
        },
        status: std::sync::Arc::default(),
        figures: Figures::install().unwrap(),
        held: Held::default(),
        events: Events::default(),
        end: CancellationToken::new(),
        stopping: CancellationToken::new(),
    }))
}

fn request(method: &str, path: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "homing")
        .body(Body::empty())
        .unwrap()
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response: Response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let content_type = response.headers().get(header::CONTENT_TYPE).unwrap();
        if content_type != "application/json" {
            assert_eq!(content_type, Problem::CONTENT_TYPE);
        }
    }
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn kind(router: &Router, request: Request<Body>) -> (u16, String) {
    let (status, problem) = ask(router, request).await;
    assert_eq!(problem["status"], status.as_u16());
    (
        status.as_u16(),
        problem["kind"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn version_and_status_answer_without_a_configuration() {
    let router = without_configuration();
    let (status, version) = ask(&router, request("GET", routes::VERSION)).await;
    assert_eq!(status, StatusCode::OK);
    let version: VersionInfo = serde_json::from_value(version).unwrap();
    assert_eq!(version.pid, std::process::id());

    let (status, document) = ask(&router, request("GET", routes::STATUS)).await;
    assert_eq!(status, StatusCode::OK);
    let condition = &document["daemon"]["conditions"][0];
    assert_eq!(condition["type"], "ConfigInvalid");
    assert_eq!(condition["message"], "config.toml:3:1: unknown key");

    let (status, health) = ask(&router, request("GET", routes::HEALTH)).await;
    assert_eq!(
        (status, &health["ready"]),
        (StatusCode::SERVICE_UNAVAILABLE, &Value::Bool(false))
    );
}

#[tokio::test]
async fn everything_else_says_that_the_configuration_is_not_valid() {
    let router = without_configuration();
    for (method, path) in [
        ("GET", "/v1/sources"),
        ("GET", "/v1/sources/a"),
        ("GET", "/v1/sources/a/diff"),
        ("POST", "/v1/sources/a/release"),
        ("POST", "/v1/sources/a/pause"),
        ("POST", "/v1/sources/a/resume"),
        ("POST", "/v1/pause"),
        ("POST", "/v1/resume"),
        ("GET", "/v1/runs"),
        ("GET", "/v1/runs/1"),
        ("DELETE", "/v1/runs/1"),
        ("POST", "/v1/runs/last/undo"),
        ("GET", "/v1/conflicts"),
        ("POST", "/v1/conflicts/1/content"),
        ("GET", "/v1/targets"),
        ("GET", "/v1/targets/a"),
        ("POST", "/v1/targets/a/verify"),
        ("GET", "/v1/why?path=/a"),
    ] {
        let expected = (503, "config-invalid".to_owned());
        assert_eq!(
            kind(&router, request(method, path)).await,
            expected,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn shutdown_cancels_the_token() {
    let end = CancellationToken::new();
    let identity = Identity {
        boot_id: String::new(),
        started_at: String::new(),
        config_path: "/".into(),
        data_dir: "/".into(),
    };
    let engine = Err(Box::new(Problem::new(ProblemKind::ConfigInvalid, "none")));
    let router = router(Live::new(Shared {
        engine,
        conditions: Vec::new(),
        reload: tokio::sync::mpsc::channel(1).0,
        identity,
        status: std::sync::Arc::default(),
        figures: Figures::install().unwrap(),
        held: Held::default(),
        events: Events::default(),
        end: end.clone(),
        stopping: CancellationToken::new(),
    }));
    let (status, _) = ask(&router, request("POST", routes::SHUTDOWN)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert!(end.is_cancelled());
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_and_a_wrong_method_names_the_right_one() {
    let router = without_configuration();
    assert_eq!(
        kind(&router, request("GET", "/v2/version")).await,
        (404, "unknown-route".to_owned())
    );
    assert_eq!(
        kind(&router, request("PUT", routes::STATUS)).await,
        (405, "method-not-allowed".to_owned())
    );
    let response = router
        .oneshot(request("PUT", routes::STATUS))
        .await
        .unwrap();
    assert_eq!(response.headers().get(header::ALLOW).unwrap(), "GET,HEAD");
}

#[tokio::test]
async fn browsers_and_other_hosts_are_refused() {
    let router = without_configuration();
    let with = |name: HeaderName, value: &'static str| {
        let mut request = request("GET", routes::VERSION);
        request
            .headers_mut()
            .append(name, HeaderValue::from_static(value));
        request
    };
    for refused in [
        with(header::ORIGIN, "null"),
        with(header::REFERER, "http://localhost/"),
        with(header::HOST, "localhost"),
        Request::builder()
            .uri(routes::VERSION)
            .body(Body::empty())
            .unwrap(),
        Request::builder()
            .uri(routes::VERSION)
            .header(header::HOST, "homing.example")
            .body(Body::empty())
            .unwrap(),
    ] {
        assert_eq!(kind(&router, refused).await, (403, "forbidden".to_owned()));
    }
}

#[tokio::test]
async fn a_body_that_is_wrong_is_told_with_its_place() {
    let router = without_configuration();
    let mut broken = request("POST", "/v1/sources/a/runs");
    *broken.body_mut() = Body::from("{\n  \"verb\": \"swim\"\n}");
    let (status, problem) = ask(&router, broken).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("swim") && detail.contains("line 2 column"),
        "{detail}"
    );
}

#[tokio::test]
async fn what_is_refused_is_told_without_the_names_of_our_types() {
    let router = without_configuration();
    let with = |path: &str, body: &'static str| {
        let mut request = request("POST", path);
        *request.body_mut() = Body::from(body);
        request
    };
    let runs = "/v1/sources/a/runs";
    for (request, told) in [
        (with(runs, " []"), "an object belongs here, not a list"),
        (with(runs, "7"), "expected an object at line 1"),
        (with(runs, "{\"verb\": 7}"), "line 1"),
        (
            request("GET", "/v1/runs?limit=many"),
            "the query is not what this request takes",
        ),
    ] {
        let (status, problem) = ask(&router, request).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(told), "{detail}");
        for internal in ["struct", "Request", "deserialize"] {
            assert!(!detail.contains(internal), "{detail}");
        }
        let hint = problem["hint"].as_str().unwrap();
        assert!(hint.contains(routes::OPENAPI), "{hint}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for_forever() {
    let router = without_configuration();
    let mut slow = request("POST", "/v1/sources/a/runs");
    let nothing = futures_util::stream::pending::<Result<axum::body::Bytes, std::io::Error>>();
    *slow.body_mut() = Body::from_stream(nothing);
    let since = tokio::time::Instant::now();
    let (status, problem) = ask(&router, slow).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].to_string().contains("in time"));
    assert_eq!(since.elapsed(), std::time::Duration::from_secs(30));
}

#[tokio::test]
async fn bodies_have_limits() {
    let router = without_configuration();
    let with = |path: &str, bytes: usize| {
        let mut request = request("POST", path);
        *request.body_mut() = Body::from(vec![b' '; bytes]);
        request
    };
    let too_large = (413, "too-large".to_owned());
    assert_eq!(
        kind(&router, with("/v1/sources/a/runs", MAX_BODY_BYTES + 1)).await,
        too_large
    );
    assert_eq!(
        kind(&router, with("/v1/conflicts/1/content", MAX_BODY_BYTES + 1))
            .await
            .0,
        503
    );
    let limit = ResolveRequest::MAX_CONTENT_BYTES;
    assert_eq!(
        kind(&router, with("/v1/conflicts/1/content", limit))
            .await
            .0,
        503
    );
    assert_eq!(
        kind(&router, with("/v1/conflicts/1/content", limit + 1)).await,
        too_large
    );
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    async fn panics() -> StatusCode {
        panic!("deliberate, for a test")
    }
    let router = guarded(Router::new().route("/panics", get(panics)));
    assert_eq!(
        kind(&router, request("GET", "/panics")).await,
        (500, "internal".to_owned())
    );
}
