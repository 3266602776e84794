//! Merged groups as they are stored: in the form in which agents report groups, which is read by the same code.

use super::records::RowsRecord;
use crate::agent_wire;
use crate::window_groups::WindowGroups;
use pivot_advice::Groups;
use pivot_protocol::{to_wire, wire};

/// Encodes merged groups.
pub(super) fn encode(rows: &WindowGroups) -> RowsRecord {
    let WindowGroups { groups, emitted, loss, outside, sampled, is_answered, other } = rows;

    let part = wire::Part {
        groups: non_empty(groups),
        loss: Some(to_wire::loss(loss)),
        undecided: loss.undecided,
        outside: to_wire::outside_places(outside),
        emitted: *emitted,
        other: non_empty(other),
        sampled: sampled.groups.as_ref().map(non_empty).unwrap_or_default(),
        weights: sampled.weights,
        squares: sampled.squares,
        ..wire::Part::default()
    };
    RowsRecord { part: Some(part), is_answered: *is_answered }
}

/// Encodes a table of groups; no bytes stand for one without groups.
fn non_empty(groups: &Groups) -> Vec<u8> {
    if groups.is_empty() { Vec::new() } else { to_wire::groups(groups) }
}

/// Decodes merged groups of the given shape. Groups of another shape, and those that cannot be read, count as dropped.
pub(super) fn decode(record: RowsRecord, shape: &Groups) -> WindowGroups {
    let RowsRecord { part, is_answered } = record;
    let part = agent_wire::stored_part(part.unwrap_or_default());
    WindowGroups { is_answered, ..WindowGroups::from_report(shape, &part) }
}
