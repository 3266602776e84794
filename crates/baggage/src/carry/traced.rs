//! A wrapper for values that go through channels, queues and maps, with a branch of the request that sent
//! them.
//!
//! Whoever takes the value out says what the message means:
//!
//! - [`Traced::join`]: the receiver goes on with its own request, and what the message brings happened
//!   before.
//! - [`Traced::run`], [`Traced::process`]: the receiver works for the request of the message, and may send
//!   the result back in the same branch, over a channel that came with the message: [`Traced::answer`].
//! - [`Traced::within`]: the receiver goes through a batch, of which each message belongs to another request.
//!
//! A task that serves many requests, one by one or in batches, is in none of them by itself.

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

/// A baggage that rejoins the current request when it is dropped there, as that of a message which could not
/// be sent.
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
    /// Returns a value with a branch of the current request.
    #[track_caller]
    pub fn new(value: T) -> Traced<T> {
        Traced { value, branch: RejoinOnDrop::new(fork()) }
    }

    /// Returns a value with a detached branch of the current request, for a message from which nothing comes
    /// back.
    pub fn detached(value: T) -> Traced<T> {
        Traced { value, branch: RejoinOnDrop::new(detach()) }
    }

    /// Joins the branch into the current request, and returns the value.
    #[track_caller]
    pub fn join(mut self) -> T {
        if let Some(baggage) = self.branch.get().take() {
            join(baggage);
        }
        self.value
    }

    /// Returns a value that has arrived with a branch, or from outside any request.
    pub fn from_parts(value: T, baggage: Option<Baggage>) -> Traced<T> {
        Traced { value, branch: RejoinOnDrop::new(baggage) }
    }

    /// Returns the value and its branch, which is `None` if the value was sent outside any request.
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

    /// Runs `work` in the request of the message, and returns its result with the same branch.
    pub fn run<R>(self, work: impl FnOnce(T) -> R) -> Traced<R> {
        let (value, mut baggage) = self.into_parts();
        let value = match &mut baggage {
            None => outside(|| work(value)),
            baggage => run_in(baggage, || work(value)),
        };
        Traced { value, branch: RejoinOnDrop::new(baggage) }
    }

    /// Runs asynchronous `work` in the request of the message, and returns its result with the same branch.
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

impl<S, A> Traced<(S, A)> {
    /// Splits a message that was worked on into the place for the answer and the answer, which has the branch of the
    /// message: whoever asked joins it, and then what happened for the message happened before.
    ///
    /// ```
    /// use pivot_baggage::{Traced, enter_request};
    /// use std::sync::mpsc;
    ///
    /// struct Question {
    ///     number: u64,
    ///     reply_to: mpsc::Sender<Traced<u64>>,
    /// }
    ///
    /// let (ask, questions) = mpsc::channel::<Traced<Question>>();
    /// let worker = std::thread::spawn(move || {
    ///     for question in questions {
    ///         let worked = question.run(|question| (question.reply_to, question.number + 1));
    ///         let (reply_to, answer) = worked.answer();
    ///         let _ = reply_to.send(answer);
    ///     }
    /// });
    ///
    /// let scope = enter_request(None);
    /// let (reply_to, answers) = mpsc::channel();
    /// ask.send(Traced::new(Question { number: 41, reply_to }))?;
    /// assert_eq!(answers.recv()?.join(), 42);
    /// # drop((scope, ask));
    /// # worker.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// With asynchronous work, [`Traced::process`] stands in place of [`Traced::run`].
    pub fn answer(self) -> (S, Traced<A>) {
        let ((place, answer), baggage) = self.into_parts();
        (place, Traced::from_parts(answer, baggage))
    }
}

/// Runs `work` outside any request: a message from outside is not of the request that happens to run here.
fn outside<R>(work: impl FnOnce() -> R) -> R {
    run_in(&mut None, work)
}

impl<T: Clone> Clone for Traced<T> {
    fn clone(&self) -> Traced<T> {
        let mut branch = self.branch.0.lock().unwrap_or_else(PoisonError::into_inner);
        Traced { value: self.value.clone(), branch: RejoinOnDrop::new(branch.as_mut().map(Baggage::fork)) }
    }
}
