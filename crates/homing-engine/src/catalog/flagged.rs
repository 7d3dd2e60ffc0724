//! Items with blocking findings: what becomes of each in its targets, and how it is told.

use homing_core::{ItemKey, Problem, ProblemKind, SourceId, TargetId};
use homing_items::{Finding, Kind};

/// An item with a blocking finding, and what becomes of it in one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flagged {
    pub(crate) source: SourceId,
    pub(crate) outcome: Outcome,
    target: TargetId,
    kind: Kind,
    /// The file with the finding.
    key: ItemKey,
    finding: Finding,
    /// How many more of its files have one.
    more: usize,
}

/// What becomes of an item with a blocking finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The target says so.
    Published,
    /// What was published before has no such finding.
    LastGoodStays,
    /// What is there may be the user's own.
    OwnStays,
    /// Nothing of it is there.
    NotPublished,
}

impl Flagged {
    /// `findings` has one for each file that has any.
    pub(super) fn new(
        (source, kind): (&SourceId, Kind),
        findings: &[(ItemKey, Finding)],
        target: &TargetId,
        outcome: Outcome,
    ) -> Option<Self> {
        let (key, finding) = findings.first()?;
        Some(Self {
            source: source.clone(),
            outcome,
            target: target.clone(),
            kind,
            key: key.clone(),
            finding: finding.clone(),
            more: findings.len() - 1,
        })
    }

    /// Returns it in a sentence.
    pub(crate) fn message(&self) -> String {
        format!("{}; {}", self.what(), self.becomes(&[&self.target]))
    }

    /// Returns it with what can be done about it.
    pub(crate) fn with_way_out(&self) -> String {
        let message = self.message();
        if self.outcome == Outcome::Published {
            return message;
        }
        format!(
            "{message}: mend it at its origin, or have it published all the same by `on_finding = \"warn\"` in [targets.{}]",
            self.target.section()
        )
    }

    /// Tells each finding once, with all its targets.
    pub(crate) fn problems(flagged: &[Self]) -> Vec<Problem> {
        let mut told: Vec<&Self> = Vec::new();
        let mut problems = Vec::new();
        for one in flagged {
            if told.iter().any(|other| other.is_same_finding(one)) {
                continue;
            }
            told.push(one);
            let mut message = one.what();
            let mut outcomes: Vec<(Outcome, Vec<&TargetId>)> = Vec::new();
            for same in flagged.iter().filter(|other| other.is_same_finding(one)) {
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
            problems.push(Problem {
                kind: ProblemKind::Finding,
                path: one.key.to_string(),
                message,
            });
        }
        problems
    }

    fn is_same_finding(&self, other: &Self) -> bool {
        (&self.source, &self.key, &self.finding) == (&other.source, &other.key, &other.finding)
    }

    fn what(&self) -> String {
        let Finding {
            rule,
            line,
            column,
            message,
        } = &self.finding;
        let more = match self.more {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        format!(
            "`{}:{line}:{column}` of source `{}`: {rule}: {message}{more}",
            self.key, self.source
        )
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
            Outcome::LastGoodStays => format!("the last version without it stays {place}"),
            Outcome::OwnStays => {
                format!("what is there, which may be your own edit, stays {place}")
            }
            Outcome::NotPublished => format!("the {} is not published {place}", self.kind),
        }
    }
}
