//! What stands between a side and a server: it leads connections on, or does something else when packs are asked for.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

/// Answers in the server's place; `true` lets the question through after all.
type Answerer = dyn Fn(&mut TcpStream) -> bool + Send + Sync;

/// What becomes of questions.
#[derive(Clone)]
enum Manner {
    Lead,
    Fetches(Arc<Answerer>),
    All(Arc<Answerer>),
}

/// One that stands there; it ends with the process.
pub(crate) struct Gateway {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
}

impl Gateway {
    /// Leads everything on to the server of a URL.
    pub(crate) fn start(url: &str) -> Result<Self> {
        let server = url.split('/').nth(2).context("a host")?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let manner = Arc::new(Mutex::new(Manner::Lead));
        let known = Arc::clone(&manner);
        drop(thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, manner) = (server.clone(), Arc::clone(&known));
                drop(thread::spawn(move || lead(client, &server, &manner)));
            }
        }));
        Ok(Self { address, manner })
    }

    /// Returns the URL that leads here instead.
    pub(crate) fn url(&self, url: &str) -> Result<String> {
        let server = url.split('/').nth(2).context("a host")?;
        Ok(url.replace(server, &self.address.to_string()))
    }

    /// Leads everything on again.
    pub(crate) fn lead(&self) {
        self.set(Manner::Lead);
    }

    /// Answers whoever asks for a pack.
    pub(crate) fn on_fetch(&self, answer: impl Fn(&mut TcpStream) -> bool + Send + Sync + 'static) {
        self.set(Manner::Fetches(Arc::new(answer)));
    }

    /// Answers a pack's beginning, and then whatever `answer` writes.
    pub(crate) fn on_fetch_pack(&self, answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) {
        self.on_fetch(move |client| {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\n\
                        Connection: close\r\n\r\n";
            // Whoever went away hears nothing.
            if client.write_all(head.as_bytes()).is_ok() {
                answer(client);
            }
            false
        });
    }

    /// Sends everybody to the server of a URL.
    pub(crate) fn redirect(&self, url: &str) {
        let url = url.to_owned();
        self.set(Manner::All(Arc::new(move |client| {
            let mut question = [0; 4096];
            let read = client.peek(&mut question).unwrap_or_default();
            let question = String::from_utf8_lossy(&question[..read]).into_owned();
            let path = question.split(' ').nth(1).unwrap_or("/").to_owned();
            let server = url.split('/').take(3).collect::<Vec<_>>().join("/");
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: {server}{path}\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            );
            client.write_all(answer.as_bytes()).ok();
            false
        })));
    }

    fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }
}

fn lead(mut client: TcpStream, server: &str, manner: &Mutex<Manner>) -> std::io::Result<()> {
    let mut upstream = TcpStream::connect(server)?;
    let (mut answers, mut heard) = (upstream.try_clone()?, client.try_clone()?);
    drop(thread::spawn(move || {
        let copied = std::io::copy(&mut answers, &mut heard);
        heard.shutdown(Shutdown::Both).ok();
        copied
    }));
    let mut chunk = vec![0; 1 << 20];
    loop {
        // A redirect looks at the question itself.
        let peeked = client.peek(&mut chunk)?;
        let manner = manner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let is_fetch = String::from_utf8_lossy(&chunk[..peeked]).contains("command=fetch");
        let goes_on = match manner {
            Manner::All(answer) => answer(&mut client),
            Manner::Fetches(answer) if is_fetch => answer(&mut client),
            _ => true,
        };
        if !goes_on {
            client.shutdown(Shutdown::Write)?;
            // What is still under way would be lost if the connection were reset.
            while client.read(&mut chunk)? > 0 {}
            return upstream.shutdown(Shutdown::Both);
        }
        let read = client.read(&mut chunk[..peeked.max(1)])?;
        if read == 0 {
            return upstream.shutdown(Shutdown::Write);
        }
        upstream.write_all(&chunk[..read])?;
    }
}

/// Returns a packet of Git's.
pub(crate) fn packet(bytes: &[u8]) -> Vec<u8> {
    [format!("{:04x}", bytes.len() + 4).as_bytes(), bytes].concat()
}
