//! What a server keeps of the baggage of a request, so that its reply need not repeat it.

use crate::baggage::Baggage;
use crate::causality::branch::Branch;
use crate::causality::clock::Hlc;
use crate::causality::instance::{Instance, Instances, copies};
use crate::causality::share::Share;

/// What came with a request, to write the reply with.
#[derive(Debug, Clone)]
pub struct RequestSnapshot {
    request: u128,
    root: u64,
    sampling_rate: f64,
    pub(crate) clock: Hlc,
    generation: u64,
    partial: bool,
    share: Share,
    /// By uid.
    frozen: Instances,
    /// Whether the branch went on here as it travelled.
    unmodified: bool,
}

impl Baggage {
    /// What to keep of a branch that has arrived, to answer with it later.
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
    /// Whether the other is a branch that has everything that came, and that the caller can tell
    /// the rest of.
    pub(crate) fn is_answered_by(&self, branch: &Branch) -> bool {
        let same = (self.request, self.root) == (branch.request, branch.root);
        let all = self.frozen.iter().all(|instance| branch.holds(instance.uid));
        same && all && self.sampling_rate == branch.sampling_rate && branch.unknown.is_empty()
    }

    /// Whether a branch that answers is what came, and nothing else.
    pub(crate) fn is_repeated_by(&self, branch: &Branch) -> bool {
        let same =
            (self.clock, self.generation, self.partial) == (branch.clock, branch.generation, branch.partial);
        let gathered = !branch.active.is_empty() || branch.frozen.len() != self.frozen.len();
        let owns = self.share == branch.share;
        self.unmodified && same && !gathered && owns && branch.frozen.iter().all(|own| self.has(own))
    }

    /// Whether an instance came like this, so that the caller has it.
    pub(crate) fn has(&self, instance: &Instance) -> bool {
        let found = self.frozen.binary_search_by_key(&instance.uid, |came| came.uid);
        found.is_ok_and(|at| self.frozen[at].is_unchanged(instance))
    }
}
