//! The header of an encoded bag, and what can be told from it without decoding the bag; see
//! [`super::bag_codec`].
//!
//! The first byte tells the kind. Behind it stands the key of the bag, so that whoever holds only the bytes
//! can keep bags apart, merge those of one key, and cut them, whether or not it knows the query.

use crate::error::{BaggageError, malformed};
use crate::format::bags::key_column;
use crate::format::protobuf::{ProtoWriter, fixed64};
use pivot_advice::codec::ByteReader;
use pivot_advice::{AggregateKind, BagKey, QueryId};

/// The kind of a grouped bag that has all its groups.
pub(crate) const GROUPED: u8 = 1;

/// The kind of a grouped bag that was cut at a threshold.
pub(crate) const GROUPED_CUT: u8 = 2;

/// The kind of a bag of the first tuples.
pub(crate) const FIRST: u8 = 3;

/// The kind of a bag of the most recent tuples.
pub(crate) const MOST_RECENT: u8 = 4;

/// The kind of a temporal bag that lost its tuples.
pub(crate) const LOST: u8 = 5;

/// Added to the kind of a grouped bag whose rows count once each, and do not say so.
pub(crate) const EACH_ONCE: u8 = 16;

/// Returns the kind that a first byte tells.
#[inline]
pub(crate) fn kind_of(first: u8) -> u8 {
    match first & !EACH_ONCE {
        kind @ (GROUPED | GROUPED_CUT) => kind,
        _ => first,
    }
}

/// Appends the first byte and the key, which is all that every bag begins with.
pub(crate) fn write_key(bytes: &mut Vec<u8>, kind: u8, key: BagKey) {
    bytes.push(kind);
    bytes.extend_from_slice(&key.query.to_u64().to_le_bytes());
    bytes.varint(u64::from(key.stage));
}

/// Appends what stands before the rows of a grouped bag. Its columns have no type until the first row is
/// added.
pub(crate) fn write_grouped_head(
    bytes: &mut Vec<u8>,
    key: BagKey,
    cut: Option<u64>,
    keys: usize,
    aggregates: &[AggregateKind],
) {
    // Without key columns, a row that does not even say how often it counts would be no bytes.
    let each_once = if keys > 0 { EACH_ONCE } else { 0 };
    let kind = if cut.is_some() { GROUPED_CUT } else { GROUPED };
    write_key(bytes, kind | each_once, key);
    cut.iter().for_each(|cut| bytes.extend_from_slice(&cut.to_le_bytes()));

    bytes.varint(keys as u64);
    bytes.varint(aggregates.len() as u64);
    bytes.extend(aggregates.iter().map(|aggregate| *aggregate as u8));
    bytes.resize(bytes.len() + keys, key_column::ANY);
}

/// Reads the first byte and the key, and returns them with a reader of what follows.
// Every event that packs into a temporal bag reads the bag's header: as a call, it would return all this in memory.
#[inline]
pub(crate) fn read_key(bytes: &[u8]) -> Result<(u8, BagKey, ByteReader<'_>), BaggageError> {
    let mut reader = ByteReader::new(bytes);
    let first = reader.u8()?;
    let query = QueryId::from_u64(fixed64(&mut reader)?);
    let stage = u16::try_from(reader.varint()?);
    let stage = stage.map_err(|_| malformed("the stage of a bag is out of bounds"))?;
    Ok((first, BagKey { query, stage }, reader))
}

/// Returns the key of a bag.
#[inline]
pub(crate) fn peek_key(bytes: &[u8]) -> Result<BagKey, BaggageError> {
    // Stages are small: one byte behind the nine bytes of kind and query.
    if let Some((head, [stage @ 0..0x80, ..])) = bytes.split_first_chunk::<9>() {
        let [_, query @ ..] = *head;
        let query = QueryId::from_u64(u64::from_le_bytes(query));
        return Ok(BagKey { query, stage: u16::from(*stage) });
    }
    read_key(bytes).map(|(_, key, _)| key)
}

/// Returns the threshold at which the groups of a bag were cut, if they were.
pub(crate) fn peek_cut(bytes: &[u8]) -> Option<u64> {
    let (first, _, mut content) = read_key(bytes).ok()?;
    if kind_of(first) == GROUPED_CUT { fixed64(&mut content).ok() } else { None }
}

/// Whether the groups of a bag were cut.
#[inline]
pub(crate) fn is_cut(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| kind_of(*first) == GROUPED_CUT)
}

/// Whether a bag is grouped.
pub(crate) fn is_grouped(bytes: &[u8]) -> bool {
    matches!(bytes.first().map(|first| kind_of(*first)), Some(GROUPED | GROUPED_CUT))
}

/// Whether tuples of a bag are missing. Of a kind that this build does not know, all are.
pub(crate) fn is_incomplete(bytes: &[u8]) -> bool {
    !matches!(bytes.first().map(|first| kind_of(*first)), Some(GROUPED | FIRST | MOST_RECENT))
}
