//! Adds a whole number to the encoded states of a row, without making them: what is read is written again, one
//! more. Anything but counts, sums and means of whole numbers is left to those who make states.

use crate::format::number;
use pivot_advice::Aggregate;

/// What a row takes in: a number, or nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summand {
    /// A whole number.
    Integer(i64),
    /// A duration.
    Duration(i64),
}

/// How long a row may be behind its key.
const MOST: usize = 64;

/// What stands in a row behind its key.
pub(crate) struct EncodedStates {
    bytes: [u8; MOST],
    len: usize,
}

/// Whether states of this aggregate can be added to as bytes.
pub(crate) fn serves(code: u8) -> bool {
    code == Aggregate::Count as u8 || code == Aggregate::Sum as u8 || code == Aggregate::Average as u8
}

impl Summand {
    /// The tag of its sums, see [`pivot_advice::codec`].
    fn tag(self) -> u8 {
        match self {
            Summand::Integer(_) => 1,
            Summand::Duration(_) => 2,
        }
    }

    fn value(self) -> i64 {
        match self {
            Summand::Integer(x) | Summand::Duration(x) => x,
        }
    }
}

impl EncodedStates {
    fn new() -> EncodedStates {
        EncodedStates { bytes: [0; MOST], len: 0 }
    }

    /// That of a first row.
    pub(crate) fn first(counts: bool, shape: &[u8], term: Summand) -> Option<EncodedStates> {
        let mut rest = EncodedStates::new();
        if counts {
            rest.number(1)?;
        }
        for code in shape {
            let sum = number::zigzag(term.value());
            rest.state(*code, term, Some(sum).filter(|sum| *sum >> 63 == 0)?, 1)?;
        }
        Some(rest)
    }

    /// What becomes of what stands at the front of `old`, which is shortened by it, when a row is added. None if
    /// that takes more than this.
    #[inline(always)]
    pub(crate) fn added(old: &mut &[u8], shape: &[u8], term: Summand) -> Option<EncodedStates> {
        let mut rest = EncodedStates::new();
        rest.number(number::take(old)?.checked_add(1)?)?;
        for code in shape {
            let (mut sum, mut count) = (0, 0);
            if *code != Aggregate::Count as u8 {
                let (tag, behind) = old.split_first()?;
                if *tag != term.tag() {
                    return None;
                }
                *old = behind;
                let before = number::unzigzag(take_varint(old)?);
                sum = number::zigzag(before.checked_add(term.value())?);
            }
            if *code != Aggregate::Sum as u8 {
                count = take_varint(old)?.checked_add(1)?;
            }
            rest.state(*code, term, sum, count)?;
        }
        Some(rest)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    #[inline(always)]
    fn state(&mut self, code: u8, term: Summand, sum: u64, count: u64) -> Option<()> {
        if code != Aggregate::Count as u8 {
            self.byte(term.tag())?;
            self.varint(sum)?;
        }
        if code != Aggregate::Sum as u8 {
            self.varint(count)?;
        }
        serves(code).then_some(())
    }

    #[inline(always)]
    fn byte(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.len)? = byte;
        self.len += 1;
        Some(())
    }

    #[inline(always)]
    fn varint(&mut self, mut x: u64) -> Option<()> {
        while x >= 0x80 {
            self.byte(x as u8 | 0x80)?;
            x >>= 7;
        }
        self.byte(x as u8)
    }

    #[inline(always)]
    fn number(&mut self, x: u64) -> Option<()> {
        let (word, count) = number::short(x)?;
        self.bytes.get_mut(self.len..self.len + 8)?.copy_from_slice(&word.to_le_bytes());
        self.len += count;
        Some(())
    }
}

/// Takes a number of at most 63 bits off the front.
#[inline(always)]
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut x = 0;
    for (i, byte) in bytes.iter().take(9).enumerate() {
        x |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            *bytes = bytes.get(i + 1..)?;
            return Some(x);
        }
    }
    None
}
