//! A column of numbers of 64 bits, each in as many bytes as the largest difference to the least one needs.
//!
//! Among databases this is called frame-of-reference encoding. The width is that of whole bytes, so that reading is one
//! loop without shifts across bytes.

use crate::codec::{ByteReader, ByteWriter, unzigzag, zigzag};
use crate::error::DecodeError;
use std::ops::Range;

/// A column of numbers within the bytes of a [block](super::ColumnBlock).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberColumn {
    rows: usize,
    width: u8,
    base: u64,
    /// Where the differences to `base` are in the bytes of the block.
    deltas: Range<usize>,
}

impl NumberColumn {
    /// Appends a column of these numbers.
    pub(super) fn write(writer: &mut ByteWriter, numbers: &[u64]) {
        // Signed numbers around zero have small differences only if they are compared as such. To unsigned ones it makes
        // no difference, but for those on both sides of 2^63.
        let least = numbers.iter().map(|x| *x as i64).min().unwrap_or(0);
        let base = least as u64;
        let spread = numbers.iter().map(|x| x.wrapping_sub(base)).max().unwrap_or(0);
        let width = width_of(spread);

        writer.u8(width);
        writer.varint(zigzag(least));
        for number in numbers {
            writer.raw(&number.wrapping_sub(base).to_le_bytes()[..usize::from(width)]);
        }
    }

    /// Takes a column of so many rows off a reader of `block`.
    pub(super) fn read(
        reader: &mut ByteReader<'_>,
        block: &[u8],
        rows: usize,
    ) -> Result<NumberColumn, DecodeError> {
        let width = reader.u8()?;
        if !matches!(width, 0 | 1 | 2 | 4 | 8) {
            return Err(DecodeError::UnknownTag { what: "width of numbers", tag: width });
        }

        let base = unzigzag(reader.varint()?) as u64;
        let length = rows.checked_mul(usize::from(width)).ok_or(DecodeError::TooLarge { what: "rows" })?;
        let start = block.len() - reader.rest().len();
        reader.raw(length)?;
        Ok(NumberColumn { rows, width, base, deltas: start..start + length })
    }

    /// Calls a function with each number of the column, given the bytes of its block.
    #[inline(always)]
    pub fn for_each(&self, block: &[u8], mut take: impl FnMut(u64)) {
        let NumberColumn { rows, width, base, deltas } = self;
        let deltas = block.get(deltas.clone()).unwrap_or_default();
        let mut take = |delta: u64| take(base.wrapping_add(delta));

        // A loop for each width, so that there is no decision in any of them.
        match width {
            0 => (0..*rows).for_each(|_| take(0)),
            1 => deltas.iter().for_each(|delta| take(u64::from(*delta))),
            2 => deltas.as_chunks().0.iter().for_each(|delta| take(u16::from_le_bytes(*delta).into())),
            4 => deltas.as_chunks().0.iter().for_each(|delta| take(u32::from_le_bytes(*delta).into())),
            _ => deltas.as_chunks().0.iter().for_each(|delta| take(u64::from_le_bytes(*delta))),
        }
    }

    /// Replaces the content of a buffer by the numbers of the column, given the bytes of its block.
    pub fn read_into(&self, block: &[u8], numbers: &mut Vec<u64>) {
        let NumberColumn { rows, width, base, deltas } = self;
        let deltas = block.get(deltas.clone()).unwrap_or_default();
        let number = |delta: u64| base.wrapping_add(delta);

        // Loops over chunks of a known size become vector instructions.
        numbers.clear();
        match width {
            0 => numbers.resize(*rows, *base),
            1 => numbers.extend(deltas.iter().map(|delta| number(u64::from(*delta)))),
            2 => numbers
                .extend(deltas.as_chunks().0.iter().map(|delta| number(u16::from_le_bytes(*delta).into()))),
            4 => numbers
                .extend(deltas.as_chunks().0.iter().map(|delta| number(u32::from_le_bytes(*delta).into()))),
            _ => numbers.extend(deltas.as_chunks().0.iter().map(|delta| number(u64::from_le_bytes(*delta)))),
        }
    }

    /// Returns the sum of the numbers if none of them is negative, given the bytes of their block.
    pub(super) fn sum(&self, block: &[u8]) -> Option<u128> {
        let base = u128::from(u64::try_from(self.base as i64).ok()?);
        let mut sum = 0;
        let differences = NumberColumn { base: 0, ..self.clone() };
        differences.for_each(block, |delta| sum += base + u128::from(delta));
        Some(sum)
    }

    /// Returns the numbers of the column, given the bytes of its block.
    pub fn numbers(&self, block: &[u8]) -> Vec<u64> {
        let mut numbers = Vec::with_capacity(self.rows);
        self.read_into(block, &mut numbers);
        numbers
    }
}

/// Returns the least of the widths in which a number fits.
fn width_of(x: u64) -> u8 {
    match x {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}
