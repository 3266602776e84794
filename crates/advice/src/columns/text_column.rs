//! A column of texts: the lengths of all, then the texts one after the other.

use super::number_column::NumberColumn;
use crate::codec::{ByteReader, ByteWriter};
use crate::error::DecodeError;
use std::ops::Range;

/// A column of texts within the bytes of a [block](super::ColumnBlock).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextColumn {
    lengths: NumberColumn,
    /// Where the texts are in the bytes of the block.
    texts: Range<usize>,
}

impl TextColumn {
    /// Appends a column of these texts.
    pub(super) fn write(writer: &mut ByteWriter, texts: &[&str]) {
        let lengths: Vec<u64> = texts.iter().map(|text| text.len() as u64).collect();
        NumberColumn::write(writer, &lengths);
        texts.iter().for_each(|text| writer.raw(text.as_bytes()));
    }

    /// Takes a column of so many texts off a reader of `block`, and checks that each is UTF-8.
    pub(super) fn read(
        reader: &mut ByteReader<'_>,
        block: &[u8],
        rows: usize,
    ) -> Result<TextColumn, DecodeError> {
        let lengths = NumberColumn::read(reader, block, rows)?;
        let length = lengths.sum(block).and_then(|sum| usize::try_from(sum).ok());
        let length = length.ok_or(DecodeError::TooLarge { what: "texts" })?;

        let start = block.len() - reader.rest().len();
        let bytes = reader.raw(length)?;
        if !bytes.is_ascii() {
            check_each(
                std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)?,
                &lengths.numbers(block),
            )?;
        }
        Ok(TextColumn { lengths, texts: start..start + length })
    }

    /// Returns the texts one after the other, and replaces the content of a buffer by the places where each begins, and
    /// where the last ends, given the bytes of their block.
    pub fn read_into<'b>(&self, block: &'b [u8], bounds: &mut Vec<usize>) -> &'b [u8] {
        let mut end = 0;
        bounds.clear();
        bounds.push(0);
        self.lengths.for_each(block, |length| {
            end += length as usize;
            bounds.push(end);
        });
        block.get(self.texts.clone()).unwrap_or_default()
    }

    /// Returns the texts, given the bytes of their block.
    pub fn texts<'b>(&self, block: &'b [u8]) -> Vec<&'b str> {
        let mut bounds = Vec::new();
        let bytes = self.read_into(block, &mut bounds);

        // Checked when the column was read.
        let text = |bounds: &[usize]| std::str::from_utf8(bytes.get(bounds[0]..bounds[1])?).ok();
        bounds.windows(2).map(|bounds| text(bounds).unwrap_or_default()).collect()
    }
}

/// Checks that every text begins and ends at a character, given all of them in one.
fn check_each(texts: &str, lengths: &[u64]) -> Result<(), DecodeError> {
    let mut end = 0;
    for length in lengths {
        end += *length as usize;
        if !texts.is_char_boundary(end) {
            return Err(DecodeError::NotUtf8);
        }
    }
    Ok(())
}
