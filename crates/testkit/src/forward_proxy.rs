//! A forward proxy that knows names which nobody else resolves.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use base64::Engine as _;

/// A proxy on a free port of this machine; it ends with the process.
#[derive(Clone)]
pub struct ForwardProxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    names: BTreeMap<String, SocketAddr>,
    /// What `Proxy-Authorization` must say.
    login: Option<String>,
    asked: Mutex<Vec<String>>,
}

impl ForwardProxy {
    /// Starts one that leads these names there, whatever the port, and anybody else nowhere.
    pub fn start(names: &[(&str, SocketAddr)]) -> io::Result<Self> {
        Self::begin(names, None)
    }

    /// Starts one that wants a user and a password.
    pub fn with_login(
        names: &[(&str, SocketAddr)],
        user: &str,
        password: &str,
    ) -> io::Result<Self> {
        let pair = format!("{user}:{password}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        Self::begin(names, Some(format!("Basic {encoded}")))
    }

    fn begin(names: &[(&str, SocketAddr)], login: Option<String>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let names = names.iter().map(|(name, to)| ((*name).to_owned(), *to));
        let state = Arc::new(State {
            names: names.collect(),
            login,
            asked: Mutex::default(),
        });
        let proxy = Self {
            address: listener.local_addr()?,
            state: Arc::clone(&state),
        };
        drop(thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                drop(thread::spawn(move || {
                    // Either end may go away at any time.
                    state.serve(client).ok();
                }));
            }
        }));
        Ok(proxy)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the first lines of all requests since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        let mut asked = self
            .state
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *asked)
    }
}

impl State {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let lines = head(&mut reader)?;
        let Some((first, headers)) = lines.split_first() else {
            return Ok(());
        };
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(first.clone());
        let authorization = headers.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("proxy-authorization")
                .then(|| value.trim().to_owned())
        });
        if self.login.is_some() && authorization != self.login {
            return refuse(
                &mut client,
                "407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"proxy\"",
            );
        }
        let mut words = first.split(' ');
        let (method, target) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let (authority, path) = if method == "CONNECT" {
            (target, "")
        } else {
            let rest = target.strip_prefix("http://").unwrap_or_default();
            rest.find('/').map_or((rest, "/"), |at| rest.split_at(at))
        };
        let name = authority.split(':').next().unwrap_or_default();
        let Some(server) = self
            .names
            .get(name)
            .and_then(|to| TcpStream::connect(to).ok())
        else {
            return refuse(&mut client, "502 Bad Gateway");
        };
        if method == "CONNECT" {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        } else {
            let mut asked = format!("{method} {path} HTTP/1.1\r\n");
            let own = ["proxy-", "connection:"];
            for line in headers {
                if !own
                    .iter()
                    .any(|own| line.to_ascii_lowercase().starts_with(own))
                {
                    asked += line;
                    asked += "\r\n";
                }
            }
            // Each request has a connection of its own: the next one may be for another server.
            asked += "connection: close\r\n\r\n";
            (&server).write_all(asked.as_bytes())?;
        }
        relay(client, server, reader)
    }
}

/// Reads the lines up to the first empty one.
fn head(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            return Ok(lines);
        }
        lines.push(line.trim_end().to_owned());
    }
}

fn refuse(client: &mut TcpStream, status: &str) -> io::Result<()> {
    write!(
        client,
        "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

/// Passes bytes on in both directions until both have ended.
fn relay(client: TcpStream, server: TcpStream, mut up: BufReader<TcpStream>) -> io::Result<()> {
    let mut to_server = server.try_clone()?;
    let upwards = thread::spawn(move || {
        io::copy(&mut up, &mut to_server).ok();
        to_server.shutdown(Shutdown::Write).ok();
    });
    let (mut from_server, mut to_client) = (server, client);
    io::copy(&mut from_server, &mut to_client)?;
    // The answer is whole, so nobody waits for more of either.
    to_client.shutdown(Shutdown::Both)?;
    drop(upwards.join());
    Ok(())
}
