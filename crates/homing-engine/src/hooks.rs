//! Notify: a target's hook hears what was published, at least once.

mod outlived;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use homing_core::{Problem, ProblemKind, RunId, SourceId, TargetId};
use homing_process::{End, Errand, Outcome};
use homing_store::{Hop, JournalState};
use serde_json::json;
use tokio::sync::{Mutex as TurnLock, MutexGuard as TurnGuard, oneshot};
use tracing::{Instrument, Span};

use crate::error::EngineError;
use crate::history;
use crate::report::{ItemAction, ItemReport};
use crate::runs::Run;
use crate::shared::{Shared, locked};
use crate::spec::{Hook, TargetSpec};

/// How much of what a failed hook said last goes into the run's report.
const QUOTED_CHARACTERS: usize = 300;

/// A target's hook: one at a time; whoever waits when it begins is served by it.
#[derive(Default)]
pub(crate) struct HookActor {
    /// Held by the one that is under way; what the last one was told of, and what is to be said of it.
    turn: TurnLock<Told>,
    waiting: Mutex<Vec<(RunId, oneshot::Sender<Option<Problem>>)>>,
    /// Nothing is pending in the store. Not known at the start.
    settled: AtomicBool,
}

impl HookActor {
    /// Notes that something is pending in the store.
    pub(crate) fn owe(&self) {
        self.settled.store(false, Ordering::SeqCst);
    }

    /// Returns what the last one was told of, when none is under way and nothing is pending.
    fn idle(&self) -> Option<TurnGuard<'_, Told>> {
        let last = self.turn.try_lock().ok()?;
        self.settled.load(Ordering::SeqCst).then_some(last)
    }
}

/// What a hook was told of.
#[derive(Default)]
struct Told {
    runs: Vec<RunId>,
    problem: Option<Problem>,
}

impl Told {
    fn answer(&self, run: RunId) -> Option<Problem> {
        let was_told = self.runs.contains(&run);
        self.problem.clone().filter(|_| was_told)
    }
}

/// Has the target's hook told of whatever it has not been told yet, and waits for it.
///
/// Waits for one that is under way and for the next, each within its time limit; a run that is cancelled meanwhile
/// waits no longer, and the hook goes on. Returns what is to be said of a hook that did not do its work.
pub(crate) async fn run(shared: &Arc<Shared>, id: &TargetId, run: &Run) -> Option<Problem> {
    let (_, actor) = shared.target(id).ok()?;
    if let Some(last) = actor.hook.idle() {
        return last.answer(run.id);
    }
    let since = Instant::now();
    run.enter("notify", None);
    let (sender, receiver) = oneshot::channel();
    locked(&actor.hook.waiting).push((run.id, sender));
    let tasks = shared.tasks.clone();
    let (task, shared, id) = (Arc::clone(actor), Arc::clone(shared), id.clone());
    // In a task of its own: the end of one of the runs must not end it for the others.
    let telling = async move {
        let mut last = task.hook.turn.lock().await;
        let waiting = std::mem::take(&mut *locked(&task.hook.waiting));
        if waiting.is_empty() {
            return;
        }
        // Whoever the one before was told of hears of that one.
        let before: Vec<_> = waiting.iter().map(|(run, _)| last.answer(*run)).collect();
        let mut problem = None;
        if !task.hook.settled.load(Ordering::SeqCst) {
            *last = tell(&shared.newest(), &id, &task.hook).await;
            problem.clone_from(&last.problem);
        }
        for ((_, sender), before) in waiting.into_iter().zip(before) {
            // The run may wait no longer.
            sender.send(before.or_else(|| problem.clone())).ok();
        }
    };
    tasks.spawn(telling.instrument(Span::current()));
    let problem = tokio::select! {
        problem = receiver => problem.ok().flatten(),
        () = run.cancel.cancelled() => None,
    };
    run.phase("notify", since);
    problem
}

/// What a hook is to be told.
struct News {
    runs: Vec<RunId>,
    changes: Vec<(RunId, ItemReport)>,
}

async fn tell(shared: &Shared, id: &TargetId, actor: &HookActor) -> Told {
    // Before the store is read: what is noted from now on is told by the next one.
    actor.settled.store(true, Ordering::SeqCst);
    let news = async {
        outlived::end(shared, id).await?;
        read(shared, id).await
    };
    let news = match news.await {
        Ok(news) => news,
        Err(error) => {
            actor.owe();
            tracing::error!(target = %id, %error, "what the hook is to be told could not be read");
            return Told::default();
        }
    };
    let problem = match deliver(shared, id, &news).await {
        Delivery::Done(problem) => problem,
        Delivery::Stopped => {
            actor.owe();
            tracing::warn!(target = %id, "the hook was ended with homingd; it runs again after the next start");
            return Told::default();
        }
    };
    let (target, runs) = (id.clone(), news.runs.clone());
    let forgotten = shared
        .store
        .write(move |writer| writer.delete_pending_hooks(&target, &runs))
        .await;
    if let Err(error) = forgotten {
        actor.owe();
        tracing::error!(target = %id, %error, "the hook runs once more, for its end could not be recorded");
    }
    Told {
        runs: news.runs,
        problem,
    }
}

enum Delivery {
    /// The hook ended, or there is none any more.
    Done(Option<Problem>),
    /// The daemon's own end ended it.
    Stopped,
}

async fn deliver(shared: &Shared, id: &TargetId, news: &News) -> Delivery {
    let spec = shared.target(id).ok().map(|(spec, _)| spec);
    let hook = spec.and_then(|spec| Some((spec, spec.hook.as_ref()?)));
    let Some((spec, hook)) = hook.filter(|_| !news.changes.is_empty()) else {
        return Delivery::Done(None);
    };
    crate::kill_point!("hook::begun");
    let outcome = match homing_process::start(errand(id, spec, hook, news)) {
        Ok(running) => {
            outlived::note(shared, id, running.leader()).await;
            let outcome = running.end(&shared.ending).await;
            outlived::forget(shared, id).await;
            outcome
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(Outcome {
            end: End::Stopped, ..
        }) => Delivery::Stopped,
        outcome => Delivery::Done(judge(id, spec, hook, outcome)),
    }
}

async fn read(shared: &Shared, id: &TargetId) -> Result<News, EngineError> {
    let id = id.clone();
    let (runs, rows) = shared
        .store
        .read(move |reader| {
            let mut runs = Vec::new();
            let mut rows = Vec::new();
            for pending in reader.pending_hooks(Some(&id))? {
                runs.push(pending.run);
                let journal = reader.journal(pending.run)?.into_iter();
                rows.extend(journal.filter(|row| {
                    row.hop == Hop::Publish
                        && row.target.as_ref() == Some(&id)
                        && matches!(row.state, JournalState::Placed | JournalState::Durable)
                        && row.before != row.after
                }));
            }
            Ok((runs, rows))
        })
        .await?;
    let changes = rows.iter().map(|row| (row.run, history::item(row)));
    Ok(News {
        runs,
        changes: changes.collect(),
    })
}

fn errand<'a>(id: &TargetId, spec: &'a TargetSpec, hook: &'a Hook, news: &News) -> Errand<'a> {
    let sources: BTreeSet<&SourceId> = news.changes.iter().map(|(_, item)| &item.source).collect();
    let list = |names: Vec<String>| names.join(" ");
    let count = |wanted: fn(ItemAction) -> bool| {
        let changed = news.changes.iter().filter(|(_, item)| wanted(item.action));
        changed.count().to_string()
    };
    let only_source = match Vec::from_iter(&sources).as_slice() {
        [only] => only.to_string(),
        _ => String::new(),
    };
    let last_run = news.runs.iter().max().map(ToString::to_string);
    let variables = [
        ("HOMING_TARGET", id.to_string()),
        ("HOMING_RUN", last_run.unwrap_or_default()),
        (
            "HOMING_RUNS",
            list(news.runs.iter().map(ToString::to_string).collect()),
        ),
        ("HOMING_SOURCE", only_source),
        (
            "HOMING_SOURCES",
            list(sources.iter().map(ToString::to_string).collect()),
        ),
        ("HOMING_CHANGES", news.changes.len().to_string()),
        (
            "HOMING_CREATED",
            count(|action| action == ItemAction::Created),
        ),
        (
            "HOMING_UPDATED",
            count(|action| matches!(action, ItemAction::Updated | ItemAction::Merged)),
        ),
        (
            "HOMING_REMOVED",
            count(|action| action == ItemAction::Removed),
        ),
    ];
    let mut environment: Vec<(OsString, OsString)> = hook.environment.clone();
    environment.extend(
        variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    environment.push(("HOMING_TARGET_PATH".into(), spec.path.clone().into()));
    Errand {
        command: &hook.command,
        directory: &spec.path,
        environment,
        input: lines(&news.changes),
        timeout: hook.timeout,
    }
}

/// Writes a JSON document a line for each change.
fn lines(changes: &[(RunId, ItemReport)]) -> Vec<u8> {
    let mut text = String::new();
    for (run, item) in changes {
        let line = json!({
            "run": run.0,
            "source": item.source.as_str(),
            "path": item.path.as_str(),
            "action": item.action.as_str(),
            "before": item.before.map(|version| version.hash.to_string()),
            "after": item.after.map(|version| version.hash.to_string()),
            "executable": item.after.is_some_and(|version| version.executable),
        });
        writeln!(text, "{line}").expect("a String takes all");
    }
    text.into_bytes()
}

/// Logs how a hook ended and returns what is to be said of one that did not do its work.
fn judge(
    id: &TargetId,
    spec: &TargetSpec,
    hook: &Hook,
    outcome: std::io::Result<Outcome>,
) -> Option<Problem> {
    let (what, tail) = match outcome {
        Ok(Outcome {
            end: End::Exited(status),
            tail,
        }) if status.success() => {
            tracing::info!(target = %id, output = tail, "the hook ended");
            return None;
        }
        Ok(outcome) => {
            let how = how(&outcome.end, hook.timeout);
            (format!("failed: {how}"), outcome.tail)
        }
        Err(error) => {
            let program = hook.command.first().map_or("", String::as_str);
            let why = if spec.path.is_dir() {
                error.to_string()
            } else {
                format!("{} is no directory", spec.path.display())
            };
            let what = format!("could not be started: `{program}`: {why}");
            (what, String::new())
        }
    };
    tracing::warn!(target = %id, output = tail, "the hook {what}");
    let last = tail.lines().last().unwrap_or_default();
    let quoted: String = last.chars().take(QUOTED_CHARACTERS).collect();
    Some(problem(
        id,
        &if quoted.is_empty() {
            what
        } else {
            format!("{what}; it said last: {}", quoted.escape_debug())
        },
    ))
}

/// Returns how a hook ended that did not do its work.
fn how(end: &End, timeout: Duration) -> String {
    match end {
        End::Exited(status) => status.to_string(),
        End::TimedOut => {
            let seconds = timeout.as_secs_f64();
            format!("it was not done after {seconds} s and was killed, see hook_timeout")
        }
        End::Stopped => "it was killed because homingd ended".to_owned(),
        End::SaidTooMuch => "it printed too much and was killed".to_owned(),
    }
}

fn problem(id: &TargetId, what: &str) -> Problem {
    Problem {
        kind: ProblemKind::Hook,
        path: String::new(),
        // A line of its own in the history.
        message: format!(
            "the hook of target `{id}` {}",
            what.replace(['\n', '\t'], " ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hook_that_took_too_long_is_told_as_such() {
        let timeout = Duration::from_millis(1500);
        let told = |end| how(&end, timeout);
        let late = "it was not done after 1.5 s and was killed, see hook_timeout";
        assert_eq!(told(End::TimedOut), late);
        for end in [End::Stopped, End::SaidTooMuch] {
            let told = told(end);
            assert!(!told.contains("hook_timeout"), "{told}");
        }
    }
}
