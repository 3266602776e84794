//! Finds the row of a key among the bytes of a grouped bag: a hash table with **open addressing** and linear
//! probing.
//!
//! Each slot is the low half of a hash and the offset at which a row begins, eight bytes in all; keys are
//! compared where they lie. The table is made when a bag has more rows than are looked through, has at least
//! four slots for three rows, and grows by rehashing what it has. Offsets of 0 mark free slots: no row begins
//! there, since the head of the bag does.

use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The rows of a grouped bag by the hashes of their keys.
#[derive(Debug, Clone)]
pub(crate) struct RowIndex {
    slots: Vec<RowSlot>,
    hasher: RandomState,
}

/// Where a row begins, and the low half of its key's hash.
#[derive(Debug, Clone, Copy, Default)]
struct RowSlot {
    hash: u32,
    /// The offset of the row in the bytes of the bag; 0 if the slot is free.
    offset: u32,
}

/// A free slot of an index, and the hash of the key that belongs there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct VacantRowSlot {
    slot: usize,
    hash: u32,
}

impl RowIndex {
    /// Returns an index without rows, with room for so many and as many again.
    pub(crate) fn with_room(rows: usize) -> RowIndex {
        let size = (4 * rows).next_power_of_two();
        RowIndex { slots: vec![RowSlot::default(); size], hasher: RandomState::default() }
    }

    /// Returns where the row begins that has this key, or the free slot for it. There always is one.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8], key: &[u8]) -> Result<usize, VacantRowSlot> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        let (mask, hash) = (self.slots.len() - 1, hasher.finish() as u32);
        let mut slot = hash as usize & mask;

        loop {
            match self.slots[slot] {
                RowSlot { offset: 0, .. } => return Err(VacantRowSlot { slot, hash }),
                // Keys tell their own length, so a row that starts with the key has that key.
                RowSlot { hash: other, offset }
                    if other == hash && bytes[offset as usize..].starts_with(key) =>
                {
                    return Ok(offset as usize);
                }
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// Notes where a row begins, in the slot that was found for it.
    #[inline]
    pub(crate) fn insert(&mut self, VacantRowSlot { slot, hash }: VacantRowSlot, begin: usize) {
        // A row beyond what an offset can tell is not found again: it stands in the bag more than once, and
        // is one group where the rows are grouped.
        self.slots[slot] = RowSlot { hash, offset: u32::try_from(begin).unwrap_or(0) };
    }

    /// Grows, if the index has less than four slots for three rows.
    #[inline]
    pub(crate) fn reserve(&mut self, rows: usize) {
        if 3 * self.slots.len() <= 4 * rows {
            self.grow();
        }
    }

    /// Doubles the slots.
    #[cold]
    fn grow(&mut self) {
        let size = 2 * self.slots.len();
        let old = std::mem::replace(&mut self.slots, vec![RowSlot::default(); size]);

        for row in old.into_iter().filter(|row| row.offset > 0) {
            let mut slot = row.hash as usize & (size - 1);
            while self.slots[slot].offset > 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = row;
        }
    }
}
