//! How many bytes a part of a report takes in a message.

use crate::report::query_report::QueryReport;
use pivot_advice::codec::{ByteWriter, row_size, value_size};
use pivot_advice::{AggregateState, Group, Groups};

/// Losses, costs and ids: more than they ever take.
const FIXED_BYTES: usize = 512;

/// Returns about how many bytes a part takes in a message, rather too many than too few.
pub(crate) fn part_bytes(part: &QueryReport) -> usize {
    let tables = [&part.groups, &part.sampled.groups, &part.other];
    let groups: usize = tables.into_iter().flatten().map(table_bytes).sum();
    FIXED_BYTES + part.left.len() * 9 + groups
}

fn table_bytes(groups: &Groups) -> usize {
    groups.iter().map(group_bytes).sum()
}

/// Returns about how many bytes a group takes.
pub(crate) fn group_bytes(group: &Group) -> usize {
    row_size(&group.key, group.n, 0) + group.states.iter().map(state_bytes).sum::<usize>()
}

fn state_bytes(state: &AggregateState) -> usize {
    match state {
        AggregateState::Count(_) => 10,
        AggregateState::Sum(_) | AggregateState::Average(..) | AggregateState::Moments(_) => 64,
        AggregateState::Min(value) | AggregateState::Max(value) | AggregateState::Any(value) => {
            1 + value_size(value)
        }
        // Sketches grow with what they have seen.
        AggregateState::Distinct(_)
        | AggregateState::Histogram(_)
        | AggregateState::Tally(_)
        | AggregateState::Top(_) => {
            let mut writer = ByteWriter::new();
            writer.state(state);
            writer.into_bytes().len()
        }
    }
}
