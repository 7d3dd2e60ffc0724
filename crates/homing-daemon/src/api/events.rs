//! `GET /v1/events`

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use homing_api::{
    Announcement, ConflictsChanged, DaemonChanged, Event, EventsQuery, Problem, ProblemKind,
    Resync, ResyncReason, RunChanged, RunMoved, SourceChanged, TargetChanged, routes,
};
use homing_engine as engine;
use homing_engine::{Listener, NoticeKind, Told};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::extract::Params;
use super::{Api, Live, status};
use crate::convert;
use crate::problem::Refusal;
use crate::server::Leash;

/// How often a stream on which nothing happens shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A comment: clients pass over it, and a connection that is gone is noticed.
const COMMENT: &[u8] = b":\n\n";

/// Tells how everything is, and then what happens until the client or the daemon goes.
#[utoipa::path(
    get,
    path = routes::EVENTS,
    operation_id = "follow_events",
    tag = "daemon",
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was read"),
    ),
    responses((
        status = 200,
        description = "Server-sent events; the schema is that of the data of one event",
        body = Event,
        content_type = "text/event-stream",
    )),
)]
pub(super) async fn follow(
    State(live): State<Live>,
    Params(query): Params<EventsQuery>,
    leash: Option<Extension<Arc<Leash>>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let held = Api::from_ref(&live).0.held.stream()?;
    let follows = query.follow.unwrap_or(true);
    let stream = Stream::begin(live, last_event_id(&headers)?, follows, held).await?;
    if let Some(Extension(leash)) = leash {
        leash.hold(stream.listener.cut());
    }
    let body = Body::from_stream(stream::unfold(stream, async |mut stream| {
        let bytes = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), stream))
    }));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, body).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<(String, u64)>, Refusal> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let id = value.to_str().unwrap_or_default();
    let (boot_id, number) = id.rsplit_once(':').unwrap_or_default();
    let number = number.parse().map_err(|_error: std::num::ParseIntError| {
        let detail = format!("`Last-Event-ID` is none of ours: `{}`", id.escape_debug());
        Refusal::from(
            Problem::new(ProblemKind::BadRequest, detail)
                .with_hint("send the `id` of the last event that was read, or nothing"),
        )
    })?;
    Ok(Some((boot_id.to_owned(), number)))
}

/// One client's stream.
struct Stream {
    live: Live,
    /// What is in force now.
    api: Api,
    listener: Listener,
    /// What is to be sent before anything new.
    waiting: VecDeque<Bytes>,
    heartbeat: Interval,
    /// The number after which the stream ends.
    ends_after: Option<u64>,
    ended: bool,
    /// The room that it takes among the streams.
    _held: OwnedSemaphorePermit,
}

impl Stream {
    async fn begin(
        live: Live,
        last: Option<(String, u64)>,
        follows: bool,
        held: OwnedSemaphorePermit,
    ) -> Result<Self, Refusal> {
        let api = Api::from_ref(&live);
        let (events, ours) = (&api.0.events, api.0.identity.boot_id.clone());
        let is_ours = |(boot_id, _): &(String, u64)| *boot_id == ours;
        let resumed = last
            .as_ref()
            .filter(|last| is_ours(last))
            .and_then(|(_, number)| events.listen_after(*number));
        let is_resumed = resumed.is_some();
        let listener = resumed.unwrap_or_else(|| {
            if follows {
                events.listen()
            } else {
                events.listen_from_oldest()
            }
        });
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        let mut stream = Self {
            ends_after: (!follows).then(|| listener.last_told()),
            listener,
            waiting: VecDeque::new(),
            heartbeat,
            ended: false,
            live,
            _held: held,
            api,
        };
        if let Some(last) = last.filter(|_| !is_resumed) {
            let reason = if is_ours(&last) {
                ResyncReason::Gap
            } else {
                ResyncReason::Restarted
            };
            stream.resync(reason);
        }
        if !is_resumed {
            let number = stream.listener.position();
            stream.snapshot(Some(number)).await?;
        }
        Ok(stream)
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.waiting.pop_front() {
                self.heartbeat.reset();
                return Some(bytes);
            }
            let is_over = self
                .ends_after
                .is_some_and(|last| self.listener.position() >= last);
            if self.ended || is_over {
                return None;
            }
            tokio::select! {
                biased;
                told = self.listener.next() => match told {
                    Ok(told) => self.tell(&told).await,
                    // Whoever cannot follow comes back and gets a snapshot.
                    Err(engine::CutOff) => self.ended = true,
                },
                // The last word was told before.
                () = self.api.0.stopping.cancelled() => self.ended = true,
                _ = self.heartbeat.tick() => return Some(Bytes::from_static(COMMENT)),
            }
        }
    }

    async fn tell(&mut self, told: &Told) {
        // The configuration may be another one than when the stream began.
        self.api = Api::from_ref(&self.live);
        let reloaded = matches!(
            &told.event,
            engine::Event::Notice(notice) if notice.kind == NoticeKind::ConfigReloaded
        );
        // No number is missing, so this is no resync: sources and targets may have come or gone. It stands before the
        // notice and has no number, so that whoever goes on after the notice has read it.
        if reloaded && let Err(refusal) = self.snapshot(None).await {
            return self.give_up(refusal);
        }
        match wire(&self.api, told).await {
            Ok(event) => self.push(&event, Some(told.number)),
            Err(refusal) => self.give_up(refusal),
        }
    }

    /// Adds how everything is; it is at least as new as the event of this number.
    async fn snapshot(&mut self, number: Option<u64>) -> Result<(), Refusal> {
        let status = status::document(&self.api).await?;
        self.push(&Event::Snapshot(Box::new(status)), number);
        Ok(())
    }

    fn resync(&mut self, reason: ResyncReason) {
        self.push(&Event::Resync(Resync { reason }), None);
    }

    /// Ends the stream where nothing true can be told: the client comes back and hears why.
    fn give_up(&mut self, refusal: Refusal) {
        let problem = refusal.problem();
        tracing::warn!(detail = problem.detail, "a stream of events ends early");
        self.ended = true;
    }

    fn push(&mut self, event: &Event, number: Option<u64>) {
        let id = number.map(|number| format!("id: {}:{number}\n", self.api.0.identity.boot_id));
        // A document has text, numbers and lists only, so it can always be written; JSON has no line break in it.
        let data = serde_json::to_string(event).unwrap_or_default();
        let text = format!(
            "{}event: {}\ndata: {data}\n\n",
            id.unwrap_or_default(),
            event.name()
        );
        self.waiting.push_back(text.into());
    }
}

/// Returns an event as the interface tells it.
async fn wire(api: &Api, told: &Told) -> Result<Event, Refusal> {
    let at = convert::time(told.at);
    let run = |report: &engine::RunReport| {
        let run = convert::run(report.clone());
        Box::new(RunChanged {
            at: at.clone(),
            run,
        })
    };
    let moved = |moved: &engine::RunMoved| RunMoved {
        at: at.clone(),
        run: moved.run.0,
        source: moved.source.as_ref().map(ToString::to_string),
        target: moved.target.as_ref().map(ToString::to_string),
        progress: convert::progress(moved.progress),
    };
    Ok(match &told.event {
        engine::Event::RunQueued(report) => Event::RunQueued(run(report)),
        engine::Event::RunStarted(report) => Event::RunStarted(run(report)),
        engine::Event::RunPhase(report) => Event::RunPhase(moved(report)),
        engine::Event::RunProgress(report) => Event::RunProgress(moved(report)),
        engine::Event::RunFinished(report) => Event::RunFinished(run(report)),
        engine::Event::Source(status) => {
            let source = convert::source(status.as_ref().clone());
            Event::Source(Box::new(SourceChanged { at, source }))
        }
        engine::Event::Target(status) => {
            let target = convert::target(status.as_ref().clone());
            Event::Target(Box::new(TargetChanged { at, target }))
        }
        engine::Event::Conflicts(changed) => {
            let list = |conflicts: &[engine::ConflictReport]| {
                conflicts.iter().cloned().map(convert::conflict).collect()
            };
            Event::Conflicts(ConflictsChanged {
                at,
                opened: list(&changed.opened),
                closed: list(&changed.closed),
                more: changed.more,
            })
        }
        engine::Event::Daemon => {
            let daemon = status::document(api).await?.daemon;
            Event::Daemon(DaemonChanged { at, daemon })
        }
        engine::Event::Notice(notice) => Event::Notice(Announcement {
            at,
            kind: notice.kind.as_str().into(),
            source: notice.source.as_ref().map(ToString::to_string),
            message: notice.message.clone(),
        }),
    })
}

#[cfg(test)]
mod tests;
