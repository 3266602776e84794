//! Rows grouped by key, each with its multiplicity and partial aggregates.
//!
//! One structure serves three places, because they are the same relation at three moments: the rows
//! packed in a bag, the rows emitted in a process, and the rows merged in the frontend.

use crate::aggregate::{Aggregate, AggregateState};
use crate::value::Value;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash, Hasher};

/// A group: `n` rows that agree on the key, and the partial aggregates over them.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The values that the rows agree on.
    pub key: Box<[Value]>,
    /// How many rows there are.
    pub n: u64,
    /// One state for each aggregate of the table, over all these rows.
    pub states: Box<[AggregateState]>,
}

impl Group {
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
    aggregates: Box<[Aggregate]>,
    groups: Vec<Group>,
    index: HashTable<u32>,
    hasher: RandomState,
}

impl Groups {
    /// An empty table of rows with `keys` key columns and one state for each aggregate.
    pub fn new(keys: usize, aggregates: &[Aggregate]) -> Groups {
        let hasher = RandomState::default();
        Groups { keys, aggregates: aggregates.into(), groups: Vec::new(), index: HashTable::new(), hasher }
    }

    /// An empty table of the same shape.
    pub fn empty_like(&self) -> Groups {
        Groups::new(self.keys, &self.aggregates)
    }

    /// How many key columns a row has.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// The aggregates whose states a row carries.
    pub fn aggregates(&self) -> &[Aggregate] {
        &self.aggregates
    }

    /// Whether rows of the other table fit into this one.
    pub fn same_shape(&self, other: &Groups) -> bool {
        self.keys == other.keys && self.aggregates == other.aggregates
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The groups, in order of first appearance.
    pub fn iter(&self) -> std::slice::Iter<'_, Group> {
        self.groups.iter()
    }

    /// The group of a key, if it is there.
    pub fn get(&self, key: &[Value]) -> Option<&Group> {
        let found = self.index.find(self.hash(key), |i| *self.groups[*i as usize].key == *key);
        found.map(|i| &self.groups[*i as usize])
    }

    /// The group of a key, made empty if it is not there. The key has [`Groups::keys`] values.
    pub fn entry(&mut self, key: &[Value]) -> &mut Group {
        debug_assert_eq!(key.len(), self.keys, "a key has one value for each key column");
        let hash = self.hash(key);
        let Groups { groups, index, hasher, .. } = self;
        let equal = |i: &u32| *groups[*i as usize].key == *key;
        let rehash = |i: &u32| hash_key(hasher, &groups[*i as usize].key);
        let place = match index.entry(hash, equal, rehash) {
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

    /// Keeps the groups whose key the condition accepts.
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

/// Equal as relations: the same groups in any order.
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
