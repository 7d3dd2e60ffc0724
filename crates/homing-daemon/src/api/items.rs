//! `GET /v1/items`

use axum::Json;
use axum::extract::State;
use homing_api::{ItemsQuery, KnownItems, ProblemKind, routes};
use homing_engine::{FindingFilter, KnownItemsRequest};
use homing_items::{Kind, Level, Rule};

use super::Api;
use super::extract::Params;
use crate::convert;
use crate::problem::Refusal;

/// Lists agents, skills, commands and other files of all sources, with what is to be said against them.
#[utoipa::path(
    get,
    path = routes::ITEMS,
    operation_id = "list_items",
    tag = "sources",
    params(ItemsQuery),
    responses((status = 200, description = "The items", body = KnownItems)),
)]
pub(super) async fn list(
    State(api): State<Api>,
    Params(query): Params<ItemsQuery>,
) -> Result<Json<KnownItems>, Refusal> {
    let request = KnownItemsRequest {
        kind: query.kind.map(|word| kind(&word)).transpose()?,
        finding: query.finding.map(|word| finding(&word)).transpose()?,
    };
    let items = api.engine()?.known_items(request).await?;
    Ok(Json(KnownItems {
        items: items.iter().map(convert::known_item).collect(),
    }))
}

fn kind(word: &str) -> Result<Kind, Refusal> {
    word.parse().map_err(|_unknown| {
        let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        refused("kind", word, &words)
    })
}

fn finding(word: &str) -> Result<FindingFilter, Refusal> {
    let levels = [Level::Blocking, Level::Warning, Level::Note];
    if let Some(level) = levels.iter().find(|level| level.as_str() == word) {
        return Ok(FindingFilter::AtLeast(*level));
    }
    word.parse().map(FindingFilter::Of).map_err(|_unknown| {
        let levels = levels.iter().map(|level| level.as_str());
        let words: Vec<&str> = levels
            .chain(Rule::ALL.iter().map(|rule| rule.id()))
            .collect();
        refused("finding", word, &words)
    })
}

fn refused(parameter: &str, word: &str, words: &[&str]) -> Refusal {
    let shown = word.escape_debug();
    let detail = format!(
        "`{parameter}` must be one of {}, not `{shown}`",
        words.join(", ")
    );
    Refusal::new(ProblemKind::BadRequest, detail)
}
