//! Groups as a thread gathers them: keys as bytes, found by one hash and one comparison, and no
//! allocation for a group that is there. They become [`Groups`] when they are drained.
//!
//! Two keys of equal bytes are equal values; equal values of different types (`1` signed and
//! unsigned) may lie in two rows here, and become one group then.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use pivot_advice::{Aggregate, Groups, State, Value};
use std::hash::BuildHasher;

/// The groups of one query in one thread.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: usize,
    aggregates: Box<[Aggregate]>,
    index: HashTable<u32>,
    rows: Vec<Row>,
    keys: Vec<u8>,
    /// Of all rows, one after the other.
    states: Vec<State>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Row {
    hash: u64,
    start: u32,
    length: u32,
    n: u64,
}

/// What an event adds to.
pub(crate) struct Group<'a> {
    pub(crate) n: &'a mut u64,
    pub(crate) states: &'a mut [State],
}

impl Rows {
    pub(crate) fn new(columns: usize, aggregates: &[Aggregate]) -> Rows {
        Rows {
            columns,
            aggregates: aggregates.into(),
            index: HashTable::new(),
            rows: Vec::new(),
            keys: Vec::new(),
            states: Vec::new(),
            hasher: RandomState::default(),
        }
    }

    pub(crate) fn has_shape(&self, columns: usize, aggregates: &[Aggregate]) -> bool {
        self.columns == columns && *self.aggregates == *aggregates
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// About how much memory the groups take.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.len() + self.rows.len() * size_of::<Row>() + self.states.len() * 64
    }

    /// The group of a key, made empty if it is not there and there is room for it.
    #[inline]
    pub(crate) fn group(&mut self, key: &[u8], room: bool) -> Option<Group<'_>> {
        let hash = self.hasher.hash_one(key);
        let Rows { index, rows, keys, states, aggregates, .. } = self;
        let bytes = |row: &Row| keys.get(row.start as usize..row.start as usize + row.length as usize);
        let equal =
            |i: &u32| rows.get(*i as usize).is_some_and(|row| row.hash == hash && bytes(row) == Some(key));
        let place = match index.find(hash, equal) {
            Some(place) => *place as usize,
            None => {
                let start = u32::try_from(keys.len()).ok().filter(|_| room)?;
                let length = u32::try_from(key.len()).ok()?;
                let place = u32::try_from(rows.len()).ok()?;
                keys.extend_from_slice(key);
                rows.push(Row { hash, start, length, n: 0 });
                states.extend(aggregates.iter().map(|aggregate| aggregate.empty()));
                let hash_of = |i: &u32| rows.get(*i as usize).map_or(0, |row| row.hash);
                if let Entry::Vacant(vacant) = index.entry(hash, |_| false, hash_of) {
                    vacant.insert(place);
                }
                place as usize
            }
        };
        let width = aggregates.len();
        let row = rows.get_mut(place)?;
        Some(Group { n: &mut row.n, states: states.get_mut(place * width..(place + 1) * width)? })
    }

    /// The same groups with values as keys.
    pub(crate) fn into_groups(self) -> Groups {
        let mut groups = Groups::new(self.columns, &self.aggregates);
        let width = self.aggregates.len();
        for (place, row) in self.rows.iter().enumerate() {
            let (start, length) = (row.start as usize, row.length as usize);
            let bytes = self.keys.get(start..start + length).unwrap_or_default();
            let states = self.states.get(place * width..(place + 1) * width).unwrap_or_default();
            if let Some(key) = decode(bytes, self.columns) {
                groups.entry(&key).merge(row.n, states);
            }
        }
        groups
    }
}

const NULL: u8 = 0;
const BOOL: u8 = 1;
const I64: u8 = 2;
const U64: u8 = 3;
const F64: u8 = 4;
const STR: u8 = 5;
const BYTES: u8 = 6;
const TIMESTAMP: u8 = 7;
const DURATION: u8 = 8;
const LIST: u8 = 9;

/// Appends text to a key.
#[inline]
pub(crate) fn encode_str(key: &mut Vec<u8>, text: &str) {
    sized(key, STR, text.as_bytes());
}

fn sized(key: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    key.push(tag);
    key.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    key.extend_from_slice(bytes);
}

fn fixed(key: &mut Vec<u8>, tag: u8, bits: u64) {
    key.push(tag);
    key.extend_from_slice(&bits.to_le_bytes());
}

/// Appends a value to a key.
pub(crate) fn encode(key: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => key.push(NULL),
        Value::Bool(x) => key.extend_from_slice(&[BOOL, u8::from(*x)]),
        Value::I64(x) => fixed(key, I64, x.cast_unsigned()),
        Value::U64(x) => fixed(key, U64, *x),
        Value::F64(x) => fixed(key, F64, x.to_bits()),
        Value::Str(text) => encode_str(key, text),
        Value::Bytes(bytes) => sized(key, BYTES, bytes),
        Value::Timestamp(ns) => fixed(key, TIMESTAMP, ns.cast_unsigned()),
        Value::Duration(ns) => fixed(key, DURATION, ns.cast_unsigned()),
        Value::List(items) => {
            key.push(LIST);
            key.extend_from_slice(&(items.len() as u32).to_le_bytes());
            items.iter().for_each(|item| encode(key, item));
        }
    }
}

/// The values of a key; None if it does not have so many.
fn decode(mut bytes: &[u8], columns: usize) -> Option<Vec<Value>> {
    let values: Option<Vec<Value>> = (0..columns).map(|_| value(&mut bytes)).collect();
    values.filter(|_| bytes.is_empty())
}

fn value(bytes: &mut &[u8]) -> Option<Value> {
    let tag = *bytes.split_off_first()?;
    Some(match tag {
        NULL => Value::Null,
        BOOL => Value::Bool(*bytes.split_off_first()? != 0),
        I64 => Value::I64(bits(bytes)?.cast_signed()),
        U64 => Value::U64(bits(bytes)?),
        F64 => Value::F64(f64::from_bits(bits(bytes)?)),
        STR => Value::str(std::str::from_utf8(run(bytes)?).ok()?),
        BYTES => Value::Bytes(run(bytes)?.into()),
        TIMESTAMP => Value::Timestamp(bits(bytes)?.cast_signed()),
        DURATION => Value::Duration(bits(bytes)?.cast_signed()),
        LIST => {
            let count = length(bytes)?;
            let items: Option<Vec<Value>> = (0..count).map(|_| value(bytes)).collect();
            Value::List(items?.into())
        }
        _ => return None,
    })
}

fn bits(bytes: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?))
}

fn length(bytes: &mut &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.split_off(..4)?.try_into().ok()?) as usize)
}

fn run<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = length(bytes)?;
    bytes.split_off(..length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::Errors;

    fn check(values: &[Value]) {
        let mut key = Vec::new();
        values.iter().for_each(|value| encode(&mut key, value));
        assert_eq!(decode(&key, values.len()).as_deref(), Some(values));
        assert_eq!(decode(&key, values.len() + 1), None);
    }

    #[test]
    fn keys_come_back_as_they_were() {
        let text = |text: &str| Value::str(text);
        check(&[]);
        check(&[Value::Null, Value::Bool(true), Value::I64(-5), Value::U64(u64::MAX), Value::F64(f64::NAN)]);
        check(&[text(""), text("a"), text(&"long ".repeat(100)), Value::Bytes([0, 1].as_slice().into())]);
        check(&[
            Value::Timestamp(-1),
            Value::Duration(i64::MAX),
            Value::List(vec![text("x"), Value::Null].into()),
        ]);
    }

    #[test]
    fn texts_that_run_into_each_other_are_different_keys() {
        let key = |texts: [&str; 2]| {
            let mut key = Vec::new();
            texts.iter().for_each(|text| encode_str(&mut key, text));
            key
        };
        assert_ne!(key(["ab", "c"]), key(["a", "bc"]));
    }

    #[test]
    fn rows_of_equal_keys_are_one_group_and_a_full_table_takes_no_new_ones() {
        let mut rows = Rows::new(1, &[Aggregate::Sum]);
        let mut add = |i: u64, room| {
            let mut key = Vec::new();
            encode(&mut key, &Value::U64(i % 500));
            let Some(group) = rows.group(&key, room) else { return false };
            *group.n += 1;
            group.states[0].update(&Value::U64(i), 1, &mut Errors::default());
            true
        };
        assert!((0..2_000).all(|i| add(i, true)));
        assert!(add(7, false));
        let mut key = Vec::new();
        encode(&mut key, &Value::str("new"));
        assert!(rows.group(&key, false).is_none());
        let groups = rows.into_groups();
        assert_eq!(groups.len(), 500);
        assert_eq!(groups.get(&[Value::U64(7)]).map(|group| group.n), Some(5));
    }

    #[test]
    fn equal_numbers_of_different_types_are_one_group_in_the_end() {
        let mut rows = Rows::new(1, &[]);
        for value in [Value::I64(1), Value::U64(1)] {
            let mut key = Vec::new();
            encode(&mut key, &value);
            rows.group(&key, true).into_iter().for_each(|group| *group.n += 1);
        }
        let groups = rows.into_groups();
        assert_eq!(groups.iter().map(|group| group.n).collect::<Vec<_>>(), [2]);
    }
}
