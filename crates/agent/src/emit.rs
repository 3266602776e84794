//! The process's part of every result, between two reports.
//!
//! Each thread adds to a table of its own; see `thread` for how it is taken without a lock. Rows whose
//! group finds no room go into `other`: they are missing from their group, not from the result.

use crate::cells::Cells;
use crate::interpret::{Emission, table};
use crate::routine::{Local, Packed};
use crate::sample::Stopwatch;
use crate::thread;
use pivot_advice::{Errors, Groups, Loss, QueryId, Value};
use std::collections::BTreeMap;

/// The most groups of one query in this process between two reports. The rows of further groups go
/// into [`Part::other`].
pub const MAX_GROUPS: usize = 1_000;

/// The most bytes that the groups of one query take, about, in one thread between two reports.
pub const MAX_BYTES: usize = 4 << 20;

/// One query's part of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The groups; none if rows were only lost.
    pub groups: Option<Groups>,
    /// One group without a key: the rows for whose groups there was no room.
    pub other: Option<Groups>,
    /// Rows emitted, dropped ones included.
    pub emitted: u64,
    /// What is missing.
    pub loss: Loss,
    /// What the query cost this process.
    pub cost: Cost,
    bytes: usize,
}

/// What a query cost, as its agent sees it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Events that ran its advice, those that were sampled away included.
    pub events: u64,
    /// Time spent in it: an estimate from a sample of the events.
    pub busy_ns: u64,
    /// Tuples packed.
    pub packed: u64,
}

impl Cost {
    /// Adds another cost.
    pub fn merge(&mut self, other: &Cost) {
        self.events = self.events.saturating_add(other.events);
        self.busy_ns = self.busy_ns.saturating_add(other.busy_ns);
        self.packed = self.packed.saturating_add(other.packed);
    }
}

/// All queries' parts, in the order of their ids.
pub type Parts = BTreeMap<QueryId, Part>;

impl Part {
    /// A part with nothing in it.
    pub fn empty() -> Part {
        let (loss, cost) = (Loss::default(), Cost::default());
        Part { groups: None, other: None, emitted: 0, loss, cost, bytes: 0 }
    }

    /// Whether it tells of nothing but what it cost.
    pub fn is_empty(&self) -> bool {
        self.groups.is_none() && self.other.is_none() && self.emitted == 0 && self.loss.is_zero()
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether one more group fits.
    pub(crate) fn has_room(groups: usize, bytes: usize) -> bool {
        groups < MAX_GROUPS && bytes < MAX_BYTES
    }

    /// Adds another part of the same query. Groups beyond the most that there may be become `other`.
    pub fn merge(&mut self, other: Part) {
        self.emitted = self.emitted.saturating_add(other.emitted);
        self.loss.merge(&other.loss);
        self.cost.merge(&other.cost);
        if let Some(groups) = other.groups {
            self.merge_groups(groups);
        }
        if let Some(rows) = other.other {
            self.merge_other(rows);
        }
    }

    fn merge_groups(&mut self, theirs: Groups) {
        let mine = self.groups.get_or_insert_with(|| theirs.empty_like());
        if !mine.same_shape(&theirs) {
            return self.drop_rows(&theirs);
        }
        let mut beyond = Groups::new(0, mine.aggregates());
        for group in &theirs {
            let known = mine.get(&group.key).is_some();
            if known || Part::has_room(mine.len(), self.bytes) {
                mine.entry(&group.key).merge(group.n, &group.states);
                self.bytes += if known { 0 } else { size(&group.key, group.states.len()) };
            } else {
                beyond.entry(&[]).merge(group.n, &group.states);
            }
        }
        if !beyond.is_empty() {
            self.merge_other(beyond);
        }
    }

    fn merge_other(&mut self, theirs: Groups) {
        let mine = self.other.get_or_insert_with(|| theirs.empty_like());
        if mine.same_shape(&theirs) { mine.merge(&theirs) } else { self.drop_rows(&theirs) }
    }

    fn drop_rows(&mut self, rows: &Groups) {
        let dropped = rows.iter().fold(0_u64, |sum, group| sum.saturating_add(group.n));
        self.loss.dropped = self.loss.dropped.saturating_add(dropped);
    }

    /// Adds the rows of one event.
    pub fn add(&mut self, emission: &Emission<'_>) {
        let groups = self.groups.get_or_insert_with(|| table(emission.keys, emission.folds));
        if !fits(groups, emission) {
            // Two advices of one query that do not agree: only a broken frontend sends them.
            let rows = emission.rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.n()));
            self.emitted = self.emitted.saturating_add(rows);
            self.loss.dropped = self.loss.dropped.saturating_add(rows);
            return;
        }
        let mut errors = Errors::default();
        for row in &emission.rows {
            self.emitted = self.emitted.saturating_add(row.n());
            let key = row.key(emission.keys);
            if !Part::has_room(groups.len(), self.bytes) && groups.get(&key).is_none() {
                let other = self.other.get_or_insert_with(|| table(&[], emission.folds));
                row.add_to(other.entry(&[]), emission.folds, &mut errors);
                continue;
            }
            let before = groups.len();
            row.add_to(groups.entry(&key), emission.folds, &mut errors);
            if groups.len() > before {
                self.bytes += size(&key, emission.folds.len());
            }
        }
        self.loss.errors = self.loss.errors.saturating_add(errors.0);
    }
}

/// Whether the rows of an event have the shape of the groups.
fn fits(groups: &Groups, emission: &Emission<'_>) -> bool {
    let folds = emission.folds.iter().map(|fold| fold.aggregate);
    groups.keys() == emission.keys.len() && groups.aggregates().iter().copied().eq(folds)
}

/// About how much memory a group takes.
fn size(key: &[Value], states: usize) -> usize {
    fn of(value: &Value) -> usize {
        let inside = match value {
            Value::Str(text) => text.len() + 16,
            Value::Bytes(bytes) => bytes.len() + 16,
            Value::List(items) => items.iter().map(of).sum::<usize>() + 16,
            _ => 0,
        };
        size_of::<Value>() + inside
    }
    96 + key.iter().map(of).sum::<usize>() + states * 64
}

/// What one thread has gathered: each query's part at the place that weaving gave it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    parts: Vec<(u64, Local)>,
    /// Parts of queries whose places others have taken over since the last drain.
    replaced: Vec<(u64, Local)>,
    pub(crate) cells: Cells,
    /// What an event packs when all its advice has run: it does not happen before itself.
    pub(crate) later: Packed,
    /// Runs while an event is measured.
    pub(crate) stopwatch: Option<Stopwatch>,
}

impl Table {
    /// A query's part, space for an event, and its packs.
    #[inline(always)]
    pub(crate) fn local(&mut self, place: usize, query: u64) -> (&mut Local, &mut Cells, &mut Packed) {
        if self.parts.get(place).is_none_or(|(id, _)| *id != query) {
            self.take_place(place, query);
        }
        (&mut self.parts[place].1, &mut self.cells, &mut self.later)
    }

    #[cold]
    #[inline(never)]
    fn take_place(&mut self, place: usize, query: u64) {
        while self.parts.len() <= place {
            self.parts.push((0, Local::new()));
        }
        let before = std::mem::replace(&mut self.parts[place], (query, Local::new()));
        if !before.1.is_empty() {
            self.replaced.push(before);
        }
    }

    fn into_parts(self) -> impl Iterator<Item = (QueryId, Part)> {
        let all = self.replaced.into_iter().chain(self.parts);
        all.filter(|(_, local)| !local.is_empty())
            .map(|(query, local)| (QueryId::from_u64(query), local.into_part()))
    }
}

impl Local {
    fn new() -> Local {
        Local { part: Part::empty(), rows: None }
    }

    /// Whether no event was here.
    fn is_empty(&self) -> bool {
        self.part.cost == Cost::default() && self.part.is_empty() && self.rows.is_none()
    }

    fn into_part(self) -> Part {
        let mut part = self.part;
        if let Some(rows) = self.rows {
            part.merge_groups(rows.into_groups());
        }
        part
    }
}

/// Takes everything that was emitted since the last drain, in all threads.
///
/// After unweaving, a drain leaves nothing behind that saw the advice: [`weave`](fn@crate::weave) and
/// this both wait for the events that are on their way. One whose field expressions take longer than two
/// seconds is not waited for; its rows come with the drain after it.
pub fn drain() -> Parts {
    let mut all = Parts::new();
    thread::take(|table| {
        for (query, part) in table.into_parts() {
            all.entry(query).or_insert_with(Part::empty).merge(part);
        }
    });
    all
}
