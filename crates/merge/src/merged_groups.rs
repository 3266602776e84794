//! The table of merged groups.

use crate::group_index::GroupIndex;
use crate::incoming_keys::{IncomingKeys, KeyBuffers};
use crate::key_column::KeyColumn;
use crate::key_hasher::KeyHasher;
use crate::state_vector::{NO_GROUP, RowGroups, StateVector, add_each};
use crate::texts::are_equal;
use pivot_advice::columns::{ColumnBlock, ColumnBlockWriter};
use pivot_advice::{AggregateKind, AggregateState, Group, Groups, Value};
use std::cell::RefCell;

/// How many bytes the texts of a table's keys take, in all, when no more groups are added, as if there were as many as may
/// be. A block may exceed it.
const MAX_KEY_BYTES: usize = 256 << 20;

/// The rows of the largest blocks for which a thread keeps its buffers.
const MAX_BUFFERED_ROWS: usize = 16_384;

thread_local! {
    /// Buffers of the last merge in this thread: blocks are small and many.
    static BUFFERS: RefCell<MergeBuffers> = RefCell::default();
}

/// Buffers for what is computed of the rows of a block while it is merged.
#[derive(Debug, Default)]
struct MergeBuffers {
    /// For each key column.
    keys: Vec<KeyBuffers>,
    /// The hashes of the keys.
    hashes: Vec<u64>,
    /// The number of the group of each row, or [`NO_GROUP`].
    of_rows: Vec<u32>,
    /// The numbers of one column after the other.
    numbers: Vec<u64>,
}

/// Groups of one shape, in columns, with a hash table over their keys. Groups are numbered in the order in which they
/// first appear.
///
/// A group with a text of 17 bytes as its key and one SUM takes about 75 bytes: 17 and 8 for the text, 8 for the hash, 16
/// on average for its place in the hash table, 8 for the multiplicity, 16 for the sum.
#[derive(Debug, Clone)]
pub struct MergedGroups {
    aggregates: Box<[AggregateKind]>,
    keys: Vec<KeyColumn>,
    multiplicities: Vec<u64>,
    states: Vec<StateVector>,
    hashes: Vec<u64>,
    index: GroupIndex,
    hasher: KeyHasher,
}

impl MergedGroups {
    /// Returns an empty table of groups with `keys` key columns and one state for each aggregate.
    pub fn new(keys: usize, aggregates: &[AggregateKind]) -> MergedGroups {
        MergedGroups {
            aggregates: aggregates.into(),
            keys: vec![KeyColumn::Empty; keys],
            multiplicities: Vec::new(),
            states: vec![StateVector::Empty; aggregates.len()],
            hashes: Vec::new(),
            index: GroupIndex::new(),
            hasher: KeyHasher::new(),
        }
    }

    /// Returns an empty table of this shape.
    pub fn empty_like(&self) -> MergedGroups {
        MergedGroups::new(self.keys.len(), &self.aggregates)
    }

    /// Returns the number of key columns.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Returns the aggregates whose states a group carries.
    pub fn aggregates(&self) -> &[AggregateKind] {
        &self.aggregates
    }

    /// Returns the number of groups.
    pub fn len(&self) -> usize {
        self.multiplicities.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.multiplicities.is_empty()
    }

    /// Returns how many rows the groups stand for.
    pub fn row_count(&self) -> u64 {
        self.multiplicities.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Returns a group by its number.
    pub fn group(&self, number: usize) -> Group {
        let states = self.states.iter().zip(&self.aggregates);
        Group {
            key: self.keys.iter().map(|column| column.value(number)).collect(),
            n: self.multiplicities[number],
            states: states.map(|(states, aggregate)| states.state(*aggregate, number)).collect(),
        }
    }

    /// Returns the groups in the order of their first appearance, each made of its columns.
    pub fn iter(&self) -> impl Iterator<Item = Group> + '_ {
        (0..self.len()).map(|number| self.group(number))
    }

    /// Returns the groups as a table of rows.
    pub fn to_groups(&self) -> Groups {
        let mut groups = Groups::new(self.keys.len(), &self.aggregates);
        self.iter().for_each(|group| groups.entry(&group.key).merge(group.n, &group.states));
        groups
    }

    /// Returns the groups as an encoded block.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = ColumnBlockWriter::new(self.len(), self.keys.len(), &self.aggregates);
        self.keys.iter().for_each(|column| column.write(&mut writer));
        writer.multiplicities(&self.multiplicities);
        for (states, aggregate) in self.states.iter().zip(&self.aggregates) {
            states.write(*aggregate, &mut writer);
        }
        writer.into_bytes()
    }

    /// Adds the groups of a block. The table gets at most `limit` groups, and none beyond 256 MiB of texts; rows of further
    /// keys are added to the one group
    /// of `other`, which has no key columns. Returns how many rows are lost because the block has another shape.
    pub fn merge(&mut self, block: &ColumnBlock, limit: usize, other: &mut Groups) -> u64 {
        if block.keys.len() != self.keys.len() || block.aggregates != self.aggregates {
            return block.row_count();
        }

        let mut buffers = BUFFERS.take();
        self.look_up_groups(block, limit, &mut buffers);
        let numbers = &mut buffers.numbers;
        let rows = RowGroups { of_rows: &buffers.of_rows, groups: self.len() };
        block.multiplicities.read_into(&block.bytes, numbers);
        add_each(&mut self.multiplicities, rows, numbers, |mine, n| *mine = mine.saturating_add(n));
        for (column, states) in self.states.iter_mut().enumerate() {
            states.add(block, column, rows, numbers);
        }

        if buffers.of_rows.contains(&NO_GROUP) {
            add_to_other(block, &buffers.of_rows, other);
        }
        if block.rows <= MAX_BUFFERED_ROWS {
            BUFFERS.set(buffers);
        }
        0
    }

    /// Adds the groups of another table, as [`MergedGroups::merge`] does those of a block.
    pub fn merge_table(&mut self, more: &MergedGroups, limit: usize, other: &mut Groups) -> u64 {
        if more.is_empty() {
            return 0;
        }
        match ColumnBlock::decode(more.encode()) {
            Ok(block) => self.merge(&block, limit, other),
            // What was encoded here can be read, unless there are more columns or groups than any query has.
            Err(_) => more.row_count(),
        }
    }

    /// Finds the group of each row of a block. Groups of new keys are added, without rows yet, up to the limit.
    fn look_up_groups(&mut self, block: &ColumnBlock, limit: usize, buffers: &mut MergeBuffers) {
        let MergeBuffers { keys, hashes, of_rows, .. } = buffers;
        if keys.len() < block.keys.len() {
            keys.resize_with(block.keys.len(), KeyBuffers::default);
        }
        let columns = block.keys.iter().zip(keys);
        let mut incoming: Vec<IncomingKeys<'_>> =
            columns.map(|(column, buffers)| IncomingKeys::read(column, block, buffers)).collect();
        self.fit_keys(&mut incoming, block.rows);

        let has_room = self.keys.iter().map(KeyColumn::text_bytes).sum::<usize>() < MAX_KEY_BYTES;
        let limit = if has_room { limit.min(NO_GROUP as usize) } else { self.len() };
        let look_up = LookUp { limit, of_rows };
        let (index, my_hashes, hasher) = (&mut self.index, &mut self.hashes, &self.hasher);
        let nothing = hasher.of_nothing();
        match (&mut *self.keys, &*incoming) {
            // The most common shapes, with one loop for all and as little as possible in it.
            ([KeyColumn::Texts(mine)], [IncomingKeys::Texts(theirs)]) => look_up.run(
                (index, my_hashes, mine),
                theirs.iter().map(|text| (hasher.text(nothing, text), text)),
                |mine, group, text| are_equal(mine.as_slice().get(group), text),
                |mine, text| mine.push(text),
            ),
            ([KeyColumn::Numbers(_, mine)], [IncomingKeys::Numbers(_, theirs)]) => look_up.run(
                (index, my_hashes, mine),
                theirs.iter().map(|number| (hasher.number(nothing, *number), number)),
                |mine, group, number| mine.get(group) == Some(number),
                |mine, number| mine.push(*number),
            ),
            (keys, _) => {
                hash_rows(hasher, &incoming, block.rows, hashes);
                look_up.run(
                    (index, my_hashes, keys),
                    hashes.iter().copied().zip(0..),
                    |keys, group, row| {
                        keys.iter().zip(&incoming).all(|(mine, theirs)| mine.equals(group, theirs, row))
                    },
                    |keys, row| {
                        keys.iter_mut().zip(&incoming).for_each(|(mine, theirs)| mine.push(theirs, row))
                    },
                );
            }
        }
        self.multiplicities.resize(self.hashes.len(), 0);
    }

    /// Makes the key columns of table and block alike: columns of several types become columns of values.
    fn fit_keys(&mut self, incoming: &mut [IncomingKeys<'_>], rows: usize) {
        let groups = self.len();
        let mut is_rehashed = false;

        for (mine, theirs) in self.keys.iter_mut().zip(incoming) {
            if groups == 0 {
                *mine = KeyColumn::for_keys(theirs);
            }
            if mine.fits(theirs) {
                continue;
            }
            theirs.generalize(rows);
            if !matches!(mine, KeyColumn::Values(_)) {
                mine.generalize(groups);
                is_rehashed = true;
            }
        }

        // A value has another hash than the number or the text that it is.
        if is_rehashed {
            let columns: Vec<IncomingKeys<'_>> = self.keys.iter().map(KeyColumn::as_incoming).collect();
            let mut hashes = Vec::new();
            hash_rows(&self.hasher, &columns, groups, &mut hashes);
            self.index.rebuild_from(&hashes);
            self.hashes = hashes;
        }
    }
}

/// Replaces the content of a buffer by the hashes of the keys in so many rows.
fn hash_rows(hasher: &KeyHasher, keys: &[IncomingKeys<'_>], rows: usize, hashes: &mut Vec<u64>) {
    hashes.clear();
    hashes.resize(rows, hasher.of_nothing());
    keys.iter().for_each(|column| column.hash(hasher, hashes));
}

/// A lookup of the groups of all rows of a block.
struct LookUp<'l> {
    /// The most groups that there may be.
    limit: usize,
    /// The number of the group of each row, or [`NO_GROUP`].
    of_rows: &'l mut Vec<u32>,
}

impl LookUp<'_> {
    /// Looks up the group of each row, which has a hash and a key, in the index, the hashes and the keys of a table. A row
    /// whose key equals that of no group adds one, if there may be more.
    #[inline(never)]
    fn run<K: ?Sized, T: Copy>(
        self,
        table: (&mut GroupIndex, &mut Vec<u64>, &mut K),
        rows: impl Iterator<Item = (u64, T)>,
        is_equal: impl Fn(&K, usize, T) -> bool,
        mut push: impl FnMut(&mut K, T),
    ) {
        let (index, group_hashes, keys) = table;
        self.of_rows.clear();

        self.of_rows.extend(rows.map(|(hash, key)| {
            let found = index.find(hash, |group| is_equal(keys, group, key));
            match found {
                Some(group) => group as u32,
                None if group_hashes.len() >= self.limit => NO_GROUP,
                None => {
                    push(keys, key);
                    group_hashes.push(hash);
                    index.push(group_hashes);
                    (group_hashes.len() - 1) as u32
                }
            }
        }));
    }
}

impl From<&Groups> for MergedGroups {
    fn from(groups: &Groups) -> MergedGroups {
        let mut merged = MergedGroups::new(groups.keys(), groups.aggregates());
        if let Ok(block) = ColumnBlock::decode(ColumnBlock::encode(groups)) {
            merged.merge(&block, usize::MAX, &mut Groups::new(0, groups.aggregates()));
        }
        merged
    }
}

/// Adds the rows that have no group of their own to the one group of `other`.
#[cold]
fn add_to_other(block: &ColumnBlock, of_rows: &[u32], other: &mut Groups) {
    let columns = block.states.iter().zip(&block.aggregates);
    let states: Vec<Vec<AggregateState>> =
        columns.map(|(column, aggregate)| column.states(&block.bytes, *aggregate)).collect();

    for (row, n) in block.multiplicities.numbers(&block.bytes).into_iter().enumerate() {
        if of_rows[row] == NO_GROUP {
            let states: Vec<AggregateState> = states.iter().map(|column| column[row].clone()).collect();
            other.entry(&[] as &[Value]).merge(n, &states);
        }
    }
}
