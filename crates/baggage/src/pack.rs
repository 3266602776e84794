//! Packing: tuples go into the bags of the branch that packs them.
//!
//! A bag is one stage of one query. What becomes of a tuple depends on how the bag keeps tuples:
//!
//! | [`TemporalFilter`] | the bag                                  | packed into as |
//! |--------------------|------------------------------------------|----------------|
//! | `All`              | groups rows by key, and adds up the rest | bytes          |
//! | `First(n)`         | keeps the first n tuples by stamp        | decoded tuples |
//! | `MostRecent(n)`    | keeps the last n tuples by stamp         | decoded tuples |
//!
//! Most tuples are of bags that keep all, and of those most change a few bytes of a row that is there
//! already. The ways to pack one, from the most special to the most general, are [`Baggage::pack_summand`]
//! (adds a number to the bytes of a row), [`Baggage::pack_row`] (one row, aggregate states given),
//! [`Baggage::pack_temporal`] (one tuple with one row) and [`Baggage::pack`]. They are the same but for their
//! cost.

use crate::baggage::Baggage;
use crate::causality::clock::Stamp;
use crate::format::bags::bag::Bag;
use crate::format::bags::bag_header;
use crate::format::bags::encoded_states::AddedNumber;
use crate::format::bags::lazy_bag::LazyBag;
use crate::format::bags::temporal_codec;
use crate::format::bags::value::ValueRef;
use crate::format::shared_bytes::SharedBytes;
use crate::losses;
use pivot_advice::{AggregateKind, AggregateState, BagKey, Groups, TemporalFilter, Value};

impl Baggage {
    /// Packs the tuples of one event, each given by its rows. A grouped bag adds the rows up. A temporal bag
    /// counts the tuples one by one, those without rows too, in this order and under one stamp, which is
    /// returned; it takes none if it has lost tuples, or if the first n are chosen already.
    pub fn pack(
        &mut self,
        key: BagKey,
        keep: TemporalFilter,
        tuples: impl IntoIterator<Item = Groups>,
    ) -> Option<Stamp> {
        if keep == TemporalFilter::All {
            tuples.into_iter().for_each(|rows| self.pack_groups(key, &rows));
            self.cut_to_query_budget(key.query);
            return None;
        }

        // A tuple that is refused neither ticks the clock nor keeps the branch from travelling as it arrived.
        if self.refuses(key, keep) {
            return None;
        }

        let branch = self.branch_mut();
        let stamp = Stamp { clock: branch.clock.tick(), nonce: branch.nonce };
        let bag = Bag::packed(keep, tuples, stamp)?;
        self.add(key, bag);
        self.cut_to_query_budget(key.query);
        Some(stamp)
    }

    /// Packs one tuple that has one row into a temporal bag; see [`Baggage::pack`].
    pub fn pack_temporal(
        &mut self,
        key: BagKey,
        keep: TemporalFilter,
        aggregates: &[AggregateKind],
        row: &[Value],
        states: &[AggregateState],
    ) -> Option<Stamp> {
        let (kind, n) = match keep {
            TemporalFilter::First(n) if n > 0 => (bag_header::FIRST, n),
            TemporalFilter::MostRecent(n) if n > 0 => (bag_header::MOST_RECENT, n),
            _ => return None,
        };

        // A bag that this branch has begun has to be decoded and merged with the tuple.
        if self.branch().is_some_and(|branch| branch.active.get(key).is_some()) {
            let mut rows = Groups::new(row.len(), aggregates);
            rows.entry(row).merge(1, states);
            return self.pack(key, keep, [rows]);
        }

        if self.refuses(key, keep) {
            return None;
        }

        // The first tuple of this branch is written as it will travel: often nobody needs it in another form.
        let branch = self.branch_mut();
        let stamp = Stamp { clock: branch.clock.tick(), nonce: branch.nonce };
        let bag = temporal_codec::write_sole(kind, n, key, stamp, aggregates, row, states);
        branch.active.insert(key, LazyBag::arrived(SharedBytes::new(&bag)));
        self.cut_to_query_budget(key.query);
        Some(stamp)
    }

    /// Marks a temporal bag as lost: nobody can tell any more which tuples it has to choose. Grouped bags are
    /// never lost, and stay as they are.
    pub fn mark_lost(&mut self, key: BagKey, keep: TemporalFilter) {
        if keep != TemporalFilter::All && !self.refuses(key, keep) {
            self.add(key, Bag::Lost);
        }
    }

    /// Marks a grouped bag as incomplete: rows that belong into it may be missing, because whoever packed them did
    /// not see all that happened before. `shape` has the number of keys and the aggregates of its rows.
    pub fn mark_incomplete(&mut self, key: BagKey, shape: &Groups) {
        let is_known = self.branch().is_some_and(|branch| branch.partial || branch.is_cut(key));
        if !is_known {
            // A cut above every hash: it leaves nothing behind, and says that something is missing.
            self.add(key, Bag::Grouped { rows: shape.empty_like(), cut: Some(u64::MAX) });
        }
    }

    /// Adds rows to a grouped bag.
    fn pack_groups(&mut self, key: BagKey, rows: &Groups) {
        if rows.is_empty() {
            return;
        }

        let branch = self.branch_mut();
        if !branch.is_cut(key)
            && let Some(bag) = branch.active.grouped(key, rows.keys(), rows.aggregates())
        {
            return rows.iter().for_each(|group| bag.add(&group.key, group.n, &group.states));
        }

        // Groups at or beyond the threshold of a cut stay out, whoever packs them: others have left them
        // behind.
        let mut bag = Bag::Grouped { rows: rows.clone(), cut: None };
        if let Some(threshold) = branch.cut(key) {
            losses::OVERFLOWED.add(bag.cut_at(threshold));
        }
        self.add(key, bag);
    }

    /// Merges a bag into that of the key.
    fn add(&mut self, key: BagKey, bag: Bag) {
        let branch = self.branch_mut();
        let mismatches = branch.active.add(key, bag);
        branch.partial |= mismatches > 0;
        losses::note_mismatches(mismatches);
    }

    /// Packs one tuple into a grouped bag: its key, how often it counts, and a state for each of the bag's
    /// aggregates.
    #[inline]
    pub fn pack_row(
        &mut self,
        key: BagKey,
        aggregates: &[AggregateKind],
        row: &[Value],
        n: u64,
        states: &[AggregateState],
    ) {
        let branch = self.branch_mut();
        if !branch.is_cut(key)
            && let Some(bag) = branch.active.grouped(key, row.len(), aggregates)
        {
            bag.add(row, n, states);
            return self.cut_to_query_budget(key.query);
        }

        let mut rows = Groups::new(row.len(), aggregates);
        rows.entry(row).merge(n, states);
        self.pack_groups(key, &rows);
        self.cut_to_query_budget(key.query);
    }

    /// Packs one tuple that counts once and of which each aggregate takes in one and the same number. Returns
    /// false, with nothing packed, if that takes more than to change bytes of the bag: pack it with
    /// [`Baggage::pack_row`].
    #[inline]
    pub fn pack_summand(
        &mut self,
        key: BagKey,
        aggregates: &[AggregateKind],
        row: &[ValueRef<'_>],
        summand: AddedNumber,
    ) -> bool {
        let branch = self.branch_mut();
        if branch.is_cut(key) {
            return false;
        }

        let bag = branch.active.grouped(key, row.len(), aggregates);
        let is_packed = bag.is_some_and(|bag| bag.add_summand(row, summand));
        self.cut_to_query_budget(key.query);
        is_packed
    }

    /// Whether a bag accepts one more tuple: a temporal one does not if it has lost tuples, or if the first n
    /// are chosen already.
    #[inline]
    pub fn accepts(&self, key: BagKey, keep: TemporalFilter) -> bool {
        keep == TemporalFilter::All || !self.refuses(key, keep)
    }

    /// Whether a temporal bag takes nothing more. Once the first n are chosen, whatever is packed now has a
    /// later stamp than all that is visible.
    fn refuses(&self, key: BagKey, keep: TemporalFilter) -> bool {
        let Some(branch) = self.branch() else { return matches!(keep, TemporalFilter::First(0)) };

        let mut chosen = 0;
        for bag in branch.visible(key) {
            let Some(count) = bag.first_count() else { return true };
            chosen += count;
        }

        matches!(keep, TemporalFilter::First(n) if chosen >= n as usize)
    }
}
