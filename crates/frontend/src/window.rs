//! One window of one query while it is gathered, and after.

use pivot_advice::{Groups, Loss};

/// The most groups that one table holds.
pub(crate) const MAX_GROUPS: usize = 100_000;

/// Groups with what they lack.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Merged groups.
    pub(crate) groups: Groups,
    /// Rows emitted, lost ones included.
    pub(crate) emitted: u64,
    /// What is missing.
    pub(crate) loss: Loss,
    /// Rows for whose groups there was no room, in a process or here: every group may lack some of them.
    pub(crate) other: u64,
}

impl Tally {
    /// An empty one with groups of a shape.
    pub(crate) fn new(shape: &Groups) -> Tally {
        Tally { groups: shape.empty_like(), emitted: 0, loss: Loss::default(), other: 0 }
    }

    /// Adds another one. Rows of groups that find no room are counted as other ones, those of another shape
    /// as dropped.
    pub(crate) fn merge(&mut self, other: &Tally) {
        self.emitted = self.emitted.saturating_add(other.emitted);
        self.loss.merge(&other.loss);
        let fits = self.groups.same_shape(&other.groups);
        self.other = self.other.saturating_add(other.other);
        for group in &other.groups {
            if fits && (self.groups.len() < MAX_GROUPS || self.groups.get(&group.key).is_some()) {
                self.groups.entry(&group.key).merge(group.n, &group.states);
            } else if fits {
                self.other = self.other.saturating_add(group.n);
            } else {
                self.loss.dropped = self.loss.dropped.saturating_add(group.n);
            }
        }
    }

    /// Whether there is something to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.emitted == 0 && self.other == 0 && self.loss.is_zero()
    }
}

/// What happened in one window.
#[derive(Debug)]
pub(crate) struct Window {
    /// Its end in nanoseconds since the epoch.
    pub(crate) end_ns: i64,
    /// All that was reported for it.
    pub(crate) tally: Tally,
    /// Whether its first frame was made.
    pub(crate) closed: bool,
    /// Whether something came after its newest frame.
    pub(crate) late: bool,
    /// The number of its next frame.
    pub(crate) revision: u32,
}
