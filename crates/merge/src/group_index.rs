//! The hash table of a table of groups: from the hash of a key to the number of its group.
//!
//! Open addressing with linear probing, at most half full. A slot has 8 bytes: the upper half of the hash, by which
//! nearly all other keys are told apart without a look at them, and the number of the group plus one; 0 is empty.

/// The slots of an index that is new.
const FIRST_SLOTS: usize = 64;

/// From the hashes of keys to the numbers of their groups. The keys are with the caller.
#[derive(Debug, Clone)]
pub(crate) struct GroupIndex {
    /// A power of two of them.
    slots: Vec<u64>,
}

impl GroupIndex {
    /// Returns an index without groups.
    pub(crate) fn new() -> GroupIndex {
        GroupIndex { slots: vec![0; FIRST_SLOTS] }
    }

    /// Returns the group that has a hash and for which `is_equal` holds, or `None` if there is none.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is_equal: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = hash as usize;

        loop {
            let slot = self.slots.get(place & mask).copied().unwrap_or(0);
            if slot == 0 {
                return None;
            }
            if slot >> 32 == hash >> 32 {
                let group = (slot as u32 - 1) as usize;
                if is_equal(group) {
                    return Some(group);
                }
            }
            place += 1;
        }
    }

    /// Adds the group that comes behind all others, whose hashes are given in their order, its own as the last.
    #[cold]
    pub(crate) fn push(&mut self, hashes: &[u64]) {
        if hashes.len() * 2 > self.slots.len() {
            let slots = self.slots.len() * 4;
            self.rebuild(slots, hashes);
        } else if let [.., hash] = hashes {
            self.insert(*hash, hashes.len() - 1);
        }
    }

    /// Makes the index anew of the hashes of all groups.
    pub(crate) fn rebuild_from(&mut self, hashes: &[u64]) {
        self.rebuild(self.slots.len(), hashes);
    }

    fn rebuild(&mut self, slots: usize, hashes: &[u64]) {
        self.slots = vec![0; slots];
        hashes.iter().enumerate().for_each(|(group, hash)| self.insert(*hash, group));
    }

    fn insert(&mut self, hash: u64, group: usize) {
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        while self.slots[place] != 0 {
            place = (place + 1) & mask;
        }
        self.slots[place] = hash >> 32 << 32 | (group as u64 + 1);
    }
}
