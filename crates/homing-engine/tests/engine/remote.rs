//! Origins that are far away: what is unchanged costs one question, and what could not be had is told.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use homing_core::{
    BoxFuture, ContentHash, Contents, FetchRequest, Identity, Item, ListRequest, Listed, Listing,
    Manifest, Problem, ProblemKind, Progress, Revision, Side, SideError, Unchanged, UnknownReason,
};
use homing_engine::{Cadence, EngineError, RunRequest, RunStatus, Trigger, Verb};

use crate::world::{World, key, source};

/// A far place: it names its items by a word of its own, so that only reading them tells their hashes.
#[derive(Default)]
pub(crate) struct Far {
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<String, String>,
    /// Items that it does not give.
    pub(crate) refused: BTreeMap<String, UnknownReason>,
    asks_to_wait: bool,
    /// What is wrong with it.
    problems: Vec<Problem>,
    is_unreachable: bool,
    /// What it says beside that nothing changed.
    told: Vec<Problem>,
    /// What it is to be asked about from now on.
    tag: Option<String>,
    asked_about: Option<String>,
    questions: usize,
    given: Vec<String>,
}

impl Far {
    pub(crate) fn put(&self, path: &str, content: &str) {
        let mut state = self.state.lock().unwrap();
        state.files.insert(path.to_owned(), content.to_owned());
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Returns how often it was asked and what it gave since the last time.
    pub(crate) fn asked(&self) -> (usize, Vec<String>) {
        let mut state = self.state.lock().unwrap();
        (
            std::mem::take(&mut state.questions),
            std::mem::take(&mut state.given),
        )
    }
}

impl State {
    pub(crate) fn refuse(&mut self, path: &str) {
        let reason = UnknownReason::NotFetched("it is not given away".to_owned());
        self.refused.insert(path.to_owned(), reason);
    }

    fn revision(&self) -> Revision {
        Revision {
            name: ContentHash::of(format!("{:?}", self.files).as_bytes()).to_string(),
            validator: Some(self.tag.clone().unwrap_or_else(|| "\"tag\"".to_owned())),
            about: None,
        }
    }

    fn list(&mut self, request: &ListRequest) -> Result<Listing, SideError> {
        self.questions += 1;
        request.progress.count_request();
        if self.is_unreachable {
            return Err(SideError::Unreachable {
                message: "nothing answers".to_owned(),
                source: None,
            });
        }
        let revision = self.revision();
        let since = request.since.as_ref();
        self.asked_about = since.and_then(|since| since.validator.clone());
        if since.is_some_and(|since| since.name == revision.name) {
            return Ok(Listing::Unchanged(Unchanged {
                problems: self.told.clone(),
                revision: (since != Some(&revision)).then_some(revision),
            }));
        }
        let mut manifest = Manifest {
            problems: self.problems.clone(),
            ..Manifest::default()
        };
        for (path, content) in &self.files {
            let identity = Identity::new(&format!("word for {content}"));
            let known = request.known.values();
            let mut known = known.filter(|item| item.identity.as_ref() == Some(&identity));
            let item = if let Some(known) = known.next() {
                known.clone()
            } else if let Some(reason) = self.refused.get(path) {
                manifest.unknown.insert(path.clone(), reason.clone());
                continue;
            } else {
                self.given.push(path.clone());
                let contents = request.intake.contents();
                let (hash, size) = contents.keep(&mut content.as_bytes(), content.len() as u64)?;
                request.progress.advance(size);
                Item {
                    hash,
                    size,
                    executable: false,
                    identity: Some(identity),
                }
            };
            manifest.items.insert(key(path), item);
        }
        let shortfall = self.asks_to_wait.then(|| SideError::RateLimited {
            message: "no more today".to_owned(),
            wait: Duration::from_hours(3),
        });
        Ok(Listing::from(Listed {
            manifest,
            revision: Some(revision),
            shortfall,
        }))
    }
}

impl Side for Far {
    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, SideError>> {
        Box::pin(async move {
            request.intake.begin(1, 1).await?;
            self.state.lock().unwrap().list(&request)
        })
    }

    fn fetch(
        &self,
        requests: Vec<FetchRequest>,
        _contents: Arc<dyn Contents>,
        _progress: Progress,
    ) -> BoxFuture<'_, Vec<Result<(), SideError>>> {
        let refused = |_: &FetchRequest| {
            Err(SideError::Permanent {
                message: "a listing brings everything".to_owned(),
                source: None,
            })
        };
        let results = requests.iter().map(refused).collect();
        Box::pin(async { results })
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// Returns a world whose source `far` is such a place, with two files.
pub(crate) fn world() -> (World, Arc<Far>) {
    let far = Arc::new(Far::default());
    far.put("a.md", "a");
    far.put("b.md", "b");
    let mut world = World::empty();
    let origin = Arc::clone(&far);
    world.source("far", |spec| {
        spec.origin = origin;
        spec.cadence = Some(Cadence::Every(Duration::from_mins(15)));
    });
    world.target("here", &["far"], |_| {});
    world.specs.settings.max_runs = 1;
    (world, far)
}

fn forced() -> RunRequest {
    RunRequest {
        force: true,
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_change_is_asked_once_and_not_fetched() {
    let (mut world, far) = world();
    let first = world.sync_well("far").await;
    assert_eq!((first.synced, first.bytes, first.requests), (2, 2, 1));
    assert_eq!(far.asked().1, ["a.md", "b.md"]);

    let second = world.sync_well("far").await;
    assert_eq!((second.synced, second.cached, second.bytes), (0, 2, 0));
    assert_eq!(far.asked(), (1, Vec::new()));

    far.put("b.md", "b2");
    far.put("copy.md", "a");
    world.sync_well("far").await;
    assert_eq!(
        far.asked().1,
        ["b.md"],
        "what is known is not fetched again"
    );
    assert_eq!(world.read("here/b.md").unwrap(), "b2");
    assert_eq!(world.read("here/copy.md").unwrap(), "a");

    world.run("far", forced()).await.unwrap();
    assert_eq!(far.asked().1.len(), 3, "a forced run trusts nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_far_side_says_is_told_also_when_nothing_changed() {
    let (mut world, far) = world();
    world.sync_well("far").await;
    let renamed = Problem {
        kind: ProblemKind::Renamed,
        path: String::new(),
        message: "it has another name".to_owned(),
    };
    far.change(|state| state.told = vec![renamed.clone()]);
    let run = world.sync_well("far").await;
    assert_eq!((run.cached, run.problems), (2, vec![renamed]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_under_another_validator_is_asked_about_with_that() {
    let (mut world, far) = world();
    world.sync_well("far").await;
    far.change(|state| state.tag = Some("\"new\"".to_owned()));
    for asked_about in ["\"tag\"", "\"new\"", "\"new\""] {
        assert_eq!(world.sync_well("far").await.cached, 2);
        assert_eq!(
            far.state.lock().unwrap().asked_about.as_deref(),
            Some(asked_about)
        );
        world.restart().await;
    }
    assert_eq!(far.asked().1.len(), 2, "nothing was fetched again");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_tried_again_by_itself_is_said_to_be() {
    for (cadence, is_said) in [
        (Some(Cadence::Every(Duration::from_mins(15))), true),
        (None, false),
    ] {
        let (mut world, far) = world();
        let spec = world.specs.sources.get_mut(&source("far")).unwrap();
        spec.cadence = cadence;
        far.change(|state| state.is_unreachable = true);
        let run = world.sync("far").await;
        let hint = run.error.and_then(|error| error.hint).unwrap();
        assert_eq!(hint.contains("by itself"), is_said, "{hint}");
        let offline = world.engine().await.status().await.unwrap().offline;
        assert_eq!(offline.unwrap().sources[0].comes_again, is_said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_names_the_revision_and_a_restart_keeps_it() {
    let (mut world, far) = world();
    world.sync_well("far").await;
    let revision = far.state.lock().unwrap().revision().name;
    world.restart().await;
    let status = world.engine().await.status().await.unwrap();
    assert_eq!(status.sources[0].revision.as_ref(), Some(&revision));
    far.asked();
    world.sync_well("far").await;
    assert_eq!(far.asked(), (1, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_unchanged_origin_stays_wrong() {
    let (mut world, far) = world();
    let problem = Problem {
        kind: ProblemKind::Limit,
        path: "large.bin".to_owned(),
        message: "it has more bytes than is taken".to_owned(),
    };
    far.change(|state| state.problems = vec![problem.clone()]);
    for _ in 0..2 {
        let run = world.sync("far").await;
        assert_eq!(run.status, RunStatus::Partial, "{run:#?}");
        assert_eq!(run.problems, std::slice::from_ref(&problem));
        world.restart().await;
    }
    assert_eq!(far.asked().0, 2);
    far.change(|state| state.problems.clear());
    far.put("c.md", "c");
    let run = world.sync_well("far").await;
    assert!(run.problems.is_empty(), "{run:#?}");
    let run = world.sync_well("far").await;
    assert!(run.problems.is_empty(), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_other_limits_an_unchanged_origin_is_listed_whole() {
    let (mut world, far) = world();
    let limited = |world: &mut World, limits: &str| {
        let spec = world.specs.sources.values_mut().next().unwrap();
        spec.selection = format!("place/filters/{limits}");
    };
    limited(&mut world, "narrow");
    let problem = Problem {
        kind: ProblemKind::Limit,
        path: "large.bin".to_owned(),
        message: "it has more bytes than is taken".to_owned(),
    };
    far.change(|state| state.problems = vec![problem]);
    assert_eq!(world.sync("far").await.status, RunStatus::Partial);
    far.asked();
    // Nothing is said of it there: with wider limits there is nothing wrong.
    far.change(|state| state.problems.clear());
    limited(&mut world, "wide");
    world.restart().await;
    let run = world.sync_well("far").await;
    assert!(run.problems.is_empty(), "{run:#?}");
    assert_eq!(far.asked(), (1, Vec::new()), "nothing came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_here_is_fetched_again_though_nothing_changed_there() {
    let (mut world, far) = world();
    let large = "0123456789abcdef".repeat(1 << 17);
    far.put("large.bin", &large);
    world.sync_well("far").await;
    far.asked();
    let name = ContentHash::of(large.as_bytes()).to_string();
    let file = world.path("data/contents").join(&name[..2]).join(&name);
    let mut bytes = fs::read(&file).unwrap();
    bytes[7] ^= 1;
    fs::File::create(&file).unwrap().write_all(&bytes).unwrap();

    world.sync_well("far").await;
    assert_eq!(far.asked().1, ["large.bin"]);
    world.remove("here/large.bin");
    world.sync_well("far").await;
    assert!(world.read("here/large.bin").unwrap() == large);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_had_is_told_and_had_the_next_time() {
    let (mut world, far) = world();
    far.change(|state| state.refuse("b.md"));
    let run = world.sync("far").await;
    assert_eq!(run.status, RunStatus::Partial, "{run:#?}");
    assert_eq!((run.synced, run.failed), (1, 1));
    let failed = run.items.iter().find(|item| item.key == key("b.md"));
    assert_eq!(
        failed.unwrap().reason.as_deref(),
        Some("it is not given away")
    );
    assert_eq!(world.read("here/a.md").unwrap(), "a");
    let status = world.engine().await.status().await.unwrap();
    assert_eq!(status.sources[0].revision, None, "it is not all of it");

    far.change(|state| state.refused.clear());
    far.asked();
    world.sync_well("far").await;
    assert_eq!(far.asked().1, ["b.md"]);
    assert_eq!(world.read("here/b.md").unwrap(), "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_stays_when_its_change_could_not_be_had() {
    let (mut world, far) = world();
    world.sync_well("far").await;
    far.put("b.md", "b2");
    far.change(|state| state.refuse("b.md"));
    let run = world.sync("far").await;
    assert_eq!((run.status, run.failed), (RunStatus::Partial, 1));
    assert_eq!(world.read("here/b.md").unwrap(), "b");
    // Back to what it was: that is no revision that was ever recorded whole since.
    far.put("b.md", "b");
    world.sync_well("far").await;
    assert_eq!(world.read("here/b.md").unwrap(), "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_to_wait_is_waited_for() {
    let (mut world, far) = world();
    far.change(|state| {
        state.refuse("b.md");
        state.asks_to_wait = true;
    });
    let run = world.sync("far").await;
    assert_eq!(run.status, RunStatus::Partial);
    let status = world.engine().await.status().await.unwrap();
    let wait = status.sources[0]
        .next_due
        .unwrap()
        .duration_since(run.started_at);
    assert!(wait.as_hours() >= 2, "{wait:?}");
    let in_part = &status.sources[0].conditions[0];
    assert!(in_part.message.contains("no more today"), "{in_part:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_reached_is_tried_again_soon_however_often_it_failed() {
    let (mut world, far) = world();
    world.sync_well("far").await;
    far.change(|state| state.is_unreachable = true);
    for _ in 0..6 {
        let run = world.sync("far").await;
        assert_eq!(run.error.as_ref().unwrap().kind, "unreachable");
        let status = world.engine().await.status().await.unwrap();
        let wait = status.sources[0]
            .next_due
            .unwrap()
            .duration_since(run.started_at);
        assert!(wait.as_secs() <= 40, "{wait:?}");
    }
    assert_eq!(world.read("here/b.md").unwrap(), "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_looks_at_everything_and_keeps_nothing() {
    let (mut world, far) = world();
    let engine = world.engine().await;
    let report = engine
        .diff_with_patches(&source("far"), Verb::Sync)
        .await
        .unwrap();
    assert_eq!(report.items.len(), 2, "{report:#?}");
    assert_eq!(far.asked().1.len(), 2);
    assert_eq!(world.tree("here"), BTreeMap::new());
    world.sync_well("far").await;
    assert_eq!(far.asked().1.len(), 2, "nothing was kept before");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_listing_removes_nothing() {
    let (mut world, far) = world();
    world.sync_well("far").await;
    far.change(|state| state.files.clear());
    let run = world.sync("far").await;
    assert_eq!(run.error.as_ref().unwrap().kind, "root-empty");
    assert_eq!(world.tree("here").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_selection_is_listed_anew() {
    let (mut world, far) = world();
    world.sync_well("far").await;
    world.restart().await;
    let spec = world.specs.sources.get_mut(&source("far")).unwrap();
    spec.selection = "another".to_owned();
    // It would say that nothing changed, though what it lists now is another part.
    far.asked();
    far.change(|state| state.refuse("b.md"));
    world.sync_well("far").await;
    assert_eq!(far.asked(), (1, Vec::new()));
    let engine = world.engine().await;
    assert!(matches!(
        engine.diff(&source("nobody"), Verb::Sync).await,
        Err(EngineError::UnknownSource(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn that_nothing_far_away_answers_is_told_once_with_what_is_stale() {
    let (mut world, origin) = world();
    let far = Arc::clone(&origin);
    let other = Arc::new(Far::default());
    other.put("c.md", "c");
    let origin = Arc::clone(&other);
    world.source("other", |spec| spec.origin = origin);
    world.source("near", |_| {});
    world.write("near/n.md", "n");
    world.sync_well("far").await;
    world.sync_well("near").await;
    far.change(|state| state.is_unreachable = true);
    other.change(|state| state.is_unreachable = true);

    world.sync("far").await;
    let status = world.engine().await.status().await.unwrap();
    let offline = status.offline.expect("the other was never tried");
    assert_eq!(offline.sources.len(), 1);
    world.sync("other").await;
    let status = world.engine().await.status().await.unwrap();
    let offline = status.offline.unwrap();
    let stale: Vec<_> = offline
        .sources
        .iter()
        .map(|source| (source.id.as_str(), source.last_success.is_some()))
        .collect();
    assert_eq!(stale, [("far", true), ("other", false)]);
    assert_eq!(offline.reached, offline.sources[0].last_success);
    let far = status.sources.iter().find(|one| one.id == source("far"));
    let ready = &far.unwrap().conditions[0];
    assert_eq!((ready.holds, ready.reason.as_str()), (false, "Offline"));

    other.change(|state| state.is_unreachable = false);
    world.sync_well("other").await;
    let status = world.engine().await.status().await.unwrap();
    assert_eq!(status.offline, None, "one answers, so the network is there");
    let far = status.sources.iter().find(|one| one.id == source("far"));
    assert_eq!(far.unwrap().conditions[0].reason, "LastRunFailed");
}
