//! How many bytes items take in the byte form, without writing them.

use super::varint::varint_size;
use crate::groups::Groups;
use crate::value::Value;

/// Returns about how many bytes the rows of groups take.
pub fn groups_size(groups: &Groups) -> usize {
    groups.iter().map(|group| row_size(&group.key, group.n, group.states.len())).sum()
}

/// Returns about how many bytes one row takes, given the number of its states.
#[inline]
pub fn row_size(key: &[Value], n: u64, states: usize) -> usize {
    key.iter().map(value_size).sum::<usize>() + varint_size(n) + 4 * states
}

/// Returns about how many bytes a value takes: exactly, but for integers at the border of two lengths.
pub fn value_size(value: &Value) -> usize {
    1 + match value {
        Value::Null | Value::Bool(_) => 0,
        Value::I64(x) => varint_size(x.unsigned_abs().saturating_mul(2)),
        Value::U64(x) => varint_size(*x),
        Value::F64(_) | Value::Timestamp(_) | Value::Duration(_) => 8,
        Value::Str(x) => varint_size(x.len() as u64) + x.len(),
        Value::Bytes(x) => varint_size(x.len() as u64) + x.len(),
        Value::List(items) => varint_size(items.len() as u64) + items.iter().map(value_size).sum::<usize>(),
    }
}
