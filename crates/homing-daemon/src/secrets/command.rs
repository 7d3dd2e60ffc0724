//! A secret that a command prints.

use std::path::Path;
use std::time::Duration;

use homing_config::Env;
use homing_process::{End, Errand};

use super::{MAX_BYTES, SecretError};

/// It is ended after this long; nobody is there to answer a question.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs a command, with a small environment and nothing to read, and returns what it prints.
pub(super) async fn answer(words: &[String], env: &Env) -> Result<Vec<u8>, SecretError> {
    run(words, env, LIMIT).await
}

async fn run(words: &[String], env: &Env, limit: Duration) -> Result<Vec<u8>, SecretError> {
    let program = || words.first().cloned().unwrap_or_default();
    let home = env.home.as_deref().filter(|home| home.is_dir());
    let errand = Errand {
        command: words,
        directory: home.unwrap_or(Path::new("/")),
        environment: env.passed_on.clone(),
        input: Vec::new(),
        timeout: limit,
    };
    let answer = homing_process::ask(errand, MAX_BYTES).await;
    let answer = answer.map_err(|source| SecretError::NotStarted {
        program: program(),
        source,
    })?;
    match answer.end {
        End::Exited(status) if status.success() => Ok(answer.bytes),
        End::Exited(status) => Err(SecretError::Failed {
            program: program(),
            status,
        }),
        End::SaidTooMuch => Err(SecretError::TooLong {
            place: homing_config::SecretSource::Command(words.to_vec()),
        }),
        End::TimedOut | End::Stopped => Err(SecretError::TimedOut {
            program: program(),
            limit,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, limit: Duration) -> Result<Vec<u8>, SecretError> {
        let mut env = Env::with_home(Path::new("/nowhere"));
        env.passed_on = vec![("PATH".into(), "/usr/bin:/bin".into())];
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        run(&words, &env, limit).await
    }

    #[tokio::test]
    async fn what_it_prints_is_the_secret_and_what_it_complains_of_is_dropped() {
        let found = shell("echo s3cret; echo s3cret >&2", LIMIT).await.unwrap();
        assert_eq!(found, b"s3cret\n");
        let failed = shell("echo s3cret; echo s3cret >&2; exit 4", LIMIT)
            .await
            .unwrap_err();
        let told = format!("{failed} {failed:?}");
        assert!(
            told.contains("failed") && !told.contains("s3cret"),
            "{told}"
        );
        let hangs = shell("tail -f /dev/null", Duration::from_millis(200)).await;
        assert!(matches!(hangs, Err(SecretError::TimedOut { .. })));
        let babbles = shell("yes", LIMIT).await;
        assert!(matches!(babbles, Err(SecretError::TooLong { .. })));
        let missing = ["homing-no-such-program".to_owned()];
        let missing = run(&missing, &Env::with_home(Path::new("/")), LIMIT).await;
        assert!(matches!(missing, Err(SecretError::NotStarted { .. })));
    }
}
