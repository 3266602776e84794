//! What a callee keeps of the baggage of a request, so that its reply need not repeat it; see
//! [`super::reply`].

use crate::baggage::Baggage;
use crate::causality::branch::Branch;
use crate::causality::clock::Hlc;
use crate::causality::instance::{Instance, Instances, copies};
use crate::causality::share::Share;

/// The baggage of a request as it arrived: what the caller has, and will still have when the reply comes.
#[derive(Debug, Clone)]
pub struct RequestSnapshot {
    request: u128,
    root: u64,
    sampling_rate: f64,
    pub(crate) clock: Hlc,
    generation: u64,
    partial: bool,
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
        let Branch { request, root, sampling_rate, clock, generation, partial, .. } = *branch;

        // Nobody knows whether fields that we do not know may be left out.
        branch.unknown.is_empty().then(|| RequestSnapshot {
            request,
            root,
            sampling_rate,
            clock,
            generation,
            partial,
            share: branch.share.clone(),
            frozen: copies(&branch.frozen),
            unmodified: branch.arrived.is_some() && branch.active.is_empty(),
        })
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
        let knows_the_same =
            (self.clock, self.generation, self.partial) == (branch.clock, branch.generation, branch.partial);
        let owns_the_same = self.share == branch.share;
        let has_gathered = !branch.active.is_empty() || branch.frozen.len() != self.frozen.len();

        self.unmodified
            && knows_the_same
            && !has_gathered
            && owns_the_same
            && branch.frozen.iter().all(|own| self.has(own))
    }

    /// Whether an instance came like this, so that the caller has it.
    pub(crate) fn has(&self, instance: &Instance) -> bool {
        let found = self.frozen.binary_search_by_key(&instance.uid, |came| came.uid);
        found.is_ok_and(|at| self.frozen[at].is_unchanged(instance))
    }
}
