//! The share of a live branch: the part of its request that it owns.
//!
//! This is the identity half of an **interval tree clock** (Almeida, Baquero, Fonte 2008). A request
//! begins as one branch that owns the whole, a fork gives a part away, a join adds it back, so the
//! shares of all live branches are disjoint at any time:
//!
//! ```text
//!               0                              2^64
//! begin    A    [==============================)
//! fork     A    [==============)                      B was given the right half
//!          B                   [===============)
//! fork     B                   [=======)              C was given the right half of that
//!          C                           [=======)
//! join C   A    [==============)       [=======)      two intervals
//! join B   A    [==============================)      the whole again: no other branch is alive
//! ```
//!
//! **Representation.** A sorted list of disjoint dyadic intervals of 0..2^64, as few as possible. An
//! interval of depth d is a 2^-d part of the whole. Nearly all shares are one interval, which lies
//! in the share itself. To unite two halves is constant; to unite lists sorts them; to ask whether
//! one share contains another takes a binary search for each interval.
//!
//! **Depth.** A parent that halved its share at every fork would hand its thousandth concurrent
//! child an interval a thousand levels deep. [`Share::split`] cuts children from blocks of doubling
//! size instead, so depth grows with the logarithm of the children that are out at the same time.
//! At [`MAX_DEPTH`] nothing is left to divide, and further branches are anonymous: they own nothing.
//!
//! **Encoded** a share is the shorter one of two forms:
//!
//! - A list: of each interval its depth, then as many bytes of its start, high bits first, as hold
//!   that many bits. The right half is `01 80`, the second quarter `02 40`, the whole `00`.
//! - A tree, for scattered shares: `ff`, then bits, high ones first, one node after the other from
//!   the whole down, left half before right half. `1` is all of the node, `00` nothing of it, and
//!   `01` is followed by its halves. The right half as a tree would be `ff 48`: the bits 01, 00, 1.

use smallvec::{SmallVec, smallvec};
use std::fmt;

/// The depth of the smallest interval, a 2^-64 part of the whole.
pub const MAX_DEPTH: u8 = 64;

/// The most intervals that an encoded share may have: a bound of what a stranger can make us allocate.
pub const MAX_INTERVALS: usize = 4096;

/// A dyadic interval: a 2^-`depth` part of the whole. Its `start` is a multiple of its length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct DyadicInterval {
    start: u64,
    depth: u8,
}

impl DyadicInterval {
    fn last(self) -> u64 {
        self.start | bits_below(self.depth)
    }

    fn covers(self, other: DyadicInterval) -> bool {
        self.start <= other.start && other.last() <= self.last()
    }

    /// Returns the two halves of an interval that is not yet at [`MAX_DEPTH`].
    fn halves(self) -> (DyadicInterval, DyadicInterval) {
        let depth = self.depth + 1;
        let middle = self.start | 1 << (MAX_DEPTH - depth);
        (DyadicInterval { start: self.start, depth }, DyadicInterval { start: middle, depth })
    }

    /// Returns the interval of which these two are the halves, or `None` if they are not the halves of one.
    fn parent(left: DyadicInterval, right: DyadicInterval) -> Option<DyadicInterval> {
        let depth = left.depth.checked_sub(1)?;
        let parent = DyadicInterval { start: left.start & !bits_below(depth), depth };
        (parent.halves() == (left, right)).then_some(parent)
    }
}

/// Returns a mask of the bits of a position that lie below a depth: all of them for depth 0, none for depth
/// 64.
fn bits_below(depth: u8) -> u64 {
    u64::MAX.checked_shr(u32::from(depth)).unwrap_or(0)
}

/// A part of a request: a set of disjoint dyadic intervals; see the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Share {
    /// Sorted, disjoint, and no two of them the halves of one. Most shares have a single one.
    intervals: SmallVec<[DyadicInterval; 1]>,
}

impl Share {
    /// Returns the share of the only branch of a request.
    pub fn whole() -> Share {
        Share { intervals: smallvec![DyadicInterval { start: 0, depth: 0 }] }
    }

    /// Whether the share is nothing, as that of an anonymous branch is.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Returns the depth of the smallest interval; 0 for the whole and for nothing.
    pub fn depth(&self) -> u8 {
        self.intervals.iter().map(|interval| interval.depth).max().unwrap_or(0)
    }

    /// Adds another share.
    pub fn unite(&mut self, other: &Share) {
        // A child comes back to the parent that gave it the other half: the usual case, without a list.
        if let ([mine], [theirs]) = (self.intervals.as_mut_slice(), other.intervals.as_slice()) {
            let parent = DyadicInterval::parent((*mine).min(*theirs), (*mine).max(*theirs));
            if let Some(parent) = parent {
                *mine = parent;
                return;
            }
        }

        if other.is_empty() || self.contains(other) {
            return;
        }

        let mut intervals = std::mem::take(&mut self.intervals);
        intervals.extend_from_slice(&other.intervals);
        *self = Share::union_of(intervals);
    }

    /// Whether the two shares have anything in common.
    pub fn overlaps(&self, other: &Share) -> bool {
        let (mut mine, mut theirs) = (self.intervals.iter().peekable(), other.intervals.iter().peekable());

        // Both lists are sorted: whichever interval ends first cannot meet what follows in the other list.
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            if a.last() < b.start {
                mine.next();
            } else if b.last() < a.start {
                theirs.next();
            } else {
                return true;
            }
        }

        false
    }

    /// Whether all of the other share lies inside this one.
    pub fn contains(&self, other: &Share) -> bool {
        // No two of our intervals are the halves of one, so an interval inside the share is inside one of
        // them.
        other.intervals.iter().all(|interval| {
            let after = self.intervals.partition_point(|mine| mine.start <= interval.start);
            after > 0 && self.intervals[after - 1].covers(*interval)
        })
    }

    /// Gives a part away, of which the rest is disjoint. Returns `None` if nothing is left that could be
    /// divided.
    ///
    /// `outstanding` is the number of parts that were given away and have not returned. The largest interval
    /// is the tip, from which blocks are broken off; a block is cut as finely as serves about as many
    /// children as all blocks before it, so that the n-th child that is out at the same time lies O(log n)
    /// deep.
    pub fn split(&mut self, outstanding: u32) -> Option<Share> {
        if let ([only], 0) = (self.intervals.as_mut_slice(), outstanding) {
            let (tip, given) = (only.depth < MAX_DEPTH).then(|| only.halves())?;
            *only = tip;
            return Some(Share { intervals: smallvec![given] });
        }

        // A block that was begun is used up before a new one is broken off the tip.
        let at = (0..self.intervals.len()).min_by_key(|i| self.intervals[*i].depth)?;
        let mut given = match self.deepest_except(at) {
            Some(block) => self.intervals.remove(block),
            None if self.intervals[at].depth >= MAX_DEPTH => return None,
            None => {
                let (tip, block) = self.intervals[at].halves();
                self.intervals[at] = tip;
                block
            }
        };

        // Cut the block as finely as the number of children asks for, and keep what is cut off.
        let tip_depth = self.intervals.iter().map(|interval| interval.depth).min().unwrap_or(0);
        let fineness = outstanding.saturating_add(1).ilog2() as u8;
        while given.depth < tip_depth.saturating_add(fineness).min(MAX_DEPTH) {
            let (kept, smaller) = given.halves();
            self.intervals.push(kept);
            given = smaller;
        }

        self.intervals.sort_unstable();
        Some(Share { intervals: smallvec![given] })
    }

    /// Returns the leftmost part of the whole that is so many levels deep, of which fewer levels can be
    /// split.
    #[cfg(test)]
    pub(crate) fn leftmost(depth: u8) -> Share {
        Share { intervals: smallvec![DyadicInterval { start: 0, depth }] }
    }

    /// Returns the place of the smallest interval other than the tip, which is the block in use.
    fn deepest_except(&self, tip: usize) -> Option<usize> {
        let others = (0..self.intervals.len()).filter(|i| *i != tip);
        others.max_by_key(|i| self.intervals[*i].depth)
    }

    /// Returns the union of intervals in any order, as few as possible.
    fn union_of(mut intervals: SmallVec<[DyadicInterval; 1]>) -> Share {
        intervals.sort_unstable();
        let mut united: SmallVec<[DyadicInterval; 1]> = SmallVec::new();

        for mut interval in intervals {
            if united.last().is_some_and(|last| last.covers(interval)) {
                continue;
            }

            // Two halves become their parent, which may be the right half of another parent.
            while let Some(parent) = united.last().and_then(|left| DyadicInterval::parent(*left, interval)) {
                united.pop();
                interval = parent;
            }
            united.push(interval);
        }

        Share { intervals: united }
    }

    /// Encodes the share as a list or as a tree, whichever is shorter; see the [module](self).
    pub(crate) fn encode(&self) -> SmallVec<[u8; 16]> {
        let mut list = SmallVec::new();
        for interval in &self.intervals {
            list.push(interval.depth);
            list.extend_from_slice(&interval.start.to_be_bytes()[..start_bytes(interval.depth)]);
        }

        // A tree of a few intervals is never shorter.
        if self.intervals.len() < 4 {
            return list;
        }

        let mut bits = BitWriter { bytes: vec![TREE], at: 8 };
        write_node(&mut bits, &self.intervals, DyadicInterval { start: 0, depth: 0 });
        if bits.bytes.len() < list.len() { bits.bytes.into() } else { list }
    }

    /// Decodes a share, or says what is wrong with the bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Share, &'static str> {
        // One large interval is what most messages carry.
        if let [depth @ 0..=8, rest @ ..] = bytes
            && rest.len() == start_bytes(*depth)
        {
            let start = rest.first().map_or(0, |first| u64::from(*first) << 56) & !bits_below(*depth);
            return Ok(Share { intervals: smallvec![DyadicInterval { start, depth: *depth }] });
        }

        let mut intervals = SmallVec::new();
        if let Some((&TREE, tree)) = bytes.split_first() {
            read_node(
                &mut BitReader { bytes: tree, at: 0 },
                DyadicInterval { start: 0, depth: 0 },
                &mut intervals,
            )?;
        } else {
            read_list(bytes, &mut intervals)?;
        }

        // Strangers may send intervals in any order, or halves that are one interval.
        Ok(if intervals.len() > 1 { Share::union_of(intervals) } else { Share { intervals } })
    }
}

/// The first byte of a share that is encoded as a tree; no interval is so deep.
const TREE: u8 = 0xff;

fn read_list(mut bytes: &[u8], intervals: &mut SmallVec<[DyadicInterval; 1]>) -> Result<(), &'static str> {
    while let Some((&depth, rest)) = bytes.split_first() {
        if depth > MAX_DEPTH || intervals.len() == MAX_INTERVALS {
            return Err("an interval of a share is out of bounds");
        }

        // Bits of the start below the depth mean nothing, and are not believed.
        let (prefix, rest) = rest.split_at_checked(start_bytes(depth)).ok_or("a share is cut off")?;
        let mut start = [0; 8];
        start[..prefix.len()].copy_from_slice(prefix);
        intervals.push(DyadicInterval { start: u64::from_be_bytes(start) & !bits_below(depth), depth });
        bytes = rest;
    }
    Ok(())
}

/// Bits that are appended, high ones of a byte first.
struct BitWriter {
    bytes: Vec<u8>,
    /// How many bits there are.
    at: usize,
}

impl BitWriter {
    fn push(&mut self, bit: u8) {
        if self.at / 8 == self.bytes.len() {
            self.bytes.push(0);
        }
        self.bytes[self.at / 8] |= bit << (7 - self.at % 8);
        self.at += 1;
    }
}

/// Appends the tree of a node, with the intervals that lie in it.
fn write_node(bits: &mut BitWriter, intervals: &[DyadicInterval], node: DyadicInterval) {
    match intervals.first() {
        None => [0, 0].into_iter().for_each(|bit| bits.push(bit)),
        Some(interval) if interval.depth == node.depth => bits.push(1),
        Some(_) => {
            [0, 1].into_iter().for_each(|bit| bits.push(bit));

            // Sorted intervals lie in the left half up to where the right one starts.
            let (left, right) = node.halves();
            let middle = intervals.partition_point(|interval| interval.start < right.start);
            write_node(bits, &intervals[..middle], left);
            write_node(bits, &intervals[middle..], right);
        }
    }
}

/// Bits that are read, high ones of a byte first.
struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    fn bit(&mut self) -> Result<bool, &'static str> {
        let byte = self.bytes.get(self.at / 8).ok_or("a share is cut off")?;
        let bit = byte >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        Ok(bit)
    }
}

/// Reads the tree of a node, and adds its intervals. The recursion ends at [`MAX_DEPTH`], and takes a bit for
/// each node.
fn read_node(
    tree: &mut BitReader<'_>,
    node: DyadicInterval,
    intervals: &mut SmallVec<[DyadicInterval; 1]>,
) -> Result<(), &'static str> {
    if tree.bit()? {
        if intervals.len() == MAX_INTERVALS {
            return Err("an interval of a share is out of bounds");
        }
        intervals.push(node);
        return Ok(());
    }
    if !tree.bit()? {
        return Ok(());
    }

    if node.depth == MAX_DEPTH {
        return Err("an interval of a share is out of bounds");
    }
    let (left, right) = node.halves();
    read_node(tree, left, intervals)?;
    read_node(tree, right, intervals)
}

/// Returns how many bytes of the start of an interval are encoded.
fn start_bytes(depth: u8) -> usize {
    usize::from(depth).div_ceil(8)
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.intervals).finish()
    }
}

/// Shows an interval as the path from the whole to it, `/01` for the second quarter.
impl fmt::Debug for DyadicInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        (0..u32::from(self.depth)).try_for_each(|level| write!(f, "{}", self.start >> (63 - level) & 1))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_thousand_concurrent_children_stay_shallow() {
        let mut parent = Share::whole();
        let children: Vec<Share> = (0..1000).map(|outstanding| parent.split(outstanding).unwrap()).collect();
        let deepest = children.iter().map(Share::depth).max().unwrap();
        assert!(deepest < 24, "{deepest} levels");
        children.iter().for_each(|child| parent.unite(child));
        assert_eq!(parent, Share::whole());
    }

    #[test]
    fn children_one_after_the_other_stay_at_one_depth() {
        let mut parent = Share::whole();
        for _ in 0..1000 {
            let child = parent.split(0).unwrap();
            assert_eq!(child.depth(), 1);
            parent.unite(&child);
        }
        assert_eq!(parent, Share::whole());
    }

    #[test]
    fn what_cannot_be_divided_is_not() {
        assert_eq!(Share::default().split(0), None);
        let mut line = Share::whole();
        let mut depth = 0;
        while let Some(child) = line.split(0) {
            line = child;
            depth += 1;
        }
        assert_eq!((depth, line.depth()), (64, 64));
    }

    #[test]
    fn scattered_shares_are_short_and_single_ones_too() {
        let mut parent = Share::whole();
        let children: Vec<Share> = (0..1000).map(|out| parent.split(out).unwrap()).collect();
        children.iter().step_by(3).for_each(|child| parent.unite(child));
        let bytes = parent.encode();
        assert!(bytes.len() < 400, "{} bytes", bytes.len());
        assert_eq!(Share::decode(&bytes), Ok(parent));
        assert!(children.iter().all(|child| child.encode().len() <= 4));
    }

    #[test]
    fn bytes_out_of_bounds_are_refused() {
        assert!(Share::decode(&[TREE]).is_err());
        assert!(Share::decode(&[TREE, 0x55, 0x55]).is_err());
        assert!(Share::decode(&[&[TREE][..], &[0x54; 40]].concat()).is_err());
        assert!(Share::decode(&[65]).is_err());
        assert!(Share::decode(&[9, 1]).is_err());
        assert!(Share::decode(&vec![0; MAX_INTERVALS + 1]).is_err());
    }

    /// Splits and unites at random; a step is (which share, which other, how many are out).
    fn scatter(root: Share, steps: &[(usize, usize, u32)]) -> Vec<Share> {
        let mut shares = vec![root];
        for (which, other, outstanding) in steps {
            let which = which % shares.len();
            if other % 3 > 0 {
                let given = shares[which].split(*outstanding);
                shares.extend(given);
            } else if shares.len() > 1 {
                let taken = shares.swap_remove(which);
                let into = other % shares.len();
                shares[into].unite(&taken);
            }
        }
        shares
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn shares_stay_disjoint_and_their_union_is_what_was_split(
            // Below a depth of 48 there are 16 levels, so that some splits fail.
            depth in prop_oneof![Just(0u8), Just(48u8)],
            steps in proptest::collection::vec((0usize..64, 0usize..64, 0u32..40), 0..60)
        ) {
            let shares = scatter(Share::leftmost(depth), &steps);
            let mut sum = Share::default();
            for share in &shares {
                prop_assert!(!sum.overlaps(share) && !share.overlaps(&sum));
                sum.unite(share);
                prop_assert!(sum.contains(share) && sum.overlaps(share));
                prop_assert_eq!(&Share::decode(&share.encode()).unwrap(), share);
            }
            prop_assert_eq!(sum, Share::leftmost(depth));
        }

        #[test]
        fn any_bytes_are_a_share_or_an_error(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..64), tree in any::<bool>()
        ) {
            if tree && let Some(first) = bytes.first_mut() {
                *first = TREE;
            }
            if let Ok(share) = Share::decode(&bytes) {
                prop_assert_eq!(&Share::decode(&share.encode()).unwrap(), &share);
            }
        }
    }
}
