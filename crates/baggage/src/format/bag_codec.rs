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

use crate::causality::clock::{Hlc, Stamp};
use crate::error::{BaggageError, malformed};
use crate::format::bag::{Bag, ChosenTuple};
use crate::format::column;
use crate::format::encoded_rows::EncodedRows;
use crate::format::grouped_bag::GroupedBag;
use crate::format::protobuf::{ProtoWriter, fixed64};
use pivot_advice::codec::{Reader, Writer};
use pivot_advice::{Aggregate, BagKey, DecodeError, QueryId, State, Value};
use smallvec::SmallVec;

pub(crate) const ALL: u8 = 1;
pub(crate) const CUT: u8 = 2;
pub(crate) const FIRST: u8 = 3;
pub(crate) const MOST_RECENT: u8 = 4;
const LOST: u8 = 5;

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

/// The bytes of a temporal bag. Grouped ones are tables and need no writing.
pub(crate) fn write_bag(key: BagKey, bag: &Bag) -> Vec<u8> {
    match bag {
        Bag::Grouped { rows, cut } => GroupedBag::of(key, *cut, rows).bytes().to_vec(),
        Bag::First { n, slots } => write_slots(FIRST, key, *n, slots),
        Bag::MostRecent { n, slots } => write_slots(MOST_RECENT, key, *n, slots),
        Bag::Lost => {
            let mut bytes = Vec::new();
            write_key(&mut bytes, LOST, key);
            bytes
        }
    }
}

fn write_key(bytes: &mut Vec<u8>, kind: u8, key: BagKey) {
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

fn write_slots(kind: u8, key: BagKey, n: u32, slots: &[ChosenTuple]) -> Vec<u8> {
    let mut writer = slots_head(kind, key, n, slots.len());
    for ChosenTuple { stamp, position, rows } in slots {
        slot_head(&mut writer, *stamp, *position);
        writer.groups(rows);
    }
    writer.into_bytes()
}

/// The bytes of a temporal bag that has chosen one tuple, with one row that counts once.
pub(crate) fn write_chosen(
    (kind, n): (u8, u32),
    key: BagKey,
    stamp: Stamp,
    aggregates: &[Aggregate],
    row: &[Value],
    states: &[State],
) -> Vec<u8> {
    let mut writer = slots_head(kind, key, n, 1);
    slot_head(&mut writer, stamp, 0);
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
fn slots_head(kind: u8, key: BagKey, n: u32, count: usize) -> Writer {
    let mut bytes = Vec::with_capacity(64);
    write_key(&mut bytes, kind, key);
    bytes.varint(u64::from(n));
    bytes.varint(count as u64);
    Writer::behind(bytes)
}

fn slot_head(writer: &mut Writer, stamp: Stamp, position: u32) {
    writer.raw(&stamp.clock.to_u64().to_le_bytes());
    writer.raw(&stamp.nonce.to_le_bytes());
    writer.varint(u64::from(position));
}

/// How many bytes a group takes in a bag, at most.
pub(crate) fn group_bytes(group: &pivot_advice::Group) -> usize {
    let mut bytes = Vec::new();
    group.key.iter().for_each(|value| column::put(&mut bytes, column::code(value), value));
    let mut writer = Writer::new();
    writer.varint(group.n);
    group.states.iter().for_each(|state| writer.state(state));
    bytes.len() + writer.len()
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
pub(crate) fn peek_one(bytes: &[u8]) -> Option<SoleTuple> {
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

/// Whether it is a table.
pub(crate) fn peek_grouped(bytes: &[u8]) -> bool {
    matches!(bytes.first().map(|first| kind_of(*first)), Some(ALL | CUT))
}

pub(crate) fn read_bag(bytes: &[u8]) -> Result<Bag, BaggageError> {
    let (first, _, mut reader) = read_head(bytes)?;
    let bag = match kind_of(first) {
        ALL | CUT => {
            return Ok(Bag::Grouped { rows: EncodedRows::of(bytes)?.groups()?, cut: peek_cut(bytes) });
        }
        FIRST => {
            let (n, slots) = read_slots(&mut reader)?;
            Bag::First { n, slots }
        }
        MOST_RECENT => {
            let (n, slots) = read_slots(&mut reader)?;
            Bag::MostRecent { n, slots }
        }
        LOST => Bag::Lost,
        tag => return Err(DecodeError::UnknownTag { what: "bag", tag }.into()),
    };
    if reader.is_empty() { Ok(bag) } else { Err(malformed("a bag has bytes left over")) }
}

fn read_slots(reader: &mut Reader<'_>) -> Result<(u32, Vec<ChosenTuple>), BaggageError> {
    let n = u32::try_from(reader.varint()?).unwrap_or(u32::MAX);
    let count = reader.count("slots")?;
    if count == 0 || count > n as usize {
        return Err(malformed("a temporal bag does not fit its bound"));
    }
    let mut slots: Vec<ChosenTuple> = Vec::new();
    for _ in 0..count {
        let slot = read_slot(reader)?;
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

fn read_slot(reader: &mut Reader<'_>) -> Result<ChosenTuple, BaggageError> {
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
