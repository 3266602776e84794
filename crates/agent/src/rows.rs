//! Groups as a thread gathers them: keys as cells, found by one hash and one comparison of words, and no
//! allocation for a group that is there. They become [`Groups`] when they are drained.
//!
//! Two keys of equal cells are equal values; equal values of different types (`1` signed and
//! unsigned) may lie in two rows here, and become one group then.

use crate::cells::{Cell, Cells, value_of};
use crate::compile::Shape;
use crate::emit::Part;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use pivot_advice::{Groups, State, Value};
use std::hash::BuildHasher;
use std::sync::Arc;

/// How many places an index has at first.
const PLACES: usize = 32;

/// The groups of one query in one thread.
#[derive(Debug)]
pub(crate) struct Rows {
    shape: Arc<Shape>,
    /// How many states a row has.
    width: usize,
    /// By hash, with linear probing: the row's place plus one, or 0. At most half full.
    index: Vec<u32>,
    /// Of all rows, one after the other, and so are the others.
    keys: Vec<Cell>,
    counts: Vec<u64>,
    states: Vec<State>,
    elsewhere: Elsewhere,
    /// Space for a key.
    key: Vec<Cell>,
    /// Secret, so that nobody can choose keys that collide.
    seed: [u64; 2],
}

/// What an event adds to.
pub(crate) struct Group<'a> {
    pub(crate) n: &'a mut u64,
    pub(crate) states: &'a mut [State],
}

impl Rows {
    pub(crate) fn new(shape: &Arc<Shape>) -> Rows {
        let hasher = RandomState::default();
        Rows {
            shape: Arc::clone(shape),
            width: shape.aggregates.len(),
            index: vec![0; PLACES],
            keys: Vec::new(),
            counts: Vec::new(),
            states: Vec::new(),
            seed: [0_u64, 1].map(|i| hasher.hash_one(i)),
            key: Vec::new(),
            elsewhere: Elsewhere { hasher, ..Elsewhere::default() },
        }
    }

    #[inline(always)]
    pub(crate) fn has_shape(&self, shape: &Arc<Shape>) -> bool {
        Arc::ptr_eq(&self.shape, shape) || self.shape == *shape
    }

    /// About how much memory the groups take.
    fn bytes(&self) -> usize {
        size_of_val(&self.keys[..]) + self.counts.len() * 16 + self.states.len() * 64 + self.elsewhere.bytes
    }

    /// The group of the key that lies in these columns, made empty if it is not there and there is room.
    #[inline(always)]
    pub(crate) fn group(&mut self, columns: &[usize], cells: &Cells) -> Option<Group<'_>> {
        let place = match *columns {
            [column] => self.place_of(&mut [cells.get(column)], cells),
            [first, second] => self.place_of(&mut [cells.get(first), cells.get(second)], cells),
            _ => self.place_of_many(columns, cells),
        }?;
        let width = self.width;
        let states = self.states.get_mut(place * width..(place + 1) * width)?;
        Some(Group { n: self.counts.get_mut(place)?, states })
    }

    #[inline(always)]
    fn place_of<const N: usize>(&mut self, key: &mut [Cell; N], cells: &Cells) -> Option<usize> {
        if key.iter().any(|cell| cell.is_elsewhere()) {
            self.bring(key, cells)?;
        }
        let keys = self.keys.as_chunks().0;
        match self.probe(self.hash(key), |place| keys.get(place) == Some(key)) {
            Some(place) => Some(place),
            None => self.insert(key),
        }
    }

    #[inline(never)]
    fn place_of_many(&mut self, columns: &[usize], cells: &Cells) -> Option<usize> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend(columns.iter().map(|column| cells.get(*column)));
        let place = self.bring(&mut key, cells).and_then(|()| {
            let found = self.probe(self.hash(&key), |place| self.key(place) == Some(&key));
            found.or_else(|| self.insert(&key))
        });
        self.key = key;
        place
    }

    /// The row of that hash which is the one.
    #[inline(always)]
    fn probe(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let place = (*self.index.get(at)? as usize).checked_sub(1)?;
            if is_it(place) {
                return Some(place);
            }
            at = (at + 1) & mask;
        }
    }

    fn has_room(&self) -> bool {
        Part::has_room(self.counts.len(), self.bytes())
    }

    /// Makes a group for a key that is not there.
    #[cold]
    #[inline(never)]
    fn insert(&mut self, key: &[Cell]) -> Option<usize> {
        if !self.has_room() {
            return None;
        }
        let place = self.counts.len();
        if 2 * (place + 1) > self.index.len() {
            self.grow();
        }
        self.keys.extend_from_slice(key);
        self.counts.push(0);
        self.states.extend(self.shape.aggregates.iter().map(|aggregate| aggregate.empty()));
        self.enter(place);
        Some(place)
    }

    /// Puts what lies elsewhere into this table. None if there is no room for what is not there yet.
    #[inline(never)]
    fn bring(&mut self, key: &mut [Cell], cells: &Cells) -> Option<()> {
        let room = self.has_room();
        key.iter_mut().filter(|cell| cell.is_elsewhere()).try_for_each(|cell| {
            *cell = cell.moved_to(self.elsewhere.place(*cell, cells, room)?);
            Some(())
        })
    }

    fn key(&self, place: usize) -> Option<&[Cell]> {
        self.keys.get(place * self.shape.keys..(place + 1) * self.shape.keys)
    }

    #[inline(always)]
    fn hash(&self, key: &[Cell]) -> u64 {
        let [mut hash, seed] = self.seed;
        for cell in key {
            hash = fold(hash ^ cell.0, seed ^ cell.1);
        }
        hash
    }

    /// Puts a row into the index.
    fn enter(&mut self, place: usize) {
        let mask = self.index.len() - 1;
        let mut at = self.key(place).map_or(0, |key| self.hash(key)) as usize & mask;
        while self.index[at] != 0 {
            at = (at + 1) & mask;
        }
        self.index[at] = place as u32 + 1;
    }

    fn grow(&mut self) {
        self.index = vec![0; self.index.len() * 2];
        (0..self.counts.len()).for_each(|place| self.enter(place));
    }

    /// The same groups with values as keys.
    pub(crate) fn into_groups(self) -> Groups {
        let mut groups = Groups::new(self.shape.keys, &self.shape.aggregates);
        let width = self.shape.aggregates.len();
        for (place, n) in self.counts.iter().enumerate() {
            let key = self.key(place).unwrap_or_default();
            let key: Vec<Value> = key.iter().map(|cell| self.elsewhere.value(*cell)).collect();
            let states = self.states.get(place * width..(place + 1) * width).unwrap_or_default();
            groups.entry(&key).merge(*n, states);
        }
        groups
    }
}

/// A multiplication whose halves are folded: every bit of both sides moves the result.
#[inline(always)]
fn fold(x: u64, y: u64) -> u64 {
    let product = u128::from(x) * u128::from(y);
    product as u64 ^ (product >> 64) as u64
}

/// What did not fit into cells, each once.
#[derive(Debug, Default)]
struct Elsewhere {
    values: Vec<Value>,
    index: HashTable<u32>,
    bytes: usize,
    hasher: RandomState,
}

impl Elsewhere {
    /// The place of a cell's value; a new one if there is room.
    fn place(&mut self, cell: Cell, cells: &Cells, room: bool) -> Option<u64> {
        let (hash, value) = match cells.as_long(cell) {
            // Hashes like the value that it is, which need not be made.
            Some(text) => (self.hasher.hash_one(text), Err(text)),
            None => {
                let value = cells.value(cell);
                (self.hasher.hash_one(&value), Ok(value))
            }
        };
        let Elsewhere { values, index, bytes, hasher } = self;
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
        *bytes += values.last().map_or(0, size);
        index.insert_unique(hash, place, |place| {
            values.get(*place as usize).map_or(0, |value| hasher.hash_one(value))
        });
        Some(u64::from(place))
    }

    fn value(&self, cell: Cell) -> Value {
        match cell.is_elsewhere() {
            true => self.values.get(cell.0 as usize).cloned().unwrap_or_default(),
            false => value_of(cell),
        }
    }
}

/// About how much memory a value takes.
fn size(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Str(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(items) => items.iter().map(size).sum(),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::MAX_GROUPS;
    use pivot_advice::{Aggregate, Errors};

    fn rows(keys: usize, aggregates: &[Aggregate]) -> Rows {
        Rows::new(&Arc::new(Shape { keys, aggregates: aggregates.to_vec() }))
    }

    /// Adds one to the group of a key.
    fn add(rows: &mut Rows, key: &[Value]) -> bool {
        let mut cells = Cells::default();
        cells.begin(key.len());
        for (column, value) in key.iter().enumerate() {
            let cell = cells.hold(value);
            cells.set(column, cell);
        }
        let columns: Vec<usize> = (0..key.len()).collect();
        rows.group(&columns, &cells).map(|group| *group.n += 1).is_some()
    }

    fn check(key: &[Value]) {
        let mut rows = rows(key.len(), &[]);
        assert!(add(&mut rows, key) && add(&mut rows, key));
        let groups = rows.into_groups();
        let found: Vec<_> = groups.iter().map(|group| (&*group.key, group.n)).collect();
        assert_eq!(found, [(key, 2)]);
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
        let mut rows = rows(2, &[]);
        let long = |text: &str| Value::str(format!("{}{text}", "long".repeat(5)));
        let pairs = [["ab", "c"].map(Value::str), ["a", "bc"].map(Value::str), ["ab", "c"].map(long)];
        assert!(pairs.iter().all(|pair| add(&mut rows, pair)));
        assert_eq!(rows.into_groups().len(), 3);
    }

    #[test]
    fn rows_of_equal_keys_are_one_group_and_a_full_table_takes_no_new_ones() {
        let mut rows = rows(1, &[]);
        let most = MAX_GROUPS as u64;
        let long = |i: u64| Value::str(format!("a key that is longer than a cell, number {i}"));
        assert!((0..2 * most).all(|i| add(&mut rows, &[Value::U64(i % (most - 1))])));
        assert!(add(&mut rows, &[long(7)]));
        assert!(!add(&mut rows, &[long(8)]) && !add(&mut rows, &[Value::str("new")]));
        assert!(add(&mut rows, &[long(7)]) && add(&mut rows, &[Value::U64(7)]));
        let groups = rows.into_groups();
        assert_eq!(groups.len(), MAX_GROUPS);
        let n = |key| groups.get(&[key]).map(|group| group.n);
        assert_eq!((n(Value::U64(7)), n(long(7)), n(long(8))), (Some(3), Some(2), None));
    }

    #[test]
    fn states_stay_with_their_groups_as_the_table_grows() {
        let mut rows = rows(1, &[Aggregate::Sum, Aggregate::Count]);
        let mut cells = Cells::default();
        cells.begin(1);
        for i in (0..500).chain(0..500) {
            cells.set(0, Cell::i64(i));
            let group = rows.group(&[0], &cells);
            group.into_iter().for_each(|group| {
                group.states[0].update(&Value::I64(i), 1, &mut Errors::default());
            });
        }
        let groups = rows.into_groups();
        assert_eq!(groups.len(), 500);
        for group in &groups {
            let sum = group.states[0].finish(Default::default(), &mut Errors::default());
            assert_eq!(sum.as_integer(), group.key[0].as_integer().map(|i| 2 * i));
        }
    }

    #[test]
    fn equal_numbers_of_different_types_are_one_group_in_the_end() {
        let mut rows = rows(1, &[]);
        assert!([Value::I64(1), Value::U64(1)].into_iter().all(|value| add(&mut rows, &[value])));
        let groups = rows.into_groups();
        assert_eq!(groups.iter().map(|group| group.n).collect::<Vec<_>>(), [2]);
    }
}
