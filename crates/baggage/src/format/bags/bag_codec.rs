//! The bytes of one bag.
//!
//! Any process can merge any bag, whether or not it knows the query: the kind, the key and the columns are in
//! the bytes.
//!
//! ```text
//! bag     kind:u8 query:u64 LE stage:varint content
//!
//! kind 1  grouped        table
//! kind 2  grouped, cut   threshold:u64 LE table         groups whose key hashes to it or above were dropped
//! kind 3  first          n:varint chosen                the first n tuples by stamp
//! kind 4  most recent    n:varint chosen                the last n tuples by stamp
//! kind 5  lost           nothing                        tuples of a temporal bag had to be left behind
//! 16 + 1, 16 + 2         as 1 and 2, of rows that count once each and do not say so
//!
//! table   keys:varint count:varint aggregate:u8*count type:u8*keys row*      see `grouped_bag.rs`
//! row     value*keys [n:number] state*count                                  see `key_column.rs`, `prefix_varint.rs`
//! chosen  count:varint { clock:u64 LE nonce:u32 LE position:varint groups }*count
//! ```
//!
//! `groups` and `state` are written by [`pivot_advice::codec`]. For example, stage 1 of query 7 of frontend 1
//! has grouped by host and summed: the host `a` came twice, with a sum of 5.
//!
//! ```text
//! 01                          grouped
//! 07 00 00 00 01 00 00 00     query 7 of frontend 1
//! 01                          stage 1
//! 01 01 02 06                 one key column, one aggregate: SUM; the column is of strings
//! 03 61                       `a`, its length in front as a number
//! 05                          which came twice, as a number
//! 01 0a                       the state of SUM: an integer, 5 in zigzag
//! ```

use crate::error::{BaggageError, malformed};
use crate::format::bags::bag::Bag;
use crate::format::bags::bag_header::{
    FIRST, GROUPED, GROUPED_CUT, LOST, MOST_RECENT, kind_of, peek_cut, read_key, write_key,
};
use crate::format::bags::encoded_rows::EncodedRows;
use crate::format::bags::grouped_bag::GroupedBag;
use crate::format::bags::key_column;
use crate::format::bags::temporal_codec::{read_temporal, write_temporal};
use pivot_advice::codec::ByteWriter;
use pivot_advice::{BagKey, DecodeError, Group};

/// Returns the bytes of a bag.
pub(crate) fn write_bag(key: BagKey, bag: &Bag) -> Vec<u8> {
    match bag {
        Bag::Grouped { rows, cut } => GroupedBag::of_groups(key, *cut, rows).bytes().to_vec(),
        Bag::First { n, tuples } => write_temporal(FIRST, key, *n, tuples),
        Bag::MostRecent { n, tuples } => write_temporal(MOST_RECENT, key, *n, tuples),
        Bag::Lost => {
            let mut bytes = Vec::new();
            write_key(&mut bytes, LOST, key);
            bytes
        }
    }
}

/// Decodes a bag.
pub(crate) fn read_bag(bytes: &[u8]) -> Result<Bag, BaggageError> {
    let (first, _, mut reader) = read_key(bytes)?;

    let bag = match kind_of(first) {
        GROUPED | GROUPED_CUT => {
            return Ok(Bag::Grouped { rows: EncodedRows::new(bytes)?.groups()?, cut: peek_cut(bytes) });
        }
        FIRST => {
            let (n, tuples) = read_temporal(&mut reader)?;
            Bag::First { n, tuples }
        }
        MOST_RECENT => {
            let (n, tuples) = read_temporal(&mut reader)?;
            Bag::MostRecent { n, tuples }
        }
        LOST => Bag::Lost,
        tag => return Err(DecodeError::UnknownTag { what: "bag", tag }.into()),
    };

    if reader.is_empty() { Ok(bag) } else { Err(malformed("a bag has bytes left over")) }
}

/// Returns how many bytes a group takes in a bag, at most.
pub(crate) fn group_bytes(group: &Group) -> usize {
    let mut key = Vec::new();
    group.key.iter().for_each(|value| key_column::put(&mut key, key_column::code(value), value));

    let mut writer = ByteWriter::new();
    writer.varint(group.n);
    group.states.iter().for_each(|state| writer.state(state));

    key.len() + writer.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::{AggregateKind, EvalErrors, Groups, QueryId, Value};

    #[test]
    fn the_example_at_the_top_is_what_is_written() {
        let mut rows = Groups::new(1, &[AggregateKind::Sum]);
        let group = rows.entry(&[Value::str("a")]);
        group.n = 2;
        group.states.iter_mut().for_each(|sum| sum.update(&Value::I64(5), 1, &mut EvalErrors::default()));
        let bag = Bag::Grouped { rows, cut: None };

        let bytes = write_bag(BagKey { query: QueryId::new(1, 7), stage: 1 }, &bag);
        let example = [1, 7, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 2, 6, 3, 0x61, 5, 1, 0x0a];
        assert_eq!(bytes, example);
        assert_eq!(read_bag(&bytes), Ok(bag));
    }
}
