//! The uplink's thread, and the application's handle on it.

use crate::config::Config;
use crate::error::UplinkError;
use crate::link::Link;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How long a dropped uplink waits for its last reports to be acknowledged.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the application asks of the thread.
#[derive(Debug)]
pub(crate) enum Request {
    /// Report what there is; answer when the frontend has merged it.
    Flush(oneshot::Sender<()>),
    /// The same, then leave.
    Leave(oneshot::Sender<()>),
}

/// A running agent. Dropping it reports what is left, for two seconds at most, and unweaves everything.
#[derive(Debug)]
pub struct Uplink {
    requests: Option<mpsc::UnboundedSender<Request>>,
    thread: Option<std::thread::JoinHandle<()>>,
    woven: Arc<Woven>,
}

/// Says when the first answer of a frontend has been woven.
#[derive(Debug, Default)]
pub(crate) struct Woven {
    happened: Mutex<bool>,
    changed: Condvar,
}

impl Woven {
    pub(crate) fn set(&self) {
        *self.happened.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn wait(&self, timeout: Duration) -> bool {
        let happened = self.happened.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(happened, timeout, |happened| !*happened);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Uplink {
    pub(crate) fn start(config: Config) -> Result<Uplink, UplinkError> {
        let woven = Arc::new(Woven::default());
        if config.disabled {
            pivot_baggage::generation::set_woven_here(0);
            return Ok(Uplink { requests: None, thread: None, woven });
        }
        let endpoint = tonic::transport::Endpoint::from_shared(config.frontend.clone())
            .map_err(|_| UplinkError::Address { address: config.frontend.clone() })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (requests, received) = mpsc::unbounded_channel();
        if config.flush_on_panic {
            flush_on_panic(requests.downgrade());
        }
        let link = Link::new(config, endpoint, Arc::clone(&woven));
        let run = move || runtime.block_on(link.run(received));
        let thread = std::thread::Builder::new().name("pivot-uplink".into()).spawn(run)?;
        Ok(Uplink { requests: Some(requests), thread: Some(thread), woven })
    }

    /// Waits until the queries that a frontend has installed are woven here. False if none answered in time.
    pub fn wait_until_woven(&self, timeout: Duration) -> bool {
        self.woven.wait(timeout)
    }

    /// Reports what there is and waits until the frontend has merged it. False if it has not in time.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.ask(Request::Flush, timeout)
    }

    fn ask(&self, request: fn(oneshot::Sender<()>) -> Request, timeout: Duration) -> bool {
        let requests = self.requests.as_ref().filter(|_| !pivot_agent::is_forked());
        requests.is_some_and(|requests| ask(requests, request, timeout))
    }
}

fn ask(
    requests: &mpsc::UnboundedSender<Request>,
    request: fn(oneshot::Sender<()>) -> Request,
    timeout: Duration,
) -> bool {
    let (answer, mut answered) = oneshot::channel();
    if requests.send(request(answer)).is_err() {
        return false;
    }
    let deadline = Instant::now() + timeout;
    // Polled, because the caller may be inside a runtime that must not be entered twice.
    while Instant::now() < deadline {
        match answered.try_recv() {
            Ok(()) => return true,
            Err(oneshot::error::TryRecvError::Closed) => return false,
            Err(oneshot::error::TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    false
}

/// Has every panic report what there is, while the uplink lives.
fn flush_on_panic(requests: mpsc::WeakUnboundedSender<Request>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        // A panic of the uplink's own thread would wait for itself, one inside an event for its drain.
        let asks = pivot_agent::takes_events() && !pivot_agent::is_forked();
        if let Some(requests) = requests.upgrade().filter(|_| asks) {
            ask(&requests, Request::Flush, FAREWELL);
        }
    }));
}

impl Drop for Uplink {
    fn drop(&mut self) {
        if pivot_agent::is_forked() {
            // The thread is the parent's, and so is what would wake it.
            std::mem::forget(self.requests.take());
            return;
        }
        let settled = self.ask(Request::Leave, FAREWELL);
        self.requests = None;
        if let Some(thread) = self.thread.take().filter(|_| settled) {
            // It has answered, so it is about to end.
            let _ = thread.join();
        }
    }
}
