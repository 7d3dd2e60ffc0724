//! From the engine's types to those of the wire, so that the protocol can stay while the core moves.

use std::time::Duration;

use homing_api as wire;
use homing_core::{Course, Problem, Version};
use homing_engine as engine;
use homing_items::{Kind, Level};
use jiff::Timestamp;

/// Returns a time as the interface writes it: UTC, milliseconds.
pub(crate) fn time(timestamp: Timestamp) -> String {
    timestamp.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Returns a run as the interface tells it.
pub(crate) fn run(report: engine::RunReport) -> wire::Run {
    wire::Run {
        id: report.id.0,
        source: report.source.map(|source| source.to_string()),
        target: report.target.map(|target| target.to_string()),
        verb: report.verb.as_str().into(),
        undone: report.undone.map(|run| run.0),
        trigger: report.trigger.as_str().into(),
        status: report.status.as_str().into(),
        started_at: time(report.started_at),
        duration_ms: millis(report.duration),
        synced: report.synced,
        cached: report.cached,
        failed: report.failed,
        removed: report.removed,
        bytes: report.bytes,
        requests: report.requests,
        error: report.error.map(failure),
        problems: report.problems.into_iter().map(notice).collect(),
        phases: report
            .phases
            .into_iter()
            .map(|(name, duration)| wire::Phase {
                name,
                duration_ms: millis(duration),
            })
            .collect(),
        revision: report.revision,
        commits: None,
        progress: report.progress.map(progress),
        items: report.items.into_iter().map(item).collect(),
        next: None,
    }
}

/// Returns an item of a head as the interface tells it.
pub(crate) fn file(report: &engine::FileReport) -> wire::File {
    wire::File {
        path: report.key.to_string(),
        size: report.size,
        hash: report.version.hash.to_string(),
        executable: report.version.executable,
        modified: report.modified,
        held: report.held,
        synced_at: time(report.synced_at),
    }
}

/// Returns an item as the interface tells it.
pub(crate) fn known_item(item: &engine::KnownItem) -> wire::KnownItem {
    wire::KnownItem {
        source: item.source.to_string(),
        enabled: item.is_live,
        kind: match item.kind {
            Kind::Agent => wire::ItemKind::Agent,
            Kind::Skill => wire::ItemKind::Skill,
            Kind::Command => wire::ItemKind::Command,
            Kind::File => wire::ItemKind::File,
        },
        name: item.name.clone(),
        path: item.path.to_string(),
        description: item.description.clone(),
        version: item.version.clone(),
        files: item.files,
        published: item
            .published
            .iter()
            .map(|place| wire::Placement {
                target: place.target.to_string(),
                path: place.path.to_string(),
                current: place.is_current,
            })
            .collect(),
        findings: item
            .findings
            .iter()
            .map(|(path, found)| wire::Finding {
                rule: found.rule.id().to_owned(),
                summary: found.rule.summary().to_owned(),
                level: match found.level() {
                    Level::Blocking => wire::Level::Blocking,
                    Level::Warning => wire::Level::Warning,
                    Level::Note => wire::Level::Note,
                },
                message: found.message.clone(),
                path: path.to_string(),
                line: found.line,
                column: found.column,
            })
            .collect(),
    }
}

/// Returns where a run is as the interface tells it.
pub(crate) fn progress(progress: engine::RunProgress) -> wire::RunProgress {
    wire::RunProgress {
        phase: progress.phase.to_owned(),
        items: progress.items,
        items_total: progress.items_total,
        bytes: progress.bytes,
        bytes_total: progress.bytes_total,
    }
}

/// Returns a plan as the interface tells it.
pub(crate) fn diff(source: String, mut report: engine::DiffReport) -> wire::Diff {
    let mut with_patch = |one: engine::ItemReport| {
        let of = (one.target.clone(), one.path.clone(), one.action);
        let patch = report.patches.remove(&of);
        wire::Item { patch, ..item(one) }
    };
    wire::Diff {
        source,
        items: report.items.into_iter().map(&mut with_patch).collect(),
        modified: report
            .modified
            .into_iter()
            .map(|item| wire::Modified {
                source: item.source.to_string(),
                target: item.target.map(|target| target.to_string()),
                path: item.path.to_string(),
            })
            .collect(),
        blocked: report.blocked,
        held: report.held as u64,
        problems: report.problems.into_iter().map(notice).collect(),
        commits: report.commits.map(commits),
    }
}

/// Returns commits as the interface tells them.
pub(crate) fn commits(commits: homing_core::Commits) -> wire::Commits {
    wire::Commits {
        since: commits.since,
        until: commits.until,
        course: match commits.course {
            Course::Onward => wire::Course::Onward,
            Course::Back => wire::Course::Back,
            Course::Rewritten => wire::Course::Rewritten,
            Course::Unknown => wire::Course::Unknown,
        },
        newest: commits
            .newest
            .into_iter()
            .map(|commit| wire::Commit {
                id: commit.id,
                time: time(commit.about.time),
                subject: commit.about.subject,
            })
            .collect(),
        more: commits.more,
    }
}

/// Returns an open conflict as the interface tells it.
pub(crate) fn conflict(report: engine::ConflictReport) -> wire::Conflict {
    wire::Conflict {
        id: report.id,
        hop: report.hop.into(),
        source: report.source.to_string(),
        target: report.target.map(|target| target.to_string()),
        path: report.path.to_string(),
        kind: report.kind.as_str().into(),
        detail: report.detail,
        since: time(report.since),
    }
}

/// Returns a source at a glance as the interface tells it.
pub(crate) fn source(status: engine::SourceStatus) -> wire::Source {
    wire::Source {
        id: status.id.to_string(),
        kind: status.kind,
        url: status.url,
        enabled: status.enabled,
        priority: status.priority,
        states: states(status.states),
        conditions: status.conditions.into_iter().map(condition).collect(),
        revision: status.revision,
        revision_time: status.about.as_ref().map(|about| time(about.time)),
        revision_subject: status.about.map(|about| about.subject),
        files: status.files,
        conflicts: status.conflicts,
        last_attempt: status.last_attempt.map(time),
        last_success: status.last_success.map(time),
        next_due: status.next_due.map(time),
        paused: status.paused.map(pause),
        last_run: status.last_run.map(run),
        current_run: status.current_run.map(run),
        content_bytes: None,
        mirror_bytes: None,
        stale_at: None,
        config: None,
    }
}

/// Returns a pause as the interface tells it.
pub(crate) fn pause(pause: engine::Pause) -> wire::Pause {
    wire::Pause {
        since: time(pause.since),
        until: pause.until.map(time),
    }
}

/// Returns everything that is paused as the interface tells it.
pub(crate) fn pauses(report: engine::PauseReport) -> wire::Pauses {
    wire::Pauses {
        all: report.all.map(pause),
        sources: report
            .sources
            .into_iter()
            .map(|(source, paused)| (source.to_string(), pause(paused)))
            .collect(),
    }
}

/// Returns a target at a glance as the interface tells it.
pub(crate) fn target(status: engine::TargetStatus) -> wire::Target {
    wire::Target {
        id: status.id.to_string(),
        path: status.path,
        from: status.from.iter().map(ToString::to_string).collect(),
        served: status.served.iter().map(served).collect(),
        states: states(status.states),
        files: status.files,
        conflicts: status.conflicts,
        conditions: status.conditions.into_iter().map(condition).collect(),
        error: status.error.map(failure),
        hooks_waiting: None,
        config: None,
        parts: Vec::new(),
    }
}

/// Returns where a tool reads what is not in a directory of its own.
pub(crate) fn served(served: &engine::Served) -> wire::Served {
    wire::Served {
        source: served.source.to_string(),
        by: served.by.to_string(),
        path: served.path.display().to_string(),
    }
}

/// Returns the parts of a preset as one target; its path is that of the first.
pub(crate) fn preset(name: &str, parts: Vec<wire::Target>) -> wire::Target {
    let mut whole = wire::Target {
        id: name.to_owned(),
        path: parts
            .first()
            .map(|part| part.path.clone())
            .unwrap_or_default(),
        from: Vec::new(),
        served: Vec::new(),
        states: Vec::new(),
        files: 0,
        conflicts: 0,
        conditions: Vec::new(),
        error: None,
        hooks_waiting: None,
        config: None,
        parts: Vec::new(),
    };
    for part in &parts {
        let from = part
            .from
            .iter()
            .filter(|source| !whole.from.contains(source));
        let from: Vec<String> = from.cloned().collect();
        whole.from.extend(from);
        let states = part
            .states
            .iter()
            .filter(|state| !whole.states.contains(state));
        let states: Vec<wire::State> = states.cloned().collect();
        whole.states.extend(states);
        whole.files += part.files;
        whole.conflicts += part.conflicts;
        whole.conditions.extend(part.conditions.iter().cloned());
        whole.error = whole.error.or_else(|| part.error.clone());
    }
    whole.parts = parts;
    whole
}

/// Returns what was found in the parts of a preset; each path begins with its directory's name.
pub(crate) fn preset_verification(
    name: &str,
    parts: Vec<(String, wire::Verification)>,
) -> wire::Verification {
    let mut whole = wire::Verification {
        target: name.to_owned(),
        checked: 0,
        drifted: Vec::new(),
    };
    for (directory, part) in parts {
        whole.checked += part.checked;
        whole
            .drifted
            .extend(part.drifted.into_iter().map(|drifted| wire::Drifted {
                path: format!("{directory}/{}", drifted.path),
                ..drifted
            }));
    }
    whole
}

/// Returns what a verification found as the interface tells it.
pub(crate) fn verification(report: engine::VerifyReport) -> wire::Verification {
    wire::Verification {
        target: report.target.to_string(),
        checked: report.checked,
        drifted: report
            .drifted
            .into_iter()
            .map(|(path, drift, message)| wire::Drifted {
                path: path.to_string(),
                drift: drift.as_str().into(),
                message,
            })
            .collect(),
    }
}

/// Returns where a file comes from as the interface tells it.
pub(crate) fn why(report: engine::WhyReport) -> wire::Why {
    wire::Why {
        target: report.target.to_string(),
        path: report.path.to_string(),
        state: report.state.to_owned(),
        candidates: report
            .candidates
            .into_iter()
            .map(|candidate| wire::Candidate {
                source: candidate.source.to_string(),
                key: candidate.key.to_string(),
                priority: candidate.priority,
                version: version(candidate.version),
                revision: candidate.revision,
                reason: candidate.reason,
            })
            .collect(),
    }
}

fn item(report: engine::ItemReport) -> wire::Item {
    wire::Item {
        source: report.source.to_string(),
        target: report.target.map(|target| target.to_string()),
        path: report.path.to_string(),
        action: report.action.as_str().into(),
        before: report.before.map(version),
        after: report.after.map(version),
        reason: report.reason,
        patch: None,
    }
}

fn version(version: Version) -> wire::Version {
    wire::Version {
        hash: version.hash.to_string(),
        executable: version.executable,
    }
}

/// Returns a failure as the interface tells it.
pub(crate) fn failure(failure: engine::Failure) -> wire::Failure {
    wire::Failure {
        kind: failure.kind.into(),
        message: failure.message,
        causes: failure.causes,
        hint: failure.hint,
    }
}

fn condition(condition: engine::Condition) -> wire::Condition {
    wire::Condition {
        kind: condition.kind.to_owned(),
        status: condition.holds,
        reason: condition.reason,
        message: condition.message,
        since: condition.since.map(time),
    }
}

fn states(states: Vec<engine::State>) -> Vec<wire::State> {
    states
        .into_iter()
        .map(|state| state.as_str().into())
        .collect()
}

/// Returns what a person should hear about as the interface tells it.
pub(crate) fn notice(problem: Problem) -> wire::Notice {
    wire::Notice {
        kind: engine::problem_word(problem.kind).to_owned(),
        path: problem.path,
        message: problem.message,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns what the store takes on disk.
pub(crate) fn store_size(
    size: homing_store::StoreSize,
    (mirrors, mirror_bytes): (u64, u64),
) -> wire::StoreSize {
    wire::StoreSize {
        total: size.total() + mirror_bytes,
        database: size.database,
        free: size.free,
        log: size.log,
        contents: size.contents,
        content_bytes: size.content_bytes,
        content_files: size.content_files,
        content_file_bytes: size.content_file_bytes,
        runs: size.runs,
        set_aside: size.set_aside,
        set_aside_bytes: size.set_aside_bytes,
        mirrors,
        mirror_bytes,
    }
}

/// Returns what an examination of the store found.
pub(crate) fn store_check(report: &homing_store::CheckReport) -> wire::StoreCheck {
    let damage = report.damage.iter().chain(&report.broken_references);
    let lost = report.missing_files.iter().chain(&report.damaged_contents);
    wire::StoreCheck {
        sound: report.is_sound(),
        contents: report.contents,
        damage: damage.cloned().collect(),
        lost_contents: lost.map(ToString::to_string).collect(),
        mirrors: 0,
        damaged_mirrors: Vec::new(),
        mirrors_unexamined: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_z() {
        for (given, written) in [
            ("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
            (
                "2026-01-02T03:04:05.999999+01:00",
                "2026-01-02T02:04:05.999Z",
            ),
        ] {
            assert_eq!(time(given.parse().unwrap()), written);
        }
    }
}
