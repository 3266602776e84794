//! One window of one query while it is gathered, and after.

use pivot_advice::{Groups, Loss, Sampled};
use pivot_protocol::{ProtocolError, from_wire, wire};
use std::collections::HashSet;
use std::sync::Arc;

/// The most groups that one table holds.
pub(crate) const MAX_GROUPS: usize = 100_000;

/// The most groups of a sample: each may be in several parts of the requests.
const MAX_SAMPLED: usize = 4 * MAX_GROUPS;

/// Groups with what they lack.
#[derive(Debug, Clone)]
pub(crate) struct WindowGroups {
    /// Merged groups.
    pub(crate) groups: Groups,
    /// Rows emitted, lost ones included.
    pub(crate) emitted: u64,
    /// What is missing.
    pub(crate) loss: Loss,
    /// What requests gave of which only some were looked at.
    pub(crate) sampled: Sampled,
    /// At most one group, without a key: the rows for whose groups there was no room, in a process or
    /// here. Every group may lack some of them.
    pub(crate) other: Groups,
}

impl WindowGroups {
    /// An empty one with groups of a shape.
    pub(crate) fn new(shape: &Groups) -> WindowGroups {
        WindowGroups {
            groups: shape.empty_like(),
            emitted: 0,
            loss: Loss::default(),
            sampled: Sampled::default(),
            other: Groups::new(0, shape.aggregates()),
        }
    }

    /// What a part of a report tells, in groups of a shape. What cannot be read counts as dropped.
    pub(crate) fn of_part(shape: &Groups, part: &wire::Part) -> WindowGroups {
        let mut tally = WindowGroups::new(shape);
        (tally.emitted, tally.loss) = (part.emitted, from_wire::loss(part.loss));
        match WindowGroups::rows(shape, part) {
            Ok(rows) => tally.merge(&rows),
            Err(_) => tally.loss.dropped = tally.loss.dropped.saturating_add(part.emitted.max(1)),
        }
        tally
    }

    fn rows(shape: &Groups, part: &wire::Part) -> Result<WindowGroups, ProtocolError> {
        let read = |bytes: &[u8]| (!bytes.is_empty()).then(|| from_wire::groups(bytes)).transpose();
        let mut rows = WindowGroups::new(shape);
        rows.groups = read(&part.groups)?.unwrap_or(rows.groups);
        rows.other = read(&part.other)?.unwrap_or(rows.other);
        let (weights, squares) = (part.weights, part.squares);
        rows.sampled = Sampled { groups: read(&part.sampled)?, weights, squares };
        Ok(rows)
    }

    /// Adds another one. Rows of groups that find no room are counted as other ones, those of another shape
    /// as dropped.
    pub(crate) fn merge(&mut self, other: &WindowGroups) {
        self.emitted = self.emitted.saturating_add(other.emitted);
        self.loss.merge(&other.loss);
        let WindowGroups { groups, sampled, other: rest, loss, .. } = self;
        let mut dropped = absorb(rest, usize::MAX, &other.other, None);
        dropped += absorb(groups, MAX_GROUPS, &other.groups, Some(rest));
        if let Some(theirs) = &other.sampled.groups {
            let empty = || Groups::new(groups.keys() + 1, groups.aggregates());
            let mine = sampled.groups.get_or_insert_with(empty);
            dropped += absorb(mine, MAX_SAMPLED, theirs, Some(rest));
        }
        sampled.merge_counts(&other.sampled);
        loss.dropped = loss.dropped.saturating_add(dropped);
    }

    /// How many rows found no room in a group of their own.
    pub(crate) fn others(&self) -> u64 {
        self.other.iter().fold(0, |sum, group| sum.saturating_add(group.n))
    }

    /// How many groups there are, however many parts of a sample they are in.
    pub(crate) fn keys(&self) -> usize {
        let key = |group: &'_ pivot_advice::Group| group.key[..self.groups.keys()].to_vec();
        let sampled = self.sampled.groups.iter().flatten().map(key);
        let new = sampled.filter(|key| self.groups.get(key).is_none());
        self.groups.len() + new.collect::<HashSet<_>>().len()
    }

    /// Whether any of it is of a sample.
    pub(crate) fn is_sampled(&self) -> bool {
        !self.sampled.is_empty()
    }

    /// Whether there is something to tell.
    pub(crate) fn is_empty(&self) -> bool {
        let rows = !self.groups.is_empty() || self.is_sampled() || !self.other.is_empty();
        !rows && self.emitted == 0 && self.loss.is_zero()
    }
}

/// Adds groups to others, of which there are at most so many; further ones go to the rest. How many rows
/// are of another shape, and lost.
fn absorb(mine: &mut Groups, most: usize, theirs: &Groups, mut rest: Option<&mut Groups>) -> u64 {
    if !mine.same_shape(theirs) {
        return theirs.iter().fold(0, |sum, group| sum.saturating_add(group.n));
    }
    for group in theirs {
        match &mut rest {
            Some(rest) if mine.len() >= most && mine.get(&group.key).is_none() => {
                rest.entry(&[]).merge(group.n, &group.states);
            }
            _ => mine.entry(&group.key).merge(group.n, &group.states),
        }
    }
    0
}

/// What happened in one window.
#[derive(Debug)]
pub(crate) struct Window {
    /// Its end in nanoseconds since the epoch.
    pub(crate) end_ns: i64,
    /// All that was reported for it.
    pub(crate) tally: Arc<WindowGroups>,
    /// Whether its first frame was made.
    pub(crate) closed: bool,
    /// Whether something came after its newest frame.
    pub(crate) late: bool,
    /// The number of its next frame.
    pub(crate) revision: u32,
}
