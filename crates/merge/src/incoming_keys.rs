//! One key column of a block, made ready to be looked up row by row.

use crate::texts::{TextSlice, utf8};
use foldhash::fast::RandomState;
use pivot_advice::Value;
use pivot_advice::columns::{ColumnBlock, NumberType, ValueColumn};
use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};

/// One key column of a block.
#[derive(Debug)]
pub(crate) enum IncomingKeys<'b> {
    /// Numbers of one type, equal ones with equal bits.
    Numbers(NumberType, &'b [u64]),
    /// Texts.
    Texts(TextSlice<'b>),
    /// Any values.
    Values(Cow<'b, [Value]>),
}

/// Room in which a column is made ready.
#[derive(Debug, Default)]
pub(crate) struct KeyBuffers {
    numbers: Vec<u64>,
    bounds: Vec<usize>,
    spelled: Vec<u8>,
}

impl<'b> IncomingKeys<'b> {
    /// Reads a column of a block.
    pub(crate) fn read(
        column: &'b ValueColumn,
        block: &'b ColumnBlock,
        buffers: &'b mut KeyBuffers,
    ) -> IncomingKeys<'b> {
        let KeyBuffers { numbers, bounds, spelled } = buffers;

        match column {
            ValueColumn::Numbers(number_type, column) => {
                numbers.clear();
                column.for_each(&block.bytes, |number| numbers.push(number_type.canonical(number)));
                IncomingKeys::Numbers(*number_type, numbers)
            }
            ValueColumn::Texts(texts) => {
                let bytes = texts.read_into(&block.bytes, bounds);
                IncomingKeys::Texts(TextSlice { bytes, bounds })
            }
            ValueColumn::Dictionary(texts, places) => {
                let texts = texts.texts(&block.bytes);
                spelled.clear();
                bounds.clear();
                bounds.push(0);
                places.for_each(&block.bytes, |place| {
                    spelled.extend_from_slice(texts.get(place as usize).unwrap_or(&"").as_bytes());
                    bounds.push(spelled.len());
                });
                IncomingKeys::Texts(TextSlice { bytes: spelled, bounds })
            }
            ValueColumn::Values(values) => IncomingKeys::Values(Cow::Borrowed(values)),
        }
    }

    /// Makes it a column of any values.
    pub(crate) fn generalize(&mut self, rows: usize) {
        let values: Vec<Value> = (0..rows).map(|row| self.value(row)).collect();
        *self = IncomingKeys::Values(values.into());
    }

    /// Adds the hashes of the keys of all rows to those of the columns before.
    pub(crate) fn hash(&self, hasher: &RandomState, hashes: &mut [u64]) {
        match self {
            IncomingKeys::Numbers(_, numbers) => {
                for (hash, number) in hashes.iter_mut().zip(*numbers) {
                    *hash = mix(*hash ^ number);
                }
            }

            IncomingKeys::Texts(texts) => {
                for (hash, text) in hashes.iter_mut().zip(texts.iter()) {
                    let mut of_text = hasher.build_hasher();
                    of_text.write(text);
                    *hash = mix(*hash ^ of_text.finish());
                }
            }
            IncomingKeys::Values(values) => {
                for (hash, value) in hashes.iter_mut().zip(values.iter()) {
                    *hash = mix(*hash ^ hasher.hash_one(value));
                }
            }
        }
    }

    /// Returns the value in a row.
    pub(crate) fn value(&self, row: usize) -> Value {
        match self {
            IncomingKeys::Numbers(number_type, numbers) => number_type.value(numbers[row]),
            IncomingKeys::Texts(texts) => Value::str(utf8(texts.get(row))),
            IncomingKeys::Values(values) => values[row].clone(),
        }
    }
}

/// Spreads the bits of a number over all bits (a folded multiplication, as in foldhash and wyhash).
#[inline]
fn mix(x: u64) -> u64 {
    let product = u128::from(x ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xc2b2_ae3d_27d4_eb4f_u64);
    product as u64 ^ (product >> 64) as u64
}
