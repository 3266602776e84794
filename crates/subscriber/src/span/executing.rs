//! What runs here: a task of tokio, or a thread; and in which span.

use crate::callsite::dispatches;
use std::thread::ThreadId;
use tracing_core::dispatcher::get_default;
use tracing_core::{Dispatch, Metadata};

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
    // While a subscriber that is the default of this thread alone handles an event, `tracing` says that there is none.
    get_default(span_name).or_else(|| dispatches::find(span_name))
}

fn span_name(dispatch: &Dispatch) -> Option<&'static str> {
    dispatch.current_span().metadata().map(Metadata::name)
}
