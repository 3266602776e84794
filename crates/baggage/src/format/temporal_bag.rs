//! The bytes of a temporal bag: the tuples that it has chosen, each with its stamp.

use crate::causality::clock::{Hlc, Stamp};
use crate::error::{BaggageError, malformed};
use crate::format::bag::{Bag, ChosenTuple};
use crate::format::bag_header::{FIRST, LOST, MOST_RECENT, read_head, write_key};
use crate::format::protobuf::{ProtoWriter, fixed64};
use pivot_advice::codec::{Reader, Writer};
use pivot_advice::{Aggregate, BagKey, DecodeError, State, Value};
use smallvec::SmallVec;

pub(crate) fn write_chosen(kind: u8, key: BagKey, n: u32, slots: &[ChosenTuple]) -> Vec<u8> {
    let mut writer = chosen_head(kind, key, n, slots.len());
    for ChosenTuple { stamp, position, rows } in slots {
        tuple_head(&mut writer, *stamp, *position);
        writer.groups(rows);
    }
    writer.into_bytes()
}

/// The bytes of a temporal bag that has chosen one tuple, with one row that counts once.
pub(crate) fn write_sole(
    (kind, n): (u8, u32),
    key: BagKey,
    stamp: Stamp,
    aggregates: &[Aggregate],
    row: &[Value],
    states: &[State],
) -> Vec<u8> {
    let mut writer = chosen_head(kind, key, n, 1);
    tuple_head(&mut writer, stamp, 0);
    writer.varint(row.len() as u64);
    writer.varint(aggregates.len() as u64);
    aggregates.iter().for_each(|aggregate| writer.u8(*aggregate as u8));
    writer.varint(1);
    row.iter().for_each(|value| writer.value(value));
    writer.varint(1);
    states.iter().for_each(|state| writer.state(state));
    writer.into_bytes()
}

/// What stands before the slots, and room for a small one.
fn chosen_head(kind: u8, key: BagKey, n: u32, count: usize) -> Writer {
    let mut bytes = Vec::with_capacity(64);
    write_key(&mut bytes, kind, key);
    bytes.varint(u64::from(n));
    bytes.varint(count as u64);
    Writer::behind(bytes)
}

fn tuple_head(writer: &mut Writer, stamp: Stamp, position: u32) {
    writer.raw(&stamp.clock.to_u64().to_le_bytes());
    writer.raw(&stamp.nonce.to_le_bytes());
    writer.varint(u64::from(position));
}

/// How many tuples it has chosen as the first; None if those were lost.
pub(crate) fn peek_first(bytes: &[u8]) -> Option<usize> {
    match read_head(bytes) {
        Ok((LOST, ..)) => None,
        Ok((FIRST, _, mut content)) => {
            Some(content.varint().and_then(|_| content.count("slots")).unwrap_or_default())
        }
        _ => Some(0),
    }
}

/// The tuple of a temporal bag that keeps no more than one, as far as it decides between two such bags.
#[derive(Debug)]
pub(crate) struct SoleTuple {
    is_first: bool,
    place: (Stamp, u32),
    /// How many columns its rows have, and which aggregates.
    shape: (u64, SmallVec<[u8; 4]>),
}

impl SoleTuple {
    /// That of a bag which was taken apart.
    pub(crate) fn of(bag: &Bag) -> Option<SoleTuple> {
        let (is_first, slots) = match bag {
            Bag::First { n: 1, slots } => (true, slots),
            Bag::MostRecent { n: 1, slots } => (false, slots),
            _ => return None,
        };
        let slot = slots.first()?;
        let codes = slot.rows.aggregates().iter().map(|aggregate| *aggregate as u8);
        Some(SoleTuple { is_first, place: slot.place(), shape: (slot.rows.keys() as u64, codes.collect()) })
    }

    /// Whether this tuple is chosen where there is the other one too. None if their bags are not of one kind.
    pub(crate) fn is_before(&self, other: &SoleTuple) -> Option<bool> {
        let is_alike = self.is_first == other.is_first && self.shape == other.shape;
        let (mine, theirs) = (self.place, other.place);
        is_alike.then_some(if self.is_first { mine <= theirs } else { mine >= theirs })
    }
}

/// The one tuple that a temporal bag keeps; None of any other bag.
pub(crate) fn peek_sole(bytes: &[u8]) -> Option<SoleTuple> {
    let (kind, _, mut content) = read_head(bytes).ok()?;
    let is_first = match kind {
        FIRST => true,
        MOST_RECENT => false,
        _ => return None,
    };
    let (most, count) = (content.varint().ok()?, content.varint().ok()?);
    if (most, count) != (1, 1) {
        return None;
    }
    let place = read_place(&mut content).ok()?;
    let (keys, aggregates) = (content.varint().ok()?, content.count("aggregates").ok()?);
    Some(SoleTuple { is_first, place, shape: (keys, content.raw(aggregates).ok()?.into()) })
}

pub(crate) fn read_chosen(reader: &mut Reader<'_>) -> Result<(u32, Vec<ChosenTuple>), BaggageError> {
    let n = u32::try_from(reader.varint()?).unwrap_or(u32::MAX);
    let count = reader.count("slots")?;
    if count == 0 || count > n as usize {
        return Err(malformed("a temporal bag does not fit its bound"));
    }
    let mut slots: Vec<ChosenTuple> = Vec::new();
    for _ in 0..count {
        let slot = read_tuple(reader)?;
        if let Some(before) = slots.last() {
            if !before.rows.same_shape(&slot.rows) {
                return Err(DecodeError::ShapeMismatch.into());
            }
            if before.place() >= slot.place() {
                return Err(malformed("the tuples of a temporal bag are out of order"));
            }
        }
        slots.push(slot);
    }
    Ok((n, slots))
}

fn read_tuple(reader: &mut Reader<'_>) -> Result<ChosenTuple, BaggageError> {
    let (stamp, position) = read_place(reader)?;
    Ok(ChosenTuple { stamp, position, rows: reader.groups()? })
}

fn read_place(reader: &mut Reader<'_>) -> Result<(Stamp, u32), BaggageError> {
    let clock = Hlc::from_u64(fixed64(reader)?);
    let mut nonce = [0; 4];
    nonce.copy_from_slice(reader.raw(4)?);
    let stamp = Stamp { clock, nonce: u32::from_le_bytes(nonce) };
    let position = u32::try_from(reader.varint()?).map_err(|_| malformed("a position is out of bounds"))?;
    Ok((stamp, position))
}
