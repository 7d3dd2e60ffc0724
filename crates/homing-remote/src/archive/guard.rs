//! A reader that stops at a bomb, and remembers why it stopped.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use homing_core::SideError;

/// Below so much a ratio tells nothing.
const UNSUSPICIOUS_BYTES: u64 = 16 << 20;
/// Text is a tenth of its size when it is packed, and a long run of zeros a thousandth.
const MOST_RATIO: u64 = 200;

/// Why an archive cannot be read, shared by all who read it.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    place: Arc<str>,
    why: Arc<Mutex<Option<String>>>,
}

impl Failure {
    /// Nothing happened yet.
    pub(super) fn of(place: String) -> Self {
        Self {
            place: place.into(),
            why: Arc::default(),
        }
    }

    /// Fails if anything happened.
    pub(super) fn check(&self) -> Result<(), SideError> {
        match &*self.why.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => Err(self.untrusted(why)),
            None => Ok(()),
        }
    }

    /// Returns what it means that the archive does something that it must not.
    pub(super) fn untrusted(&self, what: &str) -> SideError {
        SideError::Untrusted {
            message: format!("{} {what}", self.place),
        }
    }

    /// Returns what it means that the archive cannot be read.
    pub(super) fn corrupt(&self, why: &str) -> SideError {
        self.untrusted(&format!(
            "cannot be read: {why}; check that the URL leads to a whole tar, tar.gz, tar.zst or zip"
        ))
    }

    /// Returns what it means that reading failed; an earlier reason is the better one.
    pub(super) fn io(&self, error: &io::Error) -> SideError {
        self.check()
            .err()
            .unwrap_or_else(|| self.corrupt(&error.to_string()))
    }

    fn note(&self, why: &str) {
        self.why
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| why.to_owned());
    }
}

/// Counts what passes.
pub(super) struct Guard<R> {
    reader: R,
    failure: Failure,
    count: Arc<AtomicU64>,
    bound: Option<Bound>,
}

struct Bound {
    packed: Arc<AtomicU64>,
    max_unpacked: u64,
}

impl<R: Read> Guard<R> {
    /// Counts an archive's own bytes.
    pub(super) fn packed(reader: R, failure: &Failure) -> Self {
        Self {
            reader,
            failure: failure.clone(),
            count: Arc::default(),
            bound: None,
        }
    }

    /// Counts what they unpack to, and stops where that is too much for them.
    pub(super) fn unpacked(
        reader: R,
        failure: &Failure,
        packed: Arc<AtomicU64>,
        max_unpacked: u64,
    ) -> Self {
        Self {
            reader,
            failure: failure.clone(),
            count: Arc::default(),
            bound: Some(Bound {
                packed,
                max_unpacked,
            }),
        }
    }

    /// Goes on with another reader, and with the count.
    pub(super) fn followed_by<S>(&self, reader: S) -> Guard<S> {
        Guard {
            reader,
            failure: self.failure.clone(),
            count: Arc::clone(&self.count),
            bound: self.bound.as_ref().map(|bound| Bound {
                packed: Arc::clone(&bound.packed),
                max_unpacked: bound.max_unpacked,
            }),
        }
    }

    /// Returns the count, which goes on.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.count)
    }

    fn refusal(&self) -> Option<String> {
        let bound = self.bound.as_ref()?;
        let unpacked = self.count.load(Ordering::Relaxed);
        let packed = bound.packed.load(Ordering::Relaxed);
        if unpacked > bound.max_unpacked {
            let most = bound.max_unpacked;
            return Some(format!(
                "unpacks to more than {most} bytes; raise `max_total_size`"
            ));
        }
        (unpacked > UNSUSPICIOUS_BYTES && unpacked / MOST_RATIO > packed).then(|| {
            format!(
                "unpacks to more than {MOST_RATIO} times its size, as a decompression bomb does"
            )
        })
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failure.note(&format!("cannot be read: {error}"));
            }
        })?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        if let Some(why) = self.refusal() {
            self.failure.note(&why);
            return Err(io::Error::other(why));
        }
        Ok(count)
    }
}
