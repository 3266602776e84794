//! What happens at a callsite, as the event of its tracepoint.

use crate::site::Site;
use crate::visit::Pick;
use pivot_advice::Value;
use tracing_core::Event;
use tracing_core::span::Attributes;

/// A span begins.
pub(crate) fn begun(site: &'static Site, attributes: &Attributes<'_>) {
    fire(site, |pick| attributes.record(pick));
}

/// An event passes.
pub(crate) fn passed(site: &'static Site, event: &Event<'_>) {
    fire(site, |pick| event.record(pick));
}

fn fire(site: &'static Site, record: impl Fn(&mut Pick)) {
    let (tracepoint, own) = (site.enter, site.own_fields());
    tracepoint.fire(&|index| {
        if index < own {
            return Pick::from(index, &record);
        }
        tracepoint.fields().get(index).map_or(Value::Null, |(name, _)| site.standing(name))
    });
}
