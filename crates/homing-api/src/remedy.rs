//! What helps against each kind of problem, where whoever met it knows nothing better.

use crate::{Problem, ProblemKind};

impl ProblemKind {
    /// Returns how to mend a problem of this kind, as far as the kind alone tells; `NAME` is the source.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable => {
                "check the network, the name in `url` and any proxy, then run `homing sync NAME --force`"
            }
            Self::Transient => "wait a little; `homing sync NAME --force` tries it at once",
            Self::Auth => {
                "see that the account of homingd may read the source, then run `homing sync NAME --force`"
            }
            Self::Credentials => {
                "see that the secret is where `token` of its section says, then run `homing source check`"
            }
            Self::NotFound => {
                "see that the source's `root` in the configuration is right and mounted"
            }
            Self::RateLimited => "wait until the source allows it, then run `homing sync`",
            Self::Conflict => {
                "`homing conflicts` lists what is open, each with the command that decides it"
            }
            Self::Changed => "run `homing sync` again when nobody writes to it",
            Self::Untrusted => {
                "look at what the source holds there; `homing history` tells what was refused"
            }
            Self::Storage => {
                "check free space and permissions of the data directory, then run `homing db check`"
            }
            Self::Config => "run `homing config check`",
            Self::Cancelled => "start it again with `homing sync`",
            Self::Permanent => "mend what the causes name, then run `homing sync NAME --force`",
            Self::Guard => {
                "look at `homing diff NAME`; then `homing sync NAME --accept-deletions` goes on with exactly this plan"
            }
            Self::RootChanged | Self::RootEmpty => {
                "if that is meant, run `homing sync NAME --accept-root`; if a file system is not mounted, mount it"
            }
            Self::RebuildPending => {
                "look at `homing status` and `homing diff`, then run `homing db accept-rebuild`"
            }
            Self::Stalled | Self::Timeout => {
                "check that the file system answers; `homing history` shows the runs"
            }
            Self::Interrupted => "nothing that was recorded is lost; run `homing sync`",
            Self::Busy => "wait for its runs, or cancel one with `homing run cancel ID`",
            Self::Disabled => "run `homing source enable NAME`",
            Self::ShuttingDown | Self::NotReady => {
                "try again in a moment; `homing status` tells when it is ready"
            }
            Self::UnknownSource | Self::UnknownTarget => "`homing status` lists the names",
            Self::UnknownRevision => {
                "`homing run show` tells which revision a source had after a run"
            }
            Self::UnknownRun | Self::NothingToUndo => {
                "`homing history` lists the runs that are kept"
            }
            Self::UnknownConflict => "`homing conflicts` lists what is open",
            Self::UnknownPath => {
                "write the path as `homing diff`, `homing conflicts` or `homing run show` shows it"
            }
            Self::Rejected => "`homing status` shows what stands in the way",
            Self::BadRequest => "see `homing help` for what can be asked",
            Self::TooLarge => "send less at once",
            Self::UnsupportedMediaType => "send JSON, and say so in `content-type`",
            Self::NotRunning => "start it with `homingd`, or with `systemctl --user start homingd`",
            Self::CutOff => {
                "see its log for why, and start it again: what was under way is repaired at the start, and \
                 `homing history` shows the runs that had begun to change something"
            }
            Self::MethodNotAllowed
            | Self::UnknownRoute
            | Self::VersionSkew
            | Self::Protocol
            | Self::Other(_) => {
                "compare the versions with `homing version`; restart homingd after an update"
            }
            Self::Forbidden => "check who owns it and its permissions",
            Self::Internal => "look at the log of homingd; nothing that was recorded is lost",
            Self::ConfigInvalid => "run `homing config check` and mend what it names",
        }
    }
}

impl Problem {
    /// Returns it with a hint in any case: its own, else that of its kind.
    #[must_use]
    pub fn with_some_hint(mut self) -> Self {
        if self.hint.is_none() {
            let remedy = self.kind.remedy();
            self.hint = Some(match &self.source {
                Some(source) => remedy.replace("NAME", source),
                None => remedy.to_owned(),
            });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_remedy_and_none_deletes() {
        let newer = ProblemKind::from("a-word-of-a-newer-daemon");
        for kind in ProblemKind::ALL.iter().chain([&newer]) {
            let remedy = kind.remedy();
            assert!(remedy.len() > 10 && !remedy.ends_with('.'), "{kind}");
            for word in ["rm ", "remove", "delete "] {
                assert!(!remedy.contains(word), "{kind}: {remedy}");
            }
            let ticks = remedy.matches('`').count();
            assert_eq!(ticks % 2, 0, "{kind}: {remedy}");
        }
    }

    #[test]
    fn a_hint_of_its_own_stays() {
        let own = Problem::new(ProblemKind::Busy, "x").with_hint("wait");
        assert_eq!(own.with_some_hint().hint.as_deref(), Some("wait"));
        let none = Problem::new(ProblemKind::Busy, "x").with_some_hint();
        assert_eq!(none.hint.as_deref(), Some(ProblemKind::Busy.remedy()));
        let mut of_source = Problem::new(ProblemKind::Transient, "x");
        of_source.source = Some("team".to_owned());
        let hint = of_source.with_some_hint().hint.unwrap_or_default();
        assert!(hint.contains("`homing sync team --force`"), "{hint}");
    }
}
