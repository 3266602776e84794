//! The number of different values: HyperLogLog (Flajolet et al., 2007) over stable 64-bit hashes.
//!
//! Up to 256 hashes are kept as they are, so small counts are exact (2 KiB at most). Beyond, there are 4,096
//! registers of one byte, with a standard error of 1.04 / √4096 = 1.6 %:
//!
//! ```text
//! hash   0110 1011 0010 │ 0001 1101 …        the first 12 bits choose a register; it keeps the largest
//!        register 1714  │ rank 4             rank seen, the number of leading zeros of the rest plus one
//! ```
//!
//! A rank r in a register says that about 2^r different values fell into it. The registers are read with the
//! estimator of Ertl (arXiv:1702.01284, §4, the improved raw estimator), which has no bias to correct at
//! either end; `sigma` and `tau` below are the paper's, for registers that are empty or full.
//!
//! Hashes must be equal in all processes, and so are those of [`crate::stable_hash()`].

use crate::stable_hash::stable_hash;
use crate::value::Value;
use std::borrow::Cow;

/// The most hashes that are kept as they are.
pub(crate) const EXACT: usize = 256;
/// Bits of a hash that choose its register.
const PRECISION: u32 = 12;
/// Number of registers.
pub(crate) const REGISTERS: usize = 1 << PRECISION;
/// The largest value of a register.
const LARGEST: u8 = (64 - PRECISION + 1) as u8;

/// A set of which only the size is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum HyperLogLog {
    /// A small set: the hashes themselves, ascending.
    Exact(Vec<u64>),
    /// A large set: the largest rank in each register, 0 for an empty one.
    Registers(Box<[u8]>),
}

impl Default for HyperLogLog {
    fn default() -> HyperLogLog {
        HyperLogLog::Exact(Vec::new())
    }
}

impl HyperLogLog {
    /// The standard error of an estimate from registers, as a fraction of it.
    pub const ERROR: f64 = 0.016_25;

    /// Adds a value; one that is there already changes nothing.
    pub fn insert(&mut self, value: &Value) {
        self.insert_hash(stable_hash(std::slice::from_ref(value)));
    }

    /// Adds a value by its hash.
    pub(crate) fn insert_hash(&mut self, hash: u64) {
        match self {
            HyperLogLog::Exact(hashes) => {
                let Err(place) = hashes.binary_search(&hash) else { return };
                hashes.insert(place, hash);
                if hashes.len() > EXACT {
                    *self = HyperLogLog::Registers(registers(hashes));
                }
            }
            HyperLogLog::Registers(registers) => raise(registers, hash),
        }
    }

    /// Adds the values of another set: the larger rank wins in each register.
    pub fn merge(&mut self, other: &HyperLogLog) {
        match other {
            HyperLogLog::Exact(hashes) => hashes.iter().for_each(|hash| self.insert_hash(*hash)),
            HyperLogLog::Registers(theirs) => {
                let mut all = self.as_registers().into_owned();
                all.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
                *self = HyperLogLog::Registers(all);
            }
        }
    }

    fn as_registers(&self) -> Cow<'_, Box<[u8]>> {
        match self {
            HyperLogLog::Exact(hashes) => Cow::Owned(registers(hashes)),
            HyperLogLog::Registers(registers) => Cow::Borrowed(registers),
        }
    }

    /// Returns the number of different values, exact for a small set.
    pub fn count(&self) -> u64 {
        match self {
            HyperLogLog::Exact(hashes) => hashes.len() as u64,
            HyperLogLog::Registers(registers) => estimate(registers).round() as u64,
        }
    }

    /// Returns the set in these registers, or `None` if there are not as many or one is out of range.
    pub(crate) fn from_registers(registers: &[u8]) -> Option<HyperLogLog> {
        let sound = registers.len() == REGISTERS && registers.iter().all(|register| *register <= LARGEST);
        sound.then(|| HyperLogLog::Registers(registers.into()))
    }

    /// Returns the set of these hashes.
    pub(crate) fn from_hashes(hashes: impl IntoIterator<Item = u64>) -> HyperLogLog {
        let mut all = HyperLogLog::default();
        hashes.into_iter().for_each(|hash| all.insert_hash(hash));
        all
    }
}

/// Returns the registers of a set of hashes.
fn registers(hashes: &[u64]) -> Box<[u8]> {
    let mut registers = vec![0; REGISTERS].into_boxed_slice();
    hashes.iter().for_each(|hash| raise(&mut registers, *hash));
    registers
}

/// Raises the register of a hash to its rank.
fn raise(registers: &mut [u8], hash: u64) {
    let place = (hash >> (64 - PRECISION)) as usize;
    // The sentinel bounds the run of zeros to the bits that are left.
    let rest = hash << PRECISION | 1 << (PRECISION - 1);
    let rank = rest.leading_zeros() as u8 + 1;
    registers[place] = registers[place].max(rank);
}

/// Estimates how many different hashes the registers have seen (Ertl's improved raw estimator).
fn estimate(registers: &[u8]) -> f64 {
    let mut counts = [0u32; LARGEST as usize + 1];
    registers.iter().for_each(|register| counts[usize::from((*register).min(LARGEST))] += 1);

    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(counts[usize::from(LARGEST)]) / m);
    for count in counts[1..usize::from(LARGEST)].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

/// Sums x + Σ x^(2^k) · 2^(k-1) over k ≥ 1: the part of the empty registers.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }

    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        // The terms fall so fast that doubles no longer see them after a few dozen.
        if z == before {
            return z;
        }
    }
}

/// Sums (1 - x - Σ (1 - x^(2^-k))² · 2^-k) / 3 over k ≥ 1: the part of the full registers.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }

    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        // These terms fall too: the roots approach 1.
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: std::ops::Range<u64>) -> HyperLogLog {
        let mut set = HyperLogLog::default();
        numbers.for_each(|number| set.insert(&Value::U64(number)));
        set
    }

    #[test]
    fn small_sets_are_exact() {
        assert_eq!(of(0..0).count(), 0);
        assert_eq!(of(0..EXACT as u64).count(), EXACT as u64);
        let mut twice = of(0..100);
        twice.merge(&of(50..150));
        assert_eq!(twice.count(), 150);
    }

    #[test]
    fn large_sets_are_within_five_standard_errors() {
        for size in [300, 1_000, 5_000, 10_000, 20_000, 100_000, 1_000_000] {
            let error = (of(0..size).count() as f64 - size as f64).abs() / size as f64;
            assert!(error < 5.0 * HyperLogLog::ERROR, "{size}: off by {error}");
        }
    }

    #[test]
    fn merging_equals_inserting_all() {
        for (left, right) in [(0..100, 50..400), (0..900, 100..120), (0..2_000, 1_000..9_000)] {
            let (mut ab, mut ba) = (of(left.clone()), of(right.clone()));
            ab.merge(&of(right.clone()));
            ba.merge(&of(left.clone()));
            let all = of(left.start.min(right.start)..left.end.max(right.end));
            assert_eq!(ab.count(), ba.count());
            assert_eq!(ab, all);
        }
    }
}
