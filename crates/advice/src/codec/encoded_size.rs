//! How many bytes items take in the byte form, without writing them.

use super::varint::varint_size;
use crate::groups::Groups;
use crate::value::Value;

/// About how many bytes the rows of groups take, without writing them.
pub fn size(groups: &Groups) -> usize {
    groups.iter().map(|group| row_size(&group.key, group.n, group.states.len())).sum()
}

/// The same of one row with so many states.
#[inline]
pub fn row_size(key: &[Value], n: u64, states: usize) -> usize {
    key.iter().map(value_size).sum::<usize>() + varint_size(n) + 4 * states
}

/// The same of a value.
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
