//! An envelope for values that go through channels, queues and maps.
//!
//! Whoever takes the value out says what the message means: `join` if it continues its own request
//! with what the message brings, `run` or `process` if it works for the request of the message. A
//! task that serves many requests, one by one or in batches, is in none of them by itself.

use crate::baggage::Baggage;
use crate::carry::current::{detach, fork, join, rejoin, run_in};
use crate::carry::future::FutureExt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

/// A value and a branch of the request that sent it.
///
/// A clone is another branch, so each receiver of a broadcast has its own.
///
/// ```
/// # use pivot_baggage::{Traced, enter_request};
/// let (send, receive) = std::sync::mpsc::channel();
/// let scope = enter_request(None);
/// send.send(Traced::new("value"))?;
/// let value = receive.recv()?.join();
/// # drop((value, scope));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Traced<T> {
    value: T,
    branch: RejoinOnDrop,
}

/// A baggage that rejoins the current request when it is dropped there, such as that of a message
/// which could not be sent.
#[derive(Debug)]
struct RejoinOnDrop(Mutex<Option<Baggage>>);

impl RejoinOnDrop {
    fn new(baggage: Option<Baggage>) -> RejoinOnDrop {
        RejoinOnDrop(Mutex::new(baggage))
    }

    fn get(&mut self) -> &mut Option<Baggage> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RejoinOnDrop {
    fn drop(&mut self) {
        if let Some(baggage) = self.get().take() {
            rejoin(baggage);
        }
    }
}

impl<T> Traced<T> {
    /// Sends a branch of the current request along with a value.
    #[track_caller]
    pub fn new(value: T) -> Traced<T> {
        Traced { value, branch: RejoinOnDrop::new(fork()) }
    }

    /// The same for a message from which nothing comes back.
    pub fn detached(value: T) -> Traced<T> {
        Traced { value, branch: RejoinOnDrop::new(detach()) }
    }

    /// Takes the value out and joins the branch into the current request.
    #[track_caller]
    pub fn join(mut self) -> T {
        if let Some(baggage) = self.branch.get().take() {
            join(baggage);
        }
        self.value
    }

    /// A value that has come with a branch, or from outside any request.
    pub fn from_parts(value: T, baggage: Option<Baggage>) -> Traced<T> {
        Traced { value, branch: RejoinOnDrop::new(baggage) }
    }

    /// Takes the value and its branch apart. The branch is None if it was sent outside any request.
    pub fn into_parts(mut self) -> (T, Option<Baggage>) {
        let baggage = self.branch.get().take();
        (self.value, baggage)
    }

    /// Runs `work` in the request of the message and leaves the message as it is: the way to go
    /// through a batch, of which each message belongs to another request.
    pub fn within<R>(&mut self, work: impl FnOnce(&mut T) -> R) -> R {
        let Traced { value, branch } = self;
        match branch.get() {
            None => outside(|| work(value)),
            baggage => run_in(baggage, || work(value)),
        }
    }

    /// Runs `work` in the request of the message. What it gives goes on in the same branch.
    pub fn run<R>(self, work: impl FnOnce(T) -> R) -> Traced<R> {
        let (value, mut baggage) = self.into_parts();
        let value = match &mut baggage {
            None => outside(|| work(value)),
            baggage => run_in(baggage, || work(value)),
        };
        Traced { value, branch: RejoinOnDrop::new(baggage) }
    }

    /// The same for asynchronous work.
    pub async fn process<F: Future>(self, work: impl FnOnce(T) -> F) -> Traced<F::Output> {
        let (future, baggage) = self.run(work).into_parts();
        let (value, baggage) = match baggage {
            None => (future.await, None),
            Some(baggage) => {
                let (value, baggage) = future.in_baggage(baggage).await;
                (value, Some(baggage))
            }
        };
        Traced { value, branch: RejoinOnDrop::new(baggage) }
    }
}

/// A message from outside any request is not of the request that happens to run here.
fn outside<R>(work: impl FnOnce() -> R) -> R {
    run_in(&mut None, work)
}

impl<T: Clone> Clone for Traced<T> {
    fn clone(&self) -> Traced<T> {
        let mut branch = self.branch.0.lock().unwrap_or_else(PoisonError::into_inner);
        Traced { value: self.value.clone(), branch: RejoinOnDrop::new(branch.as_mut().map(Baggage::fork)) }
    }
}
