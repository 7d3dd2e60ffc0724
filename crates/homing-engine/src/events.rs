//! The event bus: what happens, numbered without a gap, for whoever listens.
//!
//! The last events are kept once, in a ring. A listener is only a position in it, so that one that does not read costs
//! nothing: when the ring has moved past its position it is cut off, and begins anew with what is true then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use homing_core::{RunId, SourceId, TargetId};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::report::{ConflictReport, RunProgress, RunReport, SourceStatus, TargetStatus};
use crate::runs::now;
use crate::shared::locked;

/// Events that are kept for listeners who come back or fall behind.
const RING: usize = 1024;

/// Bytes that they may take together, roughly: runs and sources with much to complain of are larger than others.
const RING_BYTES: usize = 2 << 20;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A run waits for its turn.
    RunQueued(Box<RunReport>),
    /// A run began.
    RunStarted(Box<RunReport>),
    /// A run came into another phase. Told only while somebody listens.
    RunPhase(RunMoved),
    /// A run moved on within its phase. Told only while somebody listens.
    RunProgress(RunMoved),
    /// A run ended.
    RunFinished(Box<RunReport>),
    /// A source is in another state or condition than before.
    Source(Box<SourceStatus>),
    /// A target is in another state than before.
    Target(Box<TargetStatus>),
    /// Conflicts came or went.
    Conflicts(ConflictsChanged),
    /// The daemon as a whole is in another condition than before.
    Daemon,
    /// Something that a person did or should know.
    Notice(Notice),
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMoved {
    /// The run.
    pub run: RunId,
    /// Its source, unless it is a target's own.
    pub source: Option<SourceId>,
    /// Its target, when it is a target's own.
    pub target: Option<TargetId>,
    /// Phase, items and bytes.
    pub progress: RunProgress,
}

/// Conflicts that came or went together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConflictsChanged {
    /// The new ones.
    pub opened: Vec<ConflictReport>,
    /// Those that are gone.
    pub closed: Vec<ConflictReport>,
    /// So many more came or went that are not listed.
    pub more: u64,
}

/// Something that a person did or should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// The source that it is about, if it is about one.
    pub source: Option<SourceId>,
    /// A sentence.
    pub message: String,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// Another configuration is in force; sources and targets may have come or gone.
    ConfigReloaded,
    /// A changed configuration is not valid, so the old one stays in force.
    ConfigRejected,
    /// The schedule stands still.
    Paused,
    /// The schedule goes on.
    Resumed,
    /// The daemon ends.
    ShuttingDown,
}

/// An event with its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The number: one more than that of the event before it.
    pub number: u64,
    /// When it was told; never before the event before it.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// The bus. Clones are handles of the same one; it outlives every engine that tells on it.
#[derive(Clone, Default)]
pub struct Events(Arc<Bus>);

#[derive(Default)]
struct Bus {
    ring: Mutex<Ring>,
    /// The last number.
    last: watch::Sender<u64>,
    /// How many listen.
    listeners: watch::Sender<usize>,
}

#[derive(Default)]
struct Ring {
    last: u64,
    last_at: Timestamp,
    told: VecDeque<Arc<Told>>,
    bytes: usize,
    listeners: BTreeMap<u64, Arc<Place>>,
    next_listener: u64,
}

/// How far a listener has read.
struct Place {
    read: AtomicU64,
    cut: CancellationToken,
}

impl Ring {
    /// Returns the number after which everything is still kept.
    fn kept_after(&self) -> u64 {
        self.told
            .front()
            .map_or(self.last, |oldest| oldest.number - 1)
    }

    /// Keeps an event and lets go of the oldest, with the listeners that have not read them.
    fn push(&mut self, event: Event) {
        self.last += 1;
        self.bytes += size(&event);
        // A clock that is set back does not turn the order of what was told around.
        self.last_at = now().max(self.last_at);
        let told = Told {
            number: self.last,
            at: self.last_at,
            event,
        };
        self.told.push_back(Arc::new(told));
        let kept_before = self.kept_after();
        while self.told.len() > RING || (self.bytes > RING_BYTES && self.told.len() > 1) {
            let Some(oldest) = self.told.pop_front() else {
                break;
            };
            self.bytes -= size(&oldest.event);
        }
        let kept = self.kept_after();
        if kept > kept_before {
            for place in self.listeners.values() {
                if place.read.load(Ordering::Relaxed) < kept {
                    place.cut.cancel();
                }
            }
        }
    }
}

/// Returns roughly how much memory an event takes.
fn size(event: &Event) -> usize {
    let run = |report: &RunReport| {
        let problems = report.problems.iter();
        let text = |problem: &homing_core::Problem| problem.path.len() + problem.message.len();
        size_of::<RunReport>() + problems.map(|problem| 64 + text(problem)).sum::<usize>()
    };
    let more = match event {
        Event::RunQueued(report) | Event::RunStarted(report) | Event::RunFinished(report) => {
            run(report)
        }
        Event::Source(status) => {
            let runs = [&status.last_run, &status.current_run];
            size_of::<SourceStatus>() + runs.into_iter().flatten().map(run).sum::<usize>()
        }
        Event::Target(_) => size_of::<TargetStatus>(),
        Event::Conflicts(changed) => {
            (changed.opened.len() + changed.closed.len()) * 2 * size_of::<ConflictReport>()
        }
        Event::Notice(notice) => notice.message.len(),
        Event::RunPhase(_) | Event::RunProgress(_) | Event::Daemon => 0,
    };
    2 * size_of::<Told>() + more
}

impl Events {
    /// Tells an event. Never waits for a listener.
    pub fn tell(&self, event: Event) {
        let last = {
            let mut ring = locked(&self.0.ring);
            ring.push(event);
            ring.last
        };
        // Two that tell at once may come here in the other order.
        self.0.last.send_if_modified(|known| {
            let newer = last > *known;
            *known = last.max(*known);
            newer
        });
    }

    /// Tells a notice.
    pub fn notice(&self, kind: NoticeKind, source: Option<SourceId>, message: impl Into<String>) {
        self.tell(Event::Notice(Notice {
            kind,
            source,
            message: message.into(),
        }));
    }

    /// Tells whether anybody listens: what is only worth telling at that moment need not be told else.
    pub fn is_heard(&self) -> bool {
        *self.0.listeners.borrow() > 0
    }

    /// Listens from now on.
    pub fn listen(&self) -> Listener {
        let mut ring = locked(&self.0.ring);
        let last = ring.last;
        self.join(&mut ring, last)
    }

    /// Listens from after the event of this number; `None` when what follows it is not kept any more, or it was never
    /// told.
    pub fn listen_after(&self, number: u64) -> Option<Listener> {
        let mut ring = locked(&self.0.ring);
        (ring.kept_after()..=ring.last)
            .contains(&number)
            .then(|| self.join(&mut ring, number))
    }

    /// Listens from the oldest event that is kept.
    pub fn listen_from_oldest(&self) -> Listener {
        let mut ring = locked(&self.0.ring);
        let oldest = ring.kept_after();
        self.join(&mut ring, oldest)
    }

    /// Waits until somebody listens.
    pub(crate) async fn heard(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        drop(
            self.0
                .listeners
                .subscribe()
                .wait_for(|count| *count > 0)
                .await,
        );
    }

    fn join(&self, ring: &mut Ring, read: u64) -> Listener {
        let place = Arc::new(Place {
            read: AtomicU64::new(read),
            cut: CancellationToken::new(),
        });
        let id = ring.next_listener;
        ring.next_listener += 1;
        ring.listeners.insert(id, Arc::clone(&place));
        self.0.listeners.send_replace(ring.listeners.len());
        Listener {
            events: self.clone(),
            id,
            place,
            last: self.0.last.subscribe(),
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Events").finish_non_exhaustive()
    }
}

/// One who listens.
pub struct Listener {
    events: Events,
    id: u64,
    place: Arc<Place>,
    last: watch::Receiver<u64>,
}

/// The listener was too slow: events that it has not read are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOff;

impl Listener {
    /// Returns the number of the last event that was read.
    pub fn position(&self) -> u64 {
        self.place.read.load(Ordering::Relaxed)
    }

    /// Returns what is cancelled when the listener is cut off, even while it does not read.
    pub fn cut(&self) -> CancellationToken {
        self.place.cut.clone()
    }

    /// Returns the number of the last event that was told.
    pub fn last_told(&self) -> u64 {
        locked(&self.events.0.ring).last
    }

    /// Waits for the next event. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Arc<Told>, CutOff> {
        loop {
            self.last.mark_unchanged();
            if let Some(told) = self.read()? {
                return Ok(told);
            }
            // The sender lives in `self.events`, so this cannot fail.
            drop(self.last.changed().await);
        }
    }

    fn read(&self) -> Result<Option<Arc<Told>>, CutOff> {
        let ring = locked(&self.events.0.ring);
        let read = self.position();
        let Some(skipped) = read.checked_sub(ring.kept_after()) else {
            return Err(CutOff);
        };
        let at = usize::try_from(skipped).unwrap_or(usize::MAX);
        let told = ring.told.get(at).cloned();
        if let Some(told) = &told {
            self.place.read.store(told.number, Ordering::Relaxed);
        }
        Ok(told)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut ring = locked(&self.events.0.ring);
        ring.listeners.remove(&self.id);
        self.events.0.listeners.send_replace(ring.listeners.len());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn tell(events: &Events, count: usize) {
        for number in 0..count {
            events.notice(NoticeKind::Paused, None, number.to_string());
        }
    }

    fn numbers(listener: &mut Listener) -> Vec<u64> {
        std::iter::from_fn(|| listener.next().now_or_never())
            .map(|told| told.unwrap().number)
            .collect()
    }

    #[test]
    fn every_listener_gets_every_event_in_order_without_a_gap() {
        let events = Events::default();
        assert!(!events.is_heard());
        tell(&events, 3);
        let mut first = events.listen();
        assert_eq!((first.position(), numbers(&mut first)), (3, vec![]));
        tell(&events, 2);
        let mut second = events.listen();
        tell(&events, 2);
        assert_eq!(numbers(&mut first), [4, 5, 6, 7]);
        assert_eq!(numbers(&mut second), [6, 7]);
        assert!(events.is_heard());
        drop((first, second));
        assert!(!events.is_heard());
    }

    #[test]
    fn who_comes_back_goes_on_where_it_was_unless_that_is_gone() {
        let events = Events::default();
        tell(&events, 10);
        let mut back = events.listen_after(7).unwrap();
        assert_eq!(numbers(&mut back), [8, 9, 10]);
        assert_eq!(numbers(&mut events.listen_after(10).unwrap()).len(), 0);
        assert!(
            events.listen_after(11).is_none(),
            "it was never told: the daemon is another one"
        );
        tell(&events, RING);
        assert!(events.listen_after(9).is_none());
        let mut oldest = events.listen_from_oldest();
        assert_eq!(oldest.position(), 10);
        assert_eq!(numbers(&mut oldest).len(), RING);
    }

    #[tokio::test]
    async fn who_does_not_read_is_cut_off_and_holds_nothing_back() {
        let events = Events::default();
        let (mut slow, mut quick) = (events.listen(), events.listen());
        let mut read = 0;
        for _ in 0..10_000 {
            tell(&events, 1);
            read += numbers(&mut quick).len();
        }
        assert_eq!(read, 10_000);
        assert!(!quick.cut().is_cancelled());
        assert!(slow.cut().is_cancelled());
        assert_eq!(slow.next().await, Err(CutOff));
        assert_eq!(locked(&events.0.ring).told.len(), RING);
    }

    #[test]
    fn large_events_push_others_out_and_never_all_of_them() {
        let events = Events::default();
        let mut listener = events.listen();
        let message = "x".repeat(RING_BYTES / 10);
        for _ in 0..30 {
            events.notice(NoticeKind::Paused, None, message.as_str());
        }
        let kept = locked(&events.0.ring).told.len();
        assert!((5..10).contains(&kept), "{kept}");
        assert_eq!(listener.next().now_or_never(), Some(Err(CutOff)));
        events.notice(NoticeKind::Paused, None, "x".repeat(2 * RING_BYTES));
        assert_eq!(numbers(&mut events.listen_from_oldest()), [31]);
    }

    #[test]
    fn times_never_go_back() {
        let events = Events::default();
        let ahead = now() + jiff::SignedDuration::from_hours(1);
        locked(&events.0.ring).last_at = ahead;
        let mut listener = events.listen();
        tell(&events, 1);
        let told = listener.next().now_or_never().unwrap().unwrap();
        assert_eq!(told.at, ahead, "the clock was set back by an hour");
    }

    #[tokio::test]
    async fn a_listener_that_waits_is_woken() {
        let events = Events::default();
        let mut listener = events.listen();
        let (told, ()) = tokio::join!(listener.next(), async { tell(&events, 1) });
        assert_eq!(told.unwrap().number, 1);
    }
}
