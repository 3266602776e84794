//! All rows of a bag, as they lie: those of one place, of which none is missing.
//!
//! To merge nothing and to decode nothing is what makes an unpack cheap. So whoever unpacks a bag gets the
//! decoded rows if there are any, and walks over the encoded ones otherwise.

use crate::format::bags::encoded_rows::EncodedRows;
use crate::format::bags::value::ValueRef;
use pivot_advice::{AggregateKind, AggregateState, Groups};

/// All rows of a bag.
#[derive(Debug, Clone, Copy)]
pub enum BagRows<'a> {
    /// Decoded rows, one for each key.
    Decoded(&'a Groups),
    /// Rows as they travel. Several may have equal keys.
    Encoded(CheckedRows<'a>),
}

/// Rows as they travel, of which somebody has checked that all can be read.
#[derive(Debug, Clone, Copy)]
pub struct CheckedRows<'a>(pub(crate) EncodedRows<'a>);

impl CheckedRows<'_> {
    /// Whether the rows have so many key columns and these aggregates.
    #[inline]
    pub fn fits(&self, keys: usize, aggregates: &[AggregateKind]) -> bool {
        self.0.has_columns(keys, aggregates)
    }

    /// Walks over the rows: shows each value of a key, by its column, to `see`, and then says to `end` how
    /// often the row counts and what its states are. Both are given `context`, so that neither has to borrow
    /// it.
    #[inline]
    pub fn each<C>(
        &self,
        context: &mut C,
        see: impl Fn(&mut C, usize, ValueRef<'_>),
        mut end: impl FnMut(&mut C, u64, &[AggregateState]),
    ) {
        // All rows could be read when they were checked, so this reaches the end.
        let _reached_end = self.0.try_each_value(context, see, &mut end);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Baggage;
    use pivot_advice::{BagKey, EvalErrors, QueryId, TemporalFilter, Value};
    use proptest::prelude::*;

    const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };

    fn packed() -> Groups {
        let mut groups = Groups::new(2, &[AggregateKind::Sum]);
        for i in 0..9_i64 {
            let text = if i < 5 { Value::str(format!("row {i}")) } else { Value::Bool(i % 2 == 0) };
            let group = groups.entry(&[text, Value::I64(i / 2)]);
            group.n += i as u64 + 1;
            group
                .states
                .iter_mut()
                .for_each(|state| state.update(&Value::I64(i), 1, &mut EvalErrors::default()));
        }
        groups
    }

    /// What a walk over the rows of a baggage shows.
    fn walked(baggage: &Baggage) -> Option<Groups> {
        let Some(BagRows::Encoded(rows)) = baggage.unpack_complete(KEY) else { return None };
        assert!(
            rows.fits(2, &[AggregateKind::Sum]) && !rows.fits(2, &[]) && !rows.fits(1, &[AggregateKind::Sum])
        );
        let mut seen = (vec![Value::Null; 2], Groups::new(2, &[AggregateKind::Sum]));
        let see = |(key, _): &mut (Vec<Value>, Groups), column: usize, part: ValueRef<'_>| {
            key[column] = part.into()
        };
        rows.each(&mut seen, see, |(key, groups), n, states| groups.entry(key).merge(n, states));
        Some(seen.1)
    }

    #[test]
    fn rows_that_nobody_has_taken_apart_are_walked_as_they_lie() {
        let mut baggage = Baggage::new();
        assert!(baggage.unpack_complete(KEY).is_none());
        baggage.pack(KEY, TemporalFilter::All, [packed()]);
        let arrived = Baggage::decode(&baggage.fork().encode()).unwrap();
        for baggage in [&baggage, &arrived] {
            assert!(baggage.unpack_decoded(KEY).is_none());
            assert_eq!(walked(baggage), Some(packed()));
            assert_eq!(baggage.unpack(KEY).as_deref(), Some(&packed()));
            assert_eq!((walked(baggage), baggage.unpack_decoded(KEY)), (None, Some(&packed())));
        }
        baggage.pack(KEY, TemporalFilter::All, [packed()]);
        assert!(baggage.unpack_complete(KEY).is_none(), "they lie in two places");
    }

    /// Packs, forks, travels, loses and joins as told; says how often the rows of several places were found
    /// at once.
    fn check(keep: TemporalFilter, steps: &[(u8, usize)]) -> usize {
        let mut born = Baggage::begin();
        born.pack(BagKey { stage: 2, ..KEY }, TemporalFilter::All, [packed()]);
        let (mut branches, mut at_once) = (vec![born], 0);
        for (number, (step, which)) in steps.iter().enumerate() {
            let at = which % branches.len();
            match step {
                0 => {
                    let mut rows = Groups::new(1, &[]);
                    rows.entry(&[Value::U64(number as u64)]).n = 1;
                    branches[at].pack(KEY, keep, [rows]);
                }
                1 => {
                    let child = branches[at].fork();
                    branches.push(child);
                }
                2 => {
                    let bytes = branches.swap_remove(at).encode();
                    branches.push(Baggage::decode(&bytes).unwrap());
                }
                3 => branches[at].mark_lost(KEY, keep),
                _ => {
                    let other = branches.swap_remove(at);
                    match branches.last_mut() {
                        Some(last) => drop(last.join(other)),
                        None => branches.push(other),
                    }
                }
            }
            for baggage in &branches {
                let Some(BagRows::Decoded(found)) = baggage.unpack_complete(KEY) else { continue };
                assert_eq!(Some(found), baggage.unpack(KEY).as_deref(), "{keep:?} {steps:?}");
                let places = baggage.branch().map_or(0, |branch| branch.visible(KEY).count());
                at_once += usize::from(places > 1);
            }
        }
        at_once
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn the_tuple_chosen_from_several_places_is_that_of_them_merged(
            keep in prop::sample::select(&[TemporalFilter::First(1), TemporalFilter::MostRecent(1), TemporalFilter::MostRecent(2)][..]),
            steps in prop::collection::vec((prop::sample::select(&[0, 0, 1, 1, 2, 2, 3, 4, 4][..]), 0..6_usize), 0..24),
        ) {
            let at_once = check(keep, &steps);
            prop_assert!(keep != TemporalFilter::MostRecent(2) || at_once == 0);
        }
    }

    #[test]
    fn a_tuple_is_chosen_from_several_places_without_merging_them() {
        assert!(check(TemporalFilter::MostRecent(1), &[(0, 0), (1, 0), (0, 0)]) > 0);
        assert!(check(TemporalFilter::First(1), &[(1, 0), (0, 0), (1, 0), (0, 1), (4, 1)]) > 0);
    }
}
