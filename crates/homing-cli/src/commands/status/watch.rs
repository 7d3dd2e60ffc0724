//! `homing status --watch`

use std::io::{self, IsTerminal};
use std::time::Duration;

use homing_api::{Event, Exit, Problem, ProblemKind, Status};
use homing_client::{ClientError, EventStream};
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::{ask, show};
use crate::arguments::StatusArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::live::{FullScreen, terminal_size};
use crate::output::{Report, Screen};

/// How often it is drawn when nothing happens, for the times that it shows; also the pause before a daemon that does
/// not answer is asked again.
const REDRAW: Duration = Duration::from_secs(1);

/// Draws the status anew whenever it changes, until a signal ends it.
pub(super) async fn run(args: &StatusArgs, context: &Context) -> Result<Report, CliError> {
    if context.json || !io::stdout().is_terminal() {
        let problem = Problem::new(ProblemKind::BadRequest, "`--watch` needs a terminal");
        let hint = "for programs: `homing events --follow --json`";
        return Err(problem.with_hint(hint).into());
    }
    let mut watch = Watch {
        // What is wrong from the beginning is an error, and not a screen.
        events: Some(context.client.events(true, None).await?),
        status: ask(args, context).await?,
        trouble: None,
        is_outdated: false,
    };
    show(&mut watch.status.clone(), args, context.now, context.screen)?;
    let mut signals = Signals::listen()?;
    let screen = FullScreen::enter()?;
    let mut redraw = interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut drawn = None;
    loop {
        let (columns, rows) = terminal_size().unwrap_or((80, 24));
        let shown = Screen {
            width: Some(columns),
            ..context.screen
        };
        watch.count_anew(args, context).await;
        let frame = Some((watch.text(args, shown), columns, rows));
        if drawn != frame
            && let Some((text, _, rows)) = &frame
            && !screen.draw(text, *rows)?
        {
            break;
        }
        drawn = frame;
        tokio::select! {
            _ = redraw.tick() => watch.reconnect(context).await,
            () = watch.changed() => {}
            ends = signals.next() => if ends { break },
        }
    }
    drop(screen);
    Ok(Report::printed(Exit::Done))
}

/// What is shown.
struct Watch {
    events: Option<EventStream>,
    status: Status,
    /// Why it may be out of date.
    trouble: Option<String>,
    /// Something changed since the details were counted, which no event tells.
    is_outdated: bool,
}

impl Watch {
    fn text(&self, args: &StatusArgs, screen: Screen) -> String {
        let mut status = self.status.clone();
        let trouble = self.trouble.as_ref().map(|trouble| screen.warning(trouble));
        // A name that a reload took away shows nothing.
        let text = show(&mut status, args, Timestamp::now(), screen)
            .unwrap_or_else(|_| screen.warning("a source or target that was named is gone"));
        trouble.unwrap_or_default() + &text
    }

    /// Asks for the details again, when they are shown and something changed.
    async fn count_anew(&mut self, args: &StatusArgs, context: &Context) {
        if args.detailed
            && std::mem::take(&mut self.is_outdated)
            && let Ok(status) = ask(args, context).await
        {
            self.status = status;
        }
    }

    /// Waits until something is to be shown anew.
    async fn changed(&mut self) {
        let Some(events) = &mut self.events else {
            return std::future::pending().await;
        };
        match events.next().await {
            Ok(Some(message)) => self.take(message.event),
            Ok(None) => self.lost("homingd has ended the stream"),
            Err(error) => self.lost(&error.to_string()),
        }
    }

    fn lost(&mut self, why: &str) {
        self.events = None;
        self.trouble = Some(format!("{why}; this is how it was before"));
    }

    async fn reconnect(&mut self, context: &Context) {
        if self.events.is_some() {
            return;
        }
        match context.client.events(true, None).await {
            Ok(events) => {
                self.events = Some(events);
                self.trouble = None;
            }
            Err(ClientError::NotRunning { .. }) => self.lost("homingd is not running"),
            Err(error) => self.lost(&error.to_string()),
        }
    }

    fn take(&mut self, event: Event) {
        self.is_outdated |= matches!(
            event,
            Event::Snapshot(_) | Event::Source(_) | Event::Target(_) | Event::Daemon(_)
        );
        match event {
            Event::Snapshot(status) => self.status = *status,
            Event::Source(changed) => {
                let known = self.status.sources.iter_mut();
                for source in known.filter(|source| source.id == changed.source.id) {
                    source.clone_from(&changed.source);
                }
            }
            Event::Target(changed) => {
                let known = self.status.targets.iter_mut();
                for target in known.filter(|target| target.id == changed.target.id) {
                    target.clone_from(&changed.target);
                }
            }
            Event::Daemon(changed) => self.status.daemon = changed.daemon,
            _ => {}
        }
    }
}

/// Signals that end it, and the one that says that the terminal has another size.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    resized: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// Waits for the next signal; tells whether it ends the command.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => true,
            _ = self.hang_up.recv() => true,
            _ = self.resized.recv() => false,
        }
    }
}
