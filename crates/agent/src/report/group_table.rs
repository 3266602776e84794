//! The groups of one query in one thread: an open-addressing hash table whose keys are cells.
//!
//! ```text
//!   FROM e IN Store.Write GROUP BY e.user SELECT e.user, SUM(e.bytes)
//!
//!   key ─hash─▶ index            rows
//!               ┌───┐            ┌──────────────────┬────────────────────┬──────┬──────────┐
//!               │ · │     ┌────▶ │ key "ann", null  │ pending n=7 sum=91 │ n=2  │ SUM = 40 │  row 0
//!               │ 0 │─────┘      ├──────────────────┼────────────────────┼──────┼──────────┤
//!               │ · │   ┌──────▶ │ key #0,    null  │ pending n=0        │ n=1  │ SUM = 5  │  row 1
//!               │ 1 │───┘        └──────│───────────┴────────────────────┴──────┴──────────┘
//!               │ · │ ≤ ¼ full          └─▶ interner: #0 "a user name that does not fit"
//!               └───┘
//! ```
//!
//! **Keys.** A key is an array of [`Cell`]s, so it is hashed and compared as machine words. The first two cells lie
//! in the row itself, next to what an event adds to: a hit touches one line of the index and one or two of the row.
//! Further cells lie in `keys`. A query without GROUP BY has a key of one null cell, so that one lookup path serves
//! all.
//!
//! **Interning.** Long text, bytes and lists do not fit into a cell. The [`Interner`] keeps each such value once,
//! and the key's cell has its number in place of the value. Equal cells then mean equal values. The converse fails
//! for `1` signed and `1` unsigned: these are two rows here, and one group once [`Groups`] compares the values.
//!
//! **Pending sums.** Sums, counts and means over one column of integers need to know no more of the rows than how
//! many there were and their total. Such rows go to the row's [`PendingSum`], which is one checked addition; rows
//! that do not fit there go to `n` and the aggregate states. A drain adds both up, so each row is counted in
//! exactly one.
//!
//! **Cost.** A hit on a group that exists allocates nothing. A new group appends a row, and doubles the index when
//! a quarter of it is in use: sparse, so that linear probing mostly ends at the first try. Nothing is ever removed;
//! the whole table is taken at the next drain. `has_room` bounds groups and bytes: a new group beyond the bounds
//! is `None`, and its rows go to the query's `other` group.

use crate::limits::MAX_BYTES;
use crate::report::interner::{Interner, NewValuePolicy};
use crate::run::cells::{Cell, Cells, IntKind};
use crate::run::ir::GroupSchema;
use foldhash::fast::RandomState;
use pivot_advice::{AggregateKind, AggregateState, Groups, Value};
use std::hash::BuildHasher;
use std::sync::Arc;

/// How many slots a new index has.
const INITIAL_SLOTS: usize = 32;

/// An unused slot of an index. No row has this number, so looking the row up ends a probe.
const FREE: u32 = u32::MAX;

/// The groups of one query in one thread, for rows of one schema.
#[derive(Debug)]
pub(crate) struct GroupTable {
    /// The number of keys and the aggregates; `None` before the first row.
    schema: Option<Arc<GroupSchema>>,
    /// The address of the schema, or 0. As long as the schema is kept here, no other one has this address.
    schema_address: usize,
    /// Row numbers by hash, with linear probing. The length is a power of two; at most a quarter is in use.
    index: Vec<u32>,
    /// How far a hash is shifted right to give the first slot of its probe: the upper bits are the good ones.
    shift: u32,
    /// The groups, in the order in which they were first seen.
    rows: Vec<GroupRow>,
    /// The cells of all keys beyond their first two, one key after the other.
    keys: Vec<Cell>,
    /// The states of all rows, one row after the other, unless each row has exactly one.
    states: Vec<AggregateState>,
    /// The values behind key cells that are out of line.
    interner: Interner,
    /// A buffer for keys of more than two columns.
    wide_key: Vec<Cell>,
    /// Random odd factors of the hash function. They are secret, so that nobody can choose keys that collide.
    factors: [[u64; 2]; 2],
}

/// One group. What it is found by lies next to what events add to.
#[derive(Debug)]
struct GroupRow {
    /// The first two cells of the key, padded with null.
    key: [Cell; 2],
    /// Rows that are not yet part of `n` and of the states.
    pending: PendingSum,
    /// How many rows the states have taken in.
    n: u64,
    /// The state of the only aggregate. Unused if there are none or several.
    state: AggregateState,
}

/// The number and the total of rows whose values are integers of one kind. Sums, counts and means need to know no
/// more of such rows, so the states are updated once per drain instead of once per row.
#[derive(Debug)]
pub(crate) struct PendingSum {
    /// The kind of integers that are taken; [`IntKind::NONE`] takes none.
    kind: IntKind,
    /// How many rows were taken.
    n: u64,
    /// The total of their values.
    sum: i64,
}

impl PendingSum {
    const NONE: PendingSum = PendingSum { kind: IntKind::NONE, n: 0, sum: 0 };

    /// Adds a row with a value. Returns false, with nothing added, if the value is no integer of this kind or the
    /// total would overflow: then the row belongs into the states.
    #[inline(always)]
    pub(crate) fn add(&mut self, cell: Cell) -> bool {
        let sum = cell.as_int_of(self.kind).and_then(|x| self.sum.checked_add(x));
        let Some(sum) = sum else { return false };
        self.sum = sum;
        self.n = self.n.wrapping_add(1);
        true
    }

    /// Adds a row of a query without aggregates, in which every row of a group is one without a value. Always
    /// succeeds.
    #[inline(always)]
    pub(crate) fn count(&mut self) -> bool {
        self.n = self.n.wrapping_add(1);
        true
    }

    /// Returns whether the number and total of rows are all that an aggregate needs.
    pub(crate) fn serves(aggregate: AggregateKind) -> bool {
        matches!(aggregate, AggregateKind::Count | AggregateKind::Sum | AggregateKind::Average)
    }

    /// Adds the rows to the state of an aggregate that [`PendingSum::serves`].
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

/// A group to which an event adds a row.
pub(crate) struct GroupMut<'a> {
    /// How many rows the states have taken in.
    pub(crate) n: &'a mut u64,
    /// The states, in the order of the schema's aggregates.
    pub(crate) states: &'a mut [AggregateState],
}

impl GroupTable {
    /// Returns a table for rows of the schema that comes first. It allocates nothing yet.
    pub(crate) fn new() -> GroupTable {
        let hasher = RandomState::default();
        // Only an odd factor maps different words to different products.
        let factors = [[0_u64, 1], [2, 3]].map(|pair| pair.map(|i| hasher.hash_one(i) | 1));

        GroupTable {
            schema: None,
            schema_address: 0,
            index: Vec::new(),
            shift: 0,
            rows: Vec::new(),
            keys: Vec::new(),
            states: Vec::new(),
            factors,
            wide_key: Vec::new(),
            interner: Interner::new(hasher),
        }
    }

    /// Returns whether rows of this schema may be added. The first schema that is asked for becomes the table's
    /// own.
    #[inline(always)]
    pub(crate) fn accepts(&mut self, schema: &Arc<GroupSchema>) -> bool {
        self.has_schema_at(schema.address()) || self.adopt_schema(schema)
    }

    /// Returns whether the table's schema lies at this address. If not, call [`GroupTable::accepts`]: the schema
    /// may be equal all the same.
    #[inline(always)]
    pub(crate) fn has_schema_at(&self, address: usize) -> bool {
        self.schema_address == address
    }

    /// Takes over a schema if there is none yet. Returns whether the table's schema equals it.
    #[inline(never)]
    fn adopt_schema(&mut self, schema: &Arc<GroupSchema>) -> bool {
        if self.schema.is_none() {
            self.schema = Some(Arc::clone(schema));
            self.schema_address = schema.address();
            self.rebuild_index(INITIAL_SLOTS);
        }
        self.schema.as_ref() == Some(schema)
    }

    /// Returns whether there is no group.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns about how many bytes the groups take. A state counts as 64, which sketches exceed.
    fn bytes(&self) -> usize {
        size_of_val(&self.rows[..])
            + size_of_val(&self.keys[..])
            + self.states.len() * 64
            + self.interner.bytes()
    }

    /// Returns the row number of a key, or `None` if there is no such group or a cell of the key is out of line:
    /// then [`GroupTable::group_of`] interns it first.
    #[inline(always)]
    pub(crate) fn find<const N: usize>(&mut self, key: &[Cell; N]) -> Option<usize> {
        if key.iter().any(|cell| cell.is_out_of_line()) {
            return None;
        }
        self.probe(self.hash(key), |row| row.key.first_chunk() == Some(key), |_, row| row)
    }

    /// Returns the pending sum of the group of a key, or `None` where [`GroupTable::find`] does.
    #[inline(always)]
    pub(crate) fn find_pending<const N: usize>(&mut self, key: &[Cell; N]) -> Option<&mut PendingSum> {
        if key.iter().any(|cell| cell.is_out_of_line()) {
            return None;
        }
        self.probe(self.hash(key), |row| row.key.first_chunk() == Some(key), GroupTable::pending)?
    }

    /// Returns the pending sum of a row.
    #[inline(always)]
    pub(crate) fn pending(&mut self, row: usize) -> Option<&mut PendingSum> {
        Some(&mut self.rows.get_mut(row)?.pending)
    }

    /// Returns the group of a key of one or two cells, a new one if need be, or `None` if there is no room for it.
    ///
    /// `like` is the value of the row. If it is an integer, the group's pending sum takes integers of its kind from
    /// now on, so that the next such row takes the fast path.
    pub(crate) fn group_of(&mut self, key: &mut [Cell], like: Cell, cells: &Cells) -> Option<GroupMut<'_>> {
        let row_number = match key {
            [only] => self.row_of::<1>(std::array::from_mut(only), cells),
            key => self.row_of::<2>(key.first_chunk_mut()?, cells),
        }?;

        // While rows are pending the kind is fixed: their total would change its meaning with it.
        if let Some(row) = self.rows.get_mut(row_number).filter(|row| row.pending.n == 0) {
            row.pending.kind = like.int_kind().unwrap_or(IntKind::NONE);
        }
        self.group_at(row_number)
    }

    /// Returns the group whose key lies in these columns, like [`GroupTable::group_of`].
    #[inline(never)]
    pub(crate) fn group(&mut self, columns: &[usize], like: Cell, cells: &Cells) -> Option<GroupMut<'_>> {
        match *columns {
            [] => self.group_of(&mut [Cell::NULL], like, cells),
            [column] => self.group_of(&mut [cells.get(column)], like, cells),
            [first, second] => self.group_of(&mut [cells.get(first), cells.get(second)], like, cells),
            _ => {
                let row = self.row_of_wide(columns, cells)?;
                self.group_at(row)
            }
        }
    }

    /// Returns the group with this row number.
    #[inline(always)]
    pub(crate) fn group_at(&mut self, row_number: usize) -> Option<GroupMut<'_>> {
        let row = self.rows.get_mut(row_number)?;
        let states = match self.schema.as_ref()?.aggregates.len() {
            1 => std::slice::from_mut(&mut row.state),
            width => self.states.get_mut(row_number * width..(row_number + 1) * width)?,
        };
        Some(GroupMut { n: &mut row.n, states })
    }

    /// Returns the row number of a key, after interning it, or that of a new group.
    #[inline(always)]
    fn row_of<const N: usize>(&mut self, key: &mut [Cell; N], cells: &Cells) -> Option<usize> {
        if key.iter().any(|cell| cell.is_out_of_line()) {
            self.intern(key, cells)?;
        }
        match self.probe(self.hash(key), |row| row.key.first_chunk() == Some(&*key), |_, row| row) {
            Some(row) => Some(row),
            None => self.insert(key),
        }
    }

    /// Returns the row number of a key of more than two columns, or that of a new group.
    #[inline(never)]
    fn row_of_wide(&mut self, columns: &[usize], cells: &Cells) -> Option<usize> {
        let mut key = std::mem::take(&mut self.wide_key);
        key.clear();
        key.extend(columns.iter().map(|column| cells.get(*column)));

        let row = self.intern(&mut key, cells).and_then(|()| {
            let found = self.probe_wide(self.hash_wide(&key), &key);
            found.or_else(|| self.insert(&key))
        });

        // The buffer goes back even if there was no room.
        self.wide_key = key;
        row
    }

    /// Looks for the row with this hash that `is_it` accepts, by linear probing. Returns what `found` makes of its
    /// number, or `None` if there is no such row.
    ///
    /// `found` is called right after the row was read, so the compiler knows the number to be in bounds. A caller that
    /// got the number back would check it once more.
    #[inline(always)]
    fn probe<'a, R>(
        &'a mut self,
        hash: u64,
        is_it: impl Fn(&GroupRow) -> bool,
        found: impl FnOnce(&'a mut GroupTable, usize) -> R,
    ) -> Option<R> {
        let mut at = (hash >> self.shift) as usize;
        let mut row = *self.index.get(at)? as usize;

        // The first try is outside the loop: at most a quarter of the index is in use, so it mostly succeeds.
        if is_it(self.rows.get(row)?) {
            return Some(found(self, row));
        }
        loop {
            at = self.next_slot(at);
            row = *self.index.get(at)? as usize;
            if is_it(self.rows.get(row)?) {
                return Some(found(self, row));
            }
        }
    }

    /// Returns the row number of a key of more than two cells, by linear probing.
    fn probe_wide(&self, hash: u64, key: &[Cell]) -> Option<usize> {
        let mut at = (hash >> self.shift) as usize;
        loop {
            let row = *self.index.get(at)? as usize;
            if key.iter().copied().eq(self.key(row)?) {
                return Some(row);
            }
            at = self.next_slot(at);
        }
    }

    /// Returns the slot of the index after this one, which is the first after the last.
    #[inline(always)]
    fn next_slot(&self, at: usize) -> usize {
        (at + 1) & (self.index.len() - 1)
    }

    /// Returns whether one more group fits.
    fn has_room(&self) -> bool {
        let max_groups = self.schema.as_ref().map_or(0, |schema| schema.max_groups);
        self.rows.len() < max_groups && self.bytes() < MAX_BYTES
    }

    /// Appends a group for a key that is not there. Returns its row number, or `None` if there is no room.
    #[cold]
    #[inline(never)]
    fn insert(&mut self, key: &[Cell]) -> Option<usize> {
        if !self.has_room() {
            return None;
        }
        let schema = Arc::clone(self.schema.as_ref()?);
        let row = self.rows.len();

        // At most a quarter full: a probe of a key that is there mostly ends at its first slot.
        if 4 * (row + 1) > self.index.len() {
            self.rebuild_index(2 * self.index.len());
        }

        // A single state lies in the row itself, so that updating it touches no other memory.
        let mut states = schema.aggregates.iter().map(|aggregate| aggregate.empty());
        let state = match states.len() {
            1 => states.next(),
            _ => None,
        };
        self.states.extend(states);
        self.keys.extend(key.iter().skip(2));

        let [first, second] = [0, 1].map(|i| key.get(i).copied().unwrap_or(Cell::NULL));
        self.rows.push(GroupRow {
            key: [first, second],
            pending: PendingSum::NONE,
            n: 0,
            state: state.unwrap_or(AggregateState::Count(0)),
        });
        self.enter(row);
        Some(row)
    }

    /// Replaces the out-of-line cells of a key by those of interned values. Returns `None` if there is no room for
    /// a value that is not interned yet.
    #[inline(never)]
    fn intern(&mut self, key: &mut [Cell], cells: &Cells) -> Option<()> {
        let new_values = if self.has_room() { NewValuePolicy::Accepted } else { NewValuePolicy::Refused };
        key.iter_mut().filter(|cell| cell.is_out_of_line()).try_for_each(|cell| {
            *cell = cell.moved_to(self.interner.intern(*cell, cells, new_values)?);
            Some(())
        })
    }

    /// Returns the cells of a row's key. A key of zero columns is stored as one null cell, so that one lookup path
    /// serves all.
    fn key(&self, row_number: usize) -> Option<impl Iterator<Item = Cell>> {
        let (row, width) = (self.rows.get(row_number)?, self.schema.as_ref()?.keys);
        let (width, more) = (width.max(1), width.saturating_sub(2));
        let more = self.keys.get(row_number * more..(row_number + 1) * more)?;
        Some(row.key.iter().take(width).chain(more).copied())
    }

    /// Hashes a key of one or two cells by multilinear hashing: a sum of products with secret factors, of which two
    /// keys hardly ever share the upper bits. The last line breaks up the runs that keys in arithmetic progression
    /// would make in the index.
    #[inline(always)]
    fn hash<const N: usize>(&self, key: &[Cell; N]) -> u64 {
        let mut sum = 0_u64;
        for (cell, [x, y]) in key.iter().zip(&self.factors) {
            sum = sum.wrapping_add(cell.0.wrapping_mul(*x)).wrapping_add(cell.1.wrapping_mul(*y));
        }
        (sum ^ sum >> 32).wrapping_mul(self.factors[0][0])
    }

    /// Hashes a key of more than two cells, by folded multiplications one after the other.
    fn hash_wide(&self, key: &[Cell]) -> u64 {
        let [[x, y], [z, _]] = self.factors;
        key.iter().fold(0, |hash, cell| fold(hash ^ cell.0, x).wrapping_mul(z) ^ fold(cell.1, y))
    }

    /// Returns the hash of a row's key, by the function by which keys of its width are looked up.
    fn hash_of(&self, row_number: usize) -> Option<u64> {
        let row = self.rows.get(row_number)?;
        match self.schema.as_ref()?.keys {
            0 | 1 => Some(self.hash(row.key.first_chunk::<1>()?)),
            2 => Some(self.hash(&row.key)),
            _ => Some(self.hash_wide(&self.key(row_number)?.collect::<Vec<_>>())),
        }
    }

    /// Puts a row into the first free slot of its probe.
    fn enter(&mut self, row: usize) {
        let mut at = (self.hash_of(row).unwrap_or_default() >> self.shift) as usize;
        while self.index[at] != FREE {
            at = self.next_slot(at);
        }
        self.index[at] = row as u32;
    }

    /// Makes a new index of `slots` slots, a power of two, and enters all rows.
    fn rebuild_index(&mut self, slots: usize) {
        self.index = vec![FREE; slots];
        self.shift = u64::BITS - slots.ilog2();
        (0..self.rows.len()).for_each(|row| self.enter(row));
    }

    /// Returns how many rows are in pending sums. The query's report has not counted them as emitted.
    pub(crate) fn pending_rows(&self) -> u64 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.pending.n))
    }

    /// Converts all rows to groups with values as keys. Returns `None` if there are no rows.
    pub(crate) fn into_groups(mut self) -> Option<Groups> {
        let schema = self.schema.clone().filter(|_| !self.is_empty())?;
        let mut groups = Groups::new(schema.keys, &schema.aggregates);

        for row_number in 0..self.rows.len() {
            let key = self.key(row_number).into_iter().flatten().take(schema.keys);
            let key: Vec<Value> = key.map(|cell| self.interner.value(cell)).collect();

            let Some(row) = self.rows.get_mut(row_number) else { continue };
            let pending = std::mem::replace(&mut row.pending, PendingSum::NONE);

            let Some(group) = self.group_at(row_number) else { continue };
            if pending.n > 0 {
                group.states.iter_mut().for_each(|state| pending.add_to(state));
            }

            // Merged, not inserted: keys of different cells may be equal values.
            groups.entry(&key).merge(group.n.saturating_add(pending.n), group.states);
        }
        Some(groups)
    }
}

/// Multiplies and folds the halves of the product, so that every bit of both factors affects the result.
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

    fn rows(keys: usize, aggregates: &[AggregateKind]) -> GroupTable {
        let mut rows = GroupTable::new();
        let (query, aggregates) = (QueryId::new(1, 1), aggregates.to_vec());
        assert!(rows.accepts(&Arc::new(GroupSchema { query, keys, aggregates, max_groups: MAX_GROUPS })));
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
        let mut rows = rows(1, &[AggregateKind::Sum, AggregateKind::Count]);
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
