//! A hash of values that does not change from process to process.

use crate::value::Value;
use std::hash::{BuildHasher, Hash, Hasher};

/// The seed of every stable hash; another one would be another hash.
const SEED: u64 = 0x7069_766f_7400_0001;

/// Returns a hash of the values that is the same in every process, build and run.
///
/// Sampling, the cut of an overfull bag and `hash()` of the query language depend on all processes
/// agreeing on it. It is not for hash tables: its seed is public, so keys can be made to collide.
pub fn stable_hash(values: &[Value]) -> u64 {
    let mut hasher = foldhash::quality::FixedState::with_seed(SEED).build_hasher();
    values.iter().for_each(|value| value.hash(&mut hasher));
    hasher.finish()
}
