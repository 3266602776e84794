//! The byte form of values, states and groups, shared by baggage and reports.
//!
//! ```text
//! value   tag:u8 payload            0 null · 1 false · 2 true · 3 i64 zigzag varint · 4 u64 varint
//!                                   5 f64 8 bytes LE · 6 string · 7 bytes (varint length first)
//!                                   8 timestamp · 9 duration (8 bytes LE) · 10 list (varint count first)
//! sum     tag:u8 payload            0 empty · 1 integer · 2 duration (zigzag varint, 128 bits)
//!                                   3 double 8 bytes LE · 4 undefined
//! state   per aggregate             COUNT varint · SUM sum · MIN, MAX, ANY value · AVERAGE sum varint
//!                                   sketches as in [`crate::codec::sketches`]
//! groups  keys:varint count:varint shape:u8*count rows:varint { value*keys n:varint state*count }
//! ```
//!
//! Decoding never allocates more than a small multiple of the bytes it was given.

mod byte_reader;
mod byte_writer;
mod encoded_size;
mod sketches;
mod varint;

pub use byte_reader::ByteReader;
pub use byte_writer::ByteWriter;
pub use encoded_size::{row_size, size, value_size};
pub use varint::{put_varint, take_short_varint, unzigzag, varint_size, write_varint, zigzag};

/// The most key columns, and the most aggregates, that a table may have.
pub const MAX_COLUMNS: usize = 256;

#[cfg(test)]
mod tests;
