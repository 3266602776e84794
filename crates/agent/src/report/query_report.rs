//! The process's part of every result, between two reports.
//!
//! Each thread adds to a table of its own; see `thread` for how it is taken without a lock. Rows whose
//! group finds no room go into `other`: they are missing from their group, not from the result.

use crate::limits::{MAX_BYTES, MAX_GROUPS, MAX_SAMPLED_GROUPS};
use crate::run::interpreter::{Emission, table};
use crate::run::sample::SampleDecision;
use pivot_advice::{
    EmitMode, EvalErrors, Group, GroupLimit, Groups, LossCounts, QueryCost, QueryId, SampledGroups, Value,
};
use std::collections::BTreeMap;

/// One query's part of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryReport {
    /// The groups; none if rows were only lost.
    pub groups: Option<Groups>,
    /// The groups of requests of which each stands for several.
    pub sampled: SampledGroups,
    /// One group without a key: the rows for whose groups there was no room.
    pub other: Option<Groups>,
    /// Rows emitted, dropped ones included.
    pub emitted: u64,
    /// What is missing.
    pub loss: LossCounts,
    /// What the query cost this process.
    pub cost: QueryCost,
    bytes: usize,
}

/// All queries' parts, in the order of their ids.
pub type QueryReports = BTreeMap<QueryId, QueryReport>;

impl QueryReport {
    /// A part with nothing in it.
    pub fn empty() -> QueryReport {
        let (loss, cost) = (LossCounts::default(), QueryCost::default());
        QueryReport {
            groups: None,
            sampled: SampledGroups::default(),
            other: None,
            emitted: 0,
            loss,
            cost,
            bytes: 0,
        }
    }

    /// Whether it tells of nothing but what it cost.
    pub fn is_empty(&self) -> bool {
        let none = self.groups.is_none() && self.sampled.is_empty() && self.other.is_none();
        none && self.emitted == 0 && self.loss.is_zero()
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts evaluation errors.
    #[inline(always)]
    pub(crate) fn count_errors(&mut self, errors: u64) {
        if errors > 0 {
            self.loss.errors = self.loss.errors.saturating_add(errors);
        }
    }

    /// Adds another part of the same query. Groups beyond the most that there may be become `other`.
    pub fn merge(&mut self, other: QueryReport) {
        self.emitted = self.emitted.saturating_add(other.emitted);
        self.loss.merge(&other.loss);
        self.cost.merge(&other.cost);
        self.sampled.merge_counts(&other.sampled);
        if let Some(groups) = other.groups {
            self.merge_groups(groups);
        }
        if let Some(groups) = other.sampled.groups {
            let beyond = absorb(&mut self.sampled.groups, &mut self.bytes, MAX_SAMPLED_GROUPS, groups);
            self.beyond(beyond);
        }
        if let Some(rows) = other.other {
            self.merge_other(rows);
        }
    }

    pub(crate) fn merge_groups(&mut self, theirs: Groups) {
        let beyond = absorb(&mut self.groups, &mut self.bytes, MAX_GROUPS, theirs);
        self.beyond(beyond);
    }

    fn beyond(&mut self, beyond: Beyond) {
        match beyond {
            Beyond::Room(rows) if rows.is_empty() => {}
            Beyond::Room(rows) => self.merge_other(rows),
            Beyond::OtherSchema(rows) => self.drop_rows(&rows),
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

    /// Adds the rows of one event. Of a sample each counts for several, unless the rows themselves are
    /// the result.
    pub fn add(&mut self, emission: &Emission<'_>, decision: SampleDecision) {
        let sampled = !decision.is_unsampled() && emission.form == EmitMode::Groups;
        let (weight, stratum) =
            if sampled { (u64::from(decision.weight), Some(decision.stratum)) } else { (1, None) };
        let columns = emission.keys.len() + usize::from(sampled);
        let (groups, most) = match sampled {
            true => (&mut self.sampled.groups, MAX_SAMPLED_GROUPS),
            false => (&mut self.groups, MAX_GROUPS),
        };
        let groups = groups.get_or_insert_with(|| table(columns, emission.folds));
        let rows = emission.rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.n()));
        self.emitted = self.emitted.saturating_add(rows);
        if !fits(groups, columns, emission) {
            // Two advices of one query that do not agree: only a broken frontend sends them.
            self.loss.dropped = self.loss.dropped.saturating_add(rows);
            return;
        }
        let mut errors = EvalErrors::default();
        for row in &emission.rows {
            let row = row.weighted(weight);
            let mut key = row.key(emission.keys);
            key.extend(stratum.map(|stratum| Value::U64(stratum.into())));
            let room = groups.len() < most && self.bytes < MAX_BYTES;
            if !room && groups.get(&key).is_none() {
                let other = self.other.get_or_insert_with(|| table(0, emission.folds));
                row.add_to(other.entry(&[]), emission.folds, &mut errors);
                continue;
            }
            let before = groups.len();
            row.add_to(groups.entry(&key), emission.folds, &mut errors);
            if groups.len() > before {
                self.bytes += Group::memory_size(&key, emission.folds.len());
            }
        }
        if sampled {
            self.sampled.count(rows, weight);
        }
        self.loss.errors = self.loss.errors.saturating_add(errors.0);
    }
}

/// What found no place in groups.
enum Beyond {
    /// There was no room, so their keys are gone.
    Room(Groups),
    /// They are of another shape.
    OtherSchema(Groups),
}

/// Adds groups to others, of which there are at most so many.
fn absorb(mine: &mut Option<Groups>, bytes: &mut usize, most: usize, theirs: Groups) -> Beyond {
    if mine.is_none() && theirs.len() <= most {
        let all: usize = theirs.iter().map(|group| Group::memory_size(&group.key, group.states.len())).sum();
        if *bytes + all <= MAX_BYTES {
            // There is nothing to add them to.
            *bytes += all;
            let beyond = Groups::new(0, theirs.aggregates());
            *mine = Some(theirs);
            return Beyond::Room(beyond);
        }
    }
    let mine = mine.get_or_insert_with(|| theirs.empty_like());
    if !mine.same_shape(&theirs) {
        return Beyond::OtherSchema(theirs);
    }

    let mut beyond = Groups::new(0, mine.aggregates());
    let limit = GroupLimit { groups: most, new_bytes: MAX_BYTES.saturating_sub(*bytes) };
    *bytes += mine.absorb(&theirs, limit, &mut beyond).new_bytes;
    Beyond::Room(beyond)
}

/// Whether the rows of an event have the shape of the groups.
fn fits(groups: &Groups, columns: usize, emission: &Emission<'_>) -> bool {
    let folds = emission.folds.iter().map(|fold| fold.aggregate);
    groups.keys() == columns && groups.aggregates().iter().copied().eq(folds)
}
