//! What happens at a callsite, as the event of its tracepoint.

use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::field_visitor::FieldVisitor;
use pivot_advice::Value;
use tracing_core::Event;
use tracing_core::span::Attributes;

/// A span begins.
pub(crate) fn fire_span_enter(site: &'static CallsiteTracepoints, attributes: &Attributes<'_>) {
    fire(site, |visitor| attributes.record(visitor));
}

/// An event passes.
pub(crate) fn fire_event(site: &'static CallsiteTracepoints, event: &Event<'_>) {
    fire(site, |visitor| event.record(visitor));
}

fn fire(site: &'static CallsiteTracepoints, record: impl Fn(&mut FieldVisitor)) {
    let (tracepoint, own) = (site.enter, site.own_fields());
    tracepoint.fire(&|index| {
        if index < own {
            return FieldVisitor::value_of(index, &record);
        }
        tracepoint.fields().get(index).map_or(Value::Null, |(name, _)| site.standing(name))
    });
}
