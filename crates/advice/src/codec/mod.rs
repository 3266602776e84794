//! The byte form of values, aggregate states and groups, which baggage and reports share.
//!
//! ```text
//! value   tag:u8 payload            0 null · 1 false · 2 true · 3 i64 zigzag varint · 4 u64 varint
//!                                   5 f64 8 bytes LE · 6 string · 7 bytes (varint length first)
//!                                   8 timestamp · 9 duration (8 bytes LE) · 10 list (varint count first)
//! sum     tag:u8 payload            0 empty · 1 integer · 2 duration (zigzag varint, 128 bits)
//!                                   3 double 8 bytes LE · 4 undefined
//! state   per aggregate             COUNT varint · SUM sum · MIN, MAX, ANY value · AVERAGE sum varint
//!                                   sketches as drawn in `codec/sketches.rs`
//! groups  keys:varint count:varint shape:u8*count rows:varint { value*keys n:varint state*count }
//!                                   shape: the number of each aggregate
//! ```
//!
//! For example, a table with one key column, one SUM, and one group, `("dn-1", n = 3, SUM = 100)`:
//!
//! ```text
//! 01       01          02     01     06 04 64 6e 2d 31   03      01 c8 01
//! one key, one state:  SUM,   one    string, 4 bytes,    n = 3   integer, zigzag of 100 = 200
//!                             row    "dn-1"
//! ```
//!
//! Decoding checks everything and never allocates more than a small multiple of the bytes it is given: the
//! other side may be of another version, or hostile.
//!
//! Other encodings of a *column* of values and of a *whole bag* are in the baggage crate; `baggage.proto` has
//! the grammar of all.

mod byte_reader;
mod byte_writer;
mod encoded_size;
mod sketches;
mod varint;

pub use byte_reader::ByteReader;
pub use byte_writer::ByteWriter;
pub use encoded_size::{groups_size, row_size, value_size};
pub use varint::{put_varint, take_short_varint, unzigzag, varint_size, write_varint, zigzag};

/// The most key columns, and the most aggregates, that decoded groups may have.
pub const MAX_COLUMNS: usize = 256;

#[cfg(test)]
mod tests;
