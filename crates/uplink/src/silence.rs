//! Keeps from the application's log what the crates trace by which the uplink reaches its frontend.
//!
//! The bridge of `pivot_subscriber` ends what comes from the agent's threads. Any other subscriber of the application's
//! would get it, so on these threads a [`SilentSubscriber`] takes its place:
//!
//! ```text
//! application's threads ─▶ its subscriber
//! agent's threads ───────▶ SilentSubscriber: nothing is enabled
//! ```
//!
//! `tracing` keeps one interest for each callsite, made of what all subscribers say. So the silent one says what the
//! application's says, and leaves the callsites to it as they are. It is not there while the application has no
//! subscriber: `tracing` stops logging with its feature `log` as soon as there is any.

use pivot_agent::EndsAgentEvents;
use std::cell::RefCell;
use tracing_core::dispatcher::{self, DefaultGuard};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber};

thread_local! {
    static SILENCE: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Exempts this thread, which works for the agent, and keeps silent what it does.
pub(crate) fn begin() {
    pivot_agent::exempt_this_thread();
    keep();
}

/// Keeps this thread silent also if the application has got a subscriber since this was called last.
pub(crate) fn keep() {
    if !dispatcher::has_been_set() {
        return;
    }

    SILENCE.with_borrow_mut(|silence| {
        if silence.is_some() {
            return;
        }
        let application = dispatcher::get_default(Dispatch::clone);
        if !application.is::<NoSubscriber>() && !application.is::<EndsAgentEvents>() {
            *silence = Some(dispatcher::set_default(&Dispatch::new(SilentSubscriber(application))));
        }
    });
}

/// Gives this thread the application's subscriber again, before it ends.
pub(crate) fn end() {
    drop(SILENCE.take());
}

/// A subscriber that gets nothing, and says about callsites what the application's says.
struct SilentSubscriber(Dispatch);

impl Subscriber for SilentSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }

    /// Returns a level that raises nothing: that of the application's subscriber counts.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // Of a callsite that is always on; nobody looks at it.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
