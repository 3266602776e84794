//! Rows grouped by key, each group with its multiplicity and partial aggregates.
//!
//! One structure serves three purposes, because they are one relation at three moments: the rows packed in a
//! bag, the rows emitted in a process, and the rows merged in the frontend.
//!
//! ```text
//! key: (host, path)     n    SUM(bytes)   MAX(latency)
//! (dn-1, /a)            3    3072         7 ms
//! (dn-2, /a)            1    1024         2 ms
//! ```
//!
//! A vector of groups in the order of first appearance, and a hash table of their positions (4 bytes each)
//! with the keys left in the vector: about 100 bytes a group beside its key and states. Looking a key up
//! costs a hash of its values and, nearly always, one comparison.

use crate::aggregate::{AggregateKind, AggregateState};
use crate::value::Value;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash, Hasher};

/// A group: `n` rows that agree on the key, and the partial aggregates over them.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The values that the rows agree on.
    pub key: Box<[Value]>,
    /// The multiplicity: how many rows there are.
    pub n: u64,
    /// One state for each aggregate of the table, over all these rows.
    pub states: Box<[AggregateState]>,
}

/// How much a table may hold when other groups are [absorbed](Groups::absorb).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupLimit {
    /// The most groups in the table.
    pub groups: usize,
    /// The most memory of the groups that are new to the table, in bytes; about.
    pub new_bytes: usize,
}

/// The outcome of groups that were [absorbed](Groups::absorb).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AbsorbOutcome {
    /// The memory of the groups that were new to the table, in bytes; about.
    pub new_bytes: usize,
    /// Rows that are lost because the two tables have different shapes.
    pub dropped: u64,
}

impl Group {
    /// Returns how much memory a group takes, in bytes: about, and without what sketches grow to.
    pub fn memory_size(key: &[Value], states: usize) -> usize {
        // The group and its entry in the table; then 64 for each state, which is what the larger ones take.
        96 + key.iter().map(Value::memory_size).sum::<usize>() + states * 64
    }

    /// Adds the rows of a group with the same key and aggregates.
    pub fn merge(&mut self, n: u64, states: &[AggregateState]) {
        self.n = self.n.saturating_add(n);
        self.states.iter_mut().zip(states).for_each(|(mine, theirs)| mine.merge(theirs));
    }
}

/// A table of groups. Iterates in order of first appearance.
#[derive(Clone)]
pub struct Groups {
    keys: usize,
    aggregates: Box<[AggregateKind]>,
    groups: Vec<Group>,
    index: HashTable<u32>,
    hasher: RandomState,
}

impl Groups {
    /// Returns an empty table of rows with `keys` key columns and one state for each aggregate.
    pub fn new(keys: usize, aggregates: &[AggregateKind]) -> Groups {
        let hasher = RandomState::default();
        Groups { keys, aggregates: aggregates.into(), groups: Vec::new(), index: HashTable::new(), hasher }
    }

    /// Returns an empty table of this shape.
    pub fn empty_like(&self) -> Groups {
        Groups::new(self.keys, &self.aggregates)
    }

    /// Returns the number of key columns of a row.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Returns the aggregates whose states a group carries.
    pub fn aggregates(&self) -> &[AggregateKind] {
        &self.aggregates
    }

    /// Whether rows of the other table fit into this one.
    pub fn same_shape(&self, other: &Groups) -> bool {
        self.keys == other.keys && self.aggregates == other.aggregates
    }

    /// Returns the number of groups.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Returns how many rows the groups stand for.
    pub fn rows(&self) -> u64 {
        self.groups.iter().fold(0, |sum, group| sum.saturating_add(group.n))
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Returns the groups in the order of their first appearance.
    pub fn iter(&self) -> std::slice::Iter<'_, Group> {
        self.groups.iter()
    }

    /// Returns the number of rows behind all groups.
    pub fn row_count(&self) -> u64 {
        self.iter().fold(0, |sum, group| sum.saturating_add(group.n))
    }

    /// Returns the group of a key, or `None` if there is none.
    pub fn get(&self, key: &[Value]) -> Option<&Group> {
        let found = self.index.find(self.hash(key), |i| *self.groups[*i as usize].key == *key);
        found.map(|i| &self.groups[*i as usize])
    }

    /// Returns the group of a key, and adds an empty one if there is none. The key has [`Groups::keys`]
    /// values.
    pub fn entry(&mut self, key: &[Value]) -> &mut Group {
        debug_assert_eq!(key.len(), self.keys, "a key has one value for each key column");
        let hash = self.hash(key);

        // Borrowed apart from each other: the table asks for the keys in `groups` while it is changed.
        let Groups { groups, index, hasher, .. } = self;
        let entry = index.entry(
            hash,
            |i| *groups[*i as usize].key == *key,
            |i| hash_key(hasher, &groups[*i as usize].key),
        );

        let place = match entry {
            hashbrown::hash_table::Entry::Occupied(found) => *found.get() as usize,
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                let place = groups.len();
                vacant.insert(u32::try_from(place).unwrap_or(u32::MAX));
                let states = self.aggregates.iter().map(|aggregate| aggregate.empty()).collect();
                groups.push(Group { key: key.into(), n: 0, states });
                place
            }
        };
        &mut self.groups[place]
    }

    /// Adds the rows of another table of the same shape.
    pub fn merge(&mut self, other: &Groups) {
        debug_assert!(self.same_shape(other), "tables of different shapes do not merge");
        other.iter().for_each(|group| self.entry(&group.key).merge(group.n, &group.states));
    }

    /// Adds the rows of another table within a limit; rows of groups that find no room are added to `other`,
    /// which has no key columns. They are missing from their group, then, but not from the result.
    ///
    /// Tables of different shapes do not merge: all rows are dropped and counted. Only an agent and a
    /// frontend that disagree about a query have such.
    pub fn absorb(&mut self, theirs: &Groups, limit: GroupLimit, other: &mut Groups) -> AbsorbOutcome {
        if !self.same_shape(theirs) {
            return AbsorbOutcome { dropped: theirs.row_count(), ..AbsorbOutcome::default() };
        }

        let mut new_bytes = 0;
        for group in theirs {
            let is_known = self.get(&group.key).is_some();
            let has_room = self.len() < limit.groups && new_bytes < limit.new_bytes;
            // Rows of known groups always fit; they take no memory but in sketches, which are bounded.
            if is_known || has_room {
                self.entry(&group.key).merge(group.n, &group.states);
            } else {
                other.entry(&[]).merge(group.n, &group.states);
            }
            if !is_known && has_room {
                new_bytes += Group::memory_size(&group.key, group.states.len());
            }
        }
        AbsorbOutcome { new_bytes, dropped: 0 }
    }

    /// Keeps the groups that the condition accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&Group) -> bool) {
        let kept = std::mem::take(&mut self.groups).into_iter().filter(|group| keep(group));
        let mut table = self.empty_like();
        kept.for_each(|group| table.entry(&group.key).merge(group.n, &group.states));
        *self = table;
    }

    fn hash(&self, key: &[Value]) -> u64 {
        hash_key(&self.hasher, key)
    }
}

fn hash_key(hasher: &RandomState, key: &[Value]) -> u64 {
    let mut state = hasher.build_hasher();
    key.iter().for_each(|value| value.hash(&mut state));
    state.finish()
}

/// Two tables are equal if they are equal as relations: whatever the order of their groups.
impl PartialEq for Groups {
    fn eq(&self, other: &Groups) -> bool {
        self.same_shape(other)
            && self.len() == other.len()
            && self.iter().all(|group| other.get(&group.key) == Some(group))
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.groups).finish()
    }
}

impl<'a> IntoIterator for &'a Groups {
    type Item = &'a Group;
    type IntoIter = std::slice::Iter<'a, Group>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, u64)]) -> Groups {
        let mut groups = Groups::new(1, &[]);
        rows.iter().for_each(|(key, n)| groups.entry(&[Value::str(key)]).merge(*n, &[]));
        groups
    }

    #[test]
    fn rows_with_equal_keys_are_one_group() {
        let groups = table(&[("a", 1), ("b", 2), ("a", 3)]);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups.get(&[Value::str("a")]).map(|group| group.n), Some(4));
        assert_eq!(groups.get(&[Value::str("c")]), None);
    }

    #[test]
    fn merging_is_commutative() {
        let (a, b) = (table(&[("a", 1), ("b", 2)]), table(&[("b", 5), ("c", 7)]));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b);
        ba.merge(&a);
        assert_eq!(ab, ba);
    }

    #[test]
    fn groups_beyond_a_limit_become_other_rows() {
        let (mut mine, mut other) = (table(&[("a", 1)]), Groups::new(0, &[]));
        let by_number = GroupLimit { groups: 2, new_bytes: usize::MAX };
        let absorbed = mine.absorb(&table(&[("a", 2), ("b", 3), ("c", 4)]), by_number, &mut other);
        assert_eq!((mine.clone(), other.row_count()), (table(&[("a", 3), ("b", 3)]), 4));
        assert_eq!(absorbed.new_bytes, Group::memory_size(&[Value::str("b")], 0));

        let by_memory = GroupLimit { groups: usize::MAX, new_bytes: 1 };
        mine.absorb(&table(&[("d", 5), ("e", 6)]), by_memory, &mut other);
        assert_eq!((mine.len(), mine.row_count(), other.row_count()), (3, 11, 10));

        let dropped = AbsorbOutcome { new_bytes: 0, dropped: 7 };
        let two_keys = {
            let mut groups = Groups::new(2, &[]);
            groups.entry(&[Value::Null, Value::Null]).n = 7;
            groups
        };
        assert_eq!(mine.absorb(&two_keys, by_number, &mut other), dropped);
    }

    #[test]
    fn a_thousand_groups_are_all_found_again() {
        let mut groups = Groups::new(1, &[]);
        (0..1000).for_each(|i| groups.entry(&[Value::I64(i)]).merge(1, &[]));
        assert!((0..1000).all(|i| groups.get(&[Value::I64(i)]).is_some()));
        groups.retain(|group| group.key[0].as_integer().is_some_and(|i| i % 2 == 0));
        assert_eq!(groups.len(), 500);
        assert!(groups.get(&[Value::I64(501)]).is_none());
    }

    #[test]
    fn the_empty_key_is_one_group() {
        let mut groups = Groups::new(0, &[]);
        groups.entry(&[]).merge(1, &[]);
        groups.entry(&[]).merge(1, &[]);
        assert_eq!((groups.len(), groups.iter().next().map(|group| group.n)), (1, Some(2)));
    }
}
