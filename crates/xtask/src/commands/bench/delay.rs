//! A long way to a server: what it answers arrives later than it was sent.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Bytes and when they may arrive.
type Due = (Instant, Vec<u8>);

/// Begins to lead connections to `server` and returns where; every byte of an answer is held back for `delay`.
///
/// It goes on until the process ends.
pub(crate) fn begin(server: SocketAddr, delay: Duration) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A connection that cannot be led on is closed, which its client notices.
            drop(lead(client, server, delay));
        }
    });
    Ok(address)
}

fn lead(client: TcpStream, server: SocketAddr, delay: Duration) -> Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        drop(std::io::copy(&mut from_client, &mut to_server));
        drop(to_server.shutdown(Shutdown::Write));
    });
    let (later, due) = channel();
    thread::spawn(move || receive(server, &later, delay));
    thread::spawn(move || deliver(client, &due));
    Ok(())
}

fn receive(mut server: TcpStream, later: &Sender<Due>, delay: Duration) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count) = server.read(&mut buffer) {
        let due = (Instant::now() + delay, buffer[..count].to_vec());
        if count == 0 || later.send(due).is_err() {
            return;
        }
    }
}

fn deliver(mut client: TcpStream, due: &Receiver<Due>) {
    for (when, bytes) in due {
        thread::sleep(when.saturating_duration_since(Instant::now()));
        if client.write_all(&bytes).is_err() {
            break;
        }
    }
    drop(client.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_arrives_whole_and_late() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let delay = Duration::from_millis(30);
        let address = begin(server.local_addr().unwrap(), delay).unwrap();
        let answering = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut question = [0; 4];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(&question).unwrap();
        });
        let begun = Instant::now();
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"ping").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ping");
        assert!(begun.elapsed() >= delay);
        answering.join().unwrap();
    }
}
