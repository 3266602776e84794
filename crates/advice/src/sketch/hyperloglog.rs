//! How many different values: HyperLogLog (Flajolet et al., 2007) over stable 64-bit hashes.
//!
//! Up to 256 hashes are kept as they are, so small counts are exact. Beyond, there are 4,096
//! registers with a standard error of 1.6 %, read with the estimator of Ertl (arXiv:1702.01284, §4),
//! which has no bias to correct at either end.

use crate::stable_hash::stable_hash;
use crate::value::Value;
use std::borrow::Cow;

/// So many different hashes are counted exactly.
pub(crate) const EXACT: usize = 256;
/// Bits of a hash that choose its register.
const PRECISION: u32 = 12;
/// How many registers there are.
pub(crate) const REGISTERS: usize = 1 << PRECISION;
/// The largest value of a register.
const LARGEST: u8 = (64 - PRECISION + 1) as u8;

/// A set of which only the size is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum HyperLogLog {
    /// The hashes themselves, ascending.
    Exact(Vec<u64>),
    /// For each register the longest run of zeros seen, plus one.
    Registers(Box<[u8]>),
}

impl Default for HyperLogLog {
    fn default() -> HyperLogLog {
        HyperLogLog::Exact(Vec::new())
    }
}

impl HyperLogLog {
    /// The standard error of an estimate, as a fraction of it.
    pub const ERROR: f64 = 0.016_25;

    /// Adds a value; a value that is there already changes nothing.
    pub fn insert(&mut self, value: &Value) {
        self.insert_hash(stable_hash(std::slice::from_ref(value)));
    }

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

    /// Adds the values of another set.
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

    /// How many different values there are.
    pub fn count(&self) -> u64 {
        match self {
            HyperLogLog::Exact(hashes) => hashes.len() as u64,
            HyperLogLog::Registers(registers) => estimate(registers).round() as u64,
        }
    }

    /// The set in these registers; none if they are not registers.
    pub(crate) fn from_registers(registers: &[u8]) -> Option<HyperLogLog> {
        let sound = registers.len() == REGISTERS && registers.iter().all(|register| *register <= LARGEST);
        sound.then(|| HyperLogLog::Registers(registers.into()))
    }

    /// The set of these hashes.
    pub(crate) fn from_hashes(hashes: impl IntoIterator<Item = u64>) -> HyperLogLog {
        let mut all = HyperLogLog::default();
        hashes.into_iter().for_each(|hash| all.insert_hash(hash));
        all
    }
}

fn registers(hashes: &[u64]) -> Box<[u8]> {
    let mut registers = vec![0; REGISTERS].into_boxed_slice();
    hashes.iter().for_each(|hash| raise(&mut registers, *hash));
    registers
}

fn raise(registers: &mut [u8], hash: u64) {
    let place = (hash >> (64 - PRECISION)) as usize;
    // The sentinel bounds the run of zeros to the bits that are left.
    let rest = hash << PRECISION | 1 << (PRECISION - 1);
    let rank = rest.leading_zeros() as u8 + 1;
    registers[place] = registers[place].max(rank);
}

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
        if z == before {
            return z;
        }
    }
}

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
