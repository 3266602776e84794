//! Customers: each holds a connection and sends one request after the other.
//!
//! Written on a plain socket, so that the driver takes little of the processor that it shares with the service.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CUSTOMERS: usize = 16;

/// The connections to one process.
pub(crate) struct Customers(Vec<BufReader<TcpStream>>);

/// What came of one slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    pub(crate) requests: u64,
    pub(crate) time: Duration,
}

impl Customers {
    /// Connects all of them.
    pub(crate) fn connect(port: u16) -> anyhow::Result<Customers> {
        let connect = |_| -> anyhow::Result<_> {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            Ok(BufReader::new(stream))
        };
        Ok(Customers((0..CUSTOMERS).map(connect).collect::<anyhow::Result<_>>()?))
    }

    /// Has all of them send requests for a time.
    pub(crate) fn run(&mut self, time: Duration) -> anyhow::Result<Slice> {
        let start = Instant::now();

        let requests: anyhow::Result<u64> = std::thread::scope(|threads| {
            let running: Vec<_> = self
                .0
                .iter_mut()
                .enumerate()
                .map(|(customer, stream)| threads.spawn(move || buy(stream, customer, start + time)))
                .collect();
            running.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        Ok(Slice { requests: requests?, time: start.elapsed() })
    }
}

/// Sends requests until `end`, and returns how many.
fn buy(stream: &mut BufReader<TcpStream>, customer: usize, end: Instant) -> anyhow::Result<u64> {
    let mut sent = 0;

    while Instant::now() < end {
        let turn = customer as u64 + sent;
        let product = turn % 24 + 1;
        match turn % 4 {
            0 => request(stream, "/products")?,
            1 => request(stream, &format!("/stars/{product}"))?,
            _ => request(stream, &format!("/products/{product}"))?,
        }
        sent += 1;
    }
    Ok(sent)
}

/// Sends one request and reads its answer.
fn request(stream: &mut BufReader<TcpStream>, path: &str) -> anyhow::Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes())?;

    let (mut line, mut length) = (String::new(), 0);
    stream.read_line(&mut line)?;
    anyhow::ensure!(line.starts_with("HTTP/1.1 200"), "`{path}` was answered `{}`", line.trim());
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    Ok(())
}
