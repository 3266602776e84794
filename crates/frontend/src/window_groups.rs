//! Merged groups: what all agents together have said of a query in some time.
//!
//! The same type holds one agent's part, a window, and everything since install, because merging is
//! associative: counts, sums and sketches of any of them add up to those of the whole.
//!
//! ```text
//! agent A: ("dn-1", n 3) ┐                              exact   requests that were all processed
//! agent B: ("dn-1", n 4) ┴─merge─▶ ("dn-1", n 7)        sampled requests of which some were processed,
//!          ("dn-2", n 1) ────────▶ ("dn-2", n 1)                by part of the requests, see `estimate`
//!          no room left  ────────▶ other: n 12          other   rows without a group of their own
//! ```
//!
//! Memory is bounded: beyond [`MAX_GROUPS`] keys, rows of new keys are merged into the one group `other`.
//! A row is never lost by that, but every group may then lack some of its rows.

use crate::agent_report::{DecodedQueryReport, ReportedGroups};
use pivot_advice::{GroupLimit, Groups, LossCounts, OutsidePlaces, SampledGroups};
use pivot_merge::MergedGroups;

/// The most groups of requests that were all processed.
pub(crate) const MAX_GROUPS: usize = 100_000;

/// The most groups of a sample: each key may be in several parts of the requests.
const MAX_SAMPLED: usize = 4 * MAX_GROUPS;

/// Merged groups, with what they lack.
#[derive(Debug, Clone)]
pub(crate) struct WindowGroups {
    /// Groups of requests that were all processed.
    pub(crate) groups: MergedGroups,
    /// Rows emitted, lost ones included.
    pub(crate) emitted: u64,
    /// Rows and events that are missing, by kind.
    pub(crate) loss: LossCounts,
    /// Where the events ran that had no request.
    pub(crate) outside: OutsidePlaces,
    /// Groups of requests of which only some were processed.
    pub(crate) sampled: SampledGroups,
    /// Whether any agent took part: if none did, that there are no rows says nothing.
    pub(crate) is_answered: bool,
    /// At most one group, without a key: the rows for whose groups there was no room, in a process or
    /// here. Every group may lack some of them.
    pub(crate) other: Groups,
}

impl WindowGroups {
    /// Makes an empty table for groups of the given shape.
    pub(crate) fn new(shape: &MergedGroups) -> WindowGroups {
        WindowGroups {
            groups: shape.empty_like(),
            emitted: 0,
            loss: LossCounts::default(),
            outside: OutsidePlaces::default(),
            sampled: SampledGroups::default(),
            is_answered: false,
            other: Groups::new(0, shape.aggregates()),
        }
    }

    /// Adds one agent's part of a report. Rows that could not be decoded, and those of another shape, count as dropped.
    pub(crate) fn add_report(&mut self, part: &DecodedQueryReport) {
        self.is_answered = true;
        self.emitted = self.emitted.saturating_add(part.emitted);
        self.loss.merge(&part.loss);
        self.outside.merge(&part.outside);

        let Some(ReportedGroups { exact, sampled, other }) = &part.groups else {
            // That something was lost must show even if the agent claims that there was nothing.
            return self.count_dropped(part.emitted.max(1));
        };
        if let Some(exact) = exact {
            let dropped = self.groups.merge(exact, MAX_GROUPS, &mut self.other);
            self.count_dropped(dropped);
        }
        self.merge_rest(sampled, other.as_ref());
    }

    /// Counts the rows of one agent's part of a report as dropped, beside those that the agent has lost itself. Returns how
    /// many.
    pub(crate) fn add_refused(&mut self, part: &DecodedQueryReport) -> u64 {
        // What the agent has emitted and not lost is in the groups; whether or not it is, it is lost now.
        let kept = part.emitted.saturating_sub(part.loss.dropped);
        let rows = part.groups.as_ref().map_or(kept.max(1), |groups| groups.row_count().max(kept));
        self.emitted = self.emitted.saturating_add(part.emitted.max(rows));
        self.loss.merge(&part.loss);
        self.count_dropped(rows);
        rows
    }

    /// Adds the groups and the counts of another table.
    pub(crate) fn merge(&mut self, more: &WindowGroups) {
        self.is_answered |= more.is_answered;
        self.emitted = self.emitted.saturating_add(more.emitted);
        self.loss.merge(&more.loss);
        self.outside.merge(&more.outside);

        let dropped = self.groups.merge_table(&more.groups, MAX_GROUPS, &mut self.other);
        self.count_dropped(dropped);
        self.merge_rest(&more.sampled, Some(&more.other));
    }

    /// Adds groups of a sample, and rows without a group of their own; rows of another shape count as dropped.
    fn merge_rest(&mut self, sampled: &SampledGroups, other: Option<&Groups>) {
        let mut dropped = 0;
        if let Some(other) = other {
            dropped = merge_all(&mut self.other, other);
        }
        if let Some(more) = &sampled.groups {
            // A sample has one more key than the exact groups: the part of the requests.
            let mine = self
                .sampled
                .groups
                .get_or_insert_with(|| Groups::new(self.groups.keys() + 1, self.groups.aggregates()));
            let sampled_rows = merge_bounded(mine, MAX_SAMPLED, more, &mut self.other);
            dropped = dropped.saturating_add(sampled_rows);
        }

        self.sampled.merge_counts(sampled);
        self.count_dropped(dropped);
    }

    fn count_dropped(&mut self, rows: u64) {
        self.loss.dropped = self.loss.dropped.saturating_add(rows);
    }

    /// Returns the number of rows for whose groups there was no room.
    pub(crate) fn rows_in_other(&self) -> u64 {
        self.other.row_count()
    }

    /// Returns about how much memory the table takes, in groups.
    pub(crate) fn size_in_groups(&self) -> usize {
        self.groups.len() + self.sampled.groups.as_ref().map_or(0, Groups::len)
    }

    /// Whether any of the rows come from a sample of the requests.
    pub(crate) fn is_sampled(&self) -> bool {
        !self.sampled.is_empty()
    }

    /// Whether there is nothing to tell: no rows, and no loss.
    pub(crate) fn is_empty(&self) -> bool {
        let has_rows = !self.groups.is_empty() || self.is_sampled() || !self.other.is_empty();
        !has_rows && self.emitted == 0 && self.loss == LossCounts::default()
    }
}

/// Adds groups to a table that takes any number of them. Returns how many rows are lost because they are
/// of another shape.
fn merge_all(table: &mut Groups, more: &Groups) -> u64 {
    if !table.same_shape(more) {
        return more.row_count();
    }
    table.merge(more);
    0
}

/// Adds groups to a table of at most `limit` groups; rows of further keys go to the one group of `rest`.
/// Returns how many rows are lost because they are of another shape.
fn merge_bounded(table: &mut Groups, limit: usize, more: &Groups, rest: &mut Groups) -> u64 {
    table.absorb(more, GroupLimit { groups: limit, new_bytes: usize::MAX }, rest).dropped
}

#[cfg(test)]
impl From<&Groups> for WindowGroups {
    fn from(groups: &Groups) -> WindowGroups {
        let groups = MergedGroups::from(groups);
        WindowGroups { groups: groups.clone(), ..WindowGroups::new(&groups) }
    }
}
