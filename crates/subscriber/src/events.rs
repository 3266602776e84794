//! What happens at a callsite, as the event of its tracepoint.

use crate::callsites::Slot;
use crate::site::Site;
use crate::visit::Pick;
use pivot_advice::Value;
use pivot_agent::Tracepoint;
use tracing_core::Event;
use tracing_core::span::Attributes;

/// A span begins.
pub(crate) fn begun(slot: &Slot, attributes: &Attributes<'_>) {
    if let Some(site) = slot.site().filter(|site| site.enter.is_woven()) {
        fire(site, site.enter, |pick| attributes.record(pick));
    }
}

/// An event passes.
pub(crate) fn passed(slot: &Slot, event: &Event<'_>) {
    if let Some(site) = slot.site() {
        fire(site, site.enter, |pick| event.record(pick));
    }
}

fn fire(site: &'static Site, tracepoint: &'static Tracepoint, record: impl Fn(&mut Pick)) {
    let own = site.own_fields();
    tracepoint.fire(&|index| {
        if index < own {
            return Pick::from(index, &record);
        }
        tracepoint.fields().get(index).map_or(Value::Null, |(name, _)| site.standing(name))
    });
}
