//! Numbers of variable length: base-128 varints (LEB128, as in protobuf) and zigzag.
//!
//! ```text
//! varint    7 bits a byte, low bits first; the high bit says that another byte follows
//!             5 -> 05        300 -> ac 02        u64::MAX -> 10 bytes
//! zigzag    signed numbers near zero as small unsigned ones: 0, -1, 1, -2, 2 -> 0, 1, 2, 3, 4
//! ```

/// The most bytes that a varint of 64 bits takes.
const MAX_VARINT_BYTES: usize = 10;

/// Returns the number of bytes that a varint takes.
#[inline]
pub fn varint_size(x: u64) -> usize {
    (64 - (x | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// Writes a varint to the front of a buffer and returns its length, or `None` if the buffer is too short.
#[inline(always)]
pub fn write_varint(buffer: &mut [u8], mut x: u64) -> Option<usize> {
    for (i, byte) in buffer.iter_mut().take(MAX_VARINT_BYTES).enumerate() {
        if x < 0x80 {
            *byte = x as u8;
            return Some(i + 1);
        }
        *byte = x as u8 | 0x80;
        x >>= 7;
    }
    None
}

/// Takes a varint of at most 9 bytes (63 bits) off the front of a slice.
///
/// Returns `None`, and leaves the slice as it is, if the bytes end before the number does or if it is longer.
#[inline(always)]
pub fn take_short_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut x = 0;
    for (i, byte) in bytes.iter().take(MAX_VARINT_BYTES - 1).enumerate() {
        x |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            *bytes = bytes.get(i + 1..)?;
            return Some(x);
        }
    }
    None
}

/// Maps a signed number to an unsigned one that is small if the number is near zero.
#[inline]
pub fn zigzag(x: i64) -> u64 {
    ((x << 1) ^ (x >> 63)) as u64
}

/// Returns the signed number that [`zigzag`] maps to this one.
#[inline]
pub fn unzigzag(x: u64) -> i64 {
    (x >> 1) as i64 ^ -((x & 1) as i64)
}

/// Maps a signed number of 128 bits as [`zigzag`] does; of 64-bit numbers the result is equal.
pub(super) fn zigzag_wide(x: i128) -> u128 {
    ((x << 1) ^ (x >> 127)) as u128
}

/// Returns the signed number that [`zigzag_wide`] maps to this one.
pub(super) fn unzigzag_wide(x: u128) -> i128 {
    (x >> 1) as i128 ^ -((x & 1) as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_a_varint_agree_and_it_is_read_back() {
        let borders = (0..64).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits]).chain([u64::MAX]);
        for x in borders {
            let (mut appended, mut buffer) = (Vec::new(), [0; MAX_VARINT_BYTES]);
            put_varint(&mut appended, x);
            let length = write_varint(&mut buffer, x).expect("ten bytes are enough");
            assert_eq!((&buffer[..length], length), (&*appended, varint_size(x)));
            assert_eq!(write_varint(&mut buffer[..length - 1], x), None);

            let mut rest = &*appended;
            let expected = (x >> 63 == 0).then_some(x);
            assert_eq!(take_short_varint(&mut rest), expected);
            assert_eq!(rest.is_empty(), expected.is_some());
        }
    }

    #[test]
    fn zigzag_keeps_small_numbers_small_and_is_undone() {
        assert_eq!([0, -1, 1, -2, 2].map(zigzag), [0, 1, 2, 3, 4]);
        for x in [0, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(x)), x);
            assert_eq!(zigzag_wide(x.into()), zigzag(x).into());
            assert_eq!(unzigzag_wide(zigzag_wide(x.into())), x.into());
        }
    }
}
