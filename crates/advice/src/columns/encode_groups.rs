//! Groups in rows, as agents gather them, written as a block of columns.

use super::column_block::{ColumnBlock, ColumnBlockWriter};
use crate::groups::Groups;

impl ColumnBlock {
    /// Encodes groups as a block.
    pub fn encode(groups: &Groups) -> Vec<u8> {
        let aggregates = groups.aggregates();
        let mut writer = ColumnBlockWriter::new(groups.len(), groups.keys(), aggregates);

        for column in 0..groups.keys() {
            writer.value_keys(groups.iter().map(move |group| &group.key[column]));
        }
        let multiplicities: Vec<u64> = groups.iter().map(|group| group.n).collect();
        writer.multiplicities(&multiplicities);
        for (column, aggregate) in aggregates.iter().enumerate() {
            writer.states(*aggregate, groups.iter().map(move |group| &group.states[column]));
        }
        writer.into_bytes()
    }
}
