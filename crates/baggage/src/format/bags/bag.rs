//! One decoded bag: what one stage of a query has packed in this request.
//!
//! Grouped bags add up, so each contribution may be merged once only, and the branches see to that. Temporal
//! bags hold stamped tuples and unite, so merging a copy changes nothing. Either way a merge is commutative
//! and associative: branches meet in any order, and have to come to the same result.

use crate::causality::clock::Stamp;
use pivot_advice::stable_hash;
use pivot_advice::{AggregateKind, Groups, TemporalFilter};
use std::borrow::Cow;
use std::cmp::Ordering;

/// The tuples of one stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Bag {
    /// All tuples, grouped.
    Grouped {
        /// The rows.
        rows: Groups,
        /// When set, groups whose key hashes to it or above were dropped and always will be, so
        /// that the groups that remain are complete.
        cut: Option<u64>,
    },
    /// The first tuples by stamp.
    First {
        /// How many tuples it keeps at most.
        n: u32,
        /// At least one tuple, in the order of stamps and positions, all with rows of one shape.
        tuples: Vec<ChosenTuple>,
    },
    /// The most recent tuples by stamp.
    MostRecent {
        /// How many tuples it keeps at most.
        n: u32,
        /// At least one tuple, in the order of stamps and positions, all with rows of one shape.
        tuples: Vec<ChosenTuple>,
    },
    /// Tuples that a temporal bag had chosen had to be left behind, so nobody can tell any more
    /// which are the first or the last. Whatever it is merged with is lost too.
    Lost,
}

/// One tuple that a temporal bag has chosen, with the rows of the joins below it, possibly none.
///
/// Stamp and position together are its identity and its rank.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenTuple {
    /// The stamp of the event that packed it.
    pub stamp: Stamp,
    /// Its position among the tuples of that event.
    pub position: u32,
    /// Its rows.
    pub rows: Groups,
}

impl ChosenTuple {
    /// Returns the tuples of one event, each given by its rows.
    fn of_event(stamp: Stamp, tuples: impl Iterator<Item = Groups>) -> Vec<ChosenTuple> {
        (0..).zip(tuples).map(|(position, rows)| ChosenTuple { stamp, position, rows }).collect()
    }

    /// Returns what orders tuples, and what copies have in common.
    pub(crate) fn rank(&self) -> (Stamp, u32) {
        (self.stamp, self.position)
    }
}

/// The outcome of merging two bags of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum MergeOutcome {
    /// Both are one bag now.
    Both,
    /// The shapes of the bags differ, which only a defect can cause: the bag of the lesser shape was kept
    /// and the other one is lost. Every branch decides alike, in whatever order the bags meet.
    OneKept,
}

impl Bag {
    /// Returns a bag of the tuples that one event packs, in their order and all of one shape, or `None` if it
    /// would hold nothing. The stamp is for temporal bags: a grouped one adds the tuples up.
    pub fn packed(
        keep: TemporalFilter,
        tuples: impl IntoIterator<Item = Groups>,
        stamp: Stamp,
    ) -> Option<Bag> {
        let mut tuples = tuples.into_iter();
        match keep {
            TemporalFilter::All => {
                let mut rows = tuples.next()?;
                tuples.for_each(|more| rows.merge(&more));
                (!rows.is_empty()).then_some(Bag::Grouped { rows, cut: None })
            }

            // Of the tuples of one event, the first ones have the lowest positions.
            TemporalFilter::First(n) => {
                let tuples = ChosenTuple::of_event(stamp, tuples.take(n as usize));
                (!tuples.is_empty()).then_some(Bag::First { n, tuples })
            }
            TemporalFilter::MostRecent(n) => {
                let mut tuples = ChosenTuple::of_event(stamp, tuples);
                keep_last(&mut tuples, n);
                (!tuples.is_empty()).then_some(Bag::MostRecent { n, tuples })
            }
        }
    }

    /// Adds the tuples of another bag.
    pub fn merge(&mut self, other: Bag) -> MergeOutcome {
        if let (Bag::Lost, _) | (_, Bag::Lost) = (&*self, &other) {
            *self = Bag::Lost;
            return MergeOutcome::Both;
        }

        match self.shape().cmp(&other.shape()) {
            Ordering::Less => return MergeOutcome::OneKept,
            Ordering::Greater => {
                *self = other;
                return MergeOutcome::OneKept;
            }
            Ordering::Equal => {}
        }

        match (self, other) {
            (Bag::Grouped { rows, cut }, Bag::Grouped { rows: more, cut: other_cut }) => {
                rows.merge(&more);
                // The lower threshold holds for both sides: above it one of them lacks groups.
                if let Some(threshold) = [*cut, other_cut].into_iter().flatten().min() {
                    *cut = Some(threshold);
                    rows.retain(|group| stable_hash(&group.key) < threshold);
                }
            }
            (Bag::First { n, tuples }, Bag::First { tuples: more, .. }) => {
                unite(tuples, more);
                tuples.truncate(*n as usize);
            }
            (Bag::MostRecent { n, tuples }, Bag::MostRecent { tuples: more, .. }) => {
                unite(tuples, more);
                keep_last(tuples, *n);
            }
            // Bags of one shape are of one kind.
            _ => {}
        }
        MergeOutcome::Both
    }

    /// Drops the groups at or beyond a threshold, now and from now on, and returns how many went.
    pub fn cut_at(&mut self, threshold: u64) -> u64 {
        let Bag::Grouped { rows, cut } = self else { return 0 };
        let before = rows.len();
        *cut = Some(cut.map_or(threshold, |cut| cut.min(threshold)));
        rows.retain(|group| stable_hash(&group.key) < threshold);
        (before - rows.len()) as u64
    }

    /// Returns all rows: what an advice that unpacks the bag joins with.
    pub fn rows(&self) -> Cow<'_, Groups> {
        match self {
            Bag::Grouped { rows, .. } => Cow::Borrowed(rows),
            Bag::First { tuples, .. } | Bag::MostRecent { tuples, .. } => sum(tuples),
            Bag::Lost => sum(&[]),
        }
    }

    /// Returns all rows, or `None` if they lie in several places, or if some are missing.
    #[inline]
    pub(crate) fn complete_rows(&self) -> Option<&Groups> {
        match self {
            Bag::Grouped { rows, cut: None } => Some(rows),
            Bag::First { tuples, .. } | Bag::MostRecent { tuples, .. } => match &tuples[..] {
                [only] => Some(&only.rows),
                _ => None,
            },
            Bag::Grouped { .. } | Bag::Lost => None,
        }
    }

    /// Returns the chosen tuples of a temporal bag, in their order; none of a grouped one.
    pub fn tuples(&self) -> &[ChosenTuple] {
        match self {
            Bag::Grouped { .. } | Bag::Lost => &[],
            Bag::First { tuples, .. } | Bag::MostRecent { tuples, .. } => tuples,
        }
    }

    /// Returns the threshold at which groups were cut off, if they were.
    pub fn cut(&self) -> Option<u64> {
        if let Bag::Grouped { cut, .. } = self { *cut } else { None }
    }

    /// Returns how many tuples it holds; at least 1, since nobody can tell how many were left behind.
    pub(crate) fn tuple_count(&self) -> u64 {
        let tuples = match self {
            Bag::Grouped { rows, .. } => rows.iter().fold(0_u64, |sum, group| sum.saturating_add(group.n)),
            Bag::First { tuples, .. } | Bag::MostRecent { tuples, .. } => tuples.len() as u64,
            Bag::Lost => 0,
        };
        tuples.max(1)
    }

    /// Whether tuples are missing.
    pub fn is_incomplete(&self) -> bool {
        matches!(self, Bag::Grouped { cut: Some(_), .. } | Bag::Lost)
    }

    /// Returns what two bags must agree on to be merged, in an order: kind, bound, columns.
    fn shape(&self) -> (u8, u32, Option<RowShape<'_>>) {
        match self {
            Bag::Grouped { rows, .. } => (0, 0, Some(RowShape(rows))),
            Bag::First { n, tuples } => (1, *n, tuples.first().map(|tuple| RowShape(&tuple.rows))),
            Bag::MostRecent { n, tuples } => (2, *n, tuples.first().map(|tuple| RowShape(&tuple.rows))),
            Bag::Lost => (3, 0, None),
        }
    }
}

/// The columns of rows, in an order: how many keys, and then which aggregates.
#[derive(Clone, Copy)]
struct RowShape<'a>(&'a Groups);

impl RowShape<'_> {
    fn codes(&self) -> impl Iterator<Item = u8> {
        self.0.aggregates().iter().map(|aggregate: &AggregateKind| *aggregate as u8)
    }
}

impl Ord for RowShape<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.keys().cmp(&other.0.keys()).then_with(|| self.codes().cmp(other.codes()))
    }
}

impl PartialOrd for RowShape<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RowShape<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for RowShape<'_> {}

/// Adds tuples to others. Of copies of one tuple one is left.
fn unite(tuples: &mut Vec<ChosenTuple>, more: Vec<ChosenTuple>) {
    tuples.extend(more);
    tuples.sort_by_key(ChosenTuple::rank);
    tuples.dedup_by_key(|tuple| tuple.rank());
}

/// Drops all but the last n tuples.
fn keep_last(tuples: &mut Vec<ChosenTuple>, n: u32) {
    tuples.drain(..tuples.len().saturating_sub(n as usize));
}

/// Returns the rows of all tuples, added up.
fn sum(tuples: &[ChosenTuple]) -> Cow<'_, Groups> {
    match tuples {
        [] => Cow::Owned(Groups::new(0, &[])),
        [only] => Cow::Borrowed(&only.rows),
        [first, others @ ..] => {
            let mut rows = first.rows.clone();
            others.iter().for_each(|tuple| rows.merge(&tuple.rows));
            Cow::Owned(rows)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::causality::clock::Hlc;
    use pivot_advice::Value;

    fn rows(keys: &[i64]) -> Groups {
        let mut rows = Groups::new(1, &[]);
        keys.iter().for_each(|key| rows.entry(&[Value::I64(*key)]).merge(1, &[]));
        rows
    }

    fn stamp(at: u64) -> Stamp {
        Stamp { clock: Hlc::from_u64(at), nonce: 0 }
    }

    fn bag(keep: TemporalFilter, at: &[u64]) -> Bag {
        let each = at.iter().map(|at| Bag::packed(keep, [rows(&[*at as i64])], stamp(*at)).unwrap());
        each.reduce(merged).unwrap()
    }

    fn merged(mut a: Bag, b: Bag) -> Bag {
        assert_eq!(a.merge(b), MergeOutcome::Both);
        a
    }

    fn check(keep: TemporalFilter, at: &[u64], kept: &[i64]) {
        assert_eq!(*bag(keep, at).rows(), rows(kept));
    }

    #[test]
    fn each_kind_keeps_what_it_promises() {
        check(TemporalFilter::All, &[3, 1, 2, 1], &[1, 1, 2, 3]);
        check(TemporalFilter::First(2), &[3, 1, 2], &[1, 2]);
        check(TemporalFilter::MostRecent(2), &[3, 1, 2], &[2, 3]);
        check(TemporalFilter::First(2), &[3, 3], &[3]);
    }

    #[test]
    fn a_tuple_without_rows_holds_its_place() {
        let empty = Bag::packed(TemporalFilter::First(1), [rows(&[])], stamp(1)).unwrap();
        assert!(merged(bag(TemporalFilter::First(1), &[2]), empty).rows().is_empty());
    }

    /// What is left of three tuples of one event, of which the second has no rows.
    fn check_event(keep: TemporalFilter, kept: &[(u32, &[i64])]) {
        let tuples = [rows(&[10]), rows(&[]), rows(&[12])];
        let bag = Bag::packed(keep, tuples, stamp(5)).unwrap();
        let kept: Vec<(u32, Groups)> = kept.iter().map(|(at, keys)| (*at, rows(keys))).collect();
        let tuples: Vec<(u32, Groups)> =
            bag.tuples().iter().map(|tuple| (tuple.position, tuple.rows.clone())).collect();
        assert_eq!(tuples, kept);
    }

    #[test]
    fn tuples_of_one_event_are_ordered_by_position() {
        check_event(TemporalFilter::First(2), &[(0, &[10]), (1, &[])]);
        check_event(TemporalFilter::MostRecent(2), &[(1, &[]), (2, &[12])]);
        check_event(TemporalFilter::First(9), &[(0, &[10]), (1, &[]), (2, &[12])]);
        assert_eq!(Bag::packed(TemporalFilter::First(1), [], stamp(5)), None);
        assert_eq!(Bag::packed(TemporalFilter::MostRecent(0), [rows(&[1])], stamp(5)), None);
    }

    #[test]
    fn tuples_of_one_event_come_between_those_of_others() {
        let event = Bag::packed(TemporalFilter::MostRecent(3), [rows(&[20]), rows(&[21])], stamp(2)).unwrap();
        let all = merged(merged(bag(TemporalFilter::MostRecent(3), &[1, 3]), event.clone()), event);
        assert_eq!(*all.rows(), rows(&[20, 21, 3]));
    }

    #[test]
    fn bags_of_different_shapes_leave_the_same_one_in_any_order() {
        let wide = Bag::packed(TemporalFilter::All, [Groups::new(1, &[AggregateKind::Sum])], stamp(0));
        assert_eq!(wide, None);
        let mut summed = Groups::new(1, &[AggregateKind::Sum]);
        summed.entry(&[Value::I64(1)]).n = 1;
        let bags = [
            bag(TemporalFilter::All, &[1]),
            Bag::packed(TemporalFilter::All, [summed], stamp(0)).unwrap(),
            bag(TemporalFilter::First(1), &[1]),
            bag(TemporalFilter::First(2), &[1]),
            bag(TemporalFilter::MostRecent(1), &[1]),
        ];
        for a in &bags {
            for b in &bags {
                let (mut ab, mut ba) = (a.clone(), b.clone());
                let (left, right) = (ab.merge(b.clone()), ba.merge(a.clone()));
                assert_eq!((ab, left), (ba, right));
                assert_eq!(left == MergeOutcome::OneKept, a != b);
            }
        }
    }

    #[test]
    fn groups_beyond_a_cut_stay_out() {
        let keys: Vec<u64> = (0..100).collect();
        let half = u64::MAX / 2;
        let cut = merged(bag(TemporalFilter::All, &keys), Bag::Grouped { rows: rows(&[]), cut: Some(half) });
        assert!(cut.is_incomplete() && (20..80).contains(&cut.rows().len()));
        assert_eq!(merged(bag(TemporalFilter::All, &keys), cut.clone()).rows().len(), cut.rows().len());
        let lower = Bag::Grouped { rows: rows(&[]), cut: Some(half / 2) };
        assert!(merged(cut.clone(), lower).rows().len() < cut.rows().len());
    }
}
