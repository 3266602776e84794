//! Random numbers for ids: unique with the odds of 64 bits, not secret. The generator is **splitmix64**.
//!
//! Each thread walks a sequence of its own, with its own start and its own step. With one step for all, the
//! sequences of a large fleet would sooner or later run into each other, and repeat each other's ids from
//! there on.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    /// Position and step of this thread's sequence. The step is odd, or 0 while the thread has drawn nothing.
    static SEQUENCE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Draws a random number.
pub(crate) fn random() -> u64 {
    SEQUENCE.with(|sequence| {
        let (position, step) = match sequence.get() {
            // An odd step visits all positions before any comes again.
            (_, 0) => (seed(), seed() | 1),
            begun => begun,
        };
        let position = position.wrapping_add(step);
        sequence.set((position, step));
        mix(position)
    })
}

/// Draws a random number of twice the length.
pub(crate) fn random128() -> u128 {
    u128::from(random()) << 64 | u128::from(random())
}

/// Returns a seed of a sequence: the standard library takes the keys of its hashers from the system's random
/// source.
fn seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Scrambles a position, as splitmix64 does in the end.
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn threads_draw_different_numbers() {
        let draw = || (0..1000).map(|_| random()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let drawn: HashSet<u64> = threads.into_iter().flat_map(|t| t.join().unwrap_or_default()).collect();
        assert_eq!(drawn.len(), 4000);
    }
}
