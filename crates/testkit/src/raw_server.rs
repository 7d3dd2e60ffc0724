//! A server that answers with whatever bytes a test gives it, however wrong they are.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What answers one connection: it gets the request's lines, and where the answer goes.
type Answerer = dyn Fn(&[String], &mut TcpStream) + Send + Sync;

/// A server on a port of this machine; it ends with the process, or when it is told to.
#[derive(Clone)]
pub struct RawServer {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<Vec<String>>>>,
}

impl RawServer {
    /// Starts one that answers each request with what `answer` writes, and then closes the connection.
    pub fn start(
        answer: impl Fn(&[String], &mut TcpStream) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    /// Starts one where another one was.
    pub fn start_at(
        address: SocketAddr,
        answer: impl Fn(&[String], &mut TcpStream) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let server = Self {
            address: listener.local_addr()?,
            ended: Arc::default(),
            requests: Arc::default(),
        };
        let answer: Arc<Answerer> = Arc::new(answer);
        let requests = Arc::clone(&server.requests);
        let ended = Arc::clone(&server.ended);
        drop(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
                drop(thread::spawn(move || {
                    // A client that went away is no failure of a test.
                    converse(stream, &answer, &requests).ok();
                }));
            }
        }));
        Ok(server)
    }

    /// Starts one that sends the same bytes to everybody.
    pub fn sending(bytes: impl Into<Vec<u8>>) -> std::io::Result<Self> {
        let bytes = bytes.into();
        Self::start(move |_, stream| {
            stream.write_all(&bytes).ok();
        })
    }

    /// Listens no more; whoever connects from now on is refused.
    pub fn stop(self) {
        self.ended.store(true, Ordering::SeqCst);
        // The first connection wakes the listener up; the port is free as soon as one is refused.
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }

    /// Returns the URL of a path there.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the lines of all requests so far.
    pub fn requests(&self) -> Vec<Vec<String>> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn converse(
    mut stream: TcpStream,
    answer: &Arc<Answerer>,
    requests: &Mutex<Vec<Vec<String>>>,
) -> std::io::Result<()> {
    let mut lines = Vec::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(lines.clone());
    answer(&lines, &mut stream);
    stream.flush()?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // What is still under way would be lost if the connection were reset.
    let mut rest = String::new();
    while reader.read_line(&mut rest)? > 0 {
        rest.clear();
    }
    Ok(())
}
