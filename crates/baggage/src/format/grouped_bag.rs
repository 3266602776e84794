//! A grouped bag in the bytes in which it travels.
//!
//! To pack is to append a row, to encode is to copy. A row whose key is there already is added to
//! the one that has it, which an index finds once there are several.
//!
//! ```text
//! table  kind:u8 query:8 stage:varint [cut:8] keys:varint count:varint shape:u8*count type:u8*keys row*
//! row    value*keys [n:number] state*count
//! ```
//!
//! Equal keys are those of equal bytes. Keys that are equal in other ways, such as a signed and an
//! unsigned 5, may stand in several rows, and are one group where rows are grouped.

use crate::error::BaggageError;
use crate::format::bag_header::{ONCE, write_head};
use crate::format::column;
use crate::format::encoded_rows::EncodedRows;
use crate::format::encoded_states::{EncodedStates, Summand};
use crate::format::number;
use crate::format::value::ValueRef;
use foldhash::fast::RandomState;
use pivot_advice::codec::Writer;
use pivot_advice::{Aggregate, BagKey, Groups, State, Value};
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

/// Up to so many rows are looked through one by one.
const FEW: usize = 2;

/// A table to which rows can be added.
#[derive(Debug, Clone)]
pub(crate) struct GroupedBag {
    bytes: Vec<u8>,
    shape: usize,
    types: usize,
    rows: usize,
    len: usize,
    /// None while there are few rows.
    index: Option<Box<RowIndex>>,
}

/// The hashes of keys and where their rows begin; 0 is a free place.
#[derive(Debug, Clone)]
struct RowIndex {
    places: Vec<(u32, u32)>,
    hasher: RandomState,
}

/// The states of a row that is added.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowStates<'a> {
    Decoded(&'a [State]),
    Encoded(&'a [u8]),
}

impl GroupedBag {
    /// A table without rows.
    pub(crate) fn new(bag: BagKey, cut: Option<u64>, keys: usize, aggregates: &[Aggregate]) -> GroupedBag {
        let mut bytes = Vec::with_capacity(64);
        write_head(&mut bytes, bag, cut, keys, aggregates);
        let rows = bytes.len();
        let types = rows - keys;
        GroupedBag { bytes, shape: types - aggregates.len(), types, rows, len: 0, index: None }
    }

    /// Whether all rows of these bytes can be read, and how many there are.
    pub(crate) fn check(bytes: &[u8]) -> Result<usize, BaggageError> {
        Ok(EncodedRows::of(bytes)?.check()?)
    }

    /// The table that travelled in these bytes, if all its rows can be read.
    pub(crate) fn read(bytes: &[u8]) -> Result<GroupedBag, BaggageError> {
        let (len, parts) = (GroupedBag::check(bytes)?, EncodedRows::of(bytes)?);
        let rows = bytes.len() - parts.bytes.len();
        let types = rows - parts.types.len();
        let shape = types - parts.shape.len();
        let mut table = GroupedBag { bytes: bytes.to_vec(), shape, types, rows, len, index: None };
        table.reindex();
        Ok(table)
    }

    /// A table of groups.
    pub(crate) fn of(bag: BagKey, cut: Option<u64>, groups: &Groups) -> GroupedBag {
        let mut table = GroupedBag::new(bag, cut, groups.keys(), groups.aggregates());
        groups.iter().for_each(|group| table.add(&group.key, group.n, &group.states));
        table
    }

    #[inline]
    pub(crate) fn rows(&self) -> EncodedRows<'_> {
        let (head, bytes) = self.bytes.split_at(self.rows);
        let (shape, types) = head[self.shape..].split_at(self.types - self.shape);
        EncodedRows { shape, types, counts: self.counts(), bytes }
    }

    #[inline]
    fn counts(&self) -> bool {
        self.bytes[0] & ONCE == 0
    }

    /// Whether its rows have so many key columns and these aggregates.
    #[inline]
    pub(crate) fn fits(&self, keys: usize, aggregates: &[Aggregate]) -> bool {
        self.rows().has_shape(keys, aggregates)
    }

    /// The bag as it travels.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds rows of one key, which has a value for each column.
    #[inline]
    pub(crate) fn add(&mut self, key: &[Value], n: u64, states: &[State]) {
        debug_assert_eq!(key.len(), self.rows - self.types, "a key has one value for each column");
        let types = &self.bytes[self.types..self.rows];
        let other = |(value, column): (&Value, &u8)| column::code(value) != *column && *column != column::ANY;
        if self.len == 0 || key.iter().zip(types).any(other) {
            self.widen(|i| key.get(i).map_or(column::ANY, column::code));
        }
        let begin = self.bytes.len();
        self.put_key(key);
        self.settle(begin, n, RowStates::Decoded(states));
    }

    /// Adds a row of a key, each of whose aggregates takes in one term. False, and nothing was added, if that takes
    /// more than to change bytes.
    #[inline]
    pub(crate) fn add_summand(&mut self, key: &[ValueRef<'_>], term: Summand) -> bool {
        let types = &self.bytes[self.types..self.rows];
        let other =
            |(part, column): (&ValueRef<'_>, &u8)| column::code_of(part) != *column && *column != column::ANY;
        if self.len == 0 || key.len() != types.len() || key.iter().zip(types).any(other) {
            return false;
        }
        let begin = self.bytes.len();
        for (i, part) in key.iter().enumerate() {
            let column = self.bytes[self.types + i];
            column::put_part(&mut self.bytes, column, part);
        }
        match self.find(begin) {
            Ok(at) => {
                let width = self.bytes.len() - begin;
                self.bytes.truncate(begin);
                self.add_summand_to(at + width, term)
            }
            Err(place) => {
                match EncodedStates::first(self.counts(), &self.bytes[self.shape..self.types], term) {
                    Some(rest) => {
                        self.bytes.extend_from_slice(rest.bytes());
                        self.enter(begin, place);
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

    fn add_summand_to(&mut self, at: usize, term: Summand) -> bool {
        if !self.counts() {
            return false;
        }
        let mut rest = &self.bytes[at..];
        let Some(sum) = EncodedStates::added(&mut rest, &self.bytes[self.shape..self.types], term) else {
            return false;
        };
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

    /// Adds the rows of another table with as many columns and the same aggregates.
    pub(crate) fn add_all(&mut self, other: &EncodedRows<'_>) {
        self.widen(|i| other.types.get(i).copied().unwrap_or(column::ANY));
        let same = self.rows().types == other.types;
        other.each(|row| {
            let begin = self.bytes.len();
            if same {
                self.bytes.extend_from_slice(row.key);
            } else {
                self.put_key(other.key_of(&row));
            }
            self.settle(begin, row.n, RowStates::Encoded(row.states));
        });
    }

    #[inline]
    fn put_key<V: std::borrow::Borrow<Value>>(&mut self, key: impl IntoIterator<Item = V>) {
        for (i, value) in key.into_iter().enumerate() {
            let column = self.bytes[self.types + i];
            column::put(&mut self.bytes, column, value.borrow());
        }
    }

    /// The key of a row was appended: appends the rest, or adds the row to that which has its key.
    #[inline]
    fn settle(&mut self, begin: usize, n: u64, states: RowStates<'_>) {
        match self.find(begin) {
            Ok(at) => {
                let width = self.bytes.len() - begin;
                self.bytes.truncate(begin);
                self.add_to(at, width, n, states);
            }
            Err(place) => self.append(begin, n, states, place),
        }
    }

    /// Where the row begins whose key was appended, or where the index has a place for it.
    #[inline]
    fn find(&self, begin: usize) -> Result<usize, (usize, u32)> {
        match &self.index {
            None => self.look_through(begin),
            Some(index) => index.find(&self.bytes, &self.bytes[begin..]),
        }
    }

    #[inline]
    fn append(&mut self, begin: usize, n: u64, states: RowStates<'_>, place: (usize, u32)) {
        if n != 1 && !self.counts() {
            let key = self.bytes.split_off(begin);
            self.rewrite(GroupedBag::COUNTED, |_, column| column);
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(&key);
            return self.settle(begin, n, states);
        }
        if self.counts() {
            number::put(&mut self.bytes, n);
        }
        match states {
            RowStates::Decoded([]) => {}
            RowStates::Decoded(states) => put_states(&mut self.bytes, states),
            RowStates::Encoded(bytes) => self.bytes.extend_from_slice(bytes),
        }
        self.enter(begin, place);
    }

    /// Notes a row that was appended, where the index has a place for it.
    #[inline]
    fn enter(&mut self, begin: usize, (place, hash): (usize, u32)) {
        self.len += 1;
        match &mut self.index {
            Some(index) => {
                index.places[place] = (hash, offset(begin));
                if 3 * index.places.len() <= 4 * self.len {
                    index.grow();
                }
            }
            None if self.len <= FEW => {}
            None => self.reindex(),
        }
    }

    /// Few rows are compared one by one.
    #[inline]
    fn look_through(&self, begin: usize) -> Result<usize, (usize, u32)> {
        let (rows, key) = (self.rows(), &self.bytes[begin..]);
        let mut rest = &self.bytes[self.rows..begin];
        while !rest.is_empty() {
            // Keys tell their own length, so none is the beginning of another.
            let at = begin - rest.len();
            if rest.starts_with(key) {
                return Ok(at);
            }
            if rows.take(&mut rest).is_err() {
                break;
            }
        }
        Err((0, 0))
    }

    /// Adds to the row that begins at `at` and has a key of so many bytes.
    fn add_to(&mut self, at: usize, width: usize, n: u64, states: RowStates<'_>) {
        if !self.counts() {
            let key = self.bytes[at..at + width].to_vec();
            self.rewrite(GroupedBag::COUNTED, |_, column| column);
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(&key);
            return self.settle(begin, n, states);
        }
        let mut rest = &self.bytes[at + width..];
        let rows = self.rows();
        let Ok((mine, mut merged)) = rows.take_states(&mut rest) else { return };
        let end = self.bytes.len() - rest.len();
        let mut sum = Vec::with_capacity(64);
        number::put(&mut sum, mine.saturating_add(n));
        if !rows.shape.is_empty() {
            match states {
                RowStates::Decoded(more) => {
                    merged.iter_mut().zip(more).for_each(|(mine, more)| mine.merge(more))
                }
                RowStates::Encoded(more) => {
                    merged.iter_mut().zip(rows.states(more)).for_each(|(mine, more)| mine.merge(&more));
                }
            }
            put_states(&mut sum, &merged);
        }
        self.replace(at + width..end, &sum);
    }

    /// Makes columns take values of these types too.
    fn widen(&mut self, code: impl Fn(usize) -> u8) {
        let is_new = self.len == 0;
        let wider = |i, column| if is_new || code(i) == column { code(i) } else { column::ANY };
        if self.rows().types.iter().enumerate().any(|(i, column)| wider(i, *column) != *column) {
            self.rewrite(self.bytes[0], wider);
        }
    }

    const COUNTED: u8 = 0;

    /// Writes all rows once more: with another first byte, or counted, and columns of other types.
    #[cold]
    fn rewrite(&mut self, kind: u8, column: impl Fn(usize, u8) -> u8) {
        let old = std::mem::take(&mut self.bytes);
        let rows = EncodedRows {
            shape: &old[self.shape..self.types],
            types: &old[self.types..self.rows],
            counts: old[0] & ONCE == 0,
            bytes: &old[self.rows..],
        };
        self.bytes.reserve(old.len() + self.len + number::MAX_BYTES);
        self.bytes.extend_from_slice(&old[..self.types]);
        self.bytes[0] = if kind == GroupedBag::COUNTED { old[0] & !ONCE } else { kind };
        self.bytes.extend(rows.types.iter().enumerate().map(|(i, code)| column(i, *code)));
        let counts = self.counts();
        rows.each(|row| {
            self.put_key(rows.key_of(&row));
            if counts {
                number::put(&mut self.bytes, row.n);
            }
            self.bytes.extend_from_slice(row.states);
        });
        self.reindex();
    }

    /// Makes the index anew.
    #[cold]
    fn reindex(&mut self) {
        self.index = None;
        if self.len <= FEW {
            return;
        }
        let size = (4 * self.len).next_power_of_two();
        let mut index = RowIndex { places: vec![(0, 0); size], hasher: RandomState::default() };
        let rows = self.rows();
        let mut rest = rows.bytes;
        while !rest.is_empty() {
            let at = self.bytes.len() - rest.len();
            let Ok(row) = rows.take(&mut rest) else { break };
            if let Err((place, hash)) = index.find(&self.bytes, row.key) {
                index.places[place] = (hash, offset(at));
            }
        }
        self.index = Some(Box::new(index));
    }
}

/// A place in the bytes, as the index keeps it. Rows beyond what it can tell are not found again.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(0)
}

impl RowIndex {
    /// Where the row with a key begins, or the free place for it and its hash. There always is one.
    #[inline]
    fn find(&self, bytes: &[u8], key: &[u8]) -> Result<usize, (usize, u32)> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        let (mask, hash) = (self.places.len() - 1, hasher.finish() as u32);
        let mut place = hash as usize & mask;
        loop {
            match self.places[place] {
                (_, 0) => return Err((place, hash)),
                (other, at) if other == hash && bytes[at as usize..].starts_with(key) => {
                    return Ok(at as usize);
                }
                _ => place = (place + 1) & mask,
            }
        }
    }

    /// Makes room for twice as many.
    #[cold]
    fn grow(&mut self) {
        let size = 2 * self.places.len();
        let old = std::mem::replace(&mut self.places, vec![(0, 0); size]);
        for (hash, at) in old.into_iter().filter(|(_, at)| *at > 0) {
            let mut place = hash as usize & (size - 1);
            while self.places[place].1 > 0 {
                place = (place + 1) & (size - 1);
            }
            self.places[place] = (hash, at);
        }
    }
}

fn put_states(out: &mut Vec<u8>, states: &[State]) {
    let mut writer = Writer::behind(std::mem::take(out));
    states.iter().for_each(|state| writer.state(state));
    *out = writer.into_bytes();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::format::bag::Bag;
    use crate::format::bag_codec::read_bag;
    use pivot_advice::{Errors, QueryId};
    use proptest::prelude::*;

    const KEY: BagKey = BagKey { query: QueryId { frontend: 9, number: 7 }, stage: 300 };
    const SHAPES: [&[Aggregate]; 3] = [&[], &[Aggregate::Sum], &[Aggregate::Count, Aggregate::Max]];

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

    fn added(rows: &[(u8, i64, u64)], keys: usize, shape: &[Aggregate]) -> (GroupedBag, Groups) {
        let (mut table, mut groups) = (GroupedBag::new(KEY, None, keys, shape), Groups::new(keys, shape));
        for (kind, x, n) in rows {
            let key: Vec<Value> = (0..keys).map(|i| value(*kind, x >> i)).collect();
            let mut states: Vec<State> = shape.iter().map(|aggregate| aggregate.empty()).collect();
            states
                .iter_mut()
                .for_each(|state| state.update(&Value::I64(x * 1000), *n, &mut Errors::default()));
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
    fn check_terms(mut table: GroupedBag, mut groups: Groups) {
        for key in groups.iter().map(|group| group.key.to_vec()).collect::<Vec<_>>() {
            let mut states: Vec<State> = groups.aggregates().iter().map(|kind| kind.empty()).collect();
            states.iter_mut().for_each(|state| state.update(&Value::I64(5), 1, &mut Errors::default()));
            let parts: Vec<ValueRef<'_>> = key.iter().map(ValueRef::from).collect();
            if !table.add_summand(&parts, Summand::Integer(5)) {
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
            check(&GroupedBag::of(KEY, None, &groups), &groups);
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
        fn a_term_that_is_added_as_bytes_is_added_as_states_are(
            rows in proptest::collection::vec((0i64..6, 0u8..8, any::<i64>(), 0u32..64), 1..60), shape in 0usize..5
        ) {
            use Aggregate::{Average, Count, Max, Sum};
            let shape: &[Aggregate] = [&[][..], &[Sum], &[Count, Sum], &[Sum, Average, Count], &[Max]][shape];
            let mut mine = GroupedBag::new(KEY, None, 2, shape);
            let mut theirs = mine.clone();
            let mut as_bytes = 0;
            for (key, kind, x, shift) in rows {
                let x = x >> shift;
                let (term, value) = match kind {
                    0 => (Summand::Duration(x), Value::Duration(x)),
                    _ => (Summand::Integer(x), Value::I64(x)),
                };
                let key = [Value::str(format!("host-{key}")), if kind < 7 { Value::U64(5) } else { Value::Null }];
                let mut states: Vec<State> = shape.iter().map(|aggregate| aggregate.empty()).collect();
                states.iter_mut().for_each(|state| state.update(&value, 1, &mut Errors::default()));
                let added = mine.add_summand(&key.each_ref().map(ValueRef::from), term);
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
                let see = |(key, _): &mut (&mut Vec<Value>, &mut Groups), i: usize, part: ValueRef<'_>| {
                    key[i] = part.into();
                };
                let end = |(key, groups): &mut (&mut Vec<Value>, &mut Groups), n, states: &[State]| {
                    groups.entry(key).merge(n, states);
                };
                let sound = table.rows().try_each_part(&mut (&mut walked, &mut again), see, end);
                prop_assert_eq!((sound, &again), (Ok(()), &groups));
                check_terms(table.clone(), groups);
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
