//! One key column of a block, made ready to be looked up row by row.

use crate::key_hasher::KeyHasher;
use crate::texts::{TextSlice, utf8};
use pivot_advice::Value;
use pivot_advice::columns::{ColumnBlock, NumberType, ValueColumn};
use std::borrow::Cow;

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

    /// Adds the keys of all rows to the hashes of the columns before.
    pub(crate) fn hash(&self, hasher: &KeyHasher, hashes: &mut [u64]) {
        match self {
            IncomingKeys::Numbers(_, numbers) => {
                hashes.iter_mut().zip(*numbers).for_each(|(hash, x)| *hash = hasher.number(*hash, *x));
            }
            IncomingKeys::Texts(texts) => {
                hashes.iter_mut().zip(texts.iter()).for_each(|(hash, x)| *hash = hasher.text(*hash, x));
            }
            IncomingKeys::Values(values) => {
                hashes.iter_mut().zip(values.iter()).for_each(|(hash, x)| *hash = hasher.value(*hash, x));
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
