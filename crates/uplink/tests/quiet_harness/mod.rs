//! A frontend that never answers, and a subscriber that wants everything.
#![allow(dead_code)]

use std::io::Read;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Metadata, Subscriber};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns whether a target or tracepoint is of the crates that the uplink uses to reach its frontend.
pub(crate) fn is_of_transport(name: &str) -> bool {
    ["h2", "hyper", "tonic", "tower", "mio", "tokio"].iter().any(|krate| name.starts_with(krate))
}

/// A subscriber that wants everything, and keeps the targets of what it gets.
#[derive(Clone, Default)]
pub(crate) struct Everything(Arc<Mutex<Vec<String>>>);

impl Everything {
    /// Returns the targets so far of crates that the uplink uses.
    pub(crate) fn of_transport(&self) -> Vec<String> {
        let targets = self.0.lock().unwrap();
        targets.iter().filter(|target| is_of_transport(target)).cloned().collect()
    }

    fn note(&self, metadata: &Metadata<'_>) {
        self.0.lock().unwrap().push(metadata.target().to_owned());
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.note(attributes.metadata());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.note(event.metadata());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A frontend that reads what it is sent, and ends each connection soon.
pub(crate) struct Listening {
    port: u16,
    connections: Arc<AtomicU64>,
}

impl Listening {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until so many connections were opened, sent something and ended.
    pub(crate) fn wait_for_connections(&self, count: u64) {
        let until = Instant::now() + PATIENCE;
        while self.connections.load(SeqCst) < count {
            assert!(Instant::now() < until, "nobody connects");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub(crate) fn frontend_that_listens() -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connections = Arc::new(AtomicU64::new(0));
    let frontend =
        Listening { port: listener.local_addr().unwrap().port(), connections: connections.clone() };

    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let mut bytes = [0; 1024];
            while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
            drop(stream);
            connections.fetch_add(1, SeqCst);
        }
    });
    frontend
}

/// Connects as the application, with the crates that the uplink uses.
pub(crate) fn connect(port: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    runtime.block_on(async { drop(endpoint.connect().await) });
}
