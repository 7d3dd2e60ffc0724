CREATE TABLE schema_metadata (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sources (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    url TEXT NOT NULL,
    last_sha TEXT,
    selection TEXT,
    last_sync_time TEXT,
    last_success_time TEXT,
    next_due TEXT,
    etag TEXT,
    enabled INTEGER NOT NULL DEFAULT 1,
    failures INTEGER NOT NULL DEFAULT 0,
    backoff_until TEXT,
    stalled TEXT,
    root_device INTEGER,
    root_inode INTEGER,
    root_boot TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE targets (
    id TEXT PRIMARY KEY NOT NULL,
    root_device INTEGER,
    root_inode INTEGER,
    root_boot TEXT,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- encoding 0: the bytes are in content_bytes; 1: they are in the file contents/ab/HASH; 2: they were found damaged or gone.
CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    size INTEGER NOT NULL,
    encoding INTEGER NOT NULL
) STRICT;

-- A table of its own, so that looking up a hash does not read past the bytes.
CREATE TABLE content_bytes (
    id INTEGER PRIMARY KEY REFERENCES contents(id) ON DELETE CASCADE,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE agent_files (
    source_id TEXT NOT NULL REFERENCES sources(id) ON DELETE CASCADE,
    file_path TEXT NOT NULL,
    content INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    base INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    mode INTEGER NOT NULL,
    file_size INTEGER NOT NULL,
    identity TEXT,
    local_path TEXT,
    synced_at TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (source_id, file_path)
) STRICT, WITHOUT ROWID;
CREATE INDEX agent_files_content ON agent_files(content) WHERE content IS NOT NULL;
CREATE INDEX agent_files_base ON agent_files(base) WHERE base IS NOT NULL;

-- key is NULL where it is the path.
CREATE TABLE target_files (
    target_id TEXT NOT NULL REFERENCES targets(id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    source_id TEXT NOT NULL,
    key TEXT,
    written INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    base INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    mode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    identity TEXT,
    adopted INTEGER NOT NULL,
    tombstone INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (target_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX target_files_written ON target_files(written) WHERE written IS NOT NULL;
CREATE INDEX target_files_base ON target_files(base) WHERE base IS NOT NULL;

CREATE TABLE holds (
    source_id TEXT NOT NULL REFERENCES sources(id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    held INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    refused INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    mode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    since TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (source_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_held ON holds(held) WHERE held IS NOT NULL;
CREATE INDEX holds_refused ON holds(refused) WHERE refused IS NOT NULL;

-- target_id is '' where a conflict has no target, so that the unique key holds.
CREATE TABLE conflicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hop INTEGER NOT NULL,
    source_id TEXT NOT NULL,
    target_id TEXT NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    base INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    near INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    far INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    mode INTEGER NOT NULL,
    detail TEXT,
    since TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (hop, source_id, target_id, key)
) STRICT;
CREATE INDEX conflicts_base ON conflicts(base) WHERE base IS NOT NULL;
CREATE INDEX conflicts_near ON conflicts(near) WHERE near IS NOT NULL;
CREATE INDEX conflicts_far ON conflicts(far) WHERE far IS NOT NULL;

-- AUTOINCREMENT: the number of a run is never used again, for temporary files carry it.
CREATE TABLE sync_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source_id TEXT,
    target_id TEXT,
    verb TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    sync_time TEXT NOT NULL,
    status TEXT NOT NULL,
    files_synced INTEGER NOT NULL,
    files_cached INTEGER NOT NULL,
    files_failed INTEGER NOT NULL,
    files_removed INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    error_kind TEXT,
    error_message TEXT,
    duration_ms INTEGER NOT NULL,
    phases TEXT,
    plan_digest TEXT,
    problems TEXT,
    boot_id TEXT NOT NULL,
    undone_by INTEGER,
    checksum INTEGER NOT NULL
) STRICT;
CREATE INDEX sync_history_source ON sync_history(source_id) WHERE source_id IS NOT NULL;
CREATE INDEX sync_history_target ON sync_history(target_id) WHERE target_id IS NOT NULL;
CREATE INDEX sync_history_running ON sync_history(status) WHERE status = 'running';

-- path is NULL where it is the key.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES sync_history(id) ON DELETE CASCADE,
    hop INTEGER NOT NULL,
    source_id TEXT NOT NULL,
    target_id TEXT,
    key TEXT NOT NULL,
    path TEXT,
    before INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    base_before INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    after INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    base_after INTEGER REFERENCES contents(id) ON DELETE RESTRICT,
    mode INTEGER NOT NULL,
    temporary TEXT,
    state INTEGER NOT NULL,
    reason TEXT,
    checksum INTEGER NOT NULL
) STRICT;
CREATE INDEX journal_run ON journal(run_id);
CREATE INDEX journal_unfinished ON journal(run_id) WHERE state < 3;
CREATE INDEX journal_before ON journal(before) WHERE before IS NOT NULL;
CREATE INDEX journal_base_before ON journal(base_before) WHERE base_before IS NOT NULL;
CREATE INDEX journal_after ON journal(after) WHERE after IS NOT NULL;
CREATE INDEX journal_base_after ON journal(base_after) WHERE base_after IS NOT NULL;

-- Runs that changed something in a target, which its hook has not been told yet.
CREATE TABLE pending_hooks (
    target_id TEXT NOT NULL,
    run_id INTEGER NOT NULL REFERENCES sync_history(id) ON DELETE CASCADE,
    since TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (target_id, run_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_hooks_run ON pending_hooks(run_id);
