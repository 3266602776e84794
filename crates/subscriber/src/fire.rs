//! Turns what passes at a callsite into an event of its tracepoint.

use crate::callsite::questions::take_expected;
use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::field_visitor::SingleFieldVisitor;
use pivot_advice::Value;
use tracing_core::Event;
use tracing_core::span::Attributes;

/// Fires the tracepoint of a span's beginning.
pub(crate) fn fire_span_enter(site: &'static CallsiteTracepoints, attributes: &Attributes<'_>) {
    fire(site, |visitor| attributes.record(visitor));
}

/// Fires the tracepoint of an event.
pub(crate) fn fire_event(site: &'static CallsiteTracepoints, event: &Event<'_>) {
    fire(site, |visitor| event.record(visitor));
}

/// Fires the `enter` tracepoint. `record` shows a visitor the callsite's own fields; it runs once for each
/// field that advice observes, and not at all if advice observes none.
fn fire(site: &'static CallsiteTracepoints, record: impl Fn(&mut SingleFieldVisitor)) {
    let (tracepoint, own) = (site.enter, site.own_fields());
    let field = |index| {
        if index < own {
            return SingleFieldVisitor::value_of(index, &record);
        }
        tracepoint.fields().get(index).map_or(Value::Null, |(name, _)| site.common_value(name))
    };

    match take_expected(site.target, tracepoint) {
        Some(expected) => tracepoint.fire_expected(expected, &field),
        None => tracepoint.fire(&field),
    }
}
