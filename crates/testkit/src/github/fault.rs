//! Answers that go wrong.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

use super::lock;

/// What becomes of the answers to some requests.
#[derive(Debug, Clone)]
pub struct Fault {
    path_part: String,
    skip: usize,
    times: usize,
    effect: Effect,
}

/// How an answer goes wrong.
#[derive(Debug, Clone)]
pub enum Effect {
    /// This status with GitHub's error document.
    Status(u16),
    /// A page for people, with status 200.
    Html,
    /// The primary limit is used up: 403, nothing remaining.
    PrimaryLimit,
    /// The same with this status: 429 is documented too.
    PrimaryLimitAs(u16),
    /// The secondary limit: this status (403 or 429), maybe with `Retry-After` in seconds.
    SecondaryLimit {
        /// 403 or 429.
        status: u16,
        /// What `Retry-After` says.
        retry_after: Option<u64>,
    },
    /// An organisation that wants the token to be authorised first.
    SingleSignOn,
    /// The connection is closed without an answer.
    Drop,
    /// The connection is closed in the middle of the body.
    Cut,
    /// `Content-Length` promises so many bytes more than come.
    Short(usize),
    /// `Content-Length` and body end so many bytes early.
    Shorter(usize),
    /// The first byte of the body is another one; its length is right.
    OtherBytes,
    /// Half of the body comes, the rest only after [`super::GitHub::mend`].
    Hold,
    /// The body comes byte by byte with these pauses.
    Trickle(Duration),
}

impl Fault {
    /// Returns a fault of all requests whose path and query contain this.
    pub fn on(path_part: &str, effect: Effect) -> Self {
        Self {
            path_part: path_part.to_owned(),
            skip: 0,
            times: usize::MAX,
            effect,
        }
    }

    /// Ends the fault after so many requests.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Lets so many requests pass before.
    #[must_use]
    pub fn after(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }
}

/// The faults in force.
#[derive(Debug)]
pub(crate) struct Faults {
    list: Mutex<Vec<Fault>>,
    mended: watch::Sender<u64>,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self {
            list: Mutex::default(),
            mended: watch::Sender::new(0),
        }
    }

    pub(crate) fn add(&self, fault: Fault) {
        lock(&self.list).push(fault);
    }

    pub(crate) fn clear(&self) {
        lock(&self.list).clear();
        self.mended.send_modify(|times| *times += 1);
    }

    /// Returns what becomes of the answer to a request, and counts it; and what changes when the faults end.
    pub(crate) fn effect(&self, path: &str) -> (Option<Effect>, watch::Receiver<u64>) {
        // First, for whoever is told of a fault must hear of its end, however soon that comes.
        let mended = self.mended.subscribe();
        (self.take(path), mended)
    }

    fn take(&self, path: &str) -> Option<Effect> {
        let mut list = lock(&self.list);
        let fault = list
            .iter_mut()
            .find(|fault| fault.times > 0 && path.contains(&fault.path_part))?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times -= 1;
        Some(fault.effect.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_ends_at_once_is_heard_to_end() {
        let faults = Faults::new();
        faults.add(Fault::on("/x", Effect::Hold));
        let (effect, mended) = faults.effect("/x");
        faults.clear();
        assert!(matches!(effect, Some(Effect::Hold)));
        assert!(mended.has_changed().unwrap());
        let (effect, _) = faults.effect("/x");
        assert!(effect.is_none());
    }
}
