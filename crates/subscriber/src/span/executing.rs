//! What runs here: a task of tokio, or a thread; and in which span.

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

/// Returns the name of the span that this thread is in, if the application has one.
pub(crate) fn current_span_name() -> Option<&'static str> {
    let current = tracing_core::dispatcher::get_default(|dispatch| dispatch.current_span());
    current.metadata().map(|metadata| metadata.name())
}
