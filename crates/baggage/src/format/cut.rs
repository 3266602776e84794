//! Cutting: what is left behind where the bytes of a message do not suffice.
//!
//! The newest query gives way first. Of a grouped bag go the groups whose key hashes to a threshold or above:
//!
//! ```text
//! hash of key    0                        threshold                2^64
//! groups         [  complete, everywhere  )[  dropped, by everybody  )
//! ```
//!
//! The threshold travels on, merges by minimum, and is met by every later pack and join. So the groups below
//! it are complete wherever they show up, in this branch and in every other: what a result shows is right,
//! and marked partial. It is the **coordinated sampling** of keys by their hash, with a rate that adapts to
//! the bytes.
//!
//! A bag without key columns, such as the mark that something happened at all, is never cut. A temporal bag
//! from which anything is missing could name the wrong tuples, so it is lost as a whole.
//!
//! The mark of a cut is a contribution of the branch like any other: it stands in the branch's own bags, and
//! comes wherever happened-before leads. Ids are never left behind.

use crate::causality::branch::Branch;
use crate::format::bags::bag::Bag;
use crate::format::bags::bag_codec::group_bytes;
use crate::format::bags::lazy_bag::LazyBag;
use pivot_advice::stable_hash;
use pivot_advice::{BagKey, Group, Groups};

/// How many bytes the mark of a cut takes: a bag with a threshold and no groups, with a generous head.
const MARK_BYTES: usize = 40;

/// A group of a bag that is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct HashedGroup {
    hash: u64,
    bytes: usize,
}

/// Leaves at least so many bytes behind, or as many as the newest query that holds anything can spare.
/// Returns how many groups and temporal bags went.
pub(crate) fn cut_newest(branch: &mut Branch, excess_bytes: usize) -> u64 {
    cut_newest_of(branch, excess_bytes, |_| true)
}

/// Leaves bytes behind as [`cut_newest`] does, but only of bags that `may_cut` allows.
pub(crate) fn cut_newest_of(
    branch: &mut Branch,
    excess_bytes: usize,
    may_cut: impl Fn(&BagKey) -> bool,
) -> u64 {
    // Numbers grow with each query of a frontend, so the newest query is the one with the highest.
    let age = |key: &BagKey| (key.query.number, key.query.frontend, key.stage);
    let allowed = branch.bags().filter(|(key, _)| may_cut(key));
    let sparing = allowed.filter(|(_, bag)| bag.decoded().is_some_and(can_spare));
    let Some(key) = sparing.map(|(key, _)| *key).max_by_key(age) else { return 0 };

    let groups = groups_by_hash(branch, key);
    if groups.is_empty() {
        lose(branch, key)
    } else {
        cut_groups(branch, key, &groups, excess_bytes + MARK_BYTES)
    }
}

/// Whether anything of a bag can be left behind.
fn can_spare(bag: &Bag) -> bool {
    match bag {
        Bag::Grouped { rows, .. } => rows.keys() > 0 && !rows.is_empty(),
        Bag::First { .. } | Bag::MostRecent { .. } => true,
        Bag::Lost => false,
    }
}

fn grouped_rows(bag: &Bag) -> Option<&Groups> {
    if let Bag::Grouped { rows, .. } = bag { Some(rows) } else { None }
}

fn hash_of(group: &Group) -> u64 {
    stable_hash(&group.key)
}

/// Returns all groups of a key in the order of hashes. A group comes once for each bag that holds it.
fn groups_by_hash(branch: &Branch, key: BagKey) -> Vec<HashedGroup> {
    let rows = branch.visible(key).filter_map(|bag| grouped_rows(bag.decoded()?));
    let groups = rows.filter(|rows| rows.keys() > 0).flatten();
    let mut groups: Vec<HashedGroup> =
        groups.map(|group| HashedGroup { hash: hash_of(group), bytes: group_bytes(group) }).collect();
    groups.sort_unstable();
    groups
}

/// Drops the groups with the highest hashes, so many that the bytes are spared, and returns how many went.
fn cut_groups(branch: &mut Branch, key: BagKey, groups: &[HashedGroup], excess_bytes: usize) -> u64 {
    let mut spared = 0;
    let reached = groups.iter().rev().find(|group| {
        spared += group.bytes;
        spared >= excess_bytes
    });
    let Some(group) = reached.or(groups.first()) else { return 0 };

    // A copy that came back from another branch may hold groups that an earlier cut has given up.
    let threshold = branch.cut(key).map_or(group.hash, |cut| cut.min(group.hash));

    let mut mark = None;
    branch.change(key, |bag| {
        let mut kept = grouped_rows(bag)?.clone();
        kept.retain(|group| hash_of(group) < threshold);
        mark = Some(kept.empty_like());
        (!kept.is_empty()).then_some(Bag::Grouped { rows: kept, cut: bag.cut() })
    });

    // The mark is ours alone: instances do not change but for what is missing, so that copies stay alike.
    if let Some(rows) = mark {
        branch.mark(key, Bag::Grouped { rows, cut: Some(threshold) });
    }
    (groups.len() - groups.partition_point(|group| group.hash < threshold)) as u64
}

/// Drops all bags of a temporal key, and returns how many there were.
fn lose(branch: &mut Branch, key: BagKey) -> u64 {
    let mut lost = 0;
    branch.change(key, |_| {
        lost += 1;
        None
    });
    branch.mark(key, Bag::Lost);
    lost
}

impl Branch {
    /// Replaces every bag of a key by what `change` makes of it, or removes it if that is `None`.
    fn change(&mut self, key: BagKey, mut change: impl FnMut(&Bag) -> Option<Bag>) {
        self.active.change(key, &mut change);
        for instance in self.frozen.iter_mut().filter(|instance| instance.bags().get(key).is_some()) {
            instance.change(|bags| bags.change(key, &mut change));
        }
    }

    /// Adds the mark of a cut to the branch's own bags.
    fn mark(&mut self, key: BagKey, mark: Bag) {
        let mismatches = self.active.add(key, mark);
        self.partial |= mismatches > 0;
    }

    /// Whether groups of a key were cut, in any of its bags.
    #[inline]
    pub(crate) fn is_cut(&self, key: BagKey) -> bool {
        self.active.get(key).is_some_and(LazyBag::is_cut)
            || self.frozen.iter().any(|instance| instance.is_cut(key))
    }

    /// Returns the lowest threshold at which groups of a key were cut, if any were.
    pub(crate) fn cut(&self, key: BagKey) -> Option<u64> {
        self.visible(key).filter_map(|bag| bag.cut()).min()
    }
}
