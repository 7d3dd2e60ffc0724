//! `homing config check`, `homing config path`, `homing config show`

use std::fmt::Write as _;
use std::time::Duration;

use homing_api::{
    ConfigCheck, ConfigDiagnostic, ConfigPaths, ConfigShown, DaemonShown, Exit, SecretShown,
    SourceShown, TargetShown,
};
use homing_config::{
    Config, ConfigError, Deletions, Env, Locations, Preset, SCHEMA, SecretSource, Served,
    TargetConfig,
};
use jiff::tz::TimeZone;

use crate::arguments::ConfigCommand;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use crate::text::{count, escape, setting, size_setting};

/// Looks at the configuration.
pub(super) fn run(command: ConfigCommand, context: &Context) -> Result<Report, CliError> {
    match command {
        ConfigCommand::Check => Ok(check(context)),
        ConfigCommand::Path => Ok(path(&context.locations, &context.env)),
        ConfigCommand::Schema => {
            let schema: serde_json::Value =
                serde_json::from_str(SCHEMA).expect("a test reads the schema");
            Ok(Report::new(&schema, SCHEMA).unfitted())
        }
        ConfigCommand::Reload => unreachable!("it is asked of the daemon"),
        ConfigCommand::Show => {
            let config = Config::load(&context.locations, &context.env)?;
            let shown = shown(&config, &context.locations);
            let text = render(&shown);
            Ok(Report::new(&shown, text))
        }
    }
}

fn check(context: &Context) -> Report {
    let file = context.locations.config_file.display().to_string();
    let result = Config::load(&context.locations, &context.env);
    let (diagnostics, text) = match &result {
        Ok(config) => {
            let sources = count(config.sources.len() as u64, "source");
            let targets = count(config.targets.len() as u64, "target");
            let missing = if context.locations.config_file.exists() {
                ""
            } else {
                " (it does not exist, so it is empty)"
            };
            (
                Vec::new(),
                format!(
                    "{} is valid: {sources}, {targets}{missing}\n",
                    escape(&file)
                ),
            )
        }
        Err(error) => (diagnostics(error), told(error)),
    };
    let check = ConfigCheck {
        config: file,
        valid: result.is_ok(),
        diagnostics,
    };
    let exit = if check.valid {
        Exit::Done
    } else {
        Exit::Config
    };
    Report::new(&check, text).ending(exit)
}

fn diagnostics(error: &ConfigError) -> Vec<ConfigDiagnostic> {
    match error {
        ConfigError::Invalid { diagnostics } => diagnostics
            .iter()
            .map(|diagnostic| ConfigDiagnostic {
                file: Some(diagnostic.file.display().to_string()),
                line: Some(diagnostic.line),
                column: Some(diagnostic.column),
                message: diagnostic.message.clone(),
                hint: diagnostic.hint.clone(),
            })
            .collect(),
        other => vec![ConfigDiagnostic {
            file: None,
            line: None,
            column: None,
            message: other.to_string(),
            hint: other.hint(),
        }],
    }
}

/// Returns all that is wrong, with the lines it is about.
fn told(error: &ConfigError) -> String {
    let mut text = String::new();
    for line in error.report().lines() {
        writeln!(text, "{}", escape(line)).expect("a String takes all");
    }
    if !matches!(error, ConfigError::Invalid { .. })
        && let Some(hint) = error.hint()
    {
        writeln!(text, "  hint: {}", escape(&hint)).expect("a String takes all");
    }
    text
}

fn path(locations: &Locations, env: &Env) -> Report {
    let paths = ConfigPaths {
        config: locations.config_file.display().to_string(),
        exists: locations.config_file.exists(),
        drop_ins: locations
            .drop_ins(env)
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        data_dir: locations.data_dir.display().to_string(),
        socket: locations.socket.display().to_string(),
    };
    let missing = if paths.exists {
        ""
    } else {
        " (does not exist)"
    };
    let mut lines = vec![("config", &paths.config, missing)];
    lines.extend(paths.drop_ins.iter().map(|path| ("drop-in", path, "")));
    lines.push(("data", &paths.data_dir, ""));
    lines.push(("socket", &paths.socket, ""));
    let mut text = String::new();
    for (what, path, more) in lines {
        writeln!(text, "{what:<7} {}{more}", escape(path)).expect("a String takes all");
    }
    Report::new(&paths, text)
}

/// Returns the configuration with its defaults filled in.
pub(super) fn shown(config: &Config, locations: &Locations) -> ConfigShown {
    let daemon = &config.daemon;
    ConfigShown {
        config: locations.config_file.display().to_string(),
        daemon: DaemonShown {
            data_dir: daemon.data_dir.display().to_string(),
            socket: locations.socket.display().to_string(),
            max_runs: daemon.max_runs,
            per_host: daemon.per_host,
            stall_timeout_ms: millis(daemon.stall_timeout),
            run_timeout_ms: millis(daemon.run_timeout),
            shutdown_grace_ms: millis(daemon.shutdown_grace),
            keep_history_ms: millis(daemon.keep_history),
            timezone: zone(daemon.timezone.as_ref()),
            log: daemon.log.clone(),
            log_format: daemon.log_format.as_str().to_owned(),
        },
        sources: config
            .sources
            .iter()
            .map(|(id, source)| SourceShown {
                id: id.to_string(),
                kind: source.kind.word().to_owned(),
                root: source.kind.place(),
                options: source
                    .kind
                    .options()
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect(),
                path: source.path.as_ref().map(ToString::to_string),
                include: source.include.clone(),
                exclude: source.exclude.clone(),
                every_ms: source.every.map(millis),
                cron: source.cron.as_ref().map(ToString::to_string),
                timezone: zone(source.timezone.as_ref().or(config.daemon.timezone.as_ref()))
                    .filter(|_| source.cron.is_some()),
                at_start: source.at_start.as_str().to_owned(),
                stale_after_ms: source.stale_after.map(millis),
                watch: source.watch,
                priority: source.priority,
                push: source.push.as_str().to_owned(),
                on_conflict: source.on_conflict.as_str().to_owned(),
                max_file_size: source.max_file_size,
                max_total_size: source.max_total_size,
                max_files: source.max_files,
                token: source.token.as_ref().map(secret),
                enabled: source.enabled,
            })
            .collect(),
        targets: config
            .targets
            .iter()
            .map(|(id, target)| TargetShown {
                id: id.to_string(),
                path: target.path.display().to_string(),
                from: target.from.iter().map(ToString::to_string).collect(),
                layout: target.layout.as_str().to_owned(),
                tool: preset(target, |preset| preset.tool.as_str().to_owned()),
                project: preset(target, |preset| preset.project.clone())
                    .flatten()
                    .map(|project| project.display().to_string()),
                served: served(preset(target, |preset| preset.served.as_slice())),
                read_twice: served(preset(target, |preset| preset.read_twice.as_slice())),
                deletions: match target.deletions {
                    Deletions::Restore => "restore",
                    Deletions::Keep => "keep",
                }
                .to_owned(),
                new_files_to: target.new_files_to.as_ref().map(ToString::to_string),
                allow_active: target.allow_active.clone(),
                include_kinds: target
                    .include_kinds
                    .iter()
                    .map(|kind| kind.as_str().to_owned())
                    .collect(),
                on_finding: target.on_finding.as_str().to_owned(),
                after: target.after.clone(),
                hook_timeout_ms: millis(target.hook_timeout),
            })
            .collect(),
    }
}

fn preset<'t, T>(target: &'t TargetConfig, of: impl Fn(&'t Preset) -> T) -> Option<T> {
    target.preset.as_ref().map(of)
}

fn served(served: Option<&[Served]>) -> Vec<homing_api::Served> {
    let shown = |served: &Served| homing_api::Served {
        source: served.source.to_string(),
        by: served.by.to_string(),
        path: served.path.display().to_string(),
    };
    served.unwrap_or_default().iter().map(shown).collect()
}

fn secret(source: &SecretSource) -> SecretShown {
    match source {
        SecretSource::Env(name) => SecretShown::Env(name.clone()),
        SecretSource::File(path) => SecretShown::File(path.display().to_string()),
        SecretSource::Command(words) => {
            SecretShown::Command(words.first().cloned().unwrap_or_default())
        }
        SecretSource::Keyring(name) => SecretShown::Keyring(name.clone()),
    }
}

fn zone(zone: Option<&TimeZone>) -> Option<String> {
    zone?.iana_name().map(str::to_owned)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the interval of a source that has no other times.
fn every(source: &SourceShown) -> String {
    match (source.every_ms, &source.cron) {
        (Some(every), _) => setting(every),
        (None, Some(_)) => String::new(),
        (None, None) => "by hand only".to_owned(),
    }
}

fn render(shown: &ConfigShown) -> String {
    let mut text = format!("{}\n", escape(&shown.config));
    let mut section = |title: String, lines: Vec<(&str, String)>| {
        writeln!(text, "\n[{}]", escape(&title)).expect("a String takes all");
        for (key, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
            writeln!(text, "{key:<14} {}", escape(&value)).expect("a String takes all");
        }
    };
    let daemon = &shown.daemon;
    section(
        "daemon".to_owned(),
        vec![
            ("data_dir", daemon.data_dir.clone()),
            ("socket", daemon.socket.clone()),
            ("max_runs", daemon.max_runs.to_string()),
            ("per_host", daemon.per_host.to_string()),
            ("stall_timeout", setting(daemon.stall_timeout_ms)),
            ("run_timeout", setting(daemon.run_timeout_ms)),
            ("shutdown_grace", setting(daemon.shutdown_grace_ms)),
            ("keep_history", setting(daemon.keep_history_ms)),
            ("timezone", daemon.timezone.clone().unwrap_or_default()),
            ("log", daemon.log.clone()),
            ("log_format", daemon.log_format.clone()),
        ],
    );
    for source in &shown.sources {
        let place = if source.kind == "dir" { "root" } else { "url" };
        let mut lines = vec![("kind", source.kind.clone()), (place, source.root.clone())];
        let options = source.options.iter();
        lines.extend(options.map(|(key, value)| (key.as_str(), value.clone())));
        lines.extend([
            ("path", source.path.clone().unwrap_or_default()),
            ("include", source.include.join(", ")),
            ("exclude", source.exclude.join(", ")),
            ("every", every(source)),
            ("cron", source.cron.clone().unwrap_or_default()),
            ("timezone", source.timezone.clone().unwrap_or_default()),
            ("at_start", source.at_start.clone()),
            (
                "stale_after",
                source.stale_after_ms.map(setting).unwrap_or_default(),
            ),
            ("watch", source.watch.to_string()),
            ("priority", source.priority.to_string()),
            ("push", source.push.clone()),
            ("on_conflict", source.on_conflict.clone()),
            ("max_file_size", size_setting(source.max_file_size)),
            ("max_total_size", size_setting(source.max_total_size)),
            ("max_files", source.max_files.to_string()),
            (
                "token",
                source
                    .token
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ),
            ("enabled", source.enabled.to_string()),
        ]);
        section(format!("sources.{}", source.id), lines);
    }
    for target in &shown.targets {
        section(
            format!("targets.{}", target.id),
            vec![
                ("tool", target.tool.clone().unwrap_or_default()),
                ("project", target.project.clone().unwrap_or_default()),
                ("path", target.path.clone()),
                ("from", target.from.join(", ")),
                ("served", served_by(&target.served)),
                ("read twice", elsewhere(&target.read_twice)),
                ("layout", target.layout.clone()),
                ("deletions", target.deletions.clone()),
                (
                    "new_files_to",
                    target.new_files_to.clone().unwrap_or_default(),
                ),
                ("allow_active", target.allow_active.join(", ")),
                ("include_kinds", target.include_kinds.join(", ")),
                ("on_finding", target.on_finding.clone()),
                ("after", target.after.join(" ")),
                ("hook_timeout", setting(target.hook_timeout_ms)),
            ],
        );
    }
    text
}

/// Returns [`elsewhere`] with whose settings apply there.
fn served_by(served: &[homing_api::Served]) -> String {
    match served.len() {
        0 => String::new(),
        1 => format!("{}; its settings and its hook apply", elsewhere(served)),
        _ => format!("{}; their settings and hooks apply", elsewhere(served)),
    }
}

/// Returns where a tool reads what is not in a directory of its own, as in `team by codex.skills (/home/…)`.
fn elsewhere(served: &[homing_api::Served]) -> String {
    let told = served
        .iter()
        .map(|one| format!("{} by {} ({})", one.source, one.by, one.path));
    told.collect::<Vec<_>>().join(", ")
}

/// Returns the part of the configuration as it is shown that is about one section, as in `sources.team`.
pub(super) fn section(context: &Context, title: &str) -> Result<String, CliError> {
    let config = Config::load(&context.locations, &context.env)?;
    let text = render(&shown(&config, &context.locations));
    let header = format!("[{title}]\n");
    let section = text
        .split("\n\n")
        .find(|section| section.starts_with(&header));
    Ok(section
        .map(|section| format!("{}\n", section.trim_end()))
        .unwrap_or_default())
}

/// Returns one more line in the form of a section.
pub(super) fn field(key: &str, value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    format!("{key:<14} {}\n", escape(value))
}

#[cfg(test)]
mod tests;
