//! Hashes of keys, which nobody who sends keys can foresee.

use foldhash::fast::RandomState;
use pivot_advice::Value;
use std::hash::BuildHasher;

/// Constants without a pattern: digits of the golden ratio, and a prime.
const A: u64 = 0x9e37_79b9_7f4a_7c15;
const B: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Hashes keys column by column: the hash of the columns before goes into that of the next.
#[derive(Debug, Clone)]
pub(crate) struct KeyHasher {
    seed: u64,
    state: RandomState,
}

impl KeyHasher {
    /// Returns a hasher with a seed of its own.
    pub(crate) fn new() -> KeyHasher {
        let state = RandomState::default();
        KeyHasher { seed: state.hash_one(0_u64), state }
    }

    /// Returns the hash of no columns.
    pub(crate) fn of_nothing(&self) -> u64 {
        self.seed
    }

    /// Returns the hash of the columns before and a number.
    #[inline(always)]
    pub(crate) fn number(&self, before: u64, number: u64) -> u64 {
        fold(before ^ number ^ A, B)
    }

    /// Returns the hash of the columns before and a text. Texts of 8 to 32 bytes are taken in two parts, which may overlap:
    /// what foldhash computes of them, without a call.
    #[inline(always)]
    pub(crate) fn text(&self, before: u64, text: &[u8]) -> u64 {
        let length = text.len() as u64;
        if (16..=32).contains(&length)
            && let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk())
        {
            let (head, tail) = (u128::from_le_bytes(*head), u128::from_le_bytes(*tail));
            let head = fold(head as u64 ^ before, (head >> 64) as u64 ^ A);
            let tail = fold(tail as u64 ^ before, (tail >> 64) as u64 ^ B);
            return fold(head ^ length, tail ^ A);
        }
        if (8..16).contains(&length)
            && let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk())
        {
            return fold(u64::from_le_bytes(*head) ^ before ^ length, u64::from_le_bytes(*tail) ^ B);
        }
        fold(before ^ self.state.hash_one(text), B)
    }

    /// Returns the hash of the columns before and a value of any type.
    pub(crate) fn value(&self, before: u64, value: &Value) -> u64 {
        fold(before ^ self.state.hash_one(value), B)
    }
}

/// Mixes all bits of two numbers: the halves of their product, added without carry (as in foldhash and wyhash).
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
