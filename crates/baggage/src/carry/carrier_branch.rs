//! How a carrier came to its branch of a request, and the branch that it keeps for the next thread.

use crate::baggage::Baggage;

/// How a carrier came to its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CarrierOrigin {
    /// The request began with it.
    Request,
    /// It forked a branch of the request in which it was made.
    Branch,
    /// It forks a branch when it is first entered outside the request in which it was made.
    Child,
    /// It is not a span's, but was made for a branch without a carrier.
    Meeting,
}

/// A branch that nobody is in.
#[derive(Debug)]
pub(super) struct SpareBranch {
    pub(super) branch: Baggage,
    /// The version of the carrier that it has seen.
    pub(super) seen: u64,
}

impl SpareBranch {
    /// Takes a branch out of its home, which otherwise would hold itself.
    pub(super) fn of(mut branch: Baggage) -> Option<SpareBranch> {
        let seen = branch.forget_home()?;
        Some(SpareBranch { branch, seen })
    }
}
