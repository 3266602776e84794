//! The little of protobuf's encoding that an envelope needs: fields of four wire types, read in place and
//! written to a buffer. Tests compare it with prost.

use crate::error::BaggageError;
use pivot_advice::DecodeError;
use pivot_advice::codec::{ByteReader, put_varint};

/// The value of a field, by its wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProtoFieldValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// No field of ours, so its value is not read.
    Fixed32,
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncodedField<'a> {
    /// The number by which the schema names it.
    pub(crate) number: u64,
    /// Its value.
    pub(crate) value: ProtoFieldValue<'a>,
    /// All its bytes, by which a field that this build does not know travels on.
    pub(crate) raw: &'a [u8],
}

impl<'a> EncodedField<'a> {
    pub(crate) fn varint(self) -> Result<u64, BaggageError> {
        if let ProtoFieldValue::Varint(x) = self.value { Ok(x) } else { Err(wrong_type()) }
    }

    pub(crate) fn fixed64(self) -> Result<u64, BaggageError> {
        if let ProtoFieldValue::Fixed64(x) = self.value { Ok(x) } else { Err(wrong_type()) }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], BaggageError> {
        if let ProtoFieldValue::Bytes(x) = self.value { Ok(x) } else { Err(wrong_type()) }
    }
}

fn wrong_type() -> BaggageError {
    BaggageError::Field { what: "a field is of the wrong type" }
}

/// Calls `each` for every field of a message, in order, up to the first error.
#[inline]
pub(crate) fn for_each_field<'a>(
    message: &'a [u8],
    mut each: impl FnMut(EncodedField<'a>) -> Result<(), BaggageError>,
) -> Result<(), BaggageError> {
    let mut rest = message;
    while !rest.is_empty() {
        let before = rest;

        // A key is the number of the field, and its wire type in the lowest three bits.
        let key = take_varint(&mut rest)?;
        let value = match key & 7 {
            0 => ProtoFieldValue::Varint(take_varint(&mut rest)?),
            1 => ProtoFieldValue::Fixed64(u64::from_le_bytes(*take_chunk(&mut rest)?)),
            2 => {
                let length = usize::try_from(take_varint(&mut rest)?).unwrap_or(usize::MAX);
                let (bytes, after) = rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
                rest = after;
                ProtoFieldValue::Bytes(bytes)
            }
            5 => {
                take_chunk::<4>(&mut rest)?;
                ProtoFieldValue::Fixed32
            }
            _ => return Err(wrong_type()),
        };

        each(EncodedField { number: key >> 3, value, raw: &before[..before.len() - rest.len()] })?;
    }
    Ok(())
}

#[inline]
fn take_varint(bytes: &mut &[u8]) -> Result<u64, BaggageError> {
    let mut reader = ByteReader::new(bytes);
    let x = reader.varint()?;
    *bytes = reader.rest();
    Ok(x)
}

#[inline]
fn take_chunk<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], BaggageError> {
    let (chunk, rest) = bytes.split_first_chunk().ok_or(DecodeError::Truncated)?;
    *bytes = rest;
    Ok(chunk)
}

/// Takes a number of 8 bytes, low ones first, off the front.
pub(crate) fn fixed64(reader: &mut ByteReader<'_>) -> Result<u64, BaggageError> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(reader.raw(8)?);
    Ok(u64::from_le_bytes(bytes))
}

/// Appends fields to a buffer, leaving out those of the default value, as protobuf does.
pub(crate) trait ProtoWriter {
    /// Appends a varint: 7 bits a byte, low bits first.
    fn varint(&mut self, x: u64);
    /// Appends a field that is a varint.
    fn varint_field(&mut self, number: u64, x: u64);
    /// Appends a field of 8 bytes.
    fn fixed64_field(&mut self, number: u64, x: u64);
    /// Appends a field of bytes.
    fn bytes_field(&mut self, number: u64, bytes: &[u8]);
    /// Appends the key and the length of a field whose bytes the caller appends.
    fn open_field(&mut self, number: u64, length: usize);
}

impl ProtoWriter for Vec<u8> {
    #[inline]
    fn varint(&mut self, x: u64) {
        put_varint(self, x);
    }

    #[inline]
    fn varint_field(&mut self, number: u64, x: u64) {
        if x != 0 {
            self.varint(number << 3);
            self.varint(x);
        }
    }

    #[inline]
    fn fixed64_field(&mut self, number: u64, x: u64) {
        if x != 0 {
            self.varint(number << 3 | 1);
            self.extend_from_slice(&x.to_le_bytes());
        }
    }

    #[inline]
    fn bytes_field(&mut self, number: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.open_field(number, bytes.len());
            self.extend_from_slice(bytes);
        }
    }

    #[inline]
    fn open_field(&mut self, number: u64, length: usize) {
        self.varint(number << 3 | 2);
        self.varint(length as u64);
    }
}
