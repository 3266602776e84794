//! Values that do not fit into a cell, each kept once, so that equal values get equal cells.
//!
//! ```text
//!   cell in Cells             interner                               cell in a key
//!   LONG, offset, length ──▶  0  "a user name that does not fit" ──▶ LONG, number 0
//!                             1  [3, 4]
//! ```
//!
//! An out-of-line cell says where its event has put the value, which differs from event to event. Interned, it says
//! the number of the value instead, and keys are compared as words again. Numbers mean something in one table only,
//! and nothing is removed: the interner goes with its table at the next drain.

use crate::run::cells::{Cell, Cells, value_of};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use pivot_advice::Value;
use std::hash::BuildHasher;

/// The values of keys that do not fit into cells, each once, by number.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    values: Vec<Value>,
    /// The numbers of values, by the hash of the value.
    index: HashTable<u32>,
    /// About how much memory the values take.
    bytes: usize,
    hasher: RandomState,
}

/// Whether a value that is not interned yet may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewValuePolicy {
    /// There is room: the value gets a number.
    Accepted,
    /// The table is full: only values that are there have numbers.
    Refused,
}

impl Interner {
    /// Returns an interner without values that hashes by this state.
    pub(crate) fn new(hasher: RandomState) -> Interner {
        Interner { hasher, ..Interner::default() }
    }

    /// Returns about how many bytes the values take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of an out-of-line cell's value. A value that is not there yet gets a number if new
    /// values are accepted, and is `None` otherwise.
    pub(crate) fn intern(&mut self, cell: Cell, cells: &Cells, new_values: NewValuePolicy) -> Option<u64> {
        // Text hashes like the `Value` of it, so that one is made only for text that is not there yet.
        let (hash, value) = match cells.as_long(cell) {
            Some(text) => (self.hasher.hash_one(text), Err(text)),
            None => {
                let value = cells.value(cell);
                (self.hasher.hash_one(&value), Ok(value))
            }
        };

        let Interner { values, index, bytes, hasher } = self;
        let known = index.find(hash, |number| match (values.get(*number as usize), &value) {
            (Some(Value::Str(known)), Err(text)) => **known == **text,
            (Some(known), Ok(value)) => known == value,
            _ => false,
        });
        if let Some(number) = known {
            return Some(u64::from(*number));
        }

        let number = u32::try_from(values.len()).ok().filter(|_| new_values == NewValuePolicy::Accepted)?;
        values.push(value.unwrap_or_else(Value::str));
        *bytes += values.last().map_or(0, Value::memory_size);
        index.insert_unique(hash, number, |number| {
            values.get(*number as usize).map_or(0, |value| hasher.hash_one(value))
        });
        Some(u64::from(number))
    }

    /// Returns the value of a key's cell.
    pub(crate) fn value(&self, cell: Cell) -> Value {
        match cell.is_out_of_line() {
            true => self.values.get(cell.0 as usize).cloned().unwrap_or_default(),
            false => value_of(cell),
        }
    }
}
