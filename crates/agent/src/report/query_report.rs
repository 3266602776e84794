//! One query's part of a report: its groups from all threads of this process, what is missing, and what it cost.
//!
//! ```text
//!   thread 1  ann 3, bob 1      merge      groups   ann 5, bob 1, …     at most 1,000
//!   thread 2  ann 2, eve 4   ──────────▶   sampled  ann in stratum 7    each row weighted
//!                                          other    4                   rows of groups without room
//!                                          emitted  10                  all of them
//! ```
//!
//! Memory is bounded without failing anything: when a new group finds no room, its rows are added to `other`, one
//! group without a key. They are missing from their group, but not from the result, whose total stays right.
//! Interpreted advice adds rows here directly; compiled and fused advice adds to a
//! `GroupTable`, which is merged into this at the drain.

use crate::limits::{MAX_BYTES, MAX_GROUPS};
use crate::run::interpreted_row::table;
use crate::run::interpreter::InterpretedEmit;
use crate::run::sample::SampleDecision;
use crate::weave::query_budgets;
use pivot_advice::{
    EmitMode, EvalErrors, Group, GroupLimit, Groups, LossCounts, OutsidePlaces, QueryCost, QueryId,
    SAMPLE_STRATA, SampledGroups, Value, WovenTime,
};
use pivot_baggage::reply_ledger::MAX_TAGS;
use std::collections::{BTreeMap, BTreeSet};

/// One query's part of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryReport {
    /// The groups, or `None` if no row was kept in one.
    pub groups: Option<Groups>,
    /// The groups of sampled requests: each request stands for several.
    pub sampled: SampledGroups,
    /// One group without a key: the rows for whose groups there was no room.
    pub other: Option<Groups>,
    /// Rows emitted, dropped ones included.
    pub emitted: u64,
    /// Counts of all that is missing from the result.
    pub loss: LossCounts,
    /// Where the events ran that had no request.
    pub outside: OutsidePlaces,
    /// Tags of replies that left this process with new tuples of the query; of many, the smallest.
    pub left: BTreeSet<u64>,
    /// Events and time that the query cost this process.
    pub cost: QueryCost,
    /// When the query was woven in this process, if the report says so: at least the first and the last one do.
    pub woven: Option<WovenTime>,
    /// About how much memory the groups take.
    bytes: usize,
    /// The most groups that the report may have; of sampled requests, as many in each stratum.
    max_groups: usize,
}

/// All queries' parts, in the order of their ids.
pub type QueryReports = BTreeMap<QueryId, QueryReport>;

impl QueryReport {
    /// Returns a part with nothing in it.
    pub fn empty() -> QueryReport {
        QueryReport {
            groups: None,
            sampled: SampledGroups::default(),
            other: None,
            emitted: 0,
            loss: LossCounts::default(),
            outside: OutsidePlaces::default(),
            left: BTreeSet::new(),
            cost: QueryCost::default(),
            woven: None,
            bytes: 0,
            max_groups: MAX_GROUPS,
        }
    }

    /// Returns an empty report of a query, with room for as many groups as the query may have in this process.
    pub fn of_query(query: QueryId) -> QueryReport {
        QueryReport { max_groups: query_budgets::max_groups(query), ..QueryReport::empty() }
    }

    /// Sets how many groups there may be from now on; those that are there stay.
    pub(crate) fn limit_groups(&mut self, max_groups: usize) {
        self.max_groups = max_groups;
    }

    /// Returns the most groups of sampled requests: each may be in every stratum.
    fn max_sampled_groups(&self) -> usize {
        self.max_groups.saturating_mul(SAMPLE_STRATA as usize)
    }

    /// Returns whether there are neither rows nor losses; there may be costs.
    pub fn is_empty(&self) -> bool {
        let none = self.groups.is_none() && self.sampled.is_empty() && self.other.is_none();
        none && self.emitted == 0 && self.loss == LossCounts::default() && self.left.is_empty()
    }

    /// Returns about how many bytes the groups take.
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
        self.outside.merge(&other.outside);
        self.left.extend(other.left);
        while self.left.len() > MAX_TAGS {
            self.left.pop_last();
        }
        self.cost.merge(&other.cost);
        self.sampled.merge_counts(&other.sampled);
        match (&mut self.woven, other.woven) {
            (Some(mine), Some(later)) => mine.update(later),
            (mine, later) => *mine = mine.or(later),
        }

        if let Some(groups) = other.groups {
            self.merge_groups(groups);
        }
        if let Some(groups) = other.sampled.groups {
            let most = self.max_sampled_groups();
            let beyond = absorb(&mut self.sampled.groups, &mut self.bytes, most, groups);
            self.merge_beyond(beyond);
        }

        if let Some(rows) = other.other {
            self.merge_other(rows);
        }
    }

    /// Adds groups of unsampled requests.
    pub(crate) fn merge_groups(&mut self, theirs: Groups) {
        let beyond = absorb(&mut self.groups, &mut self.bytes, self.max_groups, theirs);
        self.merge_beyond(beyond);
    }

    /// Accounts for what a table of groups did not take.
    fn merge_beyond(&mut self, beyond: RefusedRows) {
        match beyond {
            RefusedRows::Room(rows) if rows.is_empty() => {}
            RefusedRows::Room(rows) => self.merge_other(rows),
            RefusedRows::OtherSchema(rows) => self.drop_rows(&rows),
        }
    }

    /// Adds rows whose groups found no room in another part.
    fn merge_other(&mut self, theirs: Groups) {
        let mine = self.other.get_or_insert_with(|| theirs.empty_like());
        if mine.same_shape(&theirs) { mine.merge(&theirs) } else { self.drop_rows(&theirs) }
    }

    /// Counts rows as dropped.
    fn drop_rows(&mut self, rows: &Groups) {
        let dropped = rows.iter().fold(0_u64, |sum, group| sum.saturating_add(group.n));
        self.loss.dropped = self.loss.dropped.saturating_add(dropped);
    }

    /// Adds the rows that interpreted advice has made of one event. Rows of a sampled request count for all the
    /// requests that it stands for, unless the rows themselves are the result.
    pub fn add(&mut self, emission: &InterpretedEmit<'_>, decision: SampleDecision) {
        let sampled = !decision.is_unsampled() && emission.form == EmitMode::Groups;
        let (weight, stratum) =
            if sampled { (u64::from(decision.weight), Some(decision.stratum)) } else { (1, None) };

        // Groups of a sample have the stratum as one more key: from how much the strata differ, the frontend
        // estimates the error.
        let columns = emission.keys.len() + usize::from(sampled);
        let (groups, most) = match sampled {
            true => (&mut self.sampled.groups, self.max_groups.saturating_mul(SAMPLE_STRATA as usize)),
            false => (&mut self.groups, self.max_groups),
        };
        let groups = groups.get_or_insert_with(|| table(columns, emission.folds));

        let rows = emission.rows();
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

            // A full table still takes rows of the groups that it has.
            let has_room = groups.len() < most && self.bytes < MAX_BYTES;
            if !has_room && groups.get(&key).is_none() {
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

/// The rows that a table of groups did not take.
enum RefusedRows {
    /// Rows of new groups without room, as one group without a key; possibly none.
    Room(Groups),
    /// All rows: their number of keys or their aggregates differ from those of the table.
    OtherSchema(Groups),
}

/// Adds groups to `mine`, which holds at most `most` groups and counts their memory in `bytes`. Returns what did
/// not fit.
fn absorb(mine: &mut Option<Groups>, bytes: &mut usize, most: usize, theirs: Groups) -> RefusedRows {
    // Mostly only one thread has groups of the query: moving a table that fits saves copying it group by group.
    if mine.is_none() && theirs.len() <= most {
        let all: usize = theirs.iter().map(|group| Group::memory_size(&group.key, group.states.len())).sum();
        if *bytes + all <= MAX_BYTES {
            *bytes += all;
            let beyond = Groups::new(0, theirs.aggregates());
            *mine = Some(theirs);
            return RefusedRows::Room(beyond);
        }
    }

    let mine = mine.get_or_insert_with(|| theirs.empty_like());
    if !mine.same_shape(&theirs) {
        return RefusedRows::OtherSchema(theirs);
    }

    let mut beyond = Groups::new(0, mine.aggregates());
    let limit = GroupLimit { groups: most, new_bytes: MAX_BYTES.saturating_sub(*bytes) };
    *bytes += mine.absorb(&theirs, limit, &mut beyond).new_bytes;
    RefusedRows::Room(beyond)
}

/// Returns whether the rows of an event have as many keys and the same aggregates as the groups.
fn fits(groups: &Groups, columns: usize, emission: &InterpretedEmit<'_>) -> bool {
    let folds = emission.folds.iter().map(|fold| fold.aggregate);
    groups.keys() == columns && groups.aggregates().iter().copied().eq(folds)
}
