//! Items that may not be published as they are: what becomes of each in its targets, and how it is told.

use homing_core::{ItemKey, Problem, ProblemKind, SourceId, TargetId};
use homing_items::{Finding, Kind};

use crate::missing::Missing;

/// An item that may not be published as it is, and what becomes of it in one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flagged {
    pub(crate) source: SourceId,
    pub(crate) outcome: Outcome,
    pub(crate) stop: Stop,
    pub(super) target: TargetId,
    pub(super) kind: Kind,
    /// The first file that it is about.
    pub(super) key: ItemKey,
    /// How many more of its files there are.
    pub(super) more: usize,
}

/// Why an item may not be published as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Not every file of a skill could be had.
    Missing(Missing),
    /// A tool would run or obey a file of a skill.
    Active(&'static str),
    /// It has a blocking finding.
    Finding(Finding),
}

impl Stop {
    /// Tells whether it ends without anybody doing something.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Self::Missing(missing) if missing.passes())
    }

    fn problem(&self) -> ProblemKind {
        match self {
            Self::Missing(_) => ProblemKind::Incomplete,
            Self::Active(_) => ProblemKind::Active,
            Self::Finding(_) => ProblemKind::Finding,
        }
    }
}

/// What becomes of an item that may not be published as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The target says so.
    Published,
    /// Against what was published before nothing is to be said.
    LastGoodStays,
    /// What is there may be the user's own.
    OwnStays,
    /// Nothing of it is there.
    NotPublished,
}

impl Flagged {
    /// Returns it in a sentence.
    pub(crate) fn message(&self) -> String {
        format!("{}; {}", self.what(), self.becomes(&[&self.target]))
    }

    /// Returns it with what can be done about it.
    pub(crate) fn with_way_out(&self) -> String {
        let message = self.message();
        let section = self.target.section();
        match &self.stop {
            _ if self.outcome == Outcome::Published => message,
            Stop::Missing(missing) => {
                let hint = self.hint().unwrap_or_default();
                // Of what passes the run alone says why.
                match &missing.reason {
                    reason if missing.passes() => format!("{message}: {reason}; {hint}"),
                    _ => format!("{message}: {hint}"),
                }
            }
            Stop::Active(_) => format!(
                "{message}: name it in `allow_active` of [targets.{section}], or in `exclude` of the source to have the {} without it",
                self.kind
            ),
            Stop::Finding(_) => format!(
                "{message}: mend it at its origin, or have it published all the same by `on_finding = \"warn\"` in [targets.{section}]"
            ),
        }
    }

    /// Returns it as a target's status tells it.
    pub(crate) fn for_status(&self) -> String {
        match &self.stop {
            Stop::Missing(_) => self.with_way_out(),
            Stop::Active(_) | Stop::Finding(_) => self.message(),
        }
    }

    /// Returns what can be done about it, in short.
    fn hint(&self) -> Option<String> {
        match &self.stop {
            Stop::Missing(missing) => Some(format!(
                "{}, or name it in `exclude` of the source to have the {} without it",
                missing.way_out(),
                self.kind
            )),
            Stop::Active(_) => Some("name it in `allow_active` to allow it".to_owned()),
            Stop::Finding(_) => None,
        }
    }

    /// Tells each reason once, with all its targets.
    pub(crate) fn problems(flagged: &[Self]) -> Vec<Problem> {
        let mut told: Vec<&Self> = Vec::new();
        let mut problems = Vec::new();
        for one in flagged {
            if told.iter().any(|other| other.is_same(one)) {
                continue;
            }
            told.push(one);
            let mut message = one.what();
            let mut outcomes: Vec<(Outcome, Vec<&TargetId>)> = Vec::new();
            for same in flagged.iter().filter(|other| other.is_same(one)) {
                match outcomes
                    .iter_mut()
                    .find(|(known, _)| *known == same.outcome)
                {
                    Some((_, targets)) if targets.contains(&&same.target) => {}
                    Some((_, targets)) => targets.push(&same.target),
                    None => outcomes.push((same.outcome, vec![&same.target])),
                }
            }
            for (outcome, targets) in outcomes {
                let becomes = Self {
                    outcome,
                    ..one.clone()
                };
                message = format!("{message}; {}", becomes.becomes(&targets));
            }
            if let Some(hint) = one.hint().filter(|_| !one.stop.passes()) {
                message = format!("{message} ({hint})");
            }
            problems.push(Problem {
                kind: one.stop.problem(),
                path: one.key.to_string(),
                message,
            });
        }
        problems
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.source, &self.key, &self.stop) == (&other.source, &other.key, &other.stop)
    }

    fn what(&self) -> String {
        let (key, source) = (&self.key, &self.source);
        let more = match self.more {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        match &self.stop {
            Stop::Missing(missing) if missing.passes() => {
                format!("`{key}` of source `{source}` could not be had{more}")
            }
            Stop::Missing(Missing { reason, .. }) => {
                format!("`{key}` of source `{source}` could not be had{more}: {reason}")
            }
            Stop::Active(rule) => format!("`{key}` of source `{source}` is {rule}{more}"),
            Stop::Finding(Finding {
                rule,
                line,
                column,
                message,
            }) => format!("`{key}:{line}:{column}` of source `{source}`: {rule}: {message}{more}"),
        }
    }

    fn becomes(&self, targets: &[&TargetId]) -> String {
        let names: Vec<String> = targets.iter().map(|target| format!("`{target}`")).collect();
        let noun = if names.len() == 1 {
            "target"
        } else {
            "targets"
        };
        let place = format!("in {noun} {}", names.join(", "));
        match self.outcome {
            Outcome::Published => format!("it is published {place} all the same"),
            Outcome::LastGoodStays if matches!(self.stop, Stop::Missing(_)) => {
                format!("the last whole version stays {place}")
            }
            Outcome::LastGoodStays => format!("the last version without it stays {place}"),
            Outcome::OwnStays => {
                format!("what is there, which may be your own edit, stays {place}")
            }
            Outcome::NotPublished => format!("the {} is not published {place}", self.kind),
        }
    }
}
