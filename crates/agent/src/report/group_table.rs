//! The groups of one query as a thread gathers them: an open-addressing hash table with keys of cells.
//!
//! ```text
//! index (u32, ≤ ¼ full, linear probing)   rows: 112 bytes each, in order of insertion
//! [ · 2 · · 0 · 1 · ]  ────────────────▶  0 │ key: 2 cells │ pending sum │ n │ state │
//!                                         1 │ ..
//! keys    the cells of keys beyond their second, row by row
//! states  all states, row by row, unless there is one per row
//! ```
//!
//! A group that is there is found by one hash and one comparison of words, without an allocation, and most rows are added
//! to its [`PendingSum`] alone. Values that do not fit into a cell are interned, so that their cells are equal too. The
//! table becomes [`Groups`] when it is drained; equal values of different types (`1` signed and unsigned) may be two rows
//! here and become one group then.

use crate::limits::has_room;
use crate::report::interner::Interner;
use crate::run::cells::{Cell, Cells, IntKind};
use crate::run::ir::GroupSchema;
use foldhash::fast::RandomState;
use pivot_advice::{Aggregate, AggregateState, Groups, Value};
use std::hash::BuildHasher;
use std::sync::Arc;

/// How many slots an index has at first.
const FIRST_SLOTS: usize = 32;

/// A free slot of an index: no row has this number.
const FREE: u32 = u32::MAX;

/// The groups of one query in one thread.
#[derive(Debug)]
pub(crate) struct GroupTable {
    /// `None` before the first row.
    schema: Option<Arc<GroupSchema>>,
    /// The schema's address. As long as the schema is kept here, no other has that address.
    address: usize,
    /// The number of a row, by the hash of its key.
    index: Vec<u32>,
    /// A hash shifted right by this is the slot to try first.
    shift: u32,
    rows: Vec<GroupRow>,
    /// The cells of all keys beyond their first two, one key after the other.
    keys: Vec<Cell>,
    /// The states of all rows, unless each has just one.
    states: Vec<AggregateState>,
    interner: Interner,
    /// Space for a key of more than two cells.
    key: Vec<Cell>,
    /// The factors of the hash: odd, and secret, so that nobody can choose keys that collide.
    factors: [[u64; 2]; 2],
}

/// A group: its key lies next to what events add to.
#[derive(Debug)]
struct GroupRow {
    /// The first two cells of its key; null beyond its end.
    key: [Cell; 2],
    /// Rows that are not in `n` and the states yet.
    pending: PendingSum,
    n: u64,
    /// Its state if it has one. Otherwise a count that nobody reads.
    state: AggregateState,
}

/// Integer rows not yet folded into the states: how many, and their sum. Sums, counts and means need no more.
#[derive(Debug)]
pub(crate) struct PendingSum {
    kind: IntKind,
    n: u64,
    sum: i64,
}

impl PendingSum {
    const NONE: PendingSum = PendingSum { kind: IntKind::NONE, n: 0, sum: 0 };

    /// Adds a row with a value. Returns false, with nothing added, if the value is of another kind or the sum overflows.
    #[inline(always)]
    pub(crate) fn add(&mut self, cell: Cell) -> bool {
        let sum = cell.as_int_of(self.kind).and_then(|x| self.sum.checked_add(x));
        let Some(sum) = sum else { return false };
        self.sum = sum;
        self.n = self.n.wrapping_add(1);
        true
    }

    /// Adds a row without a value, which always fits: returns true. A query has either such rows or rows with values.
    #[inline(always)]
    pub(crate) fn count(&mut self) -> bool {
        self.n = self.n.wrapping_add(1);
        true
    }

    /// Returns whether a pending sum is all that an aggregate needs.
    pub(crate) fn serves(aggregate: Aggregate) -> bool {
        matches!(aggregate, Aggregate::Count | Aggregate::Sum | Aggregate::Average)
    }

    /// Folds the rows into a state.
    fn add_to(&self, state: &mut AggregateState) {
        let sum = self.kind.sum(self.sum);
        match state {
            AggregateState::Count(_) => state.merge(&AggregateState::Count(self.n)),
            AggregateState::Sum(_) => state.merge(&AggregateState::Sum(sum)),
            AggregateState::Average(..) => state.merge(&AggregateState::Average(sum, self.n)),
            _ => {}
        }
    }
}

/// A group, to be added to.
pub(crate) struct GroupMut<'a> {
    pub(crate) n: &'a mut u64,
    pub(crate) states: &'a mut [AggregateState],
}

impl GroupTable {
    pub(crate) fn new() -> GroupTable {
        let hasher = RandomState::default();
        GroupTable {
            schema: None,
            address: 0,
            index: Vec::new(),
            shift: 0,
            rows: Vec::new(),
            keys: Vec::new(),
            states: Vec::new(),
            factors: [[0_u64, 1], [2, 3]].map(|pair| pair.map(|i| hasher.hash_one(i) | 1)),
            key: Vec::new(),
            interner: Interner::new(hasher),
        }
    }

    /// Returns whether rows of this schema belong into this table. The first schema that asks is the one that does.
    #[inline(always)]
    pub(crate) fn accepts(&mut self, schema: &Arc<GroupSchema>) -> bool {
        self.has_schema_at(schema.address()) || self.begin(schema)
    }

    /// Returns whether the table is of the schema at this address. False is inconclusive: an equal schema may have
    /// another address.
    #[inline(always)]
    pub(crate) fn has_schema_at(&self, address: usize) -> bool {
        self.address == address
    }

    #[inline(never)]
    fn begin(&mut self, schema: &Arc<GroupSchema>) -> bool {
        if self.schema.is_none() {
            self.schema = Some(Arc::clone(schema));
            self.address = schema.address();
            self.rebuild_index(FIRST_SLOTS);
        }
        self.schema.as_ref() == Some(schema)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// About how much memory the groups take.
    fn bytes(&self) -> usize {
        size_of_val(&self.rows[..])
            + size_of_val(&self.keys[..])
            + self.states.len() * 64
            + self.interner.bytes()
    }

    /// Returns the row of a key, or `None` if it is not there or a cell of the key is stored out of line.
    #[inline(always)]
    pub(crate) fn find<const N: usize>(&self, key: &[Cell; N]) -> Option<usize> {
        if key.iter().any(|cell| cell.is_out_of_line()) {
            return None;
        }
        self.probe(self.hash(key), |row| row.key.first_chunk() == Some(key))
    }

    /// Returns the pending sum of a row.
    #[inline(always)]
    pub(crate) fn pending(&mut self, place: usize) -> Option<&mut PendingSum> {
        Some(&mut self.rows.get_mut(place)?.pending)
    }

    /// Returns the group of a key of at most two cells, an empty one if it is new and there is room. Further rows with
    /// values of the kind of `like` go into its pending sum.
    pub(crate) fn group_of(&mut self, key: &mut [Cell], like: Cell, cells: &Cells) -> Option<GroupMut<'_>> {
        let place = match key {
            [only] => self.row_of::<1>(std::array::from_mut(only), cells),
            key => self.row_of::<2>(key.first_chunk_mut()?, cells),
        }?;
        if let Some(row) = self.rows.get_mut(place).filter(|row| row.pending.n == 0) {
            row.pending.kind = like.int_kind().unwrap_or(IntKind::NONE);
        }
        self.group_at(place)
    }

    /// Returns the group of the key in these columns, an empty one if it is new and there is room.
    #[inline(never)]
    pub(crate) fn group(&mut self, columns: &[usize], like: Cell, cells: &Cells) -> Option<GroupMut<'_>> {
        match *columns {
            [] => self.group_of(&mut [Cell::NULL], like, cells),
            [column] => self.group_of(&mut [cells.get(column)], like, cells),
            [first, second] => self.group_of(&mut [cells.get(first), cells.get(second)], like, cells),
            _ => {
                let place = self.row_of_many(columns, cells)?;
                self.group_at(place)
            }
        }
    }

    /// Returns the group in a row.
    #[inline(always)]
    pub(crate) fn group_at(&mut self, place: usize) -> Option<GroupMut<'_>> {
        let row = self.rows.get_mut(place)?;
        let states = match self.schema.as_ref()?.aggregates.len() {
            1 => std::slice::from_mut(&mut row.state),
            width => self.states.get_mut(place * width..(place + 1) * width)?,
        };
        Some(GroupMut { n: &mut row.n, states })
    }

    #[inline(always)]
    fn row_of<const N: usize>(&mut self, key: &mut [Cell; N], cells: &Cells) -> Option<usize> {
        if key.iter().any(|cell| cell.is_out_of_line()) {
            self.intern(key, cells)?;
        }
        match self.probe(self.hash(key), |row| row.key.first_chunk() == Some(&*key)) {
            Some(place) => Some(place),
            None => self.insert(key),
        }
    }

    #[inline(never)]
    fn row_of_many(&mut self, columns: &[usize], cells: &Cells) -> Option<usize> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend(columns.iter().map(|column| cells.get(*column)));
        let place = self.intern(&mut key, cells).and_then(|()| {
            let found = self.probe_many(self.hash_many(&key), &key);
            found.or_else(|| self.insert(&key))
        });
        self.key = key;
        place
    }

    /// Returns the row with this hash that is the one, by linear probing.
    #[inline(always)]
    fn probe(&self, hash: u64, is_it: impl Fn(&GroupRow) -> bool) -> Option<usize> {
        let mut at = (hash >> self.shift) as usize;
        let mut row = *self.index.get(at)? as usize;

        // The first try is outside the loop: at most a quarter of the index is in use, so it mostly succeeds.
        if is_it(self.rows.get(row)?) {
            return Some(row);
        }
        loop {
            at = self.next_slot(at);
            row = *self.index.get(at)? as usize;
            if is_it(self.rows.get(row)?) {
                return Some(row);
            }
        }
    }

    /// Returns the row of a key of more than two cells.
    fn probe_many(&self, hash: u64, key: &[Cell]) -> Option<usize> {
        let mut at = (hash >> self.shift) as usize;
        loop {
            let place = *self.index.get(at)? as usize;
            if key.iter().copied().eq(self.key(place)?) {
                return Some(place);
            }
            at = self.next_slot(at);
        }
    }

    /// Returns the slot of the index after this one.
    #[inline(always)]
    fn next_slot(&self, at: usize) -> usize {
        (at + 1) & (self.index.len() - 1)
    }

    fn has_room(&self) -> bool {
        has_room(self.rows.len(), self.bytes())
    }

    /// Makes a group for a key that is not there. Returns `None` if there is no room.
    #[cold]
    #[inline(never)]
    fn insert(&mut self, key: &[Cell]) -> Option<usize> {
        if !self.has_room() {
            return None;
        }

        let schema = Arc::clone(self.schema.as_ref()?);
        let place = self.rows.len();
        if 4 * (place + 1) > self.index.len() {
            self.rebuild_index(2 * self.index.len());
        }

        // Two cells and the only state in the row, the rest beside the rows.
        let cell = |i: usize| key.get(i).copied().unwrap_or(Cell::NULL);
        self.keys.extend(key.iter().skip(2));
        let mut states = schema.aggregates.iter().map(|aggregate| aggregate.empty());
        let state = match states.len() {
            1 => states.next(),
            _ => None,
        };
        self.states.extend(states);

        let (key, state) = ([cell(0), cell(1)], state.unwrap_or(AggregateState::Count(0)));
        self.rows.push(GroupRow { key, pending: PendingSum::NONE, n: 0, state });
        self.enter(place);
        Some(place)
    }

    /// Interns the cells of a key that are stored out of line. Returns `None` if there is no room for a new one.
    #[inline(never)]
    fn intern(&mut self, key: &mut [Cell], cells: &Cells) -> Option<()> {
        let room = self.has_room();
        key.iter_mut().filter(|cell| cell.is_out_of_line()).try_for_each(|cell| {
            *cell = cell.moved_to(self.interner.place(*cell, cells, room)?);
            Some(())
        })
    }

    /// Returns the cells of a key. A key of zero columns is stored as one null cell, so that one lookup serves all.
    fn key(&self, place: usize) -> Option<impl Iterator<Item = Cell>> {
        let (row, width) = (self.rows.get(place)?, self.schema.as_ref()?.keys);
        let (width, more) = (width.max(1), width.saturating_sub(2));
        let more = self.keys.get(place * more..(place + 1) * more)?;
        Some(row.key.iter().take(width).chain(more).copied())
    }

    /// Hashes a key of one or two cells: a sum of products, a universal hash whose upper bits count. The last step
    /// breaks up the runs that keys at equal distances would make under linear probing.
    #[inline(always)]
    fn hash<const N: usize>(&self, key: &[Cell; N]) -> u64 {
        let mut sum = 0_u64;
        for (cell, [x, y]) in key.iter().zip(&self.factors) {
            sum = sum.wrapping_add(cell.0.wrapping_mul(*x)).wrapping_add(cell.1.wrapping_mul(*y));
        }
        (sum ^ sum >> 32).wrapping_mul(self.factors[0][0])
    }

    /// Hashes a key of any number of cells.
    fn hash_many(&self, key: &[Cell]) -> u64 {
        let [[x, y], [z, _]] = self.factors;
        key.iter().fold(0, |hash, cell| fold(hash ^ cell.0, x).wrapping_mul(z) ^ fold(cell.1, y))
    }

    fn hash_of(&self, place: usize) -> Option<u64> {
        let row = self.rows.get(place)?;
        match self.schema.as_ref()?.keys {
            0 | 1 => Some(self.hash(row.key.first_chunk::<1>()?)),
            2 => Some(self.hash(&row.key)),
            _ => Some(self.hash_many(&self.key(place)?.collect::<Vec<_>>())),
        }
    }

    /// Enters a row into the index.
    fn enter(&mut self, place: usize) {
        let mut at = (self.hash_of(place).unwrap_or_default() >> self.shift) as usize;
        while self.index[at] != FREE {
            at = self.next_slot(at);
        }
        self.index[at] = place as u32;
    }

    /// Rebuilds the index with so many slots, a power of two.
    fn rebuild_index(&mut self, places: usize) {
        self.index = vec![FREE; places];
        self.shift = u64::BITS - places.ilog2();
        (0..self.rows.len()).for_each(|place| self.enter(place));
    }

    /// Returns how many rows are in pending sums.
    pub(crate) fn pending_rows(&self) -> u64 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.pending.n))
    }

    /// Returns the groups with values as keys, or `None` if there are none.
    pub(crate) fn into_groups(mut self) -> Option<Groups> {
        let schema = self.schema.clone().filter(|_| !self.is_empty())?;
        let mut groups = Groups::new(schema.keys, &schema.aggregates);

        for place in 0..self.rows.len() {
            let key = self.key(place).into_iter().flatten().take(schema.keys);
            let key: Vec<Value> = key.map(|cell| self.interner.value(cell)).collect();

            // Taken out of the row, because its group is borrowed below.
            let pending =
                self.rows.get_mut(place).map(|row| std::mem::replace(&mut row.pending, PendingSum::NONE));
            let Some((pending, group)) = pending.zip(self.group_at(place)) else { continue };
            if pending.n > 0 {
                group.states.iter_mut().for_each(|state| pending.add_to(state));
            }
            groups.entry(&key).merge(group.n.saturating_add(pending.n), group.states);
        }
        Some(groups)
    }
}

/// Multiplies and folds the halves of the product: every bit of both sides moves the result.
#[inline(always)]
fn fold(x: u64, y: u64) -> u64 {
    let product = u128::from(x) * u128::from(y);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_GROUPS;
    use pivot_advice::{EvalErrors, QueryId};

    fn rows(keys: usize, aggregates: &[Aggregate]) -> GroupTable {
        let mut rows = GroupTable::new();
        let (query, aggregates) = (QueryId::new(1, 1), aggregates.to_vec());
        assert!(rows.accepts(&Arc::new(GroupSchema { query, keys, aggregates })));
        rows
    }

    fn groups(rows: GroupTable) -> Groups {
        rows.into_groups().expect("a schema")
    }

    /// Adds one to the group of a key.
    fn add(rows: &mut GroupTable, key: &[Value]) -> bool {
        let mut cells = Cells::default();
        cells.begin(key.len());
        for (column, value) in key.iter().enumerate() {
            let cell = cells.hold(value);
            cells.set(column, cell);
        }
        let columns: Vec<usize> = (0..key.len()).collect();
        rows.group(&columns, Cell::NULL, &cells).map(|group| *group.n += 1).is_some()
    }

    fn check(key: &[Value]) {
        let mut rows = rows(key.len(), &[]);
        assert!(add(&mut rows, key) && add(&mut rows, key));
        let groups = groups(rows);
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
        assert_eq!(groups(rows).len(), 3);
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
        let groups = groups(rows);
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
            let group = rows.group(&[0], Cell::NULL, &cells);
            group.into_iter().for_each(|group| {
                group.states[0].update(&Value::I64(i), 1, &mut EvalErrors::default());
            });
        }
        let groups = groups(rows);
        assert_eq!(groups.len(), 500);
        for group in &groups {
            let sum = group.states[0].finish(Default::default(), &mut EvalErrors::default());
            assert_eq!(sum.as_integer(), group.key[0].as_integer().map(|i| 2 * i));
        }
    }

    #[test]
    fn equal_numbers_of_different_types_are_one_group_in_the_end() {
        let mut rows = rows(1, &[]);
        assert!([Value::I64(1), Value::U64(1)].into_iter().all(|value| add(&mut rows, &[value])));
        let groups = groups(rows);
        assert_eq!(groups.iter().map(|group| group.n).collect::<Vec<_>>(), [2]);
    }
}
