//! Small damage to bytes, and how many cases of it are tried.

use crate::number_setting;
use crate::random::Random;

/// How many cases are run: so many, or what `PIVOT_FUZZ_CASES` says.
pub fn cases(usual: u64) -> u64 {
    number_setting("PIVOT_FUZZ_CASES").unwrap_or(usual)
}

/// The seed of the first case: `PIVOT_FUZZ_SEED`, so that a long run need not begin again.
pub fn first_seed() -> u64 {
    number_setting("PIVOT_FUZZ_SEED").unwrap_or(0)
}

/// Runs a case for each seed. One that panics is named first.
pub fn each_seed(usual: u64, mut case: impl FnMut(&mut Random)) {
    // Dropped also by a panic, which is when its number is wanted.
    struct SeedPrintedOnPanic(u64);
    impl Drop for SeedPrintedOnPanic {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("it was seed {}: PIVOT_FUZZ_SEED={} PIVOT_FUZZ_CASES=1", self.0, self.0);
            }
        }
    }

    for seed in (first_seed()..).take(usize::try_from(cases(usual)).unwrap_or(usize::MAX)) {
        let _named = SeedPrintedOnPanic(seed);
        case(&mut Random::new(seed));
    }
}

/// Numbers that often are at an edge.
pub const EDGES: [u8; 8] = [0, 1, 2, 0x0a, 0x7f, 0x80, 0xfe, 0xff];

/// Damages bytes in one to four places: flips a bit, drops, repeats, overwrites, or takes over a piece
/// of another message.
pub fn damage(bytes: &mut Vec<u8>, donor: &[u8], random: &mut Random) {
    let places = if random.percent(60) { 1 } else { 1 + random.below(4) };

    for _ in 0..places {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(8)).min(bytes.len());
        // Flips are the commonest: they keep lengths, and so come past the first checks.
        match random.below(8) {
            0..=2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes[at] = *random.pick(&EDGES),
            4 => bytes[at] = bytes[at].wrapping_add(if random.percent(50) { 1 } else { 255 }),
            5 => drop(bytes.drain(at..end)),
            6 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ if donor.is_empty() => bytes.truncate(at),
            _ => {
                let from = random.below(donor.len());
                let to = (from + 1 + random.below(24)).min(donor.len());
                bytes.splice(at..end, donor[from..to].iter().copied());
            }
        }
    }
}
