//! A tag for each call that carries baggage, which its caller and its callee make alike without a word about it.

use crate::causality::clock::Hlc;
use crate::causality::share::Share;

/// The tag of a call. Two calls with one tag are as likely as two equal random numbers.
///
/// It is made of what the branch of the call has for itself. No other live branch of the request has its share; and
/// a branch that gets the share later, after a reply that brought tuples, has a later clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallTag(pub u64);

impl CallTag {
    /// Returns the tag of a branch as it was sent, or `None` if it is anonymous: there may be others like it.
    pub(crate) fn of(request: u128, root: u64, share: &Share, clock: Hlc) -> Option<CallTag> {
        if share.is_empty() {
            return None;
        }

        // FNV-1a, and then the last step of splitmix64, so that all bits matter: processes may be of other builds,
        // so the hash must not change.
        let clock = clock.to_u64().to_le_bytes();
        let parts = [&request.to_le_bytes()[..], &root.to_le_bytes(), &share.encode(), &clock];
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in parts.into_iter().flatten() {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(CallTag(hash ^ hash >> 31))
    }
}
