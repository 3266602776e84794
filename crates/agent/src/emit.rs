//! The process's part of every result, between two reports.
//!
//! Each thread adds to a table of its own. Its lock is held while an event is processed and is free
//! otherwise, so only the drain ever waits for it: and when the drain has been through all tables,
//! no event that saw advice unwoven before is still on its way.

use crate::interpret::{Emission, table};
use pivot_advice::{Errors, Groups, Loss, QueryId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The most groups of one query in one thread between two reports. Further ones are dropped and counted.
pub const MAX_GROUPS: usize = 10_000;

/// One query's part of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The groups; none if rows were only lost.
    pub groups: Option<Groups>,
    /// Rows emitted, dropped ones included.
    pub emitted: u64,
    /// What is missing.
    pub loss: Loss,
}

/// All queries' parts, in the order of their ids.
pub type Parts = BTreeMap<QueryId, Part>;

impl Part {
    /// A part with nothing in it.
    pub fn empty() -> Part {
        Part { groups: None, emitted: 0, loss: Loss::default() }
    }

    /// Adds another part of the same query.
    pub fn merge(&mut self, other: Part) {
        self.emitted = self.emitted.saturating_add(other.emitted);
        self.loss.merge(&other.loss);
        match (&mut self.groups, other.groups) {
            (Some(mine), Some(theirs)) if mine.same_shape(&theirs) => mine.merge(&theirs),
            (mine @ None, theirs) => *mine = theirs,
            (_, Some(theirs)) => self.loss.dropped += theirs.iter().map(|group| group.n).sum::<u64>(),
            (_, None) => {}
        }
    }

    /// Adds the rows of one event.
    pub fn add(&mut self, emission: &Emission<'_>) {
        let groups = self.groups.get_or_insert_with(|| table(emission.keys, emission.folds));
        let mut errors = Errors::default();
        for row in &emission.rows {
            self.emitted = self.emitted.saturating_add(row.n());
            let key = row.key(emission.keys);
            if groups.len() >= MAX_GROUPS && groups.get(&key).is_none() {
                self.loss.dropped = self.loss.dropped.saturating_add(row.n());
                continue;
            }
            row.add_to(groups.entry(&key), emission.folds, &mut errors);
        }
        self.loss.errors = self.loss.errors.saturating_add(errors.0);
    }
}

type Table = Arc<Mutex<Parts>>;

static TABLES: Mutex<Vec<Table>> = Mutex::new(Vec::new());

thread_local! {
    static LOCAL: Table = {
        let table = Table::default();
        lock(&TABLES).push(Arc::clone(&table));
        table
    };
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs with this thread's table. None while the thread is being torn down.
pub(crate) fn with_table<R>(run: impl FnOnce(&mut Parts) -> R) -> Option<R> {
    let table = LOCAL.try_with(Arc::clone).ok()?;
    let mut parts = lock(&table);
    Some(run(&mut parts))
}

/// Takes everything that was emitted since the last drain, in all threads.
pub fn drain() -> Parts {
    let mut all = Parts::new();
    let mut tables = lock(&TABLES);
    tables.retain(|table| {
        // Read before the drain: a thread that ends afterwards leaves its table to the next one.
        let alive = Arc::strong_count(table) > 1;
        for (query, part) in std::mem::take(&mut *lock(table)) {
            all.entry(query).or_insert_with(Part::empty).merge(part);
        }
        alive
    });
    all
}
