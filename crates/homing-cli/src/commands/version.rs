//! `homing version`

use homing_api::{ApiRange, Versions};
use homing_client::ClientError;

use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use crate::text::escape;

/// Shows the versions of this program and of the daemon, if it runs.
pub(super) async fn run(context: &Context) -> Result<Report, CliError> {
    let daemon = match context.client.version().await {
        Ok(daemon) => Some(daemon),
        Err(ClientError::NotRunning { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let versions = Versions {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: ApiRange::OURS,
        daemon,
    };
    let text = render(&versions);
    Ok(Report::new(&versions, text))
}

fn render(versions: &Versions) -> String {
    let range = |api: ApiRange| {
        if api.min == api.max {
            format!("interface {}", api.min)
        } else {
            format!("interface {} to {}", api.min, api.max)
        }
    };
    let daemon = match &versions.daemon {
        Some(daemon) => format!(
            "homingd {} ({}), pid {}",
            escape(&daemon.version),
            range(daemon.api),
            daemon.pid
        ),
        None => "homingd is not running".to_owned(),
    };
    format!(
        "homing {} ({})\n{daemon}\n",
        versions.version,
        range(versions.api)
    )
}

#[cfg(test)]
mod tests {
    use homing_api::VersionInfo;

    use super::*;

    #[test]
    fn both_versions_are_shown() {
        let mut versions = Versions {
            version: "0.1.0".to_owned(),
            api: ApiRange::OURS,
            daemon: None,
        };
        insta::assert_snapshot!(render(&versions), @r"
        homing 0.1.0 (interface 1)
        homingd is not running
        ");
        versions.daemon = Some(VersionInfo {
            version: "0.9.0".to_owned(),
            api: ApiRange { min: 1, max: 2 },
            capabilities: Vec::new(),
            boot_id: "b".to_owned(),
            pid: 7,
            started_at: "2026-01-02T03:04:05.678Z".to_owned(),
        });
        insta::assert_snapshot!(render(&versions), @r"
        homing 0.1.0 (interface 1)
        homingd 0.9.0 (interface 1 to 2), pid 7
        ");
    }
}
