//! Paths of the interface: patterns for the daemon, functions for its clients.

/// `GET`: [`crate::VersionInfo`].
pub const VERSION: &str = "/v1/version";
/// `GET`: [`crate::Status`].
pub const STATUS: &str = "/v1/status";
/// `GET`: [`crate::Health`], 200 or 503.
pub const HEALTH: &str = "/v1/health";
/// `GET`: figures in Prometheus' text format.
pub const METRICS: &str = "/v1/metrics";
/// `GET`: the description of the interface in JSON, by `OpenAPI`.
pub const OPENAPI: &str = "/v1/openapi.json";
/// `POST`, no body: 202 with `{}`.
pub const SHUTDOWN: &str = "/v1/shutdown";
/// `POST`, no body: [`crate::Reloaded`].
pub const RELOAD: &str = "/v1/reload";
/// `GET`: [`crate::Sources`].
pub const SOURCES: &str = "/v1/sources";
/// `GET`: [`crate::Source`]. `DELETE` [`crate::WithdrawQuery`]: the finished [`crate::Run`].
pub const SOURCE: &str = "/v1/sources/{id}";
/// `POST` [`crate::RunRequest`] `?wait=`: the [`crate::Run`], 200 when it has ended, else 202.
pub const SOURCE_RUNS: &str = "/v1/sources/{id}/runs";
/// `GET` [`crate::FilesQuery`]: [`crate::Files`].
pub const SOURCE_FILES: &str = "/v1/sources/{id}/files";
/// `GET` [`crate::ItemsQuery`]: [`crate::KnownItems`].
pub const ITEMS: &str = "/v1/items";
/// `GET` [`crate::DiffQuery`]: [`crate::Diff`].
pub const SOURCE_DIFF: &str = "/v1/sources/{id}/diff";
/// `POST` [`crate::ReleaseRequest`]: the finished [`crate::Run`].
pub const SOURCE_RELEASE: &str = "/v1/sources/{id}/release";
/// `POST` [`crate::PauseRequest`]: [`crate::Pauses`].
pub const SOURCE_PAUSE: &str = "/v1/sources/{id}/pause";
/// `POST`, no body: [`crate::Pauses`].
pub const SOURCE_RESUME: &str = "/v1/sources/{id}/resume";
/// `POST` [`crate::PauseRequest`]: [`crate::Pauses`]. Pauses everything.
pub const PAUSE: &str = "/v1/pause";
/// `POST`, no body: [`crate::Pauses`]. Ends every pause.
pub const RESUME: &str = "/v1/resume";
/// `POST`, no body: the finished [`crate::Run`]. The source's files leave the targets, and it takes no part until the
/// configuration is loaded anew.
pub const SOURCE_WITHDRAW: &str = "/v1/sources/{id}/withdraw";
/// `GET` [`crate::RunsQuery`]: [`crate::Runs`]. `POST` [`crate::ManyRunsRequest`] `?wait=`: [`crate::StartedRuns`].
pub const RUNS: &str = "/v1/runs";
/// `GET` [`crate::RunQuery`]: [`crate::Run`] with items, once it has ended or the time has passed. `DELETE`: cancels it,
/// 202 with the [`crate::Run`], or 409 when it has ended already.
pub const RUN: &str = "/v1/runs/{id}";
/// `POST`, no body: the finished [`crate::Run`]. The id may be the word [`LAST`].
pub const RUN_UNDO: &str = "/v1/runs/{id}/undo";
/// Stands for the last run that changed something, in [`RUN_UNDO`].
pub const LAST: &str = "last";
/// `GET` [`crate::ConflictsQuery`]: [`crate::Conflicts`].
pub const CONFLICTS: &str = "/v1/conflicts";
/// `POST` [`crate::ResolveRequest`]: the finished [`crate::Run`].
pub const CONFLICT_RESOLVE: &str = "/v1/conflicts/{id}/resolve";
/// `POST` bytes as they are: the finished [`crate::Run`].
pub const CONFLICT_CONTENT: &str = "/v1/conflicts/{id}/content";
/// `GET`: [`crate::Targets`].
pub const TARGETS: &str = "/v1/targets";
/// `GET`: [`crate::Target`].
pub const TARGET: &str = "/v1/targets/{id}";
/// `POST` [`crate::VerifyRequest`]: [`crate::Verification`].
pub const TARGET_VERIFY: &str = "/v1/targets/{id}/verify";
/// `GET` [`crate::WhyQuery`]: [`crate::Why`].
pub const WHY: &str = "/v1/why";

/// `GET`: [`crate::StoreSize`].
pub const STORE: &str = "/v1/store";
/// `GET`: a tar stream, `application/x-tar`.
pub const STORE_BACKUP: &str = "/v1/store/backup";
/// `POST` [`crate::StoreCheckRequest`]: [`crate::StoreCheck`].
pub const STORE_CHECK: &str = "/v1/store/check";
/// `POST` [`crate::PruneRequest`]: [`crate::Pruned`].
pub const STORE_PRUNE: &str = "/v1/store/prune";
/// `POST`, no body: [`crate::Vacuumed`].
pub const STORE_VACUUM: &str = "/v1/store/vacuum";
/// `GET` [`crate::EventsQuery`], `Last-Event-ID`: server-sent events, each a [`crate::Event`].
pub const EVENTS: &str = "/v1/events";
/// `POST`, no body: `{}`. Deletions and pushes are allowed again after the database was rebuilt.
pub const STORE_ACCEPT_REBUILD: &str = "/v1/store/accept-rebuild";

/// Returns a pattern with its `{id}` filled in.
pub fn with_id(pattern: &str, id: &str) -> String {
    pattern.replace("{id}", &encode(id))
}

/// Returns a path with a query; pairs without a value are left out.
pub fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut text = path.to_owned();
    let mut separator = '?';
    for (name, value) in pairs {
        if let Some(value) = value {
            text.push(separator);
            text.push_str(name);
            text.push('=');
            text.push_str(&encode(value));
            separator = '&';
        }
    }
    text
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_leave_their_place() {
        assert_eq!(with_id(SOURCE_RUNS, "team"), "/v1/sources/team/runs");
        assert_eq!(with_id(SOURCE, "../x?y#z"), "/v1/sources/..%2Fx%3Fy%23z");
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(
            with_query(WHY, &[("path", Some("/a b/ä&c=d"))]),
            "/v1/why?path=%2Fa%20b%2F%C3%A4%26c%3Dd"
        );
        assert_eq!(
            with_query(
                RUNS,
                &[
                    ("source", None),
                    ("limit", Some("3")),
                    ("before", Some("9"))
                ]
            ),
            "/v1/runs?limit=3&before=9"
        );
        assert_eq!(with_query(RUNS, &[("source", None)]), "/v1/runs");
    }
}
