//! The agents, skills, commands and files that Homing holds, for a person who looks.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use homing_core::{Contents, ItemKey, SideError, SourceId, TargetId, Version};
use homing_items::{FRONTMATTER_BYTES, Finding, Frontmatter, Kind, Level, Rule, Skills};
use homing_store::{HeadRow, LedgerRow};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::examine::{self, Examining};
use crate::pipeline::check;
use crate::shared::{Shared, blocking};
use crate::spec::Renderer;

/// Which findings an item must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingFilter {
    /// One that weighs so much, or more.
    AtLeast(Level),
    /// One of this rule.
    Of(Rule),
}

impl FindingFilter {
    fn covers(self, finding: &Finding) -> bool {
        match self {
            Self::AtLeast(level) => finding.level() >= level,
            Self::Of(rule) => finding.rule == rule,
        }
    }
}

/// Which items [`Engine::known_items`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KnownItemsRequest {
    /// Those of this kind; unless given all with a finding that was asked for, else all but plain files.
    pub kind: Option<Kind>,
    /// Those with such a finding.
    pub finding: Option<FindingFilter>,
}

/// An agent, a skill with all its files, a command or another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownItem {
    /// The source.
    pub source: SourceId,
    /// Whether the source takes part.
    pub is_live: bool,
    /// What it is for.
    pub kind: Kind,
    /// The name that it goes by.
    pub name: String,
    /// Its key; of a skill that of its `SKILL.md`.
    pub path: ItemKey,
    /// What it says that it is for.
    pub description: Option<String>,
    /// The version that it gives itself.
    pub version: Option<String>,
    /// How many files it is.
    pub files: u64,
    /// Where it is published.
    pub published: Vec<Placement>,
    /// What is to be said against it, with the file.
    pub findings: Vec<(ItemKey, Finding)>,
}

/// Where an item is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The target.
    pub target: TargetId,
    /// The path in it.
    pub path: ItemKey,
    /// Whether it is what the source has now.
    pub is_current: bool,
}

/// What the store knows of a source's items.
struct Held {
    source: SourceId,
    is_live: bool,
    rows: BTreeMap<ItemKey, HeadRow>,
    /// Of each target that takes the source: the active files that it publishes.
    allowed: Vec<Vec<String>>,
}

/// What each target holds, and the form that it holds it in.
type Ledgers = Vec<(TargetId, Option<Renderer>, BTreeMap<ItemKey, LedgerRow>)>;

impl Engine {
    /// Returns the items of all configured sources, by kind, name and source.
    pub async fn known_items(
        &self,
        request: KnownItemsRequest,
    ) -> Result<Vec<KnownItem>, EngineError> {
        let (held, ledgers) = read(&self.shared).await?;
        let contents = self.shared.contents();
        let renderings = Arc::clone(&self.shared.renderings);
        blocking(move || {
            let mut items = Vec::new();
            for mut source in held {
                let examining = Examining::over(contents.clone());
                for row in source.rows.values_mut() {
                    if let Some(version) = row.head.filter(|_| row.facts.is_none()) {
                        row.facts = examining.facts(&row.key, &version.hash)?;
                    }
                }
                items.extend(of_source(&source));
            }
            let is_wanted = |item: &(KnownItem, Version)| match (request.kind, request.finding) {
                (Some(kind), _) if kind != item.0.kind => false,
                (None, None) => item.0.kind != Kind::File,
                (_, None) => true,
                (_, Some(filter)) => item.0.findings.iter().any(|(_, one)| filter.covers(one)),
            };
            items.retain(is_wanted);
            let mut published = published(&ledgers);
            let mut found = Vec::with_capacity(items.len());
            for (mut item, version) in items {
                let places = published.remove(&(item.source.clone(), item.path.clone()));
                for (target, renderer, row) in places.into_iter().flatten() {
                    let now = match renderer {
                        None => Some(version),
                        Some(renderer) => {
                            let original = (&item.path, version);
                            renderings.version(renderer, original, contents.as_ref())?
                        }
                    };
                    item.published.push(Placement {
                        target: target.clone(),
                        path: row.path.clone(),
                        is_current: row.base.is_some() && row.base == now,
                    });
                }
                if item.kind != Kind::File {
                    item.description = description(contents.as_ref(), version)?;
                }
                found.push(item);
            }
            found.sort_by(|one, other| {
                let order = |item: &KnownItem| {
                    (
                        item.kind,
                        item.name.clone(),
                        item.source.clone(),
                        item.path.clone(),
                    )
                };
                order(one).cmp(&order(other))
            });
            Ok::<_, EngineError>(found)
        })
        .await?
    }
}

async fn read(shared: &Shared) -> Result<(Vec<Held>, Ledgers), EngineError> {
    let specs = &shared.specs;
    let allowed = |source: &SourceId| -> Vec<Vec<String>> {
        let targets = specs.targets.values();
        let takes = targets.filter(|target| target.from.contains(source));
        takes.map(|target| target.allow_active.clone()).collect()
    };
    let mut held: Vec<Held> = specs
        .sources
        .keys()
        .map(|source| Held {
            source: source.clone(),
            is_live: shared.is_live(source),
            rows: BTreeMap::new(),
            allowed: allowed(source),
        })
        .collect();
    let targets = specs.targets.iter();
    let targets: Vec<_> = targets
        .map(|(id, spec)| (id.clone(), spec.render))
        .collect();
    let read = shared.store.read(move |reader| {
        for source in &mut held {
            source.rows = reader.head(&source.source)?;
        }
        let mut ledgers = Vec::new();
        for (target, renderer) in targets {
            let ledger = reader.ledger(&target)?;
            ledgers.push((target, renderer, ledger));
        }
        Ok((held, ledgers))
    });
    Ok(read.await?)
}

/// Makes items of a source's files. The version is that of the file that stands for the item.
fn of_source(held: &Held) -> Vec<(KnownItem, Version)> {
    let rows = held.rows.values().filter(|row| row.head.is_some());
    let skills = Skills::among(rows.clone().map(|row| &row.key));
    let mut items: Vec<(KnownItem, Version)> = Vec::new();
    let mut of_skills: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        let Some(version) = row.head else { continue };
        let facts = row.facts.as_ref();
        let skill = skills.of(&row.key);
        let own_kind = examine::kind(&row.key, facts);
        let kind = if skill.is_some() {
            Kind::Skill
        } else {
            own_kind
        };
        let known = skill.and_then(|skill| of_skills.get(skill).copied());
        let at = known.unwrap_or(items.len());
        if known.is_none() {
            if let Some(skill) = skill {
                of_skills.insert(skill, at);
            }
            items.push((
                KnownItem {
                    source: held.source.clone(),
                    is_live: held.is_live,
                    kind,
                    name: String::new(),
                    path: row.key.clone(),
                    description: None,
                    version: None,
                    files: 0,
                    published: Vec::new(),
                    findings: Vec::new(),
                },
                version,
            ));
        }
        let (item, of_item) = &mut items[at];
        item.files += 1;
        if skill.is_none() || own_kind == Kind::Skill {
            let name = examine::name(&row.key, kind, facts);
            name.unwrap_or(held.source.as_str())
                .clone_into(&mut item.name);
            item.path = row.key.clone();
            item.version = facts.and_then(|facts| facts.version.clone());
            *of_item = version;
        }
        let mut findings = examine::findings(facts);
        findings.extend(active(&row.key, &held.allowed));
        item.findings
            .extend(findings.into_iter().map(|one| (row.key.clone(), one)));
    }
    note_duplicates(&mut items);
    items
}

/// Returns a finding about a file that not every target publishes, for a tool would obey it.
fn active(key: &ItemKey, allowed: &[Vec<String>]) -> Option<Finding> {
    let what = if allowed.is_empty() {
        check::active_file(key, &[])
    } else {
        allowed
            .iter()
            .find_map(|allowed| check::active_file(key, allowed))
    }?;
    Some(Finding::at(
        Rule::ActiveFile,
        (1, 1),
        format!("it is {what}"),
    ))
}

/// Adds to agents and skills of one source that another one has their name.
fn note_duplicates(items: &mut [(KnownItem, Version)]) {
    let mut by_name: BTreeMap<(Kind, String), Vec<usize>> = BTreeMap::new();
    for (at, (item, _)) in items.iter().enumerate() {
        if matches!(item.kind, Kind::Agent | Kind::Skill) {
            by_name
                .entry((item.kind, item.name.clone()))
                .or_default()
                .push(at);
        }
    }
    for ((kind, name), same) in by_name.into_iter().filter(|(_, same)| same.len() > 1) {
        for at in &same {
            let other = same
                .iter()
                .find(|other| *other != at)
                .copied()
                .unwrap_or(*at);
            let message = format!(
                "the {kind} `{}` has the name `{}` too",
                items[other].0.path,
                name.escape_debug()
            );
            let item = &mut items[*at].0;
            let finding = Finding::at(Rule::DuplicatedName, (1, 1), message);
            item.findings.push((item.path.clone(), finding));
        }
    }
}

type Place<'l> = (&'l TargetId, Option<Renderer>, &'l LedgerRow);
type Places<'l> = BTreeMap<(SourceId, ItemKey), Vec<Place<'l>>>;

fn published(ledgers: &Ledgers) -> Places<'_> {
    let mut places = Places::new();
    for (target, renderer, ledger) in ledgers {
        for row in ledger
            .values()
            .filter(|row| !row.tombstone && row.base.is_some())
        {
            places
                .entry((row.source.clone(), row.key.clone()))
                .or_default()
                .push((target, *renderer, row));
        }
    }
    places
}

/// Reads what an item says that it is for; nothing of one whose content is lost.
fn description(contents: &dyn Contents, version: Version) -> Result<Option<String>, EngineError> {
    let reader = match contents.open(&version.hash) {
        Err(SideError::NotFound { .. }) => return Ok(None),
        opened => opened?,
    };
    let mut start = Vec::new();
    let read = reader
        .take(FRONTMATTER_BYTES as u64)
        .read_to_end(&mut start);
    read.map_err(|error| SideError::Storage {
        message: format!("content {} could not be read", version.hash),
        source: Some(Box::new(error)),
    })?;
    let text = String::from_utf8_lossy(&start);
    Ok(Frontmatter::of(&text).and_then(|found| found.header().description))
}
