//! `--check-sources`: looks at sources as they are, or would be, configured. Writes nothing, needs no daemon.

use std::io::{self, Read};

use homing_api::{CheckRequest, SourceCheck, SourceChecks, TokenCheck};
use homing_config::{Config, Env, Locations, SourceConfig, SourceKind};
use homing_core::{Examined, SourceId};
use homing_engine::EngineError;

use crate::assemble::{Kept, Remotes};
use crate::signal::Signals;
use crate::start::StartError;
use crate::{assemble, convert, secrets, shown};

/// No request is longer.
const MAX_REQUEST_BYTES: u64 = 2 * 1024 * 1024;

/// Reads the request from standard input and returns the answer, a JSON document.
pub(crate) fn run(locations: &Locations, env: &Env) -> Result<String, StartError> {
    let request = read_request(io::stdin())?;
    let config = match &request.text {
        Some(text) => Config::parse(text, locations, env),
        None => Config::load(locations, env),
    };
    let config = config.map_err(|error| StartError::Config(Box::new(error)))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::system("could not start", error))?;
    let checks = runtime.block_on(check(&config, &request.sources, locations, env))?;
    let answer = serde_json::to_string(&checks)
        .map_err(|error| StartError::system("the answer could not be written", error))?;
    Ok(answer + "\n")
}

fn read_request(input: impl Read) -> Result<CheckRequest, StartError> {
    let mut text = String::new();
    input
        .take(MAX_REQUEST_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| StartError::system("standard input could not be read", error))?;
    serde_json::from_str(&text).map_err(|error| StartError::Usage {
        message: format!("standard input does not say what to check: {error}"),
    })
}

async fn check(
    config: &Config,
    wanted: &[String],
    locations: &Locations,
    env: &Env,
) -> Result<SourceChecks, StartError> {
    for name in wanted {
        if !config.sources.keys().any(|id| id.as_str() == name) {
            return Err(StartError::Usage {
                message: format!("there is no source `{}`", name.escape_debug()),
            });
        }
    }
    // Nothing is written where the daemon keeps its own.
    let scratch = tempfile::tempdir()
        .map_err(|error| StartError::system("there is no temporary directory", error))?;
    let kept = Kept::new(scratch.path(), env);
    let remotes = Remotes::new(config.daemon.per_host, &locations.data_dir, env, &kept);
    let looking = async {
        let mut sources = Vec::new();
        for (id, source) in &config.sources {
            if wanted.is_empty() || wanted.iter().any(|name| name == id.as_str()) {
                sources.push(look(id, source, &remotes, env).await);
            }
        }
        sources
    };
    let mut signals = Signals::listen()
        .map_err(|error| StartError::system("could not listen to signals", error))?;
    // What was started ends with it.
    let looked = tokio::select! {
        sources = looking => Some(sources),
        _ = signals.next() => None,
    };
    kept.connections.end().await;
    let sources = looked
        .ok_or_else(|| StartError::system("the check was ended", "a signal asked for its end"))?;
    Ok(SourceChecks { sources })
}

/// Looks at what the first run of a source would take, and sees whether its secret is there.
async fn look(id: &SourceId, source: &SourceConfig, remotes: &Remotes, env: &Env) -> SourceCheck {
    let (place, examined) = match assemble::source(id, source, None, remotes) {
        Ok(spec) => (spec.url.clone(), spec.origin.examine().await),
        Err(error) => (String::new(), Err(error)),
    };
    let mut missing = None;
    let mut token = None;
    if let Some(place) = &source.token {
        let found = secrets::resolve(place, env).await;
        missing = found.as_ref().err().map(|error| {
            let section = format!("[sources.{id}]");
            secrets::failure(error, &section)
        });
        token = Some(TokenCheck {
            from: shown::secret(place),
            found: found.is_ok(),
            used: !matches!(source.kind, SourceKind::Dir { .. }),
        });
    }
    let (examined, error) = match examined {
        Ok(examined) => (examined, None),
        Err(error) => (
            Examined::default(),
            Some(EngineError::Side(error).failure()),
        ),
    };
    SourceCheck {
        id: id.to_string(),
        place,
        files: examined.files,
        bytes: examined.bytes,
        notes: examined.notes,
        problems: examined.problems.into_iter().map(convert::notice).collect(),
        token,
        error: error.map(convert::failure).or(missing),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_source_is_counted_and_a_missing_one_told() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::with_home(home.path());
        let locations = Locations::find(None, None, &env).unwrap();
        fs::create_dir(home.path().join("a")).unwrap();
        for name in ["one.md", "two.md", "three.txt"] {
            fs::copy("Cargo.toml", home.path().join("a").join(name)).unwrap();
        }
        let text = "[sources.a]\nkind = \"dir\"\nroot = \"~/a\"\ninclude = [\"*.md\"]\n[sources.b]\nkind = \"dir\"\nroot = \"~/b\"\n";
        let config = Config::parse(text, &locations, &env).unwrap();
        let size = fs::metadata("Cargo.toml").unwrap().len();

        let checks = check(&config, &[], &locations, &env).await.unwrap().sources;
        assert_eq!((checks[0].files, checks[0].bytes), (2, Some(2 * size)));
        assert_eq!(checks[0].error, None);
        let error = checks[1].error.as_ref().unwrap();
        assert_eq!(error.kind.as_str(), "not-found");
        assert!(checks[1].place.ends_with("/b"), "{checks:?}");

        let only = check(&config, &["b".to_owned()], &locations, &env)
            .await
            .unwrap()
            .sources;
        assert_eq!(only.len(), 1);
        assert!(
            check(&config, &["c".to_owned()], &locations, &env)
                .await
                .is_err()
        );
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in ["", "{", "{\"commands\":[]}", "3"] {
            let error = read_request(text.as_bytes()).unwrap_err();
            assert!(matches!(error, StartError::Usage { .. }), "{error:?}");
        }
        assert_eq!(read_request(&b"{}"[..]).unwrap(), CheckRequest::default());
    }
}
