//! The first bytes of an encoded bag: its kind and its key, and what can be told of the bag from them alone.

use crate::error::{BaggageError, malformed};
use crate::format::column;
use crate::format::protobuf::{ProtoWriter, fixed64};
use pivot_advice::codec::Reader;
use pivot_advice::{Aggregate, BagKey, QueryId};

pub(crate) const ALL: u8 = 1;
pub(crate) const CUT: u8 = 2;
pub(crate) const FIRST: u8 = 3;
pub(crate) const MOST_RECENT: u8 = 4;
pub(crate) const LOST: u8 = 5;

/// Added to the kind of a table whose rows count once each.
pub(crate) const ONCE: u8 = 16;

/// The kind of a first byte.
#[inline]
pub(crate) fn kind_of(first: u8) -> u8 {
    match first & !ONCE {
        kind @ (ALL | CUT) => kind,
        _ => first,
    }
}

pub(crate) fn write_key(bytes: &mut Vec<u8>, kind: u8, key: BagKey) {
    bytes.push(kind);
    bytes.extend_from_slice(&key.query.to_u64().to_le_bytes());
    bytes.varint(u64::from(key.stage));
}

/// What stands before the rows of a table. Its columns have no type yet.
pub(crate) fn write_head(
    bytes: &mut Vec<u8>,
    key: BagKey,
    cut: Option<u64>,
    keys: usize,
    aggregates: &[Aggregate],
) {
    // Without a key, a row that does not even count would be no bytes.
    let once = if keys > 0 { ONCE } else { 0 };
    write_key(bytes, if cut.is_some() { CUT } else { ALL } | once, key);
    cut.iter().for_each(|cut| bytes.extend_from_slice(&cut.to_le_bytes()));
    bytes.varint(keys as u64);
    bytes.varint(aggregates.len() as u64);
    bytes.extend(aggregates.iter().map(|aggregate| *aggregate as u8));
    bytes.resize(bytes.len() + keys, column::ANY);
}

/// The first byte and the key, and a reader of the content.
pub(crate) fn read_head(bytes: &[u8]) -> Result<(u8, BagKey, Reader<'_>), BaggageError> {
    let mut reader = Reader::new(bytes);
    let kind = reader.u8()?;
    let query = QueryId::from_u64(fixed64(&mut reader)?);
    let stage = u16::try_from(reader.varint()?);
    let stage = stage.map_err(|_| malformed("the stage of a bag is out of bounds"))?;
    Ok((kind, BagKey { query, stage }, reader))
}

/// Whose bag it is.
#[inline]
pub(crate) fn peek_key(bytes: &[u8]) -> Result<BagKey, BaggageError> {
    if let Some((head, [stage @ 0..0x80, ..])) = bytes.split_first_chunk::<9>() {
        let [_, query @ ..] = *head;
        let query = QueryId::from_u64(u64::from_le_bytes(query));
        return Ok(BagKey { query, stage: u16::from(*stage) });
    }
    read_head(bytes).map(|(_, key, _)| key)
}

/// Whether its groups were cut.
#[inline]
pub(crate) fn peek_is_cut(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| kind_of(*first) == CUT)
}

/// The threshold at which its groups were cut.
pub(crate) fn peek_cut(bytes: &[u8]) -> Option<u64> {
    let (kind, _, mut content) = read_head(bytes).ok()?;
    if kind_of(kind) == CUT { fixed64(&mut content).ok() } else { None }
}

/// Whether tuples are missing in it. Of a kind that this build does not know, all are.
pub(crate) fn peek_is_incomplete(bytes: &[u8]) -> bool {
    !matches!(bytes.first().map(|first| kind_of(*first)), Some(ALL | FIRST | MOST_RECENT))
}

/// Whether it is a table.
pub(crate) fn peek_grouped(bytes: &[u8]) -> bool {
    matches!(bytes.first().map(|first| kind_of(*first)), Some(ALL | CUT))
}
