//! Values that are too long for a cell, each stored once, so that equal values have equal cells.

use crate::run::cells::{Cell, Cells, value_of};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use pivot_advice::Value;
use std::hash::BuildHasher;

/// Values that do not fit into a cell, each once, and by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    values: Vec<Value>,
    index: HashTable<u32>,
    bytes: usize,
    hasher: RandomState,
}

impl Interner {
    pub(crate) fn new(hasher: RandomState) -> Interner {
        Interner { hasher, ..Interner::default() }
    }

    /// Returns about how much memory the values take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of a cell's value, a new one if `room` says so, or `None` if the value is new and there is none.
    pub(crate) fn place(&mut self, cell: Cell, cells: &Cells, room: bool) -> Option<u64> {
        let (hash, value) = match cells.as_long(cell) {
            // Text hashes like the value that it would be, which need not be made to find it.
            Some(text) => (self.hasher.hash_one(text), Err(text)),
            None => {
                let value = cells.value(cell);
                (self.hasher.hash_one(&value), Ok(value))
            }
        };

        let Interner { values, index, bytes, hasher } = self;
        let equal = |place: &u32| match (values.get(*place as usize), &value) {
            (Some(Value::Str(mine)), Err(text)) => **mine == **text,
            (Some(mine), Ok(value)) => mine == value,
            _ => false,
        };
        if let Some(place) = index.find(hash, equal) {
            return Some(u64::from(*place));
        }

        let place = u32::try_from(values.len()).ok().filter(|_| room)?;
        values.push(value.unwrap_or_else(Value::str));
        *bytes += values.last().map_or(0, Value::memory_size);
        index.insert_unique(hash, place, |place| {
            values.get(*place as usize).map_or(0, |value| hasher.hash_one(value))
        });
        Some(u64::from(place))
    }

    /// Returns the value of an interned cell, or of one that is stored in line.
    pub(crate) fn value(&self, cell: Cell) -> Value {
        match cell.is_out_of_line() {
            true => self.values.get(cell.0 as usize).cloned().unwrap_or_default(),
            false => value_of(cell),
        }
    }
}
