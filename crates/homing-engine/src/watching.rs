//! Watched sides: a change gives the source its turn at once.
//!
//! A notice only says that something happened. Whether it is news is found out by listing the side, after whatever run
//! is under way there: so what Homing wrote itself starts nothing, and a notice that was missed loses nothing that the
//! next listing would not find.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use homing_core::{
    Intake, Item, ItemKey, Listener, Notice, Side, SideError, SourceId, TargetId, Watch,
};
use homing_store::Hop;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::changes;
use crate::edits::Look;
use crate::error::{EngineError, reason};
use crate::filter::Filter;
use crate::missing::Unfetched;
use crate::noted::Noted;
use crate::pipeline::plan::pull::{self, PullInput};
use crate::pipeline::survey;
use crate::report::Verb;
use crate::runs::{self, Run};
use crate::scratch::Scratch;
use crate::shared::{Shared, blocking, locked};
use crate::spec::{PushMode, SourceSpec};
use crate::target::Recovery;

/// So long nothing may happen before what happened is looked at: a program that writes ten files causes one run.
const QUIET: Duration = Duration::from_millis(250);

/// What never becomes quiet is looked at all the same.
const LONGEST: Duration = Duration::from_secs(2);

/// The first and the longest rest between two looks at a side that never becomes quiet.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// The first and the longest pause before a side that could not be watched is tried again.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(5);

/// How the watch of a source or target stands.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    trouble: Noted<Option<Trouble>>,
    ended: Notify,
}

/// Why something is not watched that should be.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) message: String,
    pub(crate) since: Timestamp,
}

impl Watching {
    /// Returns why it is not watched, if it should be.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.trouble.read().clone()
    }

    /// Says that a run has ended: what was missing may be there, or be another place.
    pub(crate) fn run_ended(&self) {
        self.ended.notify_one();
    }
}

/// Begins to watch whatever is to be watched.
pub(crate) fn begin(shared: &Arc<Shared>) {
    let specs = &shared.specs;
    let sources = specs.sources.iter();
    let sources = sources.filter(|(_, spec)| spec.enabled && spec.watch);
    let targets = specs.targets.keys();
    let targets = targets.filter(|id| !pushing(shared, id).is_empty());
    let places: Vec<Place> = sources
        .map(|(id, _)| Place::Source(id.clone()))
        .chain(targets.map(|id| Place::Target(id.clone())))
        .collect();
    for place in places {
        let keeper = Keeper {
            shared: Arc::clone(shared),
            place,
            heard: Arc::default(),
        };
        let end = shared.watches.clone();
        shared.tasks.spawn(async move {
            tokio::select! {
                () = keeper.keep() => {}
                () = end.cancelled() => keeper.tell(None),
            }
        });
    }
}

/// Returns the sources that a target's edits go back to by themselves.
fn pushing(shared: &Shared, target: &TargetId) -> Vec<SourceId> {
    let by_itself = |spec: &SourceSpec| {
        spec.enabled && spec.push != PushMode::Never && (spec.watch || spec.cadence.is_some())
    };
    let Ok((spec, _)) = shared.target(target) else {
        return Vec::new();
    };
    spec.from
        .iter()
        .filter(|id| shared.specs.sources.get(id).is_some_and(by_itself))
        .cloned()
        .collect()
}

/// What is watched.
#[derive(Debug, Clone)]
enum Place {
    Source(SourceId),
    Target(TargetId),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(id) => write!(f, "sources.{id}"),
            Self::Target(id) => write!(f, "targets.{id}"),
        }
    }
}

/// What was heard since somebody last looked; never more than that something was.
#[derive(Debug, Default)]
struct Heard {
    what: Mutex<What>,
    something: Notify,
}

#[derive(Debug, Default)]
struct What {
    changed: bool,
    missed: bool,
    lost: Option<SideError>,
}

impl Heard {
    fn take_in(&self, notice: Notice) {
        {
            let mut what = locked(&self.what);
            match notice {
                Notice::Changed => what.changed = true,
                Notice::Missed => what.missed = true,
                Notice::Lost(error) => what.lost = Some(error),
            }
        }
        self.something.notify_one();
    }

    fn take(&self) -> What {
        std::mem::take(&mut *locked(&self.what))
    }

    fn is_empty(&self) -> bool {
        let what = locked(&self.what);
        !what.changed && !what.missed && what.lost.is_none()
    }
}

/// Keeps one place watched.
struct Keeper {
    shared: Arc<Shared>,
    place: Place,
    heard: Arc<Heard>,
}

impl Keeper {
    /// Watches for ever, and tries again when that does not work.
    async fn keep(&self) {
        let mut retry = FIRST_RETRY;
        loop {
            let began = Instant::now();
            let trouble = match self.watch().await {
                Ok(None) => return,
                Ok(Some(watch)) => {
                    if self.watching().trouble().is_some() {
                        self.come_back();
                    }
                    self.tell(None);
                    // Nobody saw what happened before.
                    self.changed().await;
                    self.follow(&watch).await
                }
                Err(error) => error,
            };
            if began.elapsed() > LONGEST_RETRY {
                retry = FIRST_RETRY;
            }
            let looks_itself = !matches!(trouble, SideError::NotFound { .. })
                && self.watching().trouble().is_some();
            self.tell(Some(&trouble));
            if looks_itself {
                // Nobody tells, so somebody looks, even where no interval does.
                self.changed().await;
            }
            // A run may have found or made what was missing. Else its end says nothing, and might be this look's doing.
            let is_missing = matches!(trouble, SideError::NotFound { .. });
            tokio::select! {
                () = self.watching().ended.notified(), if is_missing => {}
                () = sleep(retry) => {}
            }
            retry = (retry * 2).min(LONGEST_RETRY);
        }
    }

    async fn watch(&self) -> Result<Option<Arc<dyn Watch>>, SideError> {
        let heard = Arc::clone(&self.heard);
        let listener: Listener = Arc::new(move |notice| heard.take_in(notice));
        drop(self.heard.take());
        self.side().watch(listener).await
    }

    /// Acts on what is heard until the watch is lost; returns why.
    async fn follow(&self, watch: &Arc<dyn Watch>) -> SideError {
        let mut rest = Duration::ZERO;
        loop {
            tokio::select! {
                () = self.heard.something.notified() => {}
                () = self.watching().ended.notified() => {
                    let watch = Arc::clone(watch);
                    let is_current = blocking(move || watch.is_current()).await;
                    if !is_current.unwrap_or(false) {
                        let message = "another directory is in its place".to_owned();
                        return SideError::NotFound { message, source: None };
                    }
                    continue;
                }
            }
            self.quiet().await;
            let what = self.heard.take();
            if let Some(error) = what.lost {
                return error;
            }
            if what.missed {
                self.mark_all();
            } else if what.changed {
                self.changed().await;
            }
            rest = if self.heard.is_empty() {
                Duration::ZERO
            } else {
                (rest * 2).clamp(FIRST_REST, LONGEST_REST)
            };
            sleep(rest).await;
        }
    }

    /// Waits until nothing happened for a moment.
    async fn quiet(&self) {
        let end = Instant::now() + LONGEST;
        while Instant::now() < end {
            tokio::select! {
                () = self.heard.something.notified() => {}
                () = sleep(QUIET) => return,
            }
        }
    }

    /// Looks what is new, and gives those sources their turn. What cannot be looked at is a run's to tell.
    async fn changed(&self) {
        match &self.place {
            Place::Source(id) => {
                if source_has_news(&self.shared, id).await.unwrap_or(true) {
                    self.mark(id);
                }
            }
            Place::Target(target) => {
                for source in pushing(&self.shared, target) {
                    match target_has_edits(&self.shared, target, &source).await {
                        Ok(false) => {}
                        Ok(true) => self.mark(&source),
                        // A target that is missing or unreadable has no edits that could go anywhere.
                        Err(error) => tracing::debug!(%target, %error, "it could not be looked at"),
                    }
                }
            }
        }
    }

    /// Forgets the pause of a source whose runs failed: what they missed may be there again.
    fn come_back(&self) {
        if let Place::Source(id) = &self.place
            && let Ok((_, actor)) = self.shared.source(id)
        {
            actor.came_back();
        }
    }

    fn mark_all(&self) {
        match &self.place {
            Place::Source(id) => self.mark(id),
            Place::Target(target) => {
                for source in pushing(&self.shared, target) {
                    self.mark(&source);
                }
            }
        }
    }

    fn mark(&self, source: &SourceId) {
        if let Ok((_, actor)) = self.shared.source(source) {
            tracing::debug!(%source, place = %self.place, "something changed");
            actor.something_changed();
            self.shared.turns.notify_one();
        }
    }

    fn tell(&self, trouble: Option<&SideError>) {
        let known = &self.watching().trouble;
        let message = trouble.map(reason);
        if known.read().as_ref().map(|known| &known.message) == message.as_ref() {
            return;
        }
        if let Some(message) = &message {
            tracing::warn!(place = %self.place, reason = message, "it is not watched");
        } else {
            tracing::info!(place = %self.place, "it is watched again");
        }
        *known.write() = message.map(|message| Trouble {
            message,
            since: runs::now(),
        });
        changes::look(&self.shared);
    }

    fn side(&self) -> &dyn Side {
        match &self.place {
            Place::Source(id) => self.shared.specs.sources[id].origin.as_ref(),
            Place::Target(id) => self.shared.specs.targets[id].place.as_ref(),
        }
    }

    fn watching(&self) -> &Watching {
        match &self.place {
            Place::Source(id) => &self.shared.sources[id].watching,
            Place::Target(id) => &self.shared.targets[id].watching,
        }
    }
}

/// Tells whether a pull would do anything.
async fn source_has_news(shared: &Shared, id: &SourceId) -> Result<bool, EngineError> {
    let (spec, actor) = shared.source(id)?;
    let turn = actor.take_turn().await;
    if *turn == Recovery::Due {
        return Ok(true);
    }
    let source = id.clone();
    let (row, head, conflicts) = shared
        .store
        .read(move |reader| {
            let conflicts = reader.conflicts(Some(&source), None)?;
            Ok((reader.source(&source)?, reader.head(&source)?, conflicts))
        })
        .await?;
    let rules = survey::RootRules {
        boot_id: &shared.boot_id,
        accept: false,
        read_all: false,
    };
    let run = Run::unseen(Verb::Pull, Vec::new());
    let settings = &shared.specs.settings;
    let origin = survey::Origin {
        spec,
        store: &shared.store,
        row: row.as_ref(),
        head: &head,
        intake: Intake::default(),
    };
    let listing = survey::origin(&run, settings, origin, rules)
        .await?
        .manifest;
    let decisions = pull::decide(&PullInput {
        source: id,
        rows: &head,
        listing: &listing,
        policy: spec.on_conflict,
        origin: spec.origin.as_ref(),
        filter: &Filter::new(&[])?,
        unfetched: &Unfetched::new(),
    });
    // What a person was asked already is no news.
    let is_open = |key: &ItemKey| {
        let far = listing.items.get(key).map(Item::version);
        conflicts
            .iter()
            .any(|open| open.hop == Hop::Pull && open.key == *key && open.far == far)
    };
    Ok(!decisions.steps.is_empty() || !decisions.diverged().all(is_open))
}

/// Tells whether there is an edit in a target that a source would take in.
async fn target_has_edits(
    shared: &Shared,
    target: &TargetId,
    source: &SourceId,
) -> Result<bool, EngineError> {
    let (spec, actor) = shared.target(target)?;
    let _turn = actor.take_turn(shared, target).await?;
    let run = Run::unseen(Verb::Push, Vec::new());
    let look = Look {
        shared,
        target,
        source,
        run: &run,
        accept_root: false,
        contents: Arc::new(Scratch::over(shared.contents())),
        settled_for: Duration::ZERO,
    };
    look.any(spec).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_notices_are_heard_as_one() {
        let heard = Heard::default();
        assert!(heard.is_empty());
        for _ in 0..1000 {
            heard.take_in(Notice::Changed);
        }
        heard.take_in(Notice::Missed);
        let what = heard.take();
        assert!(what.changed && what.missed && what.lost.is_none());
        assert!(heard.is_empty());
    }
}
