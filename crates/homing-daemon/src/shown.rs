//! The configuration as the interface shows it: without secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use homing_api::{SecretShown, SourceShown, TargetShown};
use homing_config::{Config, Deletions, SecretSource, Served, SourceConfig, TargetConfig};
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
        at_start: config.at_start.as_str().to_owned(),
        stale_after_ms: config.stale_after.map(millis),
        priority: config.priority,
        push: config.push.as_str().to_owned(),
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
    let preset = config.preset.as_ref();
    TargetShown {
        id,
        path: config.path.display().to_string(),
        from: config.from.iter().map(ToString::to_string).collect(),
        layout: config.layout.as_str().to_owned(),
        tool: preset.map(|preset| preset.tool.as_str().to_owned()),
        project: preset
            .and_then(|preset| preset.project.as_ref())
            .map(|project| project.display().to_string()),
        served: served(preset.map(|preset| preset.served.as_slice())),
        read_twice: served(preset.map(|preset| preset.read_twice.as_slice())),
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

fn served(served: Option<&[Served]>) -> Vec<homing_api::Served> {
    let shown = |served: &Served| homing_api::Served {
        source: served.source.to_string(),
        by: served.by.to_string(),
        path: served.path.display().to_string(),
    };
    served.unwrap_or_default().iter().map(shown).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
