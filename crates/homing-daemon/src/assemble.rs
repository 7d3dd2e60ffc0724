//! From the configuration to what the engine is told to do.

mod git;
mod github;
mod http;
mod remote;
mod rereading;

use std::collections::BTreeMap;
use std::sync::Arc;

use homing_api::{Problem, ProblemKind};
use homing_config::{
    AgentForm, AtStart, Config, ConfigError, Deletions, Env, Kind, Layout, Locations, OnFinding,
    Part, Preset, PushMode, Served, SourceConfig, SourceKind, TargetConfig,
};
use homing_core::{ContentHash, Limits, Side, SideError, SourceId, TargetId};
use homing_engine as engine;
use homing_items as items;
use homing_side_dir::{DirOptions, DirSide};
use jiff::tz::TimeZone;
use url::Url;

pub(crate) use self::remote::{Kept, Remotes};

/// How an invalid configuration is mended.
pub(crate) const MEND: &str =
    "`homing config check` shows the place; homingd takes the file over as soon as it is valid";

/// Builds every side, and with them what the engine is told.
///
/// The problem tells what the configuration asks for that cannot be.
pub(crate) fn specs(
    config: &Config,
    locations: &Locations,
    env: &Env,
    kept: &Kept,
) -> Result<engine::Specs, Box<Problem>> {
    let settings = engine::Settings {
        max_runs: config.daemon.max_runs,
        stall_timeout: config.daemon.stall_timeout,
        run_timeout: config.daemon.run_timeout,
        keep_history: config.daemon.keep_history,
    };
    let in_section = |section: String| {
        move |error: SideError| {
            let file = locations.config_file.display();
            let detail = format!("{file}: [{section}]: {error}");
            let problem = Problem::new(ProblemKind::ConfigInvalid, detail);
            Box::new(problem.with_hint(MEND))
        }
    };
    let timezone = config.daemon.timezone.as_ref();
    let remotes = Remotes::new(config.daemon.per_host, &locations.data_dir, env, kept);
    let sources = config
        .sources
        .iter()
        .map(|(id, config)| {
            Ok((
                id.clone(),
                source(id, config, timezone, &remotes)
                    .map_err(in_section(format!("sources.{id}")))?,
            ))
        })
        .collect::<Result<_, Box<Problem>>>()?;
    let targets_of = |configs: &BTreeMap<TargetId, TargetConfig>| {
        let built = configs.iter().map(|(id, config)| {
            let built = target(config, env).map_err(in_section(format!("targets.{id}")))?;
            Ok((id.clone(), built))
        });
        built.collect::<Result<_, Box<Problem>>>()
    };
    Ok(engine::Specs {
        sources,
        targets: targets_of(&config.targets)?,
        left_out: targets_of(&config.left_out)?,
        settings,
    })
}

/// Returns what a client hears while the configuration is not valid.
pub(crate) fn config_problem(error: &ConfigError) -> Box<Problem> {
    let mut problem = Box::new(Problem::new(ProblemKind::ConfigInvalid, error.to_string()));
    if let ConfigError::Invalid { diagnostics } = error {
        let further = diagnostics.iter().skip(1);
        problem.causes = further.map(ToString::to_string).collect();
    } else {
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            problem.causes.push(error.to_string());
            cause = error.source();
        }
    }
    problem.hint = Some(error.hint().unwrap_or_else(|| MEND.to_owned()));
    problem
}

/// Builds a source.
pub(crate) fn source(
    id: &SourceId,
    config: &SourceConfig,
    timezone: Option<&TimeZone>,
    remotes: &Remotes,
) -> Result<engine::SourceSpec, SideError> {
    let origin: Arc<dyn Side> = match &config.kind {
        SourceKind::Dir { root } => Arc::new(DirSide::new(DirOptions {
            root: root.clone(),
            path: config.path.as_ref().map(ToString::to_string),
            include: config.include.clone(),
            exclude: config.exclude.clone(),
            limits: limits(config),
            create_root: false,
        })?),
        SourceKind::Http {
            url,
            listing,
            user,
            ca_file,
        } => http::side(
            id,
            config,
            url,
            listing,
            user.as_deref(),
            ca_file.as_ref(),
            remotes,
        )?,
        SourceKind::Github {
            url, api, ca_file, ..
        } => github::side(
            id,
            config,
            url,
            api.as_ref(),
            config.kind.followed(),
            ca_file.as_ref(),
            remotes,
        )?,
        SourceKind::Git {
            url,
            user,
            ca_file,
            verify,
            submodules,
            ..
        } => {
            let repository = git::Repository {
                url,
                reference: config.kind.followed(),
                user: user.as_deref(),
                ca_file: ca_file.as_ref(),
                verify: verify.as_ref(),
                submodules: *submodules,
            };
            git::side(id, config, &repository, remotes)?
        }
    };
    Ok(engine::SourceSpec {
        kind: config.kind.word().to_owned(),
        url: config.kind.place(),
        origin,
        priority: config.priority,
        push: match config.push {
            PushMode::Never => engine::PushMode::Never,
            PushMode::Direct => engine::PushMode::Direct,
        },
        on_conflict: config.on_conflict,
        max_file_size: config.max_file_size,
        selection: selection(config),
        cadence: cadence(config, timezone),
        at_start: match config.at_start {
            AtStart::Due => engine::AtStart::Due,
            AtStart::Always => engine::AtStart::Always,
            AtStart::Never => engine::AtStart::Never,
        },
        stale_after: config.stale_after,
        watch: config.watch,
        enabled: config.enabled,
    })
}

/// Returns how much a source may bring.
fn limits(config: &SourceConfig) -> Limits {
    Limits {
        max_file_size: config.max_file_size,
        max_total_size: config.max_total_size,
        max_files: usize::try_from(config.max_files).unwrap_or(usize::MAX),
    }
}

fn cadence(config: &SourceConfig, timezone: Option<&TimeZone>) -> Option<engine::Cadence> {
    match &config.cron {
        Some(pattern) => Some(engine::Cadence::Cron {
            pattern: pattern.clone(),
            zone: config.timezone.as_ref().or(timezone).cloned(),
        }),
        None => config.every.map(engine::Cadence::Every),
    }
}

fn target(config: &TargetConfig, env: &Env) -> Result<engine::TargetSpec, SideError> {
    let place = DirSide::new(DirOptions {
        root: config.path.clone(),
        limits: Limits::NONE,
        create_root: true,
        ..DirOptions::default()
    })?;
    let preset = config.preset.as_ref();
    Ok(engine::TargetSpec {
        path: config.path.clone(),
        place: Arc::new(place),
        from: config.from.clone(),
        layout: match config.layout {
            Layout::Tree => engine::Layout::Tree,
            Layout::Flat => engine::Layout::Flat,
            Layout::Agents => engine::Layout::Agents {
                suffix: preset.map_or(".md", |preset| preset.tool.agent_suffix()),
            },
            Layout::Skills => engine::Layout::Skills,
            Layout::Commands => engine::Layout::Commands,
        },
        render: preset.and_then(renderer),
        tool: preset.map(|preset| engine::ToolSpec {
            name: preset.tool.as_str().to_owned(),
            is_left_out: preset.is_left_out,
            served: preset.served.iter().map(served).collect(),
            read_twice: preset.read_twice.iter().map(served).collect(),
        }),
        deletions: match config.deletions {
            Deletions::Restore => engine::Deletions::Restore,
            Deletions::Keep => engine::Deletions::Keep,
        },
        new_files_to: config.new_files_to.clone(),
        allow_active: config.allow_active.clone(),
        include_kinds: config.include_kinds.iter().copied().map(kind).collect(),
        on_finding: match config.on_finding {
            OnFinding::Block => engine::OnFinding::Block,
            OnFinding::Warn => engine::OnFinding::Warn,
            OnFinding::Allow => engine::OnFinding::Allow,
        },
        hook: (!config.after.is_empty()).then(|| engine::Hook {
            command: config.after.clone(),
            timeout: config.hook_timeout,
            environment: env.passed_on.clone(),
        }),
    })
}

/// Returns the form that a tool wants of what lies in a directory of its own.
fn renderer(preset: &Preset) -> Option<engine::Renderer> {
    match (preset.part, preset.tool.agent_form()) {
        (Part::Agents, AgentForm::CodexToml) => Some(engine::Renderer::CodexAgent),
        (Part::Agents, AgentForm::Markdown) | (Part::Skills | Part::Commands, _) => None,
    }
}

fn served(served: &Served) -> engine::Served {
    engine::Served {
        source: served.source.clone(),
        by: served.by.clone(),
        path: served.path.clone(),
    }
}

/// Returns fingerprints of what decides which items there are, with slashes between them: the place, the filters and
/// the limits. With other limits nothing is another selection, but what an origin said under the old ones is not all.
fn selection(config: &SourceConfig) -> String {
    use std::os::unix::ffi::OsStrExt;

    let (place, ways): (Vec<&[u8]>, Vec<&str>) = match &config.kind {
        SourceKind::Dir { root } => (vec![b"dir", root.as_os_str().as_bytes()], Vec::new()),
        SourceKind::Http { url, listing, .. } => {
            (vec![b"http", url.as_str().as_bytes()], http::words(listing))
        }
        SourceKind::Github { url, api, .. } => (
            vec![
                b"github",
                url.as_str().as_bytes(),
                api.as_ref().map_or("", Url::as_str).as_bytes(),
                config.kind.followed().unwrap_or("").as_bytes(),
            ],
            Vec::new(),
        ),
        SourceKind::Git {
            url,
            verify,
            submodules,
            ..
        } => (
            vec![
                b"git",
                url.as_bytes(),
                config.kind.followed().unwrap_or("").as_bytes(),
            ],
            (verify.as_ref().map(git::words).into_iter().flatten())
                .chain(submodules.then_some("submodules"))
                .collect(),
        ),
    };
    let path = config.path.as_ref().map_or("", |path| path.as_str());
    let place = fingerprint(place.into_iter().chain([path.as_bytes()]));
    let includes = config.include.len().to_string();
    let patterns = config.include.iter().chain(&config.exclude);
    let filters = std::iter::once(includes.as_str())
        .chain(patterns.map(String::as_str))
        // A kind that has none keeps the fingerprint that it had.
        .chain(ways)
        .map(str::as_bytes);
    let limits = limits(config);
    let limits = [
        limits.max_file_size,
        limits.max_total_size,
        limits.max_files as u64,
    ]
    .map(u64::to_le_bytes);
    let limits = limits.iter().map(<[u8; 8]>::as_slice);
    format!("{place}/{}/{}", fingerprint(filters), fingerprint(limits))
}

/// Hashes parts so that no two lists of them look the same: each carries its length.
fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> ContentHash {
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part);
    }
    ContentHash::of(&text)
}

/// Returns a kind as the engine calls it.
fn kind(kind: Kind) -> items::Kind {
    match kind {
        Kind::Agent => items::Kind::Agent,
        Kind::Skill => items::Kind::Skill,
        Kind::Command => items::Kind::Command,
        Kind::File => items::Kind::File,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Config {
        let home = tempfile::tempdir().unwrap();
        let env = Env::with_home(home.path());
        let locations = Locations::find(None, None, &env).unwrap();
        Config::parse(text, &locations, &env).unwrap()
    }

    #[test]
    fn what_is_configured_reaches_the_engine() {
        let config = parse(
            "[daemon]\nmax_runs = 2\n[sources.a]\nkind = \"dir\"\nroot = \"/somewhere/a\"\npush = \"direct\"\npriority = 7\n\
             every = \"15m\"\n[targets.t]\npath = \"~/t\"\nfrom = [\"a\"]\nlayout = \"flat\"\ndeletions = \"keep\"\n\
             after = [\"notify-send\", \"a b\"]\nhook_timeout = \"5s\"\n",
        );
        let env = Env::with_home(Path::new("/h"));
        let locations = Locations::find(None, None, &env).unwrap();
        let specs = specs(
            &config,
            &locations,
            &env,
            &Kept::new(&locations.data_dir, &env),
        )
        .unwrap();
        assert_eq!(specs.settings.max_runs, 2);
        let source = specs.sources.values().next().unwrap();
        assert_eq!(
            (source.priority, source.push),
            (7, engine::PushMode::Direct)
        );
        assert_eq!(
            (source.url.as_str(), source.kind.as_str()),
            ("/somewhere/a", "dir")
        );
        assert_eq!(
            source.cadence,
            Some(engine::Cadence::Every(std::time::Duration::from_mins(15)))
        );
        let target = specs.targets.values().next().unwrap();
        assert_eq!(
            (target.layout, target.deletions),
            (engine::Layout::Flat, engine::Deletions::Keep)
        );
        let hook = target.hook.as_ref().unwrap();
        assert_eq!(hook.command, ["notify-send", "a b"]);
        assert_eq!(hook.timeout, std::time::Duration::from_secs(5));
    }

    #[test]
    fn what_has_to_be_signed_and_what_is_followed_decides_what_there_is() {
        let with = |lines: &str| {
            let config = parse(&format!(
                "[sources.a]\nkind = \"git\"\nurl = \"/somewhere/a\"\nref = \"v1\"\n{lines}\n"
            ));
            selection(&config.sources.into_values().next().unwrap())
        };
        let all = [
            "",
            "verify = \"commit\"\nallowed_signers = \"/k\"",
            "verify = \"tag\"\nallowed_signers = \"/k\"",
            "verify = \"tag\"\nallowed_signers = \"/l\"",
            "verify = \"tag\"\nkeyring = \"/k\"",
            "submodules = true",
        ]
        .map(with);
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
    }

    #[test]
    fn one_file_that_cannot_be_read_stops_no_other_source() {
        let config = parse(
            "[sources.a]\nkind = \"http\"\nurl = \"https://example.org/\"\nfiles = [\"a.md\"]\n\
             ca_file = \"/nowhere/ca.pem\"\n[sources.b]\nkind = \"dir\"\nroot = \"/somewhere/b\"\n",
        );
        let env = Env::with_home(Path::new("/h"));
        let locations = Locations::find(None, None, &env).unwrap();
        assert_eq!(
            specs(
                &config,
                &locations,
                &env,
                &Kept::new(&locations.data_dir, &env)
            )
            .unwrap()
            .sources
            .len(),
            2
        );
    }

    #[test]
    fn the_fingerprint_changes_with_whatever_selects_and_with_nothing_else() {
        let with = |line: &str| {
            let config = parse(&format!(
                "[sources.a]\nkind = \"dir\"\nroot = \"/somewhere/a\"\n{line}\n"
            ));
            selection(&config.sources.into_values().next().unwrap())
        };
        let plain = with("");
        assert_eq!(plain, with("priority = 3"));
        let others = [
            "path = \"p\"",
            "include = [\"p\"]",
            "exclude = [\"p\"]",
            "include = [\"p\", \"q\"]",
            "max_file_size = \"30MiB\"",
            "max_total_size = \"30MiB\"",
            "max_files = 3",
        ]
        .map(with);
        for (at, other) in others.iter().enumerate() {
            assert_ne!(other, &plain);
            assert!(!others[at + 1..].contains(other));
        }
    }
}
