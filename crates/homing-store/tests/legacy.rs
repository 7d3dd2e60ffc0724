//! `agent_sync.db` of the system that Homing takes over from: both schemas, as their documents have them.

use std::path::{Path, PathBuf};

use homing_core::ContentHash;
use homing_store::{AgentSyncError, read_agent_sync};
use rusqlite::Connection;
use testkit::agent_sync_db::{BY_URL, WITH_SOURCES, create};

const URL: &str = "https://raw.githubusercontent.com/own/rep/main/agents";

fn database(directory: &Path, schema: &str, rows: &str) -> PathBuf {
    let path = directory.join("agent_sync.db");
    create(&path, schema, rows).expect("a new database in a new directory");
    path
}

fn hash(text: &str) -> ContentHash {
    ContentHash::of(text.as_bytes())
}

#[test]
fn sources_files_and_history_are_read_whatever_forms_their_times_have() {
    let directory = tempfile::tempdir().unwrap();
    let rows = format!(
        "INSERT INTO sources(id, url, last_sha, last_sync_time, enabled) VALUES
             ('main', '{URL}', 'abc', '2025-11-29T10:00:00.125+00:00', 1), ('off', 'https://example.org/x', NULL,
              '2025-11-29 11:00:00', 0);
         INSERT INTO agent_files VALUES ('main', 'a.md', '{}', '/c/a.md', '2025-11-29 10:00:00', 2),
             ('main', 'b.md', 'sha123', '/c/b.md', '2025-11-29 10:00:00', NULL);
         INSERT INTO sync_history(source_id, sync_time, status, files_synced, files_failed, error_message, duration_ms)
         VALUES ('main', '2025-11-29 09:00:00', 'partial', 3, 1, 'no network', 12),
                ('main', '2025-11-29T10:00:00+00:00', 'success', 1, 0, NULL, NULL);",
        hash("a\n").to_string().to_uppercase()
    );
    let path = database(directory.path(), WITH_SOURCES, &rows);
    let found = read_agent_sync(&path).unwrap();
    assert_eq!(
        found.notes,
        ["1 rows of agent_files hold what cannot be, and were passed over"]
    );
    let [main, off] = &found.sources[..] else {
        panic!("{found:#?}");
    };
    assert_eq!((main.id.as_str(), main.url.as_str()), ("main", URL));
    assert!(main.enabled && !off.enabled);
    assert_eq!(
        main.last_sync_time.map(|time| time.to_string()).as_deref(),
        Some("2025-11-29T10:00:00.125Z")
    );
    assert!(off.last_sync_time > main.last_sync_time);
    assert_eq!(main.files[0].hash, hash("a\n"));
    assert_eq!(main.files[0].local_path.as_deref(), Some("/c/a.md"));
    assert_eq!((main.files.len(), main.files[0].size), (1, Some(2)));
    let counts = |at: usize| (main.syncs[at].synced, main.syncs[at].failed);
    assert_eq!((counts(0), counts(1)), ((3, 1), (1, 0)));
    assert_eq!(main.syncs[0].error_message.as_deref(), Some("no network"));
    assert!(main.syncs[0].time < main.syncs[1].time);
}

#[test]
fn the_schema_without_a_table_of_sources_is_read_too() {
    let directory = tempfile::tempdir().unwrap();
    let rows = format!(
        "INSERT INTO sync_history(source_url, file_path, content_hash, etag, synced_at) VALUES
             ('https://github.com/own/rep', 'engineer.md', '{}', '\"e1\"', '2025-11-29T10:00:00Z'),
             ('https://github.com/two/rep', 'qa.md', 'sha123', NULL, '2025-11-29T10:00:00Z');
         INSERT INTO source_metadata VALUES ('https://github.com/own/rep', 'def', '2025-11-29T10:00:00Z', 1);",
        hash("e\n")
    );
    let path = database(directory.path(), BY_URL, &rows);
    let found = read_agent_sync(&path).unwrap();
    let [own] = &found.sources[..] else {
        panic!("{found:#?}");
    };
    assert_eq!(own.url, "https://github.com/own/rep");
    assert_eq!(own.last_sha.as_deref(), Some("def"));
    assert_eq!(own.files[0].etag.as_deref(), Some("\"e1\""));
    assert_eq!(own.files[0].hash, hash("e\n"));
    // Without a SHA-256 nobody can tell whether a cached file is what was downloaded.
    assert_eq!(
        found.notes,
        ["1 rows of sync_history hold what cannot be, and were passed over"]
    );
}

#[test]
fn what_is_in_the_log_beside_it_counts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent_sync.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;")
        .unwrap();
    connection.execute_batch(WITH_SOURCES).unwrap();
    connection
        .execute("INSERT INTO sources(id, url) VALUES ('main', ?1)", [URL])
        .unwrap();
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("agent_sync.db");
    std::fs::copy(&path, &copy).unwrap();
    let log = |path: &Path| path.with_file_name("agent_sync.db-wal");
    assert!(std::fs::copy(log(&path), log(&copy)).unwrap() > 0);
    assert_eq!(read_agent_sync(&copy).unwrap().sources.len(), 1);
}

#[test]
fn rows_that_cannot_be_are_passed_over_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let rows = format!(
        "INSERT INTO sources(id, url) VALUES ('main', '{URL}'), (x'00ff', 'https://example.org');
         INSERT INTO agent_files VALUES ('gone', 'a.md', 'x', NULL, 'x', NULL), ('main', 7.5, '{sha}', NULL, 'x', -3),
             ('main', 'b.md', '{sha}', NULL, 'x', -3), ('main', 'c.md', 'x', NULL, 'x', 1);
         INSERT INTO sync_history(source_id, sync_time, status) VALUES ('main', 'never', 'success'),
             ('main', '2025-11-29 09:00:00', 'sideways');",
        sha = hash("x")
    );
    let path = database(directory.path(), WITH_SOURCES, &rows);
    let found = read_agent_sync(&path).unwrap();
    // SQLite stores 7.5 as a text in a TEXT column, which is a path like any other.
    let paths: Vec<&str> = found.sources[0]
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(paths, ["7.5", "b.md"]);
    assert_eq!(found.sources[0].files[1].size, None);
    assert_eq!(found.notes.len(), 3, "{:?}", found.notes);
}

#[test]
fn what_is_no_such_database_is_refused_and_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let text = vec![b'x'; 8192];
    std::fs::copy(
        {
            let from = directory.path().join("from");
            std::io::Write::write_all(&mut std::fs::File::create(&from).unwrap(), &text).unwrap();
            from
        },
        &file,
    )
    .unwrap();
    assert!(matches!(
        read_agent_sync(&file),
        Err(AgentSyncError::NoDatabase)
    ));
    assert_eq!(std::fs::read(&file).unwrap(), text);

    let foreign = database(directory.path(), "", "CREATE TABLE bookmarks (id, url);");
    let error = read_agent_sync(&foreign).unwrap_err();
    assert!(error.to_string().contains("bookmarks"), "{error}");
    let empty = directory.path().join("empty.db");
    std::fs::File::create(&empty).unwrap();
    assert!(matches!(
        read_agent_sync(&empty),
        Err(AgentSyncError::Foreign(_))
    ));
    // A view is no table, whatever it is called.
    let other = tempfile::tempdir().unwrap();
    let view = database(
        other.path(),
        "",
        "CREATE VIEW sync_history AS SELECT 'https://x' AS source_url, 'a' AS file_path, 'b' AS content_hash;",
    );
    assert!(matches!(
        read_agent_sync(&view),
        Err(AgentSyncError::Foreign(_))
    ));
}

#[test]
fn damage_is_told_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let row = |n| {
        format!(
            "INSERT INTO agent_files VALUES ('main', 'f{n}.md', '{}', NULL, 'x', 1);",
            hash("x")
        )
    };
    let rows: Vec<String> = (0..2000).map(row).collect();
    let rows = rows.concat();
    let path = database(
        directory.path(),
        WITH_SOURCES,
        &format!("BEGIN; INSERT INTO sources(id, url) VALUES ('main', '{URL}'); {rows} COMMIT;"),
    );
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xa5);
    std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), &bytes).unwrap();
    let error = read_agent_sync(&path).unwrap_err();
    assert!(matches!(error, AgentSyncError::Damaged(_)), "{error:?}");
}
