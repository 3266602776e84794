//! The budget: how many bytes travel, and what is left behind where they do not suffice.
//!
//! The newest query gives way first. Of a grouped bag go the groups whose key hashes to a threshold
//! or above. The threshold travels on and is met by every later pack and join, so the groups below
//! it are complete wherever they show up, in this branch and in every other. A bag without key
//! columns, such as the mark that something happened at all, is never cut. A temporal bag from
//! which anything is missing could name the wrong tuples, so it is lost as a whole.
//!
//! The mark of a cut is a contribution of the branch like any other: it stands in the branch's own
//! bags, and comes wherever happened-before leads. Ids are never left behind.

use crate::causality::branch::Branch;
use crate::format::bag::Bag;
use crate::format::bag_codec::group_bytes;
use crate::format::lazy_bag::LazyBag;
use pivot_advice::eval::stable_hash;
use pivot_advice::{BagKey, Group, Groups};

/// What the mark of a cut takes: a bag with a threshold and no groups, with a generous head.
const MARK_BYTES: usize = 40;

/// Leaves at least so many bytes behind, or as many as the newest query that holds anything can
/// spare. Tells how many groups and temporal bags went.
pub(crate) fn cut_newest(branch: &mut Branch, excess_bytes: usize) -> u64 {
    let age = |key: &BagKey| (key.query.number, key.query.frontend, key.stage);
    let can_spare = branch.bags().filter(|(_, section)| section.bag().is_some_and(spares));
    let Some(key) = can_spare.map(|(key, _)| *key).max_by_key(age) else { return 0 };
    let groups = groups_by_hash(branch, key);
    match groups.last() {
        Some(_) => cut_groups(branch, key, &groups, excess_bytes + MARK_BYTES),
        None => lose(branch, key),
    }
}

fn spares(bag: &Bag) -> bool {
    match bag {
        Bag::Grouped { rows, .. } => rows.keys() > 0 && !rows.is_empty(),
        Bag::First { .. } | Bag::MostRecent { .. } => true,
        Bag::Lost => false,
    }
}

fn rows_of(bag: &Bag) -> Option<&Groups> {
    if let Bag::Grouped { rows, .. } = bag { Some(rows) } else { None }
}

fn hash_of(group: &Group) -> u64 {
    stable_hash(&group.key)
}

/// Hash and bytes of all groups of a key, by hash. A group may be in several places.
fn groups_by_hash(branch: &Branch, key: BagKey) -> Vec<(u64, usize)> {
    let rows = branch.visible(key).filter_map(|section| rows_of(section.bag()?));
    let groups = rows.filter(|rows| rows.keys() > 0).flatten();
    let mut groups: Vec<_> = groups.map(|group| (hash_of(group), group_bytes(group))).collect();
    groups.sort_unstable();
    groups
}

fn cut_groups(branch: &mut Branch, key: BagKey, groups: &[(u64, usize)], excess_bytes: usize) -> u64 {
    let mut spared = 0;
    let reached = groups.iter().rev().find(|(_, bytes)| {
        spared += bytes;
        spared >= excess_bytes
    });
    let Some((threshold, _)) = reached.or(groups.first()) else { return 0 };
    // A copy that came back from another branch may hold groups that an earlier cut has given up.
    let threshold = branch.cut(key).map_or(*threshold, |cut| cut.min(*threshold));
    let below = |rows: &Groups| {
        let mut rows = rows.clone();
        rows.retain(|group| hash_of(group) < threshold);
        rows
    };
    let mut mark = None;
    branch.change(key, |bag| {
        let kept = below(rows_of(bag)?);
        mark = Some(kept.empty_like());
        (!kept.is_empty()).then_some(Bag::Grouped { rows: kept, cut: bag.cut() })
    });
    let mark = mark.map(|rows| Bag::Grouped { rows, cut: Some(threshold) });
    branch.mark(key, mark);
    (groups.len() - groups.partition_point(|(hash, _)| *hash < threshold)) as u64
}

fn lose(branch: &mut Branch, key: BagKey) -> u64 {
    let mut lost = 0;
    branch.change(key, |_| {
        lost += 1;
        None
    });
    branch.mark(key, Some(Bag::Lost));
    lost
}

impl Branch {
    /// Changes every bag of a key; where None is given it goes.
    fn change(&mut self, key: BagKey, mut change: impl FnMut(&Bag) -> Option<Bag>) {
        self.active.change(key, &mut change);
        for instance in self.frozen.iter_mut().filter(|instance| instance.bags().get(key).is_some()) {
            instance.change(|bags| bags.change(key, &mut change));
        }
    }

    fn mark(&mut self, key: BagKey, mark: Option<Bag>) {
        let mismatches = mark.map_or(0, |mark| self.active.add(key, mark));
        self.partial |= mismatches > 0;
    }

    /// Whether groups of a key were cut anywhere.
    #[inline]
    pub(crate) fn is_cut(&self, key: BagKey) -> bool {
        self.active.get(key).is_some_and(LazyBag::is_cut)
            || self.frozen.iter().any(|instance| instance.is_cut(key))
    }

    /// The lowest threshold at which groups of a key were cut.
    pub(crate) fn cut(&self, key: BagKey) -> Option<u64> {
        self.visible(key).filter_map(|section| section.cut()).min()
    }
}
