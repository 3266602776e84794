//! Merged groups as they are stored: in the form in which agents report groups, which is read by the same code.

use super::records::RowsRecord;
use crate::agent_wire;
use crate::window_groups::WindowGroups;
use pivot_advice::Groups;
use pivot_merge::MergedGroups;
use pivot_protocol::{to_wire, wire};

/// Encodes merged groups.
pub(super) fn encode(rows: &WindowGroups) -> RowsRecord {
    let WindowGroups { groups, emitted, loss, outside, sampled, is_answered, other } = rows;

    let part = wire::Part {
        columns: if groups.is_empty() { Vec::new() } else { groups.encode() },
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
pub(super) fn decode(record: RowsRecord, shape: &MergedGroups) -> WindowGroups {
    let RowsRecord { part, is_answered } = record;
    let mut rows = WindowGroups::new(shape);
    rows.add_report(&agent_wire::stored_part(part.unwrap_or_default()));
    rows.is_answered = is_answered;
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::Value;

    #[test]
    fn rows_that_were_stored_one_after_the_other_are_read_like_those_in_columns() {
        let mut groups = Groups::new(1, &[]);
        groups.entry(&[Value::str("a")]).n = 3;
        let rows = WindowGroups::from(&groups);
        let in_columns = encode(&rows);

        let part = wire::Part { groups: to_wire::groups(&groups), ..wire::Part::default() };
        let in_rows = RowsRecord { part: Some(part), is_answered: false };
        for record in [in_columns, in_rows] {
            assert_eq!(decode(record, &rows.groups).groups.to_groups(), groups);
        }
    }
}
