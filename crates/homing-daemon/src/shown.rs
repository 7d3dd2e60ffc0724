//! The configuration as the interface shows it: without secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use homing_api::{SecretShown, SourceShown, TargetShown};
use homing_config::{
    AtStart, Config, Deletions, Layout, PushMode, SecretSource, SourceConfig, TargetConfig,
};
use jiff::tz::TimeZone;

/// How sources and targets are configured, by name.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The sources.
    pub(crate) sources: BTreeMap<String, SourceShown>,
    /// The targets.
    pub(crate) targets: BTreeMap<String, TargetShown>,
}

impl Shown {
    /// Returns what of a configuration may be shown.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            sources: config
                .sources
                .iter()
                .map(|(id, source_config)| {
                    let zone = config.daemon.timezone.as_ref();
                    (id.to_string(), source(id.to_string(), source_config, zone))
                })
                .collect(),
            targets: config
                .targets
                .iter()
                .map(|(id, config)| (id.to_string(), target(id.to_string(), config)))
                .collect(),
        }
    }
}

fn source(id: String, config: &SourceConfig, zone: Option<&TimeZone>) -> SourceShown {
    SourceShown {
        id,
        kind: config.kind.word().to_owned(),
        root: config.kind.place(),
        options: config
            .kind
            .options()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        path: config.path.as_ref().map(ToString::to_string),
        include: config.include.clone(),
        exclude: config.exclude.clone(),
        every_ms: config.every.map(millis),
        cron: config.cron.as_ref().map(ToString::to_string),
        timezone: config
            .timezone
            .as_ref()
            .or(zone)
            .filter(|_| config.cron.is_some())
            .and_then(|zone| zone.iana_name().map(str::to_owned)),
        watch: config.watch,
        at_start: match config.at_start {
            AtStart::Due => "due",
            AtStart::Always => "always",
            AtStart::Never => "never",
        }
        .to_owned(),
        stale_after_ms: config.stale_after.map(millis),
        priority: config.priority,
        push: match config.push {
            PushMode::Never => "never",
            PushMode::Direct => "direct",
        }
        .to_owned(),
        on_conflict: config.on_conflict.as_str().to_owned(),
        max_file_size: config.max_file_size,
        max_total_size: config.max_total_size,
        max_files: config.max_files,
        token: config.token.as_ref().map(secret),
        enabled: config.enabled,
    }
}

/// Returns where a secret comes from.
pub(crate) fn secret(source: &SecretSource) -> SecretShown {
    match source {
        SecretSource::Env(name) => SecretShown::Env(name.clone()),
        SecretSource::File(path) => SecretShown::File(path.display().to_string()),
        SecretSource::Command(words) => {
            SecretShown::Command(words.first().cloned().unwrap_or_default())
        }
        SecretSource::Keyring(name) => SecretShown::Keyring(name.clone()),
    }
}

fn target(id: String, config: &TargetConfig) -> TargetShown {
    TargetShown {
        id,
        path: config.path.display().to_string(),
        from: config.from.iter().map(ToString::to_string).collect(),
        layout: match config.layout {
            Layout::Tree => "tree",
            Layout::Flat => "flat",
        }
        .to_owned(),
        deletions: match config.deletions {
            Deletions::Restore => "restore",
            Deletions::Keep => "keep",
        }
        .to_owned(),
        new_files_to: config.new_files_to.as_ref().map(ToString::to_string),
        allow_active: config.allow_active.clone(),
        include_kinds: config
            .include_kinds
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect(),
        on_finding: config.on_finding.as_str().to_owned(),
        after: config.after.clone(),
        hook_timeout_ms: millis(config.hook_timeout),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
