//! A grouped bag in the bytes in which it travels, to which rows are added.
//!
//! ```text
//! head    kind:u8 query:u64 LE stage:varint [threshold:u64 LE] keys:varint count:varint
//! aggregates   u8*count                       which aggregates, by their codes
//! types        u8*keys                        the types of the key columns, see `key_column.rs`
//! rows         { value*keys [n:number] state*count }*
//! ```
//!
//! To pack is to append a row, to encode is to copy. A row whose key is there already is added to the row
//! that has it: where the new bytes are as long as the old ones in place, and otherwise by moving what lies
//! behind. Up to two rows are looked through, more are found by a [`RowIndex`], so that to add a row is
//! constant; changing the length of a row builds the index anew, which is linear, and happens a few times in
//! the life of a counter.
//!
//! Two things about the head may change with a row that is added, and then all rows are written once more: a
//! column to which a value of another type comes takes values with tags from then on, and rows that count
//! once each, and do not say so, say so from then on.
//!
//! Equal keys are those of equal bytes. Keys that are equal in other ways, such as a signed and an unsigned
//! 5, may stand in several rows, and are one group where rows are grouped.

use crate::error::BaggageError;
use crate::format::bags::bag_header::{EACH_ONCE, write_grouped_head};
use crate::format::bags::encoded_rows::EncodedRows;
use crate::format::bags::encoded_states::{AddedNumber, EncodedStates};
use crate::format::bags::key_column;
use crate::format::bags::prefix_varint;
use crate::format::bags::row_index::{RowIndex, VacantRowSlot};
use crate::format::bags::value::ValueRef;
use pivot_advice::codec::ByteWriter;
use pivot_advice::{AggregateKind, AggregateState, BagKey, Groups, Value};
use std::ops::Range;

/// Up to so many rows are looked through one by one.
const FEW: usize = 2;

/// A grouped bag that can be packed into; see the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct GroupedBag {
    bytes: Vec<u8>,
    /// Where the codes of the aggregates begin, and the head ends.
    aggregates: usize,
    /// Where the types of the key columns begin.
    types: usize,
    /// Where the rows begin.
    rows: usize,
    /// How many rows there are.
    len: usize,
    /// Finds rows by their keys; `None` while there are few.
    index: Option<Box<RowIndex>>,
}

/// The states of a row that is added.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowStates<'a> {
    /// As advice has made them.
    Decoded(&'a [AggregateState]),
    /// As they lie in another bag.
    Encoded(&'a [u8]),
}

impl GroupedBag {
    /// Returns a bag without rows.
    pub(crate) fn new(
        key: BagKey,
        cut: Option<u64>,
        keys: usize,
        aggregates: &[AggregateKind],
    ) -> GroupedBag {
        let mut bytes = Vec::with_capacity(64);
        write_grouped_head(&mut bytes, key, cut, keys, aggregates);
        let rows = bytes.len();
        let types = rows - keys;
        GroupedBag { bytes, aggregates: types - aggregates.len(), types, rows, len: 0, index: None }
    }

    /// Checks whether all rows of an encoded bag can be read, and returns how many there are.
    pub(crate) fn check(bytes: &[u8]) -> Result<usize, BaggageError> {
        Ok(EncodedRows::new(bytes)?.check()?)
    }

    /// Returns the bag that arrived in these bytes, if all its rows can be read.
    pub(crate) fn read(bytes: &[u8]) -> Result<GroupedBag, BaggageError> {
        let (len, parts) = (GroupedBag::check(bytes)?, EncodedRows::new(bytes)?);
        let rows = bytes.len() - parts.bytes.len();
        let types = rows - parts.types.len();
        let aggregates = types - parts.aggregates.len();

        let mut bag = GroupedBag { bytes: bytes.to_vec(), aggregates, types, rows, len, index: None };
        bag.reindex();
        Ok(bag)
    }

    /// Returns a bag of decoded groups.
    pub(crate) fn of_groups(key: BagKey, cut: Option<u64>, groups: &Groups) -> GroupedBag {
        let mut bag = GroupedBag::new(key, cut, groups.keys(), groups.aggregates());
        groups.iter().for_each(|group| bag.add(&group.key, group.n, &group.states));
        bag
    }

    /// Returns the rows, to be read.
    #[inline]
    pub(crate) fn rows(&self) -> EncodedRows<'_> {
        let (head, bytes) = self.bytes.split_at(self.rows);
        let (aggregates, types) = head[self.aggregates..].split_at(self.types - self.aggregates);
        EncodedRows { aggregates, types, has_counts: self.has_counts(), bytes }
    }

    /// Whether each row says how often it counts.
    #[inline]
    fn has_counts(&self) -> bool {
        self.bytes[0] & EACH_ONCE == 0
    }

    /// Whether the rows have so many key columns and these aggregates.
    #[inline]
    pub(crate) fn fits(&self, keys: usize, aggregates: &[AggregateKind]) -> bool {
        self.rows().has_columns(keys, aggregates)
    }

    /// Returns the bag as it travels.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a row. Its key has a value for each column.
    #[inline]
    pub(crate) fn add(&mut self, key: &[Value], n: u64, states: &[AggregateState]) {
        debug_assert_eq!(key.len(), self.rows - self.types, "a key has one value for each column");
        let types = &self.bytes[self.types..self.rows];
        let other =
            |(value, column): (&Value, &u8)| key_column::code(value) != *column && *column != key_column::ANY;
        if self.len == 0 || key.iter().zip(types).any(other) {
            self.widen(|i| key.get(i).map_or(key_column::ANY, key_column::code));
        }

        let begin = self.bytes.len();
        self.put_key(key);
        self.finish_row(begin, n, RowStates::Decoded(states));
    }

    /// Adds a row that counts once, and of which each aggregate takes in one number. Returns false, with
    /// nothing added, if that takes more than to change bytes: if it is the first row, if a value is of
    /// another type than its column, or if the states have to be decoded.
    #[inline]
    pub(crate) fn add_summand(&mut self, key: &[ValueRef<'_>], summand: AddedNumber) -> bool {
        let types = &self.bytes[self.types..self.rows];
        let other = |(value, column): (&ValueRef<'_>, &u8)| {
            key_column::code_of_ref(value) != *column && *column != key_column::ANY
        };
        if self.len == 0 || key.len() != types.len() || key.iter().zip(types).any(other) {
            return false;
        }

        let begin = self.bytes.len();
        for (i, value) in key.iter().enumerate() {
            let column = self.bytes[self.types + i];
            key_column::put_ref(&mut self.bytes, column, value);
        }

        // The key was appended to be compared. If a row has it, it is taken away again.
        match self.find(begin) {
            Ok(row) => {
                let width = self.bytes.len() - begin;
                self.bytes.truncate(begin);
                self.add_summand_behind(row + width, summand)
            }
            Err(free) => {
                let aggregates = &self.bytes[self.aggregates..self.types];
                let n = self.has_counts().then_some(1);
                match EncodedStates::first(n, aggregates, summand) {
                    Some(states) => {
                        self.bytes.extend_from_slice(states.bytes());
                        self.note_row(begin, free);
                        true
                    }
                    None => {
                        self.bytes.truncate(begin);
                        false
                    }
                }
            }
        }
    }

    /// Adds a number to the states that begin behind the key of a row.
    fn add_summand_behind(&mut self, at: usize, summand: AddedNumber) -> bool {
        if !self.has_counts() {
            return false;
        }

        let mut rest = &self.bytes[at..];
        let aggregates = &self.bytes[self.aggregates..self.types];
        let Some(sum) = EncodedStates::added(&mut rest, aggregates, summand) else { return false };
        let end = self.bytes.len() - rest.len();
        self.replace(at..end, sum.bytes());
        true
    }

    /// Puts other bytes behind the key of a row.
    #[inline(always)]
    fn replace(&mut self, old: Range<usize>, new: &[u8]) {
        if old.len() == new.len() {
            self.bytes[old].copy_from_slice(new);
        } else {
            self.bytes.splice(old, new.iter().copied());
            self.reindex();
        }
    }

    /// Adds the rows of another bag with as many columns and the same aggregates.
    pub(crate) fn add_all(&mut self, other: &EncodedRows<'_>) {
        self.widen(|i| other.types.get(i).copied().unwrap_or(key_column::ANY));
        let same_types = self.rows().types == other.types;

        other.each(|row| {
            let begin = self.bytes.len();
            if same_types {
                self.bytes.extend_from_slice(row.key);
            } else {
                self.put_key(other.key_of(&row));
            }
            self.finish_row(begin, row.n, RowStates::Encoded(row.states));
        });
    }

    /// Appends a key.
    #[inline]
    fn put_key<V: std::borrow::Borrow<Value>>(&mut self, key: impl IntoIterator<Item = V>) {
        for (i, value) in key.into_iter().enumerate() {
            let column = self.bytes[self.types + i];
            key_column::put(&mut self.bytes, column, value.borrow());
        }
    }

    /// Makes a row of the key that was appended at `begin`: appends what follows it, or takes the key away
    /// again and adds to the row that has it.
    #[inline]
    fn finish_row(&mut self, begin: usize, n: u64, states: RowStates<'_>) {
        match self.find(begin) {
            Ok(row) => {
                let width = self.bytes.len() - begin;
                self.bytes.truncate(begin);
                self.add_to(row, width, n, states);
            }
            Err(free) => self.append(begin, n, states, free),
        }
    }

    /// Returns where the row begins that has the key which was appended at `begin`, or where to note it.
    #[inline]
    fn find(&self, begin: usize) -> Result<usize, VacantRowSlot> {
        match &self.index {
            None => self.look_through(begin),
            Some(index) => index.find(&self.bytes, &self.bytes[begin..]),
        }
    }

    /// Compares the key which was appended at `begin` with those of a few rows.
    #[inline]
    fn look_through(&self, begin: usize) -> Result<usize, VacantRowSlot> {
        let (rows, key) = (self.rows(), &self.bytes[begin..]);
        let mut rest = &self.bytes[self.rows..begin];

        while !rest.is_empty() {
            // Keys tell their own length, so a row that starts with the key has that key.
            let row = begin - rest.len();
            if rest.starts_with(key) {
                return Ok(row);
            }
            if rows.take(&mut rest).is_err() {
                break;
            }
        }
        Err(VacantRowSlot::default())
    }

    /// Appends what stands behind the key of a new row.
    #[inline]
    fn append(&mut self, begin: usize, n: u64, states: RowStates<'_>, free: VacantRowSlot) {
        // The first row that does not count once makes all of them say how often they count.
        if n != 1 && !self.has_counts() {
            let key = self.bytes.split_off(begin);
            return self.count_rows_and_add(&key, n, states);
        }

        if self.has_counts() {
            prefix_varint::put(&mut self.bytes, n);
        }
        match states {
            RowStates::Decoded([]) => {}
            RowStates::Decoded(states) => put_states(&mut self.bytes, states),
            RowStates::Encoded(bytes) => self.bytes.extend_from_slice(bytes),
        }
        self.note_row(begin, free);
    }

    /// Notes a row that was appended, in the slot that the index has for it.
    #[inline]
    fn note_row(&mut self, begin: usize, free: VacantRowSlot) {
        self.len += 1;
        match &mut self.index {
            Some(index) => {
                index.insert(free, begin);
                index.reserve(self.len);
            }
            None if self.len <= FEW => {}
            None => self.reindex(),
        }
    }

    /// Adds to the row that begins at `row` and has a key of so many bytes.
    fn add_to(&mut self, row: usize, width: usize, n: u64, states: RowStates<'_>) {
        if !self.has_counts() {
            let key = self.bytes[row..row + width].to_vec();
            return self.count_rows_and_add(&key, n, states);
        }

        let mut rest = &self.bytes[row + width..];
        let rows = self.rows();
        // The row was read when it was added, so this does not return early.
        let Ok((mine, mut merged)) = rows.take_states(&mut rest) else { return };
        let end = self.bytes.len() - rest.len();

        let mut sum = Vec::with_capacity(64);
        prefix_varint::put(&mut sum, mine.saturating_add(n));
        if !rows.aggregates.is_empty() {
            match states {
                RowStates::Decoded(more) => {
                    merged.iter_mut().zip(more).for_each(|(mine, more)| mine.merge(more));
                }
                RowStates::Encoded(more) => {
                    merged.iter_mut().zip(rows.states(more)).for_each(|(mine, more)| mine.merge(&more));
                }
            }
            put_states(&mut sum, &merged);
        }
        self.replace(row + width..end, &sum);
    }

    /// Lets each row say how often it counts, and then adds a row.
    fn count_rows_and_add(&mut self, key: &[u8], n: u64, states: RowStates<'_>) {
        self.rewrite(self.bytes[0] & !EACH_ONCE, |_, column| column);
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.finish_row(begin, n, states);
    }

    /// Makes columns take values of these types too.
    fn widen(&mut self, code: impl Fn(usize) -> u8) {
        let is_new = self.len == 0;
        let wider = |i, column| if is_new || code(i) == column { code(i) } else { key_column::ANY };
        if self.rows().types.iter().enumerate().any(|(i, column)| wider(i, *column) != *column) {
            self.rewrite(self.bytes[0], wider);
        }
    }

    /// Writes all rows once more, with another first byte and columns of other types.
    #[cold]
    fn rewrite(&mut self, first: u8, column: impl Fn(usize, u8) -> u8) {
        let old = std::mem::take(&mut self.bytes);
        let rows = EncodedRows {
            aggregates: &old[self.aggregates..self.types],
            types: &old[self.types..self.rows],
            has_counts: old[0] & EACH_ONCE == 0,
            bytes: &old[self.rows..],
        };

        // A count or a tag takes a byte more in each row, mostly.
        self.bytes.reserve(old.len() + self.len + prefix_varint::MAX_BYTES);
        self.bytes.extend_from_slice(&old[..self.types]);
        self.bytes[0] = first;
        self.bytes.extend(rows.types.iter().enumerate().map(|(i, code)| column(i, *code)));

        let has_counts = self.has_counts();
        rows.each(|row| {
            self.put_key(rows.key_of(&row));
            if has_counts {
                prefix_varint::put(&mut self.bytes, row.n);
            }
            self.bytes.extend_from_slice(row.states);
        });
        self.reindex();
    }

    /// Makes the index anew, of where rows begin now.
    #[cold]
    fn reindex(&mut self) {
        self.index = None;
        if self.len <= FEW {
            return;
        }

        let mut index = RowIndex::with_room(self.len);
        let rows = self.rows();
        let mut rest = rows.bytes;
        while !rest.is_empty() {
            let begin = self.bytes.len() - rest.len();
            let Ok(row) = rows.take(&mut rest) else { break };
            // Strangers' bags may have several rows of a key. The first is the one that is added to.
            if let Err(free) = index.find(&self.bytes, row.key) {
                index.insert(free, begin);
            }
        }
        self.index = Some(Box::new(index));
    }
}

fn put_states(out: &mut Vec<u8>, states: &[AggregateState]) {
    let mut writer = ByteWriter::behind(std::mem::take(out));
    states.iter().for_each(|state| writer.state(state));
    *out = writer.into_bytes();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::format::bags::bag::Bag;
    use crate::format::bags::bag_codec::read_bag;
    use pivot_advice::{EvalErrors, QueryId};
    use proptest::prelude::*;

    const KEY: BagKey = BagKey { query: QueryId { frontend: 9, number: 7 }, stage: 300 };
    const SHAPES: [&[AggregateKind]; 3] =
        [&[], &[AggregateKind::Sum], &[AggregateKind::Count, AggregateKind::Max]];

    fn value(kind: u8, x: i64) -> Value {
        match kind {
            0 => Value::Null,
            1 => Value::Bool(x % 2 == 0),
            2 => Value::U64(x as u64),
            3 => Value::F64(x as f64),
            4 => Value::str(format!("host-{x}")),
            5 => Value::List([Value::I64(x), Value::Null].into()),
            6 => Value::Duration(x),
            _ => Value::I64(x << (x & 63)),
        }
    }

    /// Rows of one shape: of each its key, how often it counts, and what its aggregates are of.
    fn rows() -> impl Strategy<Value = Vec<(u8, i64, u64)>> {
        let kind = prop_oneof![Just(7u8), Just(7u8), Just(7u8), 0u8..8];
        let n = prop_oneof![Just(1u64), Just(1u64), 0u64..400];
        proptest::collection::vec((kind, 0i64..40, n), 0..60)
    }

    fn added(rows: &[(u8, i64, u64)], keys: usize, shape: &[AggregateKind]) -> (GroupedBag, Groups) {
        let (mut table, mut groups) = (GroupedBag::new(KEY, None, keys, shape), Groups::new(keys, shape));
        for (kind, x, n) in rows {
            let key: Vec<Value> = (0..keys).map(|i| value(*kind, x >> i)).collect();
            let mut states: Vec<AggregateState> = shape.iter().map(|aggregate| aggregate.empty()).collect();
            states
                .iter_mut()
                .for_each(|state| state.update(&Value::I64(x * 1000), *n, &mut EvalErrors::default()));
            table.add(&key, *n, &states);
            groups.entry(&key).merge(*n, &states);
        }
        (table, groups)
    }

    fn check(table: &GroupedBag, groups: &Groups) {
        let Bag::Grouped { rows, cut: None } = read_bag(table.bytes()).unwrap() else {
            panic!("not grouped")
        };
        assert_eq!(&rows, groups);
        let again = GroupedBag::read(table.bytes()).unwrap();
        assert_eq!((again.bytes(), again.len), (table.bytes(), table.len));
    }

    /// Adds a number under each key that is there, as bytes where that can be done.
    fn check_summands(mut table: GroupedBag, mut groups: Groups) {
        for key in groups.iter().map(|group| group.key.to_vec()).collect::<Vec<_>>() {
            let mut states: Vec<AggregateState> =
                groups.aggregates().iter().map(|kind| kind.empty()).collect();
            states.iter_mut().for_each(|state| state.update(&Value::I64(5), 1, &mut EvalErrors::default()));
            let values: Vec<ValueRef<'_>> = key.iter().map(ValueRef::from).collect();
            if !table.add_summand(&values, AddedNumber::Integer(5)) {
                table.add(&key, 1, &states);
            }
            groups.entry(&key).merge(1, &states);
        }
        let found = table.rows().groups().unwrap();
        // What has met NaN does not equal itself.
        assert_eq!(format!("{found:?}"), format!("{groups:?}"));
    }

    proptest! {
        #[test]
        fn a_table_is_the_groups_of_its_rows(rows in rows(), keys in 0usize..3, shape in 0usize..3) {
            let (table, groups) = added(&rows, keys, SHAPES[shape]);
            check(&table, &groups);
            check(&GroupedBag::of_groups(KEY, None, &groups), &groups);
            prop_assert!(table.len >= groups.len());
        }

        #[test]
        fn adding_tables_is_adding_their_rows(a in rows(), b in rows(), keys in 0usize..3, shape in 0usize..3) {
            let (mut table, mut groups) = added(&a, keys, SHAPES[shape]);
            let (more, more_groups) = added(&b, keys, SHAPES[shape]);
            table.add_all(&more.rows());
            groups.merge(&more_groups);
            check(&table, &groups);
        }

        #[test]
        fn rows_of_one_type_and_key_are_one_row(xs in proptest::collection::vec(0i64..20, 1..80)) {
            let rows: Vec<_> = xs.iter().map(|x| (7, *x, 1)).collect();
            let (table, groups) = added(&rows, 1, &[]);
            prop_assert_eq!(table.len, groups.len());
        }

        #[test]
        fn a_summand_that_is_added_as_bytes_is_added_as_states_are(
            rows in proptest::collection::vec((0i64..6, 0u8..8, any::<i64>(), 0u32..64), 1..60), shape in 0usize..5
        ) {
            use AggregateKind::{Average, Count, Max, Sum};
            let shape: &[AggregateKind] = [&[][..], &[Sum], &[Count, Sum], &[Sum, Average, Count], &[Max]][shape];
            let mut mine = GroupedBag::new(KEY, None, 2, shape);
            let mut theirs = mine.clone();
            let mut as_bytes = 0;
            for (key, kind, x, shift) in rows {
                let x = x >> shift;
                let (summand, value) = match kind {
                    0 => (AddedNumber::Duration(x), Value::Duration(x)),
                    _ => (AddedNumber::Integer(x), Value::I64(x)),
                };
                let key = [Value::str(format!("host-{key}")), if kind < 7 { Value::U64(5) } else { Value::Null }];
                let mut states: Vec<AggregateState> = shape.iter().map(|aggregate| aggregate.empty()).collect();
                states.iter_mut().for_each(|state| state.update(&value, 1, &mut EvalErrors::default()));
                let added = mine.add_summand(&key.each_ref().map(ValueRef::from), summand);
                as_bytes += usize::from(added);
                if !added {
                    mine.add(&key, 1, &states);
                }
                theirs.add(&key, 1, &states);
                prop_assert_eq!((mine.bytes(), mine.len), (theirs.bytes(), theirs.len));
            }
            prop_assert!(as_bytes == 0 || shape != [Max]);
        }

        #[test]
        fn damaged_tables_are_refused_or_read(
            rows in rows(), shape in 0usize..3, at in any::<prop::sample::Index>(), byte in any::<u8>(),
            end in any::<prop::sample::Index>()
        ) {
            let mut bytes = added(&rows, 2, SHAPES[shape]).0.bytes().to_vec();
            *at.get_mut(&mut bytes) = byte;
            bytes.truncate(end.index(bytes.len() + 1));
            if let Ok(mut table) = GroupedBag::read(&bytes) {
                let grouped = matches!(read_bag(&bytes), Ok(Bag::Grouped { .. }));
                prop_assert!(grouped);
                let groups = table.rows().groups().unwrap();
                let (mut walked, mut again) = (vec![Value::Null; groups.keys()], groups.empty_like());
                let see = |(key, _): &mut (&mut Vec<Value>, &mut Groups), i: usize, value: ValueRef<'_>| {
                    key[i] = value.into();
                };
                let end = |(key, groups): &mut (&mut Vec<Value>, &mut Groups), n, states: &[AggregateState]| {
                    groups.entry(key).merge(n, states);
                };
                let sound = table.rows().try_each_value(&mut (&mut walked, &mut again), see, end);
                prop_assert_eq!((sound, &again), (Ok(()), &groups));
                check_summands(table.clone(), groups);
                let other = table.clone();
                table.add_all(&other.rows());
            }
        }
    }

    #[test]
    fn rows_that_count_once_take_what_their_values_take() {
        let bytes = |rows: &[(u8, i64, u64)]| added(rows, 1, &[]).0.bytes().len();
        let (one, two) = (bytes(&[(7, 1, 1)]), bytes(&[(7, 1, 1), (7, 2, 1)]));
        assert_eq!((two - one, bytes(&[(7, 1, 1), (7, 2, 2)]) - one), (1, 3));
        assert_eq!(bytes(&[(7, 1, 1), (4, 2, 1)]) - one, 1 + 1 + 1 + "host-2".len());
    }
}
