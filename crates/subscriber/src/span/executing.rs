//! What runs here: a task of tokio, or a thread.

use std::thread::ThreadId;

/// A task of tokio, or a thread that runs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Executing {
    Task(tokio::task::Id),
    Thread(ThreadId),
}

impl Executing {
    /// Returns what runs here.
    pub(crate) fn here() -> Executing {
        match tokio::task::try_id() {
            Some(task) => Executing::Task(task),
            None => Executing::Thread(std::thread::current().id()),
        }
    }
}
