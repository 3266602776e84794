//! The little of protobuf's encoding that an envelope needs.

use crate::error::BaggageError;
use pivot_advice::codec::Reader;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// One field: its number, its value, and all its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    pub(crate) value: Wire<'a>,
    pub(crate) raw: &'a [u8],
}

impl<'a> Field<'a> {
    pub(crate) fn varint(self) -> Result<u64, BaggageError> {
        if let Wire::Varint(x) = self.value { Ok(x) } else { Err(wrong_type()) }
    }

    pub(crate) fn fixed64(self) -> Result<u64, BaggageError> {
        if let Wire::Fixed64(x) = self.value { Ok(x) } else { Err(wrong_type()) }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], BaggageError> {
        if let Wire::Bytes(x) = self.value { Ok(x) } else { Err(wrong_type()) }
    }
}

fn wrong_type() -> BaggageError {
    BaggageError::Field { what: "a field is of the wrong type" }
}

/// Calls `each` for every field of a message.
pub(crate) fn for_each_field<'a>(
    message: &'a [u8],
    mut each: impl FnMut(Field<'a>) -> Result<(), BaggageError>,
) -> Result<(), BaggageError> {
    let mut reader = Reader::new(message);
    while !reader.is_empty() {
        let before = reader.rest();
        let key = reader.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(reader.varint()?),
            1 => Wire::Fixed64(fixed64(&mut reader)?),
            2 => Wire::Bytes(reader.bytes()?),
            5 => {
                reader.raw(4)?;
                Wire::Fixed32
            }
            _ => return Err(wrong_type()),
        };
        let raw = &before[..before.len() - reader.rest().len()];
        each(Field { number: key >> 3, value, raw })?;
    }
    Ok(())
}

pub(crate) fn fixed64(reader: &mut Reader<'_>) -> Result<u64, BaggageError> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(reader.raw(8)?);
    Ok(u64::from_le_bytes(bytes))
}

/// Writes fields, leaving out those of the default value.
pub(crate) trait WriteField {
    fn varint(&mut self, x: u64);
    fn varint_field(&mut self, number: u64, x: u64);
    fn fixed64_field(&mut self, number: u64, x: u64);
    fn bytes_field(&mut self, number: u64, bytes: &[u8]);
    /// The key and the length of a field whose bytes the caller writes.
    fn open_field(&mut self, number: u64, length: usize);
}

impl WriteField for Vec<u8> {
    fn varint(&mut self, mut x: u64) {
        while x >= 0x80 {
            self.push(x as u8 | 0x80);
            x >>= 7;
        }
        self.push(x as u8);
    }

    fn varint_field(&mut self, number: u64, x: u64) {
        if x != 0 {
            self.varint(number << 3);
            self.varint(x);
        }
    }

    fn fixed64_field(&mut self, number: u64, x: u64) {
        if x != 0 {
            self.varint(number << 3 | 1);
            self.extend_from_slice(&x.to_le_bytes());
        }
    }

    fn bytes_field(&mut self, number: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.open_field(number, bytes.len());
            self.extend_from_slice(bytes);
        }
    }

    fn open_field(&mut self, number: u64, length: usize) {
        self.varint(number << 3 | 2);
        self.varint(length as u64);
    }
}
