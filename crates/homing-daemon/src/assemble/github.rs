//! A source of the kind `github`.

use std::sync::Arc;

use homing_config::SourceConfig;
use homing_core::{Side, SideError, SourceId};
use homing_side_github::{GithubOptions, GithubSide, Place};
use url::Url;

use super::limits;
use super::remote::Remotes;

/// Where a token is looked for that nobody has named.
const VARIABLES: &[&str] = &["GITHUB_TOKEN", "GH_TOKEN"];

/// Builds its side.
pub(crate) fn side(
    id: &SourceId,
    config: &SourceConfig,
    url: &Url,
    api: Option<&Url>,
    reference: Option<&str>,
    remotes: &Remotes,
) -> Result<Arc<dyn Side>, SideError> {
    let login = match &config.token {
        Some(token) => remotes.login(id, token, None),
        None => remotes.login_if_any(id, VARIABLES),
    };
    let options = GithubOptions {
        place: Place::parse(url, api)?,
        reference: reference.map(str::to_owned),
        path: config.path.as_ref().map(ToString::to_string),
        include: config.include.clone(),
        exclude: config.exclude.clone(),
        limits: limits(config),
        login: Some(login),
    };
    let side = GithubSide::new(remotes.client(None)?, options)?;
    Ok(Arc::new(side))
}
