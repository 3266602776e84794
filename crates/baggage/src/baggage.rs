//! The baggage of one branch of a request, as everybody else sees it.
//!
//! It is born late: as long as no query packs anything, the baggage of a request is a null pointer
//! that forks, travels and joins for nothing. Once born it is always passed on.

use crate::carry::leaks;
use crate::causality::branch::{Branch, JoinRefusal};
use crate::causality::clock::Stamp;
use crate::causality::generation::{self, is_carrying};
use crate::causality::share::Share;
use crate::format::bag::Bag;
use crate::format::bag_header;
use crate::format::complete_rows::CompleteRows;
use crate::format::encoded_states::Summand;
use crate::format::lazy_bag::LazyBag;
use crate::format::shared_bytes::SharedBytes;
use crate::format::temporal_bag;
use crate::format::value::ValueRef;
use crate::losses;
use pivot_advice::{Aggregate, BagKey, Groups, Keep, QueryId, State, Value};
use std::borrow::Cow;

/// What one live branch of a request carries. It is moved, never copied: copies are forks.
#[derive(Debug, Default)]
pub struct Baggage(pub(crate) Option<Box<Branch>>);

/// What became of a baggage that was joined. A refused one is counted and the result is partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinOutcome {
    /// Its contributions were taken in.
    Merged,
    /// Refused: it is a copy of a branch that was already joined.
    Duplicate,
    /// Refused: it belongs to another request, or it was detached from this one.
    Foreign,
    /// Refused: there was no request to join.
    Outside,
}

impl Baggage {
    /// The baggage of a new request, not born yet. Allocates nothing.
    pub const fn new() -> Baggage {
        Baggage(None)
    }

    pub(crate) fn of(branch: Branch) -> Baggage {
        Baggage(Some(Box::new(branch)))
    }

    /// The baggage of a request that begins now. While a query that packs is installed it has an id and
    /// a generation from the start; otherwise it is one not born yet.
    pub fn begin() -> Baggage {
        if !is_carrying() {
            return Baggage::new();
        }
        let mut branch = Branch::root();
        branch.generation = generation::at_begin();
        Baggage::of(branch)
    }

    pub(crate) fn branch(&self) -> Option<&Branch> {
        self.0.as_deref()
    }

    pub(crate) fn into_branch(mut self) -> Option<Box<Branch>> {
        self.0.take()
    }

    /// The branch, to be changed.
    #[inline]
    fn born(&mut self) -> &mut Branch {
        let branch = self.0.get_or_insert_with(|| Box::new(Branch::root()));
        branch.arrived = None;
        branch
    }

    /// Lets it be dropped without being joined: what it carries goes on elsewhere.
    pub(crate) fn forgive(&mut self) {
        if let Some(branch) = &mut self.0 {
            branch.origin = None;
        }
    }

    /// Whether it carries nothing, not even an id.
    pub fn has_no_id(&self) -> bool {
        self.0.is_none()
    }

    /// The id of the request, if it has one yet.
    pub fn request(&self) -> Option<u128> {
        self.branch().map(|branch| branch.request)
    }

    /// The id of the request; gives it one if it has none, and from then on the baggage travels.
    pub fn request_or_begin(&mut self) -> u128 {
        self.request().unwrap_or_else(|| self.born().request)
    }

    /// The newest generation of advice that every event which happened before has met; 0 if nobody
    /// knows, because the request began, or passed, where no query that packs was woven. See
    /// [`crate::causality::generation`].
    pub fn generation(&self) -> u64 {
        self.branch().map_or(0, |branch| branch.generation)
    }

    /// Divides the branch: both sides see what happened so far, and not each other until joined.
    #[track_caller]
    pub fn fork(&mut self) -> Baggage {
        if self.has_no_id() && !is_carrying() {
            return Baggage::new();
        }
        let mut branch = self.born().fork();
        branch.origin = leaks::origin();
        Baggage(Some(branch))
    }

    /// Takes in a branch that has ended: from now on what it packed happened before.
    #[track_caller]
    pub fn join(&mut self, other: Baggage) -> JoinOutcome {
        let Some(mut theirs) = other.into_branch() else { return JoinOutcome::Merged };
        if self.has_no_id() {
            // It was born further on than here, where the request had begun at some time before.
            (theirs.generation, theirs.arrived, theirs.origin) = (0, None, None);
            self.0 = Some(theirs);
            return JoinOutcome::Merged;
        }
        match self.born().join(*theirs) {
            Ok(mismatches) => {
                note_mismatches(mismatches);
                JoinOutcome::Merged
            }
            Err(JoinRefusal::Duplicate) => {
                losses::DUPLICATE.add(1);
                JoinOutcome::Duplicate
            }
            Err(JoinRefusal::Foreign) => {
                losses::FOREIGN.add(1);
                leaks::crossed();
                JoinOutcome::Foreign
            }
        }
    }

    /// Whether the other is a branch of the same request that this one may join.
    pub fn can_join(&self, other: &Baggage) -> bool {
        let id = |branch: &Branch| (branch.request, branch.root);
        self.branch().map(id) == other.branch().map(id)
    }

    /// A branch for a message without a reply. It sees what happened so far; should it be joined
    /// after all it is refused.
    pub fn detach(&self) -> Baggage {
        let Some(branch) = self.branch() else { return Baggage::new() };
        let (mut child, mismatches) = branch.detach();
        note_mismatches(mismatches);
        child.partial |= mismatches > 0;
        Baggage::of(child)
    }

    /// Puts the tuples of one event into a bag, each with its rows. A temporal bag counts them one
    /// by one, those without rows too, in this order and under one stamp, which it gives; if the
    /// first n are already chosen, later ones are not. A grouped bag adds their rows up.
    pub fn pack(
        &mut self,
        key: BagKey,
        keep: Keep,
        tuples: impl IntoIterator<Item = Groups>,
    ) -> Option<Stamp> {
        if keep == Keep::All {
            tuples.into_iter().for_each(|rows| self.pack_groups(key, &rows));
            return None;
        }
        if self.refuses(key, keep) {
            return None;
        }
        let branch = self.born();
        let stamp = Stamp { clock: branch.clock.tick(), nonce: branch.nonce };
        let bag = Bag::packed(keep, tuples, stamp)?;
        self.add(key, bag);
        Some(stamp)
    }

    /// Puts one tuple with one row into a temporal bag; see [`Baggage::pack`] and [`Baggage::pack_row`].
    pub fn pack_temporal(
        &mut self,
        key: BagKey,
        keep: Keep,
        aggregates: &[Aggregate],
        row: &[Value],
        states: &[State],
    ) -> Option<Stamp> {
        let kind = match keep {
            Keep::First(n) if n > 0 => (bag_header::FIRST, n),
            Keep::MostRecent(n) if n > 0 => (bag_header::MOST_RECENT, n),
            _ => return None,
        };
        if self.branch().is_some_and(|branch| branch.active.get(key).is_some()) {
            let mut rows = Groups::new(row.len(), aggregates);
            rows.entry(row).merge(1, states);
            return self.pack(key, keep, [rows]);
        }
        if self.refuses(key, keep) {
            return None;
        }
        // The first one here need not be taken apart before it travels.
        let branch = self.born();
        let stamp = Stamp { clock: branch.clock.tick(), nonce: branch.nonce };
        let bag = temporal_bag::write_sole(kind, key, stamp, aggregates, row, states);
        branch.active.insert(key, LazyBag::arrived(SharedBytes::new(&bag)));
        Some(stamp)
    }

    /// Says of a temporal bag that nobody can tell any more which tuples it has to choose.
    pub fn mark_lost(&mut self, key: BagKey, keep: Keep) {
        if keep != Keep::All && !self.refuses(key, keep) {
            self.add(key, Bag::Lost);
        }
    }

    fn pack_groups(&mut self, key: BagKey, rows: &Groups) {
        if rows.is_empty() {
            return;
        }
        let branch = self.born();
        if !branch.is_cut(key)
            && let Some(table) = branch.active.table(key, rows.keys(), rows.aggregates())
        {
            return rows.iter().for_each(|group| table.add(&group.key, group.n, &group.states));
        }
        let mut bag = Bag::Grouped { rows: rows.clone(), cut: None };
        branch.cut(key).iter().for_each(|cut| losses::OVERFLOWED.add(bag.cut_at(*cut)));
        self.add(key, bag);
    }

    fn add(&mut self, key: BagKey, bag: Bag) {
        let branch = self.born();
        let mismatches = branch.active.add(key, bag);
        branch.partial |= mismatches > 0;
        note_mismatches(mismatches);
    }

    /// Puts one tuple into a bag that keeps all: its key, how often it counts, and a partial
    /// aggregate for each of the bag's.
    #[inline]
    pub fn pack_row(
        &mut self,
        key: BagKey,
        aggregates: &[Aggregate],
        row: &[Value],
        n: u64,
        states: &[State],
    ) {
        let branch = self.born();
        if !branch.is_cut(key)
            && let Some(table) = branch.active.table(key, row.len(), aggregates)
        {
            return table.add(row, n, states);
        }
        let mut rows = Groups::new(row.len(), aggregates);
        rows.entry(row).merge(n, states);
        self.pack_groups(key, &rows);
    }

    /// The same of a tuple each of whose aggregates takes in one term. False, and nothing was packed, if that takes
    /// more than to change bytes.
    #[inline]
    pub fn pack_summand(
        &mut self,
        key: BagKey,
        aggregates: &[Aggregate],
        row: &[ValueRef<'_>],
        term: Summand,
    ) -> bool {
        let branch = self.born();
        if branch.is_cut(key) {
            return false;
        }
        let table = branch.active.table(key, row.len(), aggregates);
        table.is_some_and(|table| table.add_summand(row, term))
    }

    /// Whether a bag takes one more tuple; see [`Baggage::pack`].
    #[inline]
    pub fn accepts(&self, key: BagKey, keep: Keep) -> bool {
        keep == Keep::All || !self.refuses(key, keep)
    }

    /// Whether a temporal bag takes nothing more: its tuples were lost, or the first n are chosen,
    /// and whatever is packed now comes after all that is visible.
    fn refuses(&self, key: BagKey, keep: Keep) -> bool {
        let Some(branch) = self.branch() else { return matches!(keep, Keep::First(0)) };
        let chosen = branch.visible(key).try_fold(0, |chosen: usize, bag| Some(chosen + bag.first()?));
        chosen.is_none_or(|chosen| matches!(keep, Keep::First(n) if chosen >= n as usize))
    }

    /// The rows that happened before and are still carried; None if there is no such bag.
    pub fn unpack(&self, key: BagKey) -> Option<Cow<'_, Groups>> {
        Some(match self.visible(key)? {
            Cow::Borrowed(Bag::Lost) | Cow::Owned(Bag::Lost) => return None,
            Cow::Borrowed(bag) => bag.rows(),
            Cow::Owned(bag) => Cow::Owned(bag.rows().into_owned()),
        })
    }

    /// The same rows where nothing has to be put together: they lie in one place, or are those of the one tuple
    /// that is chosen, and nothing can be missing. None says nothing.
    pub fn unpack_complete(&self, key: BagKey) -> Option<CompleteRows<'_>> {
        self.only(key)?.whole()
    }

    /// The same of rows that have been taken apart.
    #[inline(always)]
    pub fn unpack_decoded(&self, key: BagKey) -> Option<&Groups> {
        self.only(key)?.groups()
    }

    /// The only bag of a key, if nothing can be missing.
    #[inline(always)]
    fn only(&self, key: BagKey) -> Option<&LazyBag> {
        let branch = self.branch().filter(|branch| !branch.partial)?;
        let own = branch.active.get(key);
        if branch.frozen.is_empty() { own } else { branch.only(own, key) }
    }

    fn visible(&self, key: BagKey) -> Option<Cow<'_, Bag>> {
        let mut bags = self.branch()?.visible(key).filter_map(|section| section.bag());
        let first = Cow::Borrowed(bags.next()?);
        Some(bags.fold(first, |mut all, bag| {
            // Of two shapes the one shows that a join would keep.
            let _ = all.to_mut().merge(bag.clone());
            all
        }))
    }

    /// The queries of which it carries bags, one for each bag.
    pub fn queries(&self) -> impl Iterator<Item = QueryId> {
        self.branch().into_iter().flat_map(|branch| branch.bags().map(|(key, _)| key.query))
    }

    /// Whether something that happened before may be missing, in any bag.
    pub fn is_partial(&self) -> bool {
        self.branch()
            .is_some_and(|branch| branch.partial || branch.bags().any(|(_, bag)| bag.is_incomplete()))
    }

    /// Whether a bag may lack tuples that happened before. Bytes that cannot be read are found out
    /// when they are unpacked, so this says more after an unpack than before.
    pub fn is_incomplete(&self, key: BagKey) -> bool {
        self.branch()
            .is_some_and(|branch| branch.partial || branch.visible(key).any(|bag| bag.is_incomplete()))
    }

    /// The threshold at which a bag was cut: it has every group whose key hashes below, and no other.
    pub fn cut(&self, key: BagKey) -> Option<u64> {
        self.branch()?.cut(key)
    }

    /// The fraction of requests that sampling keeps, in 0..=1: the smallest rate met on the way.
    #[inline]
    pub fn sampling_rate(&self) -> f64 {
        self.branch().map_or(1.0, |branch| branch.sampling_rate)
    }

    /// Lowers the fraction of requests that sampling keeps.
    pub fn lower_sampling_rate(&mut self, fraction: f64) {
        if fraction < self.sampling_rate() {
            self.born().sampling_rate = fraction.max(0.0);
        }
    }

    /// How many instances it carries that other branches may hold too.
    pub fn instance_count(&self) -> usize {
        self.branch().map_or(0, |branch| branch.frozen.len())
    }

    /// Its part of the request; nothing for an anonymous branch or one that is not born.
    pub fn share(&self) -> Share {
        self.branch().map_or_else(Share::default, |branch| branch.share.clone())
    }
}

/// A branch that ends without being joined, sent or detached is a leak, if anybody watches.
impl Drop for Baggage {
    #[inline]
    fn drop(&mut self) {
        if let Some(branch) = &self.0
            && let Some(origin) = branch.origin
        {
            leaks::dropped(origin);
        }
    }
}

fn note_mismatches(mismatches: u64) {
    if mismatches > 0 {
        losses::MISMATCHED.add(mismatches);
    }
}
