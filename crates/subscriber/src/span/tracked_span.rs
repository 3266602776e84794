//! [`TrackedSpan`]: what is known of one span that somebody waits for, until it is closed.

use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::field_visitor::SingleFieldVisitor;
use crate::span::executing::Executing;
use pivot_advice::Value;
use pivot_agent::Export;
use pivot_baggage::CarriedRequest;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A span that somebody waits for.
#[derive(Debug)]
pub(crate) struct TrackedSpan {
    pub(crate) site: &'static CallsiteTracepoints,
    /// Whether its end is an event. Not if it began before the end was woven: its values were not kept.
    fires_at_end: bool,
    /// Values that the advice at the end observes, by the index of their field.
    pub(crate) values: Vec<(usize, Value)>,
    /// When it began, if its end is an event.
    opened: Option<Instant>,
    /// When the first of the threads that are inside entered it.
    entered: Option<Instant>,
    /// How often it was entered and not left, if its end is an event.
    depth: u32,
    /// How long anybody was inside.
    busy: Duration,
    /// Handles on it, if its id is ours; the application's subscriber counts its own.
    pub(crate) handles: usize,
    /// The request that it carries, if it is a carrier or was made in a request.
    pub(crate) carried: Option<Arc<CarriedRequest>>,
    /// Who entered it first, if a request began with it.
    pub(crate) opener: Option<Executing>,
}

impl TrackedSpan {
    /// Returns a span that begins now.
    pub(crate) fn new(
        site: &'static CallsiteTracepoints,
        values: Vec<(usize, Value)>,
        carried: Option<Arc<CarriedRequest>>,
    ) -> TrackedSpan {
        let fires_at_end = site.exit.is_some_and(|exit| exit.is_woven());

        TrackedSpan {
            site,
            fires_at_end,
            values,
            opened: fires_at_end.then(Instant::now),
            entered: None,
            depth: 0,
            busy: Duration::ZERO,
            handles: 1,
            carried,
            opener: None,
        }
    }

    /// Returns whether it takes the time that threads are inside.
    pub(crate) fn is_timed(&self) -> bool {
        self.fires_at_end
    }

    /// Returns whether it matters to a thread that enters it from within a request: the span of another request takes
    /// the thread there.
    pub(crate) fn matters_inside(&self) -> bool {
        self.fires_at_end || self.carried.as_ref().is_some_and(|carried| !carried.is_child())
    }

    /// Notes that a thread enters. Returns the request that the span carries.
    pub(crate) fn enter(&mut self) -> Option<Arc<CarriedRequest>> {
        if self.fires_at_end {
            self.depth += 1;
            if self.depth == 1 {
                self.entered = Some(Instant::now());
            }
        }

        let carried = self.carried.as_ref()?;
        if carried.is_root() {
            match self.opener {
                None => self.opener = Some(Executing::here()),
                // Whoever opened the request had not done with it after all.
                Some(opener) if carried.is_answered() && opener == Executing::here() => {
                    carried.set_answered(false);
                }
                Some(_) => {}
            }
        }
        Some(Arc::clone(carried))
    }

    /// Notes that a thread leaves.
    pub(crate) fn exit(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0
            && let Some(entered) = self.entered.take()
        {
            self.busy += entered.elapsed();
        }
    }

    /// Ends the span: its end is an event, if that is woven.
    pub(crate) fn end(mut self) {
        match self.carried.take() {
            // The end is part of the request that the span carries.
            Some(carried) => carried.close(|| self.fire()),
            None => self.fire(),
        }
    }

    /// Fires the tracepoint of the span's end, if it is woven and was when the span began.
    fn fire(&self) {
        let Some(exit) = self.site.exit.filter(|exit| self.fires_at_end && exit.is_woven()) else { return };

        let elapsed = self.opened.map_or(Duration::ZERO, |opened| opened.elapsed());
        // Own fields come first, then those that every span has, by their names.
        exit.fire(&|index| {
            if index < self.site.own_fields() {
                let kept = self.values.iter().find(|(field, _)| *field == index);
                return kept.map_or(Value::Null, |(_, value)| value.clone());
            }
            match exit.fields().get(index).map_or("", |(name, _)| name) {
                "elapsed" => elapsed.export(),
                "busy" => self.busy.export(),
                "idle" => elapsed.saturating_sub(self.busy).export(),
                common => self.site.common_value(common),
            }
        });
    }
}

/// Returns a value to be kept for the end of a span; null if formatting it, which is the application's
/// code, panics: a request must not fail because it is observed.
pub(crate) fn evaluate(index: usize, record: impl FnOnce(&mut SingleFieldVisitor)) -> Value {
    catch_unwind(AssertUnwindSafe(|| SingleFieldVisitor::value_of(index, record))).unwrap_or_default()
}
