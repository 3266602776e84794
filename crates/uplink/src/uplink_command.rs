//! What passes between the application's handle and the uplink's thread.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// A request of the application to the uplink's thread, with the channel for the answer.
#[derive(Debug)]
pub(crate) enum UplinkCommand {
    /// Report all that was gathered; answered when the frontend has merged it.
    Flush(oneshot::Sender<()>),
    /// Unweave everything, report what is left, and end; answered when the frontend has merged it.
    Leave(oneshot::Sender<()>),
}

/// Sends a command and waits for its answer; false if the thread has ended or does not answer in time.
pub(crate) fn ask(
    commands: &mpsc::UnboundedSender<UplinkCommand>,
    command: fn(oneshot::Sender<()>) -> UplinkCommand,
    timeout: Duration,
) -> bool {
    let (answer, mut answered) = oneshot::channel();
    if commands.send(command(answer)).is_err() {
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

/// Tells waiting threads that the first `Desired` of a frontend has been woven. Once raised it stays so.
#[derive(Debug, Default)]
pub(crate) struct WovenSignal {
    is_raised: Mutex<bool>,
    raised: Condvar,
}

impl WovenSignal {
    /// Wakes all who wait, now and later.
    pub(crate) fn raise(&self) {
        *self.is_raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.raised.notify_all();
    }

    /// Returns whether anything was woven so far.
    pub(crate) fn is_raised(&self) -> bool {
        *self.is_raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the signal; returns false if it was not raised in time.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let is_raised = self.is_raised.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.raised.wait_timeout_while(is_raised, timeout, |is_raised| !*is_raised);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
