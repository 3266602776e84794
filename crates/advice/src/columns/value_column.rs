//! A column of values: of one type if they have one.

use super::number_column::NumberColumn;
use super::text_column::TextColumn;
use crate::codec::{ByteReader, ByteWriter};
use crate::error::DecodeError;
use crate::value::Value;
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// The form of a column of values of several types, or of types that have no column of their own.
const VALUES: u8 = 0;
const TEXTS: u8 = 6;
const DICTIONARY: u8 = 16;

/// A type whose values are numbers of 64 bits. The numbers of types are the tags of values in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NumberType {
    /// False and true are 0 and 1.
    Bool = 1,
    /// Signed integers.
    I64 = 3,
    /// Unsigned integers.
    U64 = 4,
    /// Doubles, by their bits.
    F64 = 5,
    /// Nanoseconds since the epoch.
    Timestamp = 8,
    /// Nanoseconds.
    Duration = 9,
}

/// A column of values within the bytes of a [block](super::ColumnBlock).
#[derive(Debug, Clone, PartialEq)]
pub enum ValueColumn {
    /// Values of one type that are numbers.
    Numbers(NumberType, NumberColumn),
    /// Texts, most of which differ.
    Texts(TextColumn),
    /// Texts of which many are equal: each once, and the place of each row's text among them.
    Dictionary(TextColumn, NumberColumn),
    /// Other values.
    Values(Vec<Value>),
}

impl NumberType {
    /// Returns the type of a value and its number, or `None` if it is no number.
    pub fn of(value: &Value) -> Option<(NumberType, u64)> {
        Some(match value {
            Value::Bool(x) => (NumberType::Bool, u64::from(*x)),
            Value::I64(x) => (NumberType::I64, *x as u64),
            Value::U64(x) => (NumberType::U64, *x),
            Value::F64(x) => (NumberType::F64, x.to_bits()),
            Value::Timestamp(x) => (NumberType::Timestamp, *x as u64),
            Value::Duration(x) => (NumberType::Duration, *x as u64),
            Value::Null | Value::Str(_) | Value::Bytes(_) | Value::List(_) => return None,
        })
    }

    /// Returns the value of a number.
    pub fn value(self, number: u64) -> Value {
        match self {
            NumberType::Bool => Value::Bool(number != 0),
            NumberType::I64 => Value::I64(number as i64),
            NumberType::U64 => Value::U64(number),
            // Equal doubles have equal bits then.
            NumberType::F64 => Value::double(f64::from_bits(number)),
            NumberType::Timestamp => Value::Timestamp(number as i64),
            NumberType::Duration => Value::Duration(number as i64),
        }
    }

    /// Returns the number of which there is one for all equal values: zero has no sign, and a NaN no bits of its own.
    #[inline]
    pub fn canonical(self, number: u64) -> u64 {
        match self {
            NumberType::F64 => match Value::double(f64::from_bits(number)) {
                Value::F64(x) => x.to_bits(),
                _ => number,
            },
            NumberType::Bool => u64::from(number != 0),
            _ => number,
        }
    }

    fn from_code(code: u8) -> Option<NumberType> {
        Some(match code {
            1 => NumberType::Bool,
            3 => NumberType::I64,
            4 => NumberType::U64,
            5 => NumberType::F64,
            8 => NumberType::Timestamp,
            9 => NumberType::Duration,
            _ => return None,
        })
    }
}

impl ValueColumn {
    /// Appends a column of these values, in whichever form fits them. Returns the bytes of texts as
    /// [`ValueColumn::write_texts`] does.
    pub(super) fn write<'v>(
        writer: &mut ByteWriter,
        values: impl Iterator<Item = &'v Value> + Clone,
        spelled_room: usize,
    ) -> usize {
        if let Some((number_type, numbers)) = all_numbers(values.clone()) {
            ValueColumn::write_numbers(writer, number_type, &numbers);
            return 0;
        }

        let texts: Option<Vec<&str>> = values.clone().map(text).collect();
        match texts {
            Some(texts) => ValueColumn::write_texts(writer, &texts, spelled_room),
            None => {
                writer.u8(VALUES);
                values.for_each(|value| writer.value(value));
                0
            }
        }
    }

    /// Appends a column of numbers.
    pub(super) fn write_numbers(writer: &mut ByteWriter, number_type: NumberType, numbers: &[u64]) {
        writer.u8(number_type as u8);
        NumberColumn::write(writer, numbers);
    }

    /// Appends a column of texts, with a dictionary if at most half of them differ and all of them have at most
    /// `spelled_room` bytes. Returns how many bytes all have that are in a dictionary.
    pub(super) fn write_texts(writer: &mut ByteWriter, texts: &[&str], spelled_room: usize) -> usize {
        let spelled_bytes = texts.iter().map(|text| text.len()).sum();
        let dictionary = if spelled_bytes <= spelled_room { dictionary(texts) } else { None };
        let Some((distinct, indices)) = dictionary else {
            writer.u8(TEXTS);
            TextColumn::write(writer, texts);
            return 0;
        };

        writer.u8(DICTIONARY);
        writer.varint(distinct.len() as u64);
        TextColumn::write(writer, &distinct);
        NumberColumn::write(writer, &indices);
        spelled_bytes
    }

    /// Takes a column of so many rows off a reader of `block`.
    pub(super) fn read(
        reader: &mut ByteReader<'_>,
        block: &[u8],
        rows: usize,
    ) -> Result<ValueColumn, DecodeError> {
        let form = reader.u8()?;
        if let Some(number_type) = NumberType::from_code(form) {
            return Ok(ValueColumn::Numbers(number_type, NumberColumn::read(reader, block, rows)?));
        }

        match form {
            VALUES => Ok(ValueColumn::Values((0..rows).map(|_| reader.value()).collect::<Result<_, _>>()?)),
            TEXTS => Ok(ValueColumn::Texts(TextColumn::read(reader, block, rows)?)),
            DICTIONARY => {
                let distinct = reader.count("dictionary")?;
                let texts = TextColumn::read(reader, block, distinct)?;
                let indices = NumberColumn::read(reader, block, rows)?;
                if indices.numbers(block).iter().any(|place| *place >= distinct as u64) {
                    return Err(DecodeError::TooLarge { what: "place in a dictionary" });
                }
                Ok(ValueColumn::Dictionary(texts, indices))
            }
            tag => Err(DecodeError::UnknownTag { what: "column", tag }),
        }
    }

    /// Returns how many bytes the texts of a dictionary take when each row has its own, given the bytes of the block.
    pub(super) fn spelled_bytes(&self, block: &[u8]) -> usize {
        let ValueColumn::Dictionary(texts, places) = self else { return 0 };
        let lengths: Vec<usize> = texts.texts(block).iter().map(|text| text.len()).collect();
        let mut bytes = 0_usize;
        places.for_each(block, |place| {
            let length = usize::try_from(place).ok().and_then(|place| lengths.get(place));
            bytes = bytes.saturating_add(length.copied().unwrap_or(0));
        });
        bytes
    }

    /// Returns the values of the column, given the bytes of its block.
    pub fn values(&self, block: &[u8]) -> Vec<Value> {
        match self {
            ValueColumn::Numbers(number_type, numbers) => {
                numbers.numbers(block).into_iter().map(|number| number_type.value(number)).collect()
            }

            ValueColumn::Texts(texts) => texts.texts(block).into_iter().map(Value::str).collect(),
            ValueColumn::Dictionary(texts, indices) => {
                let texts: Vec<Value> = texts.texts(block).into_iter().map(Value::str).collect();
                let places = indices.numbers(block);
                places
                    .iter()
                    .map(|place| texts.get(*place as usize).cloned().unwrap_or(Value::Null))
                    .collect()
            }
            ValueColumn::Values(values) => values.clone(),
        }
    }
}

/// Returns different texts and the place of each text among them, or `None` if more than half of the texts differ.
fn dictionary<'t>(texts: &[&'t str]) -> Option<(Vec<&'t str>, Vec<u64>)> {
    let mut places: HashMap<&str, u64, FixedState> = HashMap::default();
    let (mut distinct, mut indices) = (Vec::new(), Vec::new());

    for &text in texts {
        let next = distinct.len() as u64;
        let place = *places.entry(text).or_insert(next);
        if place == next {
            distinct.push(text);
        }
        if distinct.len() * 2 > texts.len() {
            return None;
        }
        indices.push(place);
    }
    Some((distinct, indices))
}

/// Returns the numbers of values and their type, or `None` if they have not one such type.
fn all_numbers<'v>(values: impl Iterator<Item = &'v Value>) -> Option<(NumberType, Vec<u64>)> {
    let mut numbers = Vec::new();
    let mut common = None;
    for value in values {
        let (number_type, number) = NumberType::of(value)?;
        if *common.get_or_insert(number_type) != number_type {
            return None;
        }
        numbers.push(number);
    }
    Some((common?, numbers))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Str(text) => Some(text),
        _ => None,
    }
}
