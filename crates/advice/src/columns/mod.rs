//! Groups in columns: the form in which reports carry them, and in which the frontend merges and stores them.
//!
//! Rows of values are easy to write and slow to read: every value has a tag to look at and a length of its own. In
//! a block of columns the type of a column is looked at once, and each of its values has as many bytes as the
//! others, so that a reader takes a column with one loop.
//!
//! ```text
//! block     rows:varint keys:varint count:varint aggregate:u8*count value-column*keys numbers state-column*count
//!                                      the numbers are the multiplicity of each row
//! numbers   width:u8 base:zigzag delta*rows          width 0, 1, 2, 4 or 8; delta: `width` bytes LE;
//!                                      number = base + delta modulo 2^64
//! texts     numbers bytes              the lengths of the texts in bytes, then the texts one after the other
//!
//! value-column  form:u8 payload
//!   0       value*rows                 of several types: as in a row
//!   1       numbers                    false and true: 0 and 1
//!   3 4     numbers                    i64, u64
//!   5       numbers                    f64: the bits
//!   6       texts
//!   8 9     numbers                    timestamp, duration in ns
//!   16      distinct:varint texts numbers          a dictionary, and the place in it of each row's text
//!
//! state-column  form:u8 payload
//!   0       state*rows                 as in a row
//!   1       numbers                    COUNT
//!   2       sums                       SUM
//!   3       value-column               MIN, MAX, ANY
//!   4       sums numbers               AVERAGE: the sums, and the number of values of each
//!   sums    type:u8 numbers            1 integer, 2 duration, 3 double (the bits)
//! ```
//!
//! For example, two groups of one key and one SUM, `("a", n = 3, SUM = 100)` and `("b", n = 4, SUM = 700)`:
//!
//! ```text
//! 02        01       01          02    06     00 02     61 62  01 06  00 01  02   01       02 c8 01  00 00 58 02
//! two rows, one key, one state:  SUM,  texts, of one    a  b   n: 3 + 0, 1   sums integers 100 +     0, 600
//!                                             byte each
//! ```
//!
//! Decoding checks everything, and takes no more memory than a small multiple of the bytes. It refuses more rows than
//! bytes, which no honest writer makes, since rows differ in some column; more than four million rows; and key texts in
//! dictionaries that would take more than 64 MiB if each row had its own, which are written without dictionaries.

mod column_block;
mod encode_groups;
mod number_column;
mod state_column;
mod text_column;
mod value_column;

pub use column_block::{ColumnBlock, ColumnBlockWriter};
pub use number_column::NumberColumn;
pub use state_column::{StateColumn, SumType};
pub use text_column::TextColumn;
pub use value_column::{NumberType, ValueColumn};

#[cfg(test)]
mod tests;
