//! Which connections there are, and which of them gives way when there is no room for another.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::HttpBody;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// Connections at the same time; further ones wait in the socket's backlog.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// When there is no room, a connection must give way that has been without a whole request for this long …
const ASKING_TIME: Duration = Duration::from_millis(500);
/// … and one that has not said anything at all for this long. Half a request's head gives way at once: clients write
/// a head in one piece, so that what comes in two is nobody's who is in a hurry.
const SILENT_TIME: Duration = Duration::from_millis(100);
/// When there is no room, a connection must give way whose client has not taken any of its answer for this long.
const TAKING_TIME: Duration = Duration::from_secs(1);

/// The open connections. Clones are handles of the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    table: Mutex<Table>,
    /// Told when somebody leaves, or may have to leave later.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    open: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// From when on it may be closed for another one; `None` while homingd itself is at work for it.
    may_go: Option<Instant>,
    /// Whether the head of a request is waited for.
    awaits_head: bool,
    close: CancellationToken,
}

/// One connection's place, free again when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Place(Arc<Seat>);

#[derive(Debug)]
struct Seat {
    number: u64,
    /// Whether the client is waited for; told anew whenever it did something.
    clients_turn: watch::Sender<bool>,
    close: CancellationToken,
    connections: Connections,
}

impl Connections {
    /// Waits for a place. Where all are taken, the one that has been idle or slow for longest is closed.
    pub(crate) async fn enter(&self) -> Place {
        loop {
            let may_go = match self.try_enter() {
                Ok(place) => return place,
                Err(may_go) => may_go,
            };
            match may_go {
                // Whether the time has come or something has changed: look again.
                Some(at) => drop(timeout_at(at, self.0.changed.notified()).await),
                None => self.0.changed.notified().await,
            }
        }
    }

    /// Takes a place, or tells when the next may become free by force.
    fn try_enter(&self) -> Result<Place, Option<Instant>> {
        let mut table = self.lock();
        if table.open.len() >= MAX_CONNECTIONS {
            let first = table
                .open
                .iter()
                .filter_map(|(number, entry)| Some((entry.may_go?, *number)))
                .min();
            let (at, number) = first.ok_or(None)?;
            if at > Instant::now() {
                return Err(Some(at));
            }
            if let Some(entry) = table.open.remove(&number) {
                entry.close.cancel();
            }
        }
        table.last += 1;
        let number = table.last;
        let close = CancellationToken::new();
        table.open.insert(
            number,
            Entry {
                may_go: Some(Instant::now() + SILENT_TIME),
                awaits_head: true,
                close: close.clone(),
            },
        );
        Ok(Place(Arc::new(Seat {
            number,
            clients_turn: watch::Sender::new(true),
            close,
            connections: self.clone(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until the connection must give way to another.
    pub(crate) async fn closed(&self) {
        self.0.close.cancelled().await;
    }

    /// Waits until the client has done nothing for `grace` while it was its turn: to send the rest of a request, or to
    /// take an answer.
    pub(crate) async fn client_is_silent(&self, grace: Duration) {
        let mut turn = self.0.clients_turn.subscribe();
        loop {
            let of_client = *turn.borrow_and_update();
            // The sender lives as long as `self`, so waiting for a change cannot fail.
            tokio::select! {
                () = sleep(grace), if of_client => return,
                _ = turn.changed() => {}
            }
        }
    }

    /// The client's turn: homingd waits for its next request.
    fn asks(&self) {
        self.set(Some(Instant::now() + ASKING_TIME), true);
    }

    /// Something came and nothing more: where the head is not whole, that is half a request.
    fn is_cut_short(&self) {
        let connections = &self.0.connections;
        if let Some(entry) = connections.lock().open.get_mut(&self.0.number)
            && entry.awaits_head
        {
            entry.may_go = entry.may_go.min(Some(Instant::now()));
        } else {
            return;
        }
        connections.0.changed.notify_one();
    }

    /// The head is whole, and the body is waited for.
    fn sends_body(&self) {
        self.set(Some(Instant::now() + ASKING_TIME), false);
    }

    /// homingd's turn: the request is whole.
    fn is_answered(&self) {
        self.set(None, false);
    }

    /// The client's turn again: it takes the answer.
    fn takes(&self) {
        self.set(Some(Instant::now() + TAKING_TIME), false);
    }

    fn set(&self, may_go: Option<Instant>, awaits_head: bool) {
        self.0.clients_turn.send_replace(may_go.is_some());
        let connections = &self.0.connections;
        if let Some(entry) = connections.lock().open.get_mut(&self.0.number) {
            entry.may_go = may_go;
            entry.awaits_head = awaits_head;
        }
        if may_go.is_some() {
            connections.0.changed.notify_one();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.number);
        self.connections.0.changed.notify_one();
    }
}

/// The client's end of a connection; what comes from it tells whether there is half a request.
pub(crate) struct Incoming<S> {
    stream: S,
    place: Place,
    /// Whether something came since the last time that nothing was there.
    came: bool,
}

impl<S> Incoming<S> {
    /// Watches what comes.
    pub(crate) fn new(stream: S, place: Place) -> Self {
        Self {
            stream,
            place,
            came: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Incoming<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.came |= buffer.filled().len() > before;
        } else if std::mem::take(&mut self.came) {
            self.place.is_cut_short();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Incoming<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The body of a request; when it is whole, it is homingd's turn.
pub(crate) struct Asked<B> {
    body: B,
    place: Place,
}

impl<B: HttpBody> Asked<B> {
    /// Watches a body whose head has just come.
    pub(crate) fn new(body: B, place: Place) -> Self {
        if body.is_end_stream() {
            place.is_answered();
        } else {
            place.sends_body();
        }
        Self { body, place }
    }
}

impl<B: HttpBody + Unpin> HttpBody for Asked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.place.is_answered();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer; it is the client's turn when it is taken, and again when it is done.
pub(crate) struct Answered<B> {
    body: B,
    place: Place,
}

impl<B: HttpBody> Answered<B> {
    /// Watches a body that is about to be sent.
    pub(crate) fn new(body: B, place: Place) -> Self {
        place.takes();
        Self { body, place }
    }
}

impl<B: HttpBody + Unpin> HttpBody for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        // Asked for more, homingd has room for it: the client has taken what came before. While there is nothing to
        // send, as in a quiet stream of events, it is not the client who is slow.
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match frame {
            Poll::Ready(_) => self.place.takes(),
            Poll::Pending => self.place.is_answered(),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Answered<B> {
    fn drop(&mut self) {
        self.place.asks();
    }
}

#[cfg(test)]
mod tests;
