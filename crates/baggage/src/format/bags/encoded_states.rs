//! Adds a number to the encoded states of a row, without decoding them.
//!
//! What stands behind the key of a row is how often it counts and the states of its aggregates. For counts,
//! sums and means of whole numbers both are a few small integers, so to add one more event is to read them,
//! add, and write them again, on the stack. For example a row of a bag with SUM and COUNT takes in an event
//! with the number 7:
//!
//! ```text
//!         n      SUM             COUNT
//! old     05     01 0a           02          it came twice, the sum is an integer, 5 in zigzag
//! new     07     01 18           03          three times, 12
//! ```
//!
//! If the new bytes are as long as the old ones they replace them where they lie. Anything but these
//! aggregates of whole numbers or durations, and whatever overflows, is left to those who decode the states.

use crate::format::bags::prefix_varint;
use pivot_advice::AggregateKind;
use pivot_advice::codec::{take_short_varint, unzigzag, write_varint, zigzag};

/// A number that all aggregates of a row take in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddedNumber {
    /// A whole number.
    Integer(i64),
    /// A duration, in nanoseconds.
    Duration(i64),
}

/// The most bytes that may stand behind the key of a row. What takes more is left to those who decode the
/// states.
const MOST_BYTES: usize = 64;

/// The bytes that stand behind the key of a row: how often the row counts, and its states.
pub(crate) struct EncodedStates {
    bytes: [u8; MOST_BYTES],
    len: usize,
}

/// Whether a number can be added to the encoded states of this aggregate.
fn is_supported(code: u8) -> bool {
    code == AggregateKind::Count as u8
        || code == AggregateKind::Sum as u8
        || code == AggregateKind::Average as u8
}

impl AddedNumber {
    /// Returns the tag of sums of such numbers, see [`pivot_advice::codec`].
    fn tag(self) -> u8 {
        match self {
            AddedNumber::Integer(_) => 1,
            AddedNumber::Duration(_) => 2,
        }
    }

    fn value(self) -> i64 {
        match self {
            AddedNumber::Integer(x) | AddedNumber::Duration(x) => x,
        }
    }
}

impl EncodedStates {
    fn empty() -> EncodedStates {
        EncodedStates { bytes: [0; MOST_BYTES], len: 0 }
    }

    /// Returns what stands behind the key of a row that has taken in one number, and counts `n` times if rows
    /// of its bag say so; `None` if its states have to be made in another way.
    pub(crate) fn first(n: Option<u64>, aggregates: &[u8], summand: AddedNumber) -> Option<EncodedStates> {
        let mut states = EncodedStates::empty();
        if let Some(n) = n {
            states.number(n)?;
        }

        for code in aggregates {
            // The highest bit is kept free, since `take_short_varint` reads 63 of them.
            let sum = zigzag(summand.value());
            states.state(*code, summand, Some(sum).filter(|sum| *sum >> 63 == 0)?, 1)?;
        }
        Some(states)
    }

    /// Decodes the states at the front of `old`, adds one number to each, encodes them again, and advances
    /// `old` behind them. Returns `None`, with `old` somewhere in between, unless all are counts, sums or
    /// means of numbers like this.
    #[inline(always)]
    pub(crate) fn added(old: &mut &[u8], aggregates: &[u8], summand: AddedNumber) -> Option<EncodedStates> {
        let mut states = EncodedStates::empty();
        states.number(prefix_varint::take(old)?.checked_add(1)?)?;

        for code in aggregates {
            let (mut sum, mut count) = (0, 0);

            // A sum and a mean begin with the tag of the sum: integers and durations are not added up.
            if *code != AggregateKind::Count as u8 {
                let (tag, behind) = old.split_first()?;
                if *tag != summand.tag() {
                    return None;
                }
                *old = behind;
                let before = unzigzag(take_short_varint(old)?);
                sum = zigzag(before.checked_add(summand.value())?);
            }

            // A count and a mean end with how many there were.
            if *code != AggregateKind::Sum as u8 {
                count = take_short_varint(old)?.checked_add(1)?;
            }

            states.state(*code, summand, sum, count)?;
        }
        Some(states)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends one state, or returns `None` if it is of another aggregate, or if there is no room.
    #[inline(always)]
    fn state(&mut self, code: u8, summand: AddedNumber, sum: u64, count: u64) -> Option<()> {
        if code != AggregateKind::Count as u8 {
            self.byte(summand.tag())?;
            self.varint(sum)?;
        }
        if code != AggregateKind::Sum as u8 {
            self.varint(count)?;
        }
        is_supported(code).then_some(())
    }

    #[inline(always)]
    fn byte(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.len)? = byte;
        self.len += 1;
        Some(())
    }

    #[inline(always)]
    fn varint(&mut self, x: u64) -> Option<()> {
        self.len += write_varint(self.bytes.get_mut(self.len..)?, x)?;
        Some(())
    }

    /// Appends a number, all eight bytes of it, of which the next write takes back what is too much.
    #[inline(always)]
    fn number(&mut self, x: u64) -> Option<()> {
        let (word, count) = prefix_varint::short(x)?;
        self.bytes.get_mut(self.len..self.len + 8)?.copy_from_slice(&word.to_le_bytes());
        self.len += count;
        Some(())
    }
}
