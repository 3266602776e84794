//! Numbers of 1 to 9 bytes, of which the first one tells how many: the numbers in the rows of a grouped bag.
//!
//! ```text
//! 0..2^56   n bytes LE: x << n | 1 << (n - 1), of the fewest n that hold x in 7·n bits
//! beyond    0, then 8 bytes LE
//!
//! 5         0b0000_1011                     0b101, then the mark of one byte
//! 300       0b1011_0010 0b0000_0100         0b100101100, then the mark of two
//! ```
//!
//! They take as many bytes as the varints of protobuf, and are a **prefix varint**: to read one is to count
//! trailing zeros, one load and a shift, where a varint is a loop with a branch for each byte. Every hop that
//! merges or unpacks a bag reads a number for each value and each row, and the lengths of values vary, so
//! such branches are not foreseen. The envelope around the bags keeps protobuf's varints, since any protobuf
//! library has to read it.

/// The length of the longest number.
pub(crate) const MAX_BYTES: usize = 9;

/// Returns the bytes of a number below 2^56, in one word, and how many they are; `None` for greater ones.
#[inline(always)]
pub(crate) fn short(x: u64) -> Option<(u64, usize)> {
    if x >= 1 << 56 {
        return None;
    }
    let count = ((64 - (x | 1).leading_zeros()) as usize).div_ceil(7);
    Some(((x << 1 | 1) << (count - 1), count))
}

/// Appends a number.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, x: u64) {
    if let Some((word, count)) = short(x) {
        // To append all eight bytes and take back the rest is one store; a copy of a length that varies is a
        // call.
        let end = out.len() + count;
        out.extend_from_slice(&word.to_le_bytes());
        out.truncate(end);
    } else {
        let mut bytes = [0; MAX_BYTES];
        bytes[1..].copy_from_slice(&x.to_le_bytes());
        out.extend_from_slice(&bytes);
    }
}

/// Takes a number off the front, or returns `None` if the bytes end before it does.
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.first()?;
    let count = first.trailing_zeros() as usize + 1;

    let (x, rest) = match bytes.first_chunk::<8>() {
        // Eight bytes are there to be loaded at once, and what lies behind the number is shifted out.
        Some(word) if first != 0 => {
            let word = u64::from_le_bytes(*word) << (64 - 8 * count) >> (64 - 8 * count);
            (word >> count, &bytes[count..])
        }
        // At the end of the bytes the number has to be copied.
        None if first != 0 => {
            let (own, rest) = bytes.split_at_checked(count)?;
            let mut word = [0; 8];
            word[..count].copy_from_slice(own);
            (u64::from_le_bytes(word) >> count, rest)
        }
        // The number is not below 2^56.
        _ => {
            let (word, rest) = bytes[1..].split_first_chunk::<8>()?;
            (u64::from_le_bytes(*word), rest)
        }
    };

    *bytes = rest;
    Some(x)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use pivot_advice::codec::{unzigzag, zigzag};
    use proptest::prelude::*;

    fn check(x: u64) {
        let mut bytes = vec![7];
        put(&mut bytes, x);
        for padding in [0, 9] {
            let mut padded = bytes[1..].to_vec();
            padded.resize(padded.len() + padding, 0xa5);
            let mut rest = padded.as_slice();
            assert_eq!((take(&mut rest), rest.len()), (Some(x), padding));
        }
        for end in 1..bytes.len() {
            assert_eq!(take(&mut &bytes[1..end]), None);
        }
        assert!(bytes.len() - 1 <= MAX_BYTES);
    }

    #[test]
    fn numbers_at_the_borders_of_lengths_are_read_as_they_were_written() {
        (0..64)
            .for_each(|bits| (0..3).for_each(|off| check((1u64 << bits).wrapping_add(off).wrapping_sub(1))));
        check(u64::MAX);
    }

    proptest! {
        #[test]
        fn any_number_is_read_as_it_was_written(x in any::<u64>(), shift in 0u32..64, signed in any::<i64>()) {
            check(x >> shift);
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }

        #[test]
        fn any_bytes_are_a_number_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = bytes.as_slice();
            let before = rest.len();
            prop_assert!(take(&mut rest).is_none() || rest.len() < before);
        }
    }
}
