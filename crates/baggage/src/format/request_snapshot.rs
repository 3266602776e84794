//! What a callee keeps of the baggage of a request, so that its reply need not repeat it; see
//! [`super::reply`].

use crate::baggage::Baggage;
use crate::causality::branch::Branch;
use crate::causality::clock::Hlc;
use crate::causality::instance::{Instance, Instances, copies};
use crate::causality::share::Share;
use crate::format::bags::bag::Bag;
use crate::format::bags::lazy_bag::LazyBag;
use crate::format::call_tag::CallTag;
use pivot_advice::{BagKey, QueryId};
use std::collections::BTreeMap;

/// The baggage of a request as it arrived: what the caller has, and will still have when the reply comes.
#[derive(Debug, Clone)]
pub struct RequestSnapshot {
    request: u128,
    root: u64,
    sampling_rate: f64,
    pub(crate) clock: Hlc,
    generation: u64,
    partial: bool,
    has_bare_reply: bool,
    share: Share,
    /// In the order of uids. Their bags are shared with the branch, so copies cost a count of references
    /// each.
    frozen: Instances,
    /// Whether the branch goes on here as it travelled: with nothing of its own, in the bytes that came.
    unmodified: bool,
}

impl Baggage {
    /// Returns what to keep of a branch that has just arrived, so that the reply to it can be short, or
    /// `None` if the reply must be in full.
    pub fn snapshot(&self) -> Option<RequestSnapshot> {
        let branch = self.branch()?;
        let Branch { request, root, sampling_rate, clock, generation, partial, has_bare_reply, .. } = *branch;

        // Nobody knows whether fields that we do not know may be left out.
        branch.unknown.is_empty().then(|| RequestSnapshot {
            request,
            root,
            sampling_rate,
            clock,
            generation,
            partial,
            has_bare_reply,
            share: branch.share.clone(),
            frozen: copies(&branch.frozen),
            unmodified: branch.arrived.is_some() && branch.active.is_empty(),
        })
    }
}

impl Baggage {
    /// Returns how many tuples each query has packed since a snapshot of this branch, as far as its bags tell: of
    /// what a bag did not take, nothing.
    pub fn packed_since(&self, snapshot: &RequestSnapshot) -> BTreeMap<QueryId, u64> {
        let mut packed = BTreeMap::new();
        for (key, bag) in self.branch().into_iter().flat_map(|branch| snapshot.new_bags(branch)) {
            let tuples = bag.decoded().map_or(1, Bag::tuple_count);
            *packed.entry(key.query).or_insert(0_u64) += tuples;
        }
        packed
    }

    /// Returns a branch for what goes on where this one is sent away: like [`Baggage::detach`], and with what it
    /// sees set apart, so that [`Baggage::packed_since`] its snapshot finds what it packs.
    pub fn detach_rest(&self) -> (Baggage, Option<RequestSnapshot>) {
        let mut rest = self.detach();
        if let Some(branch) = &mut rest.0 {
            branch.set_apart();
        }
        let snapshot = rest.snapshot();
        (rest, snapshot)
    }
}

impl RequestSnapshot {
    /// Whether a branch that is the reply has all that came, so that what it has besides is all the caller
    /// needs.
    pub(crate) fn is_continued_by(&self, branch: &Branch) -> bool {
        let same_ids = (self.request, self.root) == (branch.request, branch.root);
        let has_all = self.frozen.iter().all(|instance| branch.holds(instance.uid));
        same_ids && has_all && self.sampling_rate == branch.sampling_rate && branch.unknown.is_empty()
    }

    /// Whether a branch that is the reply is what came, and nothing else.
    pub(crate) fn is_repeated_by(&self, branch: &Branch) -> bool {
        let knows_the_same = (self.clock, self.generation) == (branch.clock, branch.generation)
            && (self.partial, self.has_bare_reply) == (branch.partial, branch.has_bare_reply);
        let owns_the_same = self.share == branch.share;
        let has_gathered = !branch.active.is_empty() || branch.frozen.len() != self.frozen.len();

        self.unmodified
            && knows_the_same
            && !has_gathered
            && owns_the_same
            && branch.frozen.iter().all(|own| self.has(own))
    }

    /// Returns the tag of the call, by which what left with its reply is told from what did not arrive.
    pub(crate) fn tag(&self) -> Option<CallTag> {
        CallTag::of(self.request, self.root, &self.share, self.clock)
    }

    /// Returns the queries that have packed tuples since, each once, in order.
    pub(crate) fn queries_packed_since(&self, branch: &Branch) -> Vec<QueryId> {
        let mut queries: Vec<QueryId> = self.new_bags(branch).map(|(key, _)| key.query).collect();
        queries.sort_unstable();
        queries.dedup();
        queries
    }

    /// Returns the bags of a branch that goes on from here, without those that it had already.
    fn new_bags<'b>(&self, branch: &'b Branch) -> impl Iterator<Item = &'b (BagKey, LazyBag)> {
        let came = |uid: u64| self.frozen.binary_search_by_key(&uid, |came| came.uid).is_ok();
        let new = branch.frozen.iter().filter(move |instance| !came(instance.uid));
        branch.active.iter().chain(new.flat_map(|instance| instance.bags().iter()))
    }

    /// Whether an instance came like this, so that the caller has it.
    pub(crate) fn has(&self, instance: &Instance) -> bool {
        let found = self.frozen.binary_search_by_key(&instance.uid, |came| came.uid);
        found.is_ok_and(|at| self.frozen[at].is_unchanged(instance))
    }
}
