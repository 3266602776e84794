//! The bytes of one bag. Their first one tells the kind, so that any agent can merge any bag,
//! whether or not it knows the query.
//!
//! ```text
//! bag    kind:u8 query:8 bytes LE stage:varint content
//!        kind 1  all        content = table
//!        kind 2  all, cut   content = cut:8 bytes LE table
//!        kind 3  first      content = n:varint slots
//!        kind 4  most recent          n:varint slots
//!        kind 5  lost       content = nothing
//!        16 + 1, 16 + 2     1 and 2, of rows that count once each and do not say so
//! slots  count:varint { clock:8 bytes LE nonce:4 bytes LE position:varint groups }*count
//! ```
//!
//! `groups` is the layout of [`pivot_advice::codec`], `table` that of [`crate::format::grouped_bag`].

use crate::error::{BaggageError, malformed};
use crate::format::bag::Bag;
use crate::format::bag_header::{
    ALL, CUT, FIRST, LOST, MOST_RECENT, kind_of, peek_cut, read_head, write_key,
};
use crate::format::column;
use crate::format::encoded_rows::EncodedRows;
use crate::format::grouped_bag::GroupedBag;
use crate::format::temporal_bag::{read_chosen, write_chosen};
use pivot_advice::codec::Writer;
use pivot_advice::{BagKey, DecodeError, Group};

/// The bytes of a temporal bag. Grouped ones are tables and need no writing.
pub(crate) fn write_bag(key: BagKey, bag: &Bag) -> Vec<u8> {
    match bag {
        Bag::Grouped { rows, cut } => GroupedBag::of(key, *cut, rows).bytes().to_vec(),
        Bag::First { n, slots } => write_chosen(FIRST, key, *n, slots),
        Bag::MostRecent { n, slots } => write_chosen(MOST_RECENT, key, *n, slots),
        Bag::Lost => {
            let mut bytes = Vec::new();
            write_key(&mut bytes, LOST, key);
            bytes
        }
    }
}

/// How many bytes a group takes in a bag, at most.
pub(crate) fn group_bytes(group: &Group) -> usize {
    let mut bytes = Vec::new();
    group.key.iter().for_each(|value| column::put(&mut bytes, column::code(value), value));
    let mut writer = Writer::new();
    writer.varint(group.n);
    group.states.iter().for_each(|state| writer.state(state));
    bytes.len() + writer.len()
}

pub(crate) fn read_bag(bytes: &[u8]) -> Result<Bag, BaggageError> {
    let (first, _, mut reader) = read_head(bytes)?;
    let bag = match kind_of(first) {
        ALL | CUT => {
            return Ok(Bag::Grouped { rows: EncodedRows::of(bytes)?.groups()?, cut: peek_cut(bytes) });
        }
        FIRST => {
            let (n, slots) = read_chosen(&mut reader)?;
            Bag::First { n, slots }
        }
        MOST_RECENT => {
            let (n, slots) = read_chosen(&mut reader)?;
            Bag::MostRecent { n, slots }
        }
        LOST => Bag::Lost,
        tag => return Err(DecodeError::UnknownTag { what: "bag", tag }.into()),
    };
    if reader.is_empty() { Ok(bag) } else { Err(malformed("a bag has bytes left over")) }
}
