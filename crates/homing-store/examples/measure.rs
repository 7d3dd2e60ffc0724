//! Measures the store: how contents are best kept, and what rows cost. Run it with `--release`; medians of five.
#![allow(clippy::print_stdout, reason = "its output is the result")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use homing_core::{ContentHash, Contents, Identity, ItemKey, RunId, SourceId, TargetId, Version};
use homing_store::{
    Facts, HeadRow, Hop, JournalRow, JournalState, LedgerRow, RunFilter, RunRow, Store,
    StoreOptions,
};
use jiff::Timestamp;
use rusqlite::{Connection, params};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const FILES: usize = 5000;

fn main() -> Result<()> {
    let small: Vec<Vec<u8>> = (0..FILES).map(|seed| noise(seed as u64, 2048)).collect();
    let large: Vec<Vec<u8>> = (0..20)
        .map(|seed| noise(9_000_000 + seed, 5 << 20))
        .collect();
    rows()?;
    starts()?;
    println!("contents, durable           5,000 x 2 KiB   20 x 5 MiB");
    for page_size in [4096, 8192, 16384] {
        let name = format!("SQLite, {page_size} byte pages");
        contents(&name, &small, &large, |dir, contents| {
            in_sqlite(dir, contents, page_size)
        })?;
    }
    contents("Store (split at 1 MiB)", &small, &large, in_store)?;
    contents("files, one syncfs", &small, &large, |dir, contents| {
        in_files(dir, contents, false)
    })?;
    contents("files, fsync each", &small, &large, |dir, contents| {
        in_files(dir, contents, true)
    })
}

fn contents(
    name: &str,
    small: &[Vec<u8>],
    large: &[Vec<u8>],
    keep: impl Fn(&Path, &[Vec<u8>]) -> Result<Duration>,
) -> Result<()> {
    let time = |contents: &[Vec<u8>]| median(|| keep(tempfile::tempdir()?.path(), contents));
    println!(
        "{name:<26} {:>12.1} ms {:>9.1} ms",
        ms(time(small)?),
        ms(time(large)?)
    );
    Ok(())
}

fn in_sqlite(dir: &Path, contents: &[Vec<u8>], page_size: u32) -> Result<Duration> {
    let mut connection = Connection::open(dir.join("state.db"))?;
    connection.pragma_update(None, "page_size", page_size)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.execute_batch(
        "CREATE TABLE contents(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, size INTEGER NOT NULL);
         CREATE TABLE content_bytes(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);",
    )?;
    let begin = Instant::now();
    for batch in contents.chunks(2048) {
        let transaction = connection.transaction()?;
        for bytes in batch {
            let hash = ContentHash::of(bytes);
            transaction
                .prepare_cached("INSERT INTO contents(hash, size) VALUES (?1, ?2)")?
                .execute(params![hash.as_bytes(), i64::try_from(bytes.len())?])?;
            let id = transaction.last_insert_rowid();
            transaction
                .prepare_cached("INSERT INTO content_bytes(id, bytes) VALUES (?1, ?2)")?
                .execute(params![id, bytes])?;
        }
        transaction.commit()?;
    }
    Ok(begin.elapsed())
}

fn in_files(dir: &Path, contents: &[Vec<u8>], sync_each: bool) -> Result<Duration> {
    let begin = Instant::now();
    for bytes in contents {
        let name = ContentHash::of(bytes).to_string();
        let parent = dir.join(&name[..2]);
        fs::create_dir_all(&parent)?;
        let temporary = parent.join("tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        if sync_each {
            file.sync_all()?;
        }
        fs::rename(temporary, parent.join(name))?;
        if sync_each {
            File::open(&parent)?.sync_all()?;
        }
    }
    if !sync_each {
        Command::new("sync").arg("-f").arg(dir).status()?;
    }
    Ok(begin.elapsed())
}

fn in_store(dir: &Path, contents: &[Vec<u8>]) -> Result<Duration> {
    let store = Store::open(StoreOptions {
        data_dir: dir.join("data"),
    })?;
    let begin = Instant::now();
    keep_all(&store, contents)?;
    Ok(begin.elapsed())
}

fn keep_all(store: &Store, contents: &[Vec<u8>]) -> Result<()> {
    let kept = store.contents();
    for bytes in contents {
        kept.keep(&mut Cursor::new(bytes), bytes.len() as u64)?;
    }
    kept.flush()?;
    Ok(())
}

fn rows() -> Result<()> {
    let contents: Vec<Vec<u8>> = (0..FILES).map(|seed| noise(seed as u64, 2048)).collect();
    let mut times: Vec<[Duration; 9]> = Vec::new();
    let mut sizes = (0, 0, 0);
    for _ in 0..5 {
        let home = tempfile::tempdir()?;
        let data_dir = home.path().to_owned();
        let store = Store::open(StoreOptions {
            data_dir: data_dir.clone(),
        })?;
        keep_all(&store, &contents)?;
        store.write_blocking(|writer| writer.register_source(&source(), "dir", "/mnt/team"))?;
        let before = bytes_of(&data_dir, store)?;
        let store = Store::open(StoreOptions {
            data_dir: data_dir.clone(),
        })?;
        let (head, ledger, journal) = (heads(&contents), ledgers(&contents), journals(&contents));

        let begin = Instant::now();
        let ids = store.write_blocking(move |writer| {
            writer.begin_run(&run(1))?;
            writer.put_head(&source(), &head)?;
            writer.put_ledger(&target(), &ledger)?;
            writer.put_journal(&journal)
        })?;
        let put = begin.elapsed();
        let begin = Instant::now();
        for state in [JournalState::Placed, JournalState::Durable] {
            let states: Vec<_> = ids.iter().map(|id| (*id, state, None)).collect();
            store.write_blocking(move |writer| writer.set_journal_state(&states))?;
        }
        let states = begin.elapsed();
        let begin = Instant::now();
        let head = store.read_blocking(|reader| reader.head(&source()))?;
        let read_head = begin.elapsed();
        let begin = Instant::now();
        let ledger = store.read_blocking(|reader| reader.ledger(&target()))?;
        let read_ledger = begin.elapsed();
        assert_eq!((head.len(), ledger.len()), (FILES, FILES));
        let (changed, placed) = (changed(head), changed_ledger(ledger));
        let begin = Instant::now();
        store.write_blocking(move |writer| {
            writer.put_head(&source(), &changed)?;
            writer.put_ledger(&target(), &placed)
        })?;
        let update = begin.elapsed();
        let begin = Instant::now();
        let few = &contents[..10];
        let (head, ledger, mut journal) = (heads(few), ledgers(few), journals(few));
        for row in &mut journal {
            row.run = RunId(3);
        }
        store.write_blocking(move |writer| {
            writer.begin_run(&run(3))?;
            writer.put_head(&source(), &head)?;
            writer.put_ledger(&target(), &ledger)?;
            writer.put_journal(&journal)
        })?;
        let ten = begin.elapsed();
        let begin = Instant::now();
        store.write_blocking(|writer| writer.begin_run(&run(2)))?;
        let insert = begin.elapsed();
        let begin = Instant::now();
        store.read_blocking(|reader| {
            reader.runs(RunFilter {
                limit: 10,
                ..RunFilter::default()
            })
        })?;
        let query = begin.elapsed();
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for number in 0..100 {
                let store = &store;
                scope.spawn(move || {
                    store.write_blocking(move |writer| writer.begin_run(&run(100 + number)))
                });
            }
        });
        let hundred = begin.elapsed();
        let with_rows = bytes_of(&data_dir, store)?;
        let store = Store::open(StoreOptions {
            data_dir: data_dir.clone(),
        })?;
        store.write_blocking(|writer| {
            (1000..2000).try_for_each(|number| writer.begin_run(&run(number)))
        })?;
        let with_runs = bytes_of(&data_dir, store)?;
        sizes = (before, with_rows, with_runs);
        times.push([
            put,
            states,
            read_head,
            read_ledger,
            update,
            ten,
            insert,
            query,
            hundred,
        ]);
    }
    let names = [
        "put head + ledger + journal of 5,000",
        "5,000 rows of the journal placed, then durable",
        "head() of 5,000",
        "ledger() of 5,000",
        "head + ledger of 5,000 changed",
        "ten files",
        "one insert",
        "one query",
        "100 writes at the same time",
    ];
    for (at, name) in names.iter().enumerate() {
        let mut column: Vec<_> = times.iter().map(|row| row[at]).collect();
        column.sort();
        println!("{name:<48} {:>8.2} ms", ms(column[column.len() / 2]));
    }
    let files = FILES as u64;
    println!(
        "database for 5,000 contents of 2 KiB             {:>8} bytes each",
        sizes.0 / files
    );
    println!(
        "head + ledger + journal of 5,000                 {:>8} bytes each",
        (sizes.1 - sizes.0) / files
    );
    println!(
        "1,000 runs                                       {:>8} bytes each",
        (sizes.2 - sizes.1) / 1000
    );
    Ok(())
}

fn starts() -> Result<()> {
    let home = tempfile::tempdir()?;
    let contents: Vec<Vec<u8>> = (0..10_000).map(|seed| noise(seed, 2048)).collect();
    let open = || {
        Store::open(StoreOptions {
            data_dir: home.path().to_owned(),
        })
    };
    let store = open()?;
    keep_all(&store, &contents)?;
    store.write_blocking(move |writer| {
        writer.register_source(&source(), "dir", "/mnt/team")?;
        writer.begin_run(&run(1))?;
        writer.put_head(&source(), &heads(&contents))?;
        writer.put_ledger(&target(), &ledgers(&contents))?;
        writer.put_journal(journals(&contents))
    })?;
    store.close_blocking();
    let time = median(|| {
        let begin = Instant::now();
        let store = open()?;
        let elapsed = begin.elapsed();
        store.close_blocking();
        Ok(elapsed)
    })?;
    println!(
        "open with 10,000 items                           {:>8.2} ms",
        ms(time)
    );
    Ok(())
}

fn bytes_of(data_dir: &Path, store: Store) -> Result<u64> {
    store.close_blocking();
    Ok(fs::metadata(data_dir.join("state.db"))?.len())
}

/// The same rows with another content each: the next one's.
fn changed(rows: BTreeMap<ItemKey, HeadRow>) -> Vec<HeadRow> {
    let mut rows: Vec<HeadRow> = rows.into_values().collect();
    let first = rows[0].head;
    for at in 0..rows.len() {
        rows[at].head = rows.get(at + 1).map_or(first, |next| next.head);
    }
    rows
}

fn changed_ledger(rows: BTreeMap<ItemKey, LedgerRow>) -> Vec<LedgerRow> {
    let mut rows: Vec<LedgerRow> = rows.into_values().collect();
    let first = rows[0].written;
    for at in 0..rows.len() {
        rows[at].written = rows.get(at + 1).map_or(first, |next| next.written);
    }
    rows
}

fn heads(contents: &[Vec<u8>]) -> Vec<HeadRow> {
    each(contents, |key, version| HeadRow {
        key,
        head: Some(version),
        base: Some(version),
        size: 2048,
        identity: Some(Identity::new(
            "2048:1767323045.678901234:1767323045.678901234:1234567",
        )),
        // Two of three files of a source are agents or skills.
        facts: Some(Facts {
            kind: 1,
            name: Some("a-code-reviewer".to_owned()),
            version: None,
            findings: None,
        }),
    })
}

fn ledgers(contents: &[Vec<u8>]) -> Vec<LedgerRow> {
    each(contents, |key, version| LedgerRow {
        source: source(),
        key: key.clone(),
        path: key,
        base: Some(version),
        written: Some(version),
        size: 2048,
        identity: Some(Identity::new(
            "2048:1767323045.678901234:1767323045.678901234:1234567",
        )),
        adopted: false,
        tombstone: false,
    })
}

fn journals(contents: &[Vec<u8>]) -> Vec<JournalRow> {
    each(contents, |key, version| JournalRow {
        id: 0,
        run: RunId(1),
        hop: Hop::Publish,
        source: source(),
        target: Some(target()),
        key: key.clone(),
        path: key,
        before: None,
        after: Some(version),
        base_before: None,
        base_after: Some(version),
        temporary: Some(".homing-1-1234".to_owned()),
        state: JournalState::Planned,
        reason: None,
    })
}

fn each<T>(contents: &[Vec<u8>], row: impl Fn(ItemKey, Version) -> T) -> Vec<T> {
    let key = |at: usize| {
        ItemKey::new(&format!("plugins/area-{:02}/agent-{at:05}.md", at % 50)).expect("a valid key")
    };
    let mut rows: Vec<(ItemKey, Version)> = contents
        .iter()
        .enumerate()
        .map(|(at, bytes)| {
            (
                key(at),
                Version {
                    hash: ContentHash::of(bytes),
                    executable: false,
                },
            )
        })
        .collect();
    rows.sort();
    rows.into_iter()
        .map(|(key, version)| row(key, version))
        .collect()
}

fn run(id: i64) -> RunRow {
    RunRow {
        id: RunId(id),
        source: Some(source()),
        target: None,
        verb: "pull".to_owned(),
        trigger: "schedule".to_owned(),
        status: "success".to_owned(),
        started_at: Timestamp::UNIX_EPOCH,
        synced: 0,
        cached: 200,
        failed: 0,
        removed: 0,
        bytes: 0,
        requests: 1,
        error_kind: None,
        error_message: None,
        duration_ms: 12,
        phases: vec![
            ("survey".to_owned(), 10),
            ("plan".to_owned(), 1),
            ("record".to_owned(), 1),
        ],
        plan_digest: None,
        problems: Vec::new(),
        revision: None,
        boot_id: "0d7e9a52-5a4e-4d51-9d3c-0f6a2c1b7e11".to_owned(),
    }
}

fn source() -> SourceId {
    "community".parse().expect("a valid id")
}

fn target() -> TargetId {
    "claude".parse().expect("a valid id")
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn median(mut measure: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    let mut times = (0..5).map(|_| measure()).collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(times[times.len() / 2])
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
