//! Work that nobody waits for any more stops at the next item, and leaves the rest as it is.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod support;

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use fail::FailScenario;
use homing_core::{
    Change, ContentHash, ContentReader, Contents, FetchRequest, Item, Operation, Progress, Scope,
    Side, SideError,
};
use support::{Bench, key};

/// A place where work is held until it is given up.
struct Gate {
    reached: Sender<()>,
    given_up: Mutex<Receiver<()>>,
}

impl Gate {
    fn pass(&self) {
        self.reached.send(()).ok();
        self.given_up.lock().unwrap().recv().ok();
    }
}

/// Begins some work, gives it up when it has come to the gate, and returns when it has ended.
fn given_up<T>(work: impl FnOnce(Gate) -> T)
where
    T: IntoFuture,
{
    let (reached, is_reached) = channel();
    let (give_up, given_up) = channel();
    let gate = Gate {
        reached,
        given_up: Mutex::new(given_up),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let entered = runtime.enter();
    {
        let mut work = std::pin::pin!(work(gate).into_future());
        let mut context = Context::from_waker(Waker::noop());
        assert!(work.as_mut().poll(&mut context).is_pending());
        is_reached.recv().unwrap();
    }
    drop(give_up);
    drop(entered);
    // It waits for the threads that still work.
    drop(runtime);
}

#[test]
fn deletions_and_renames_that_nobody_waits_for_are_not_begun() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    // Those of one directory come one after the other.
    let mut operations: Vec<Operation> = (0..4)
        .map(|number| {
            let path = format!("d/f{number}");
            bench.put(&path, b"old");
            bench.delete(number, &path, b"old")
        })
        .collect();
    bench.put("Name", b"old");
    operations.push(Operation {
        change: Change::Rename { from: key("Name") },
        ..bench.write(4, "name", b"old", Some(b"old"))
    });
    bench.put("update", b"old");
    operations.push(bench.write(5, "update", b"new", Some(b"old")));
    given_up(|gate| {
        fail::cfg_callback("dir::checked", move || gate.pass()).unwrap();
        bench.apply(operations)
    });
    bench.expect(&[
        ("Name", b"old"),
        ("d/f1", b"old"),
        ("d/f2", b"old"),
        ("d/f3", b"old"),
        ("update", b"old"),
    ]);
    scenario.teardown();
}

#[test]
fn a_listing_that_nobody_waits_for_reads_no_further() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    for number in 0..20 {
        bench.put(&format!("d{number}/a"), b"text");
    }
    let directories = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&directories);
    given_up(|gate| {
        fail::cfg_callback("dir::names_read", move || {
            counted.fetch_add(1, Ordering::SeqCst);
            gate.pass();
        })
        .unwrap();
        bench.list(Scope::Whole)
    });
    assert_eq!(directories.load(Ordering::SeqCst), 1, "the root alone");
    scenario.teardown();
}

#[test]
fn a_listing_of_keys_that_nobody_waits_for_reads_no_further() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    let names: Vec<String> = (0..20).map(|number| format!("f{number}")).collect();
    for name in &names {
        bench.put(name, b"text");
    }
    let files = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&files);
    given_up(|gate| {
        fail::cfg_callback("dir::file_read", move || {
            counted.fetch_add(1, Ordering::SeqCst);
            gate.pass();
        })
        .unwrap();
        bench.list(Scope::Keys(names.iter().map(|name| key(name)).collect()))
    });
    assert_eq!(files.load(Ordering::SeqCst), 1, "they are one task");
    scenario.teardown();
}

/// Contents at whose door everything waits.
struct Slow {
    gate: Gate,
    begun: AtomicUsize,
}

impl Contents for Slow {
    fn open(&self, _hash: &ContentHash) -> Result<ContentReader, SideError> {
        Err(SideError::Cancelled)
    }

    fn keep(&self, bytes: &mut dyn Read, _hint: u64) -> Result<(ContentHash, u64), SideError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.gate.pass();
        let mut all = Vec::new();
        bytes.read_to_end(&mut all).unwrap();
        Ok((ContentHash::of(&all), all.len() as u64))
    }

    fn flush(&self) -> Result<(), SideError> {
        Ok(())
    }
}

#[test]
fn contents_that_nobody_waits_for_are_not_fetched() {
    let bench = Bench::new();
    let requests: Vec<FetchRequest> = (0..10)
        .map(|number| {
            let name = format!("f{number}");
            bench.put(&name, b"text");
            let item = Item {
                hash: ContentHash::of(b"text"),
                size: 4,
                executable: false,
                identity: None,
            };
            FetchRequest::new(&key(&name), &item)
        })
        .collect();
    let mut slow = None;
    given_up(|gate| {
        let contents = Arc::new(Slow {
            gate,
            begun: AtomicUsize::default(),
        });
        slow = Some(Arc::clone(&contents));
        bench.side.fetch(requests, contents, Progress::default())
    });
    assert_eq!(slow.unwrap().begun.load(Ordering::SeqCst), 1);
}
