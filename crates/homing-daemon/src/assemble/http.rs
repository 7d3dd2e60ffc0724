//! A source of the kind `http`.

use std::path::PathBuf;
use std::sync::Arc;

use homing_config::{HttpListing, SourceConfig};
use homing_core::{Side, SideError, SourceId};
use homing_side_http::{HttpOptions, HttpSide, What};
use url::Url;

use super::limits;
use super::remote::Remotes;

/// Builds its side.
pub(crate) fn side(
    id: &SourceId,
    config: &SourceConfig,
    url: &Url,
    listing: &HttpListing,
    user: Option<&str>,
    ca_file: Option<&PathBuf>,
    remotes: &Remotes,
) -> Result<Arc<dyn Side>, SideError> {
    let token = config.token.as_ref();
    let options = HttpOptions {
        url: url.clone(),
        what: match listing {
            HttpListing::Files(files) => What::Files(files.clone()),
            HttpListing::Index(index) => What::Index(index.clone()),
            HttpListing::AgentSkills => What::AgentSkills,
            HttpListing::Archive => What::Archive,
        },
        path: config.path.as_ref().map(ToString::to_string),
        include: config.include.clone(),
        exclude: config.exclude.clone(),
        limits: limits(config),
        login: token.map(|token| remotes.login(id, token, user)),
    };
    remotes.side(ca_file, move |client| {
        Ok(Arc::new(HttpSide::new(client, options.clone())?))
    })
}

/// Returns what decides, beside the filters, which items there are.
pub(crate) fn words(listing: &HttpListing) -> Vec<&str> {
    match listing {
        HttpListing::Files(files) => std::iter::once("files")
            .chain(files.iter().map(String::as_str))
            .collect(),
        HttpListing::Index(index) => vec!["index", index],
        HttpListing::AgentSkills => vec!["agent_skills"],
        HttpListing::Archive => vec!["archive"],
    }
}
