//! Unpacking: what happened before, and whether anything of it may be missing.
//!
//! The tuples of a key may lie in several bags: the branch's own, and one in each instance that it holds in
//! common with other branches. To unpack is to merge them. Mostly there is one bag only, and then its rows
//! are given as they lie, decoded or not: [`Baggage::unpack_decoded`], if somebody has decoded them before,
//! [`Baggage::unpack_complete`], if there is nothing to merge, and [`Baggage::unpack`] always.

use crate::baggage::Baggage;
use crate::format::bags::bag::Bag;
use crate::format::bags::bag_rows::BagRows;
use crate::format::bags::lazy_bag::LazyBag;
use pivot_advice::{BagKey, Groups, QueryId};
use std::borrow::Cow;

impl Baggage {
    /// Returns the rows that happened before and are still carried, or `None` if there is no such bag, or if
    /// a temporal one has lost its tuples.
    pub fn unpack(&self, key: BagKey) -> Option<Cow<'_, Groups>> {
        Some(match self.merged(key)? {
            Cow::Borrowed(Bag::Lost) | Cow::Owned(Bag::Lost) => return None,
            Cow::Borrowed(bag) => bag.rows(),
            Cow::Owned(bag) => Cow::Owned(bag.rows().into_owned()),
        })
    }

    /// Returns the rows that [`Baggage::unpack`] would, as they lie, if nothing has to be merged and nothing
    /// can be missing. `None` means unknown: call `unpack`, and ask whether the bag is incomplete, or its choice doubtful.
    pub fn unpack_complete(&self, key: BagKey) -> Option<BagRows<'_>> {
        self.sole_bag(key)?.complete_rows()
    }

    /// Returns the rows that [`Baggage::unpack`] would if nothing has to be merged, nothing can be missing,
    /// and somebody has decoded them before. `None` means unknown: call `unpack_complete` or `unpack`.
    #[inline(always)]
    pub fn unpack_decoded(&self, key: BagKey) -> Option<&Groups> {
        self.sole_bag(key)?.decoded_rows()
    }

    /// Returns a bag that has all tuples of a key by itself, if nothing can be missing.
    #[inline(always)]
    fn sole_bag(&self, key: BagKey) -> Option<&LazyBag> {
        let branch = self.branch().filter(|branch| !branch.partial)?;
        let own = branch.active.get(key);
        let bag = if branch.frozen.is_empty() { own } else { branch.sole_bag(own, key) }?;
        (!branch.has_bare_reply || !bag.is_temporal()).then_some(bag)
    }

    /// Returns all bags of a key as one. Of two whose shapes differ it shows the one that a join would keep.
    fn merged(&self, key: BagKey) -> Option<Cow<'_, Bag>> {
        let mut bags = self.branch()?.visible(key).filter_map(|bag| bag.decoded());
        let first = Cow::Borrowed(bags.next()?);
        Some(bags.fold(first, |mut all, bag| {
            let _ = all.to_mut().merge(bag.clone());
            all
        }))
    }

    /// Returns the queries whose bags the baggage carries: a query once for each bag.
    pub fn queries(&self) -> impl Iterator<Item = QueryId> {
        self.branch().into_iter().flat_map(|branch| branch.bags().map(|(key, _)| key.query))
    }

    /// Whether something that happened before may be missing, in any bag.
    pub fn is_partial(&self) -> bool {
        self.branch()
            .is_some_and(|branch| branch.partial || branch.bags().any(|(_, bag)| bag.is_incomplete()))
    }

    /// Whether a bag may lack tuples that happened before. Bytes that cannot be read are found out when they
    /// are unpacked, so ask after an unpack rather than before.
    pub fn is_incomplete(&self, key: BagKey) -> bool {
        self.branch()
            .is_some_and(|branch| branch.partial || branch.visible(key).any(|bag| bag.is_incomplete()))
    }

    /// Whether the tuples of a bag were chosen while some may have been missing: it is a temporal bag, and something that
    /// happened before is missing, or a reply came back without the baggage of its call.
    pub fn has_doubtful_choice(&self, key: BagKey) -> bool {
        self.branch().is_some_and(|branch| {
            (branch.partial || branch.has_bare_reply) && branch.visible(key).any(|bag| bag.is_temporal())
        })
    }

    /// Returns the threshold at which a bag was cut, if it was: the bag has every group whose key hashes
    /// below it, and no other.
    pub fn cut(&self, key: BagKey) -> Option<u64> {
        self.branch()?.cut(key)
    }
}
