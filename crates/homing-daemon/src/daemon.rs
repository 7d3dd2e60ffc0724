//! The life of the daemon: lock, service, socket, schedule, reloads, and the way back.

use std::process::ExitCode;
use std::sync::Arc;

use homing_api::Problem;
use homing_config::Locations;
use homing_engine::{Events, NoticeKind};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::{Held, Identity, Live, Shared, router};
use crate::config_watch::ConfigWatch;
use crate::configuration::{Judged, Place};
use crate::figures::Figures;
use crate::lock::Lock;
use crate::service::{Cause, Service};
use crate::signal::{Asked, Signals};
use crate::socket::Socket;
use crate::start::StartError;
use crate::tasks::Tasks;
use crate::{convert, log, server, socket};

/// Clients' reloads that may wait; further ones wait at the door.
const WAITING_RELOADS: usize = 8;

/// Runs until a signal or a client ends it.
///
/// `judged` is the problem that clients hear when there is no valid configuration; nothing is synced then.
pub(crate) async fn run(
    place: Place,
    judged: Result<Judged, Box<Problem>>,
    log: log::Handle,
) -> Result<ExitCode, StartError> {
    let mut signals = Signals::listen()
        .map_err(|error| StartError::system("could not listen to signals", error))?;
    let place = Arc::new(place);
    let locations = &place.locations;
    // Nothing is made for a daemon that cannot start. Where there is a lock it says more than the socket: who has it.
    if !Lock::is_known(&locations.data_dir) {
        socket::refuse_if_answered(&locations.socket)?;
    }
    let lock = Lock::take(&locations.data_dir)?;
    socket::refuse_if_answered(&locations.socket)?;
    // It would write to the same mirrors.
    let outlived = place.kept.mark.end_outlived("git");
    if outlived > 0 {
        tracing::warn!(
            outlived,
            "a git outlived the homingd that began it and was ended"
        );
    }
    let tasks = Tasks::default();
    let figures = Figures::install()
        .map_err(|error| StartError::system("could not begin to count", error))?;
    figures.keep_small(&tasks);
    let mut watch = ConfigWatch::start(&locations.config_file, &locations.drop_in_dir(), &tasks);
    let events = Events::default();
    let starting = Service::start(Arc::clone(&place), judged, log, tasks.clone(), &events);
    let mut service = starting.await?;
    let socket = Socket::bind(&locations.socket, &lock)?;
    let path = socket.path().to_owned();
    let end = CancellationToken::new();
    let (reload, mut requests) = mpsc::channel(WAITING_RELOADS);
    let live = Live::new(Shared {
        engine: service.serving(),
        conditions: service.conditions(),
        identity: identity(locations),
        status: Arc::default(),
        figures: figures.clone(),
        held: Held::default(),
        reload,
        events: events.clone(),
        end: end.clone(),
        stopping: tasks.stopping().clone(),
    });
    let (accepting, routes) = (tasks.clone(), router(live.clone()));
    tasks.spawn(async move { server::serve(socket, routes, accepting).await });
    tracing::info!(socket = %path.display(), pid = std::process::id(), "ready");
    service.begin_schedule().await?;

    // SIGHUP came during a reload.
    let mut again = false;
    let signal = loop {
        let (cause, answer) = tokio::select! {
            () = std::future::ready(()), if again => {
                again = false;
                (Cause::Asked, None)
            }
            asked = signals.next() => match asked {
                Asked::End(signal) => break Some(signal),
                Asked::Reload => {
                    tracing::info!("SIGHUP: the configuration is read again");
                    (Cause::Asked, None)
                }
            },
            () = end.cancelled() => break None,
            Some(answer) = requests.recv() => (Cause::Asked, Some(answer)),
            () = watch.changed() => (Cause::FileChanged, None),
        };
        let before = service.conditions();
        // On the heap: it holds a whole configuration.
        let reload = Box::pin(service.reload(cause));
        let ends = async {
            loop {
                tokio::select! {
                    () = end.cancelled() => return None,
                    asked = signals.next() => match asked {
                        Asked::End(signal) => return Some(signal),
                        Asked::Reload => again = true,
                    },
                }
            }
        };
        let reloaded = match unless_it_ends(reload, ends).await {
            Ok(reloaded) => reloaded,
            Err(signal) => break signal,
        };
        live.change(|shared| {
            shared.engine = service.serving();
            shared.conditions = service.conditions();
        });
        match &reloaded {
            Ok(reloaded) if reloaded.is_empty() && service.conditions() == before => {}
            Ok(_) => events.notice(
                NoticeKind::ConfigReloaded,
                None,
                "another configuration is in force",
            ),
            Err(problem) => events.notice(NoticeKind::ConfigRejected, None, &problem.detail),
        }
        if let Some(answer) = answer {
            // The client may have gone away.
            answer.send(reloaded).ok();
        }
    };
    drop((requests, watch));
    tracing::info!(signal, "stopping: runs under way may finish");
    events.notice(NoticeKind::ShuttingDown, None, "homingd is shutting down");
    let drained = service.drain();
    tokio::pin!(drained);
    let second = loop {
        tokio::select! {
            () = drained.as_mut() => break None,
            asked = signals.next() => match asked {
                Asked::End(second) => break Some(second),
                Asked::Reload => {}
            },
        }
    };
    Ok(match second {
        None => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Some(second) => {
            tracing::warn!(
                "a second signal ends homingd at once; the next start repairs what was under way"
            );
            ExitCode::from(128 + second)
        }
    })
    // The lock goes last, when nothing of this daemon can write any more.
}

/// Reloads, unless the end comes first: files that do not answer must not make homingd deaf.
async fn unless_it_ends<R, E>(
    reload: impl Future<Output = R>,
    ends: impl Future<Output = E>,
) -> Result<R, E> {
    tokio::select! {
        biased;
        reloaded = reload => Ok(reloaded),
        end = ends => Err(end),
    }
}

fn identity(locations: &Locations) -> Identity {
    let now = Timestamp::now();
    Identity {
        boot_id: format!("{:x}-{:x}", now.as_nanosecond(), std::process::id()),
        started_at: convert::time(now),
        config_path: locations.config_file.clone(),
        data_dir: locations.data_dir.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_reload_that_hangs_does_not_keep_the_end_away() {
        let ended = unless_it_ends(pending::<()>(), ready(15)).await;
        assert_eq!(ended, Err(15));
        let reloaded = unless_it_ends(ready("reloaded"), ready(15)).await;
        assert_eq!(reloaded, Ok("reloaded"), "what is done is answered");
    }
}
