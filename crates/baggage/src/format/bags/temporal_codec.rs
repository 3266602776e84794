//! The bytes of a temporal bag: the tuples that it has chosen, each with its stamp; see [`super::bag_codec`].
//!
//! Tuples stand in the order of their stamps, all with rows of one shape. Temporal bags are small, mostly of
//! one tuple, so they have no index, and are written anew whenever they change.

use crate::causality::clock::{Hlc, Stamp};
use crate::error::{BaggageError, malformed};
use crate::format::bags::bag::{Bag, ChosenTuple};
use crate::format::bags::bag_header::{FIRST, LOST, MOST_RECENT, read_key, write_key};
use crate::format::protobuf::{ProtoWriter, fixed64};
use pivot_advice::codec::{ByteReader, ByteWriter};
use pivot_advice::{AggregateKind, AggregateState, BagKey, DecodeError, Value};
use smallvec::SmallVec;

/// Returns the bytes of a temporal bag.
pub(crate) fn write_temporal(kind: u8, key: BagKey, n: u32, tuples: &[ChosenTuple]) -> Vec<u8> {
    let mut writer = write_head(kind, key, n, tuples.len());
    for ChosenTuple { stamp, position, rows } in tuples {
        write_rank(&mut writer, *stamp, *position);
        writer.groups(rows);
    }
    writer.into_bytes()
}

/// Returns the bytes of a temporal bag that has chosen one tuple, with one row that counts once. They are
/// those that [`write_temporal`] would write, without the groups that it takes.
pub(crate) fn write_sole(
    kind: u8,
    n: u32,
    key: BagKey,
    stamp: Stamp,
    aggregates: &[AggregateKind],
    row: &[Value],
    states: &[AggregateState],
) -> Vec<u8> {
    let mut writer = write_head(kind, key, n, 1);
    write_rank(&mut writer, stamp, 0);

    // The shape of the groups.
    writer.varint(row.len() as u64);
    writer.varint(aggregates.len() as u64);
    aggregates.iter().for_each(|aggregate| writer.u8(*aggregate as u8));

    // One row: its key, how often it counts, its states.
    writer.varint(1);
    row.iter().for_each(|value| writer.value(value));
    writer.varint(1);
    states.iter().for_each(|state| writer.state(state));

    writer.into_bytes()
}

/// Returns what stands before the tuples, with room for a small one.
fn write_head(kind: u8, key: BagKey, n: u32, count: usize) -> ByteWriter {
    let mut bytes = Vec::with_capacity(64);
    write_key(&mut bytes, kind, key);
    bytes.varint(u64::from(n));
    bytes.varint(count as u64);
    ByteWriter::behind(bytes)
}

fn write_rank(writer: &mut ByteWriter, stamp: Stamp, position: u32) {
    writer.raw(&stamp.clock.to_u64().to_le_bytes());
    writer.raw(&stamp.nonce.to_le_bytes());
    writer.varint(u64::from(position));
}

/// Reads how many tuples a temporal bag may keep, and those that it has chosen.
pub(crate) fn read_temporal(reader: &mut ByteReader<'_>) -> Result<(u32, Vec<ChosenTuple>), BaggageError> {
    let n = u32::try_from(reader.varint()?).unwrap_or(u32::MAX);
    let count = reader.count("tuples")?;
    if count == 0 || count > n as usize {
        return Err(malformed("a temporal bag does not fit its bound"));
    }

    // Merges rely on one shape and on the order, and strangers' bytes may have neither.
    let mut tuples: Vec<ChosenTuple> = Vec::new();
    for _ in 0..count {
        let tuple = read_tuple(reader)?;
        if let Some(before) = tuples.last() {
            if !before.rows.same_shape(&tuple.rows) {
                return Err(DecodeError::ShapeMismatch.into());
            }
            if before.rank() >= tuple.rank() {
                return Err(malformed("the tuples of a temporal bag are out of order"));
            }
        }
        tuples.push(tuple);
    }

    Ok((n, tuples))
}

fn read_tuple(reader: &mut ByteReader<'_>) -> Result<ChosenTuple, BaggageError> {
    let (stamp, position) = read_rank(reader)?;
    Ok(ChosenTuple { stamp, position, rows: reader.groups()? })
}

fn read_rank(reader: &mut ByteReader<'_>) -> Result<(Stamp, u32), BaggageError> {
    let clock = Hlc::from_u64(fixed64(reader)?);
    let mut nonce = [0; 4];
    nonce.copy_from_slice(reader.raw(4)?);
    let stamp = Stamp { clock, nonce: u32::from_le_bytes(nonce) };
    let position = u32::try_from(reader.varint()?).map_err(|_| malformed("a position is out of bounds"))?;
    Ok((stamp, position))
}

/// Returns how many tuples a bag of the first ones has chosen, 0 for any other bag, and `None` if its tuples
/// were lost.
pub(crate) fn peek_first_count(bytes: &[u8]) -> Option<usize> {
    match read_key(bytes) {
        Ok((LOST, ..)) => None,
        Ok((FIRST, _, mut content)) => {
            Some(content.varint().and_then(|_| content.count("tuples")).unwrap_or_default())
        }
        _ => Some(0),
    }
}

/// The tuple of a temporal bag that keeps no more than one, as far as it decides between two such bags.
#[derive(Debug)]
pub(crate) struct SoleTuple {
    is_first: bool,
    rank: (Stamp, u32),
    /// How many columns its rows have, and the codes of their aggregates.
    shape: (u64, SmallVec<[u8; 4]>),
}

impl SoleTuple {
    /// Returns the tuple of a decoded bag, or `None` if the bag may keep several, or is not temporal.
    pub(crate) fn of(bag: &Bag) -> Option<SoleTuple> {
        let (is_first, tuples) = match bag {
            Bag::First { n: 1, tuples } => (true, tuples),
            Bag::MostRecent { n: 1, tuples } => (false, tuples),
            _ => return None,
        };
        let tuple = tuples.first()?;
        let codes = tuple.rows.aggregates().iter().map(|aggregate| *aggregate as u8);
        Some(SoleTuple { is_first, rank: tuple.rank(), shape: (tuple.rows.keys() as u64, codes.collect()) })
    }

    /// Whether a merge of both bags chooses this tuple, or `None` if their bags are not of one kind and
    /// shape.
    pub(crate) fn is_chosen_over(&self, other: &SoleTuple) -> Option<bool> {
        let is_alike = self.is_first == other.is_first && self.shape == other.shape;
        let (mine, theirs) = (self.rank, other.rank);
        is_alike.then_some(if self.is_first { mine <= theirs } else { mine >= theirs })
    }
}

/// Returns the tuple of an encoded bag that keeps one, or `None` for any other bag.
pub(crate) fn peek_sole(bytes: &[u8]) -> Option<SoleTuple> {
    let (kind, _, mut content) = read_key(bytes).ok()?;
    let is_first = match kind {
        FIRST => true,
        MOST_RECENT => false,
        _ => return None,
    };

    let (most, count) = (content.varint().ok()?, content.varint().ok()?);
    if (most, count) != (1, 1) {
        return None;
    }

    let rank = read_rank(&mut content).ok()?;
    let (keys, aggregates) = (content.varint().ok()?, content.count("aggregates").ok()?);
    Some(SoleTuple { is_first, rank, shape: (keys, content.raw(aggregates).ok()?.into()) })
}
