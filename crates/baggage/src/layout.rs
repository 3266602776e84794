//! The bytes of one bag. Their first one tells the kind, so that any agent can merge any bag,
//! whether or not it knows the query.
//!
//! ```text
//! bag    kind:u8 query:8 bytes LE stage:varint content
//!        kind 1  all        content = groups
//!        kind 2  all, cut   content = cut:8 bytes LE groups
//!        kind 3  first      content = n:varint slots
//!        kind 4  most recent          n:varint slots
//!        kind 5  lost       content = nothing
//! slots  count:varint { clock:8 bytes LE nonce:4 bytes LE position:varint groups }*count
//! ```
//!
//! `groups` is the layout of [`pivot_advice::codec`].

use crate::bag::{Bag, Slot};
use crate::clock::{Hlc, Stamp};
use crate::error::{BaggageError, malformed};
use crate::wire::fixed64;
use pivot_advice::codec::{Reader, Writer};
use pivot_advice::{BagKey, DecodeError, QueryId};

const ALL: u8 = 1;
const CUT: u8 = 2;
const FIRST: u8 = 3;
const MOST_RECENT: u8 = 4;
const LOST: u8 = 5;

pub(crate) fn write_bag(key: BagKey, bag: &Bag) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u8(kind_of(bag));
    writer.raw(&key.query.to_u64().to_le_bytes());
    writer.varint(u64::from(key.stage));
    match bag {
        Bag::Grouped { rows, cut } => {
            cut.iter().for_each(|cut| writer.raw(&cut.to_le_bytes()));
            writer.groups(rows);
        }
        Bag::First { n, slots } | Bag::MostRecent { n, slots } => write_slots(&mut writer, *n, slots),
        Bag::Lost => {}
    }
    writer.into_bytes()
}

fn kind_of(bag: &Bag) -> u8 {
    match bag {
        Bag::Grouped { cut: None, .. } => ALL,
        Bag::Grouped { cut: Some(_), .. } => CUT,
        Bag::First { .. } => FIRST,
        Bag::MostRecent { .. } => MOST_RECENT,
        Bag::Lost => LOST,
    }
}

fn write_slots(writer: &mut Writer, n: u32, slots: &[Slot]) {
    writer.varint(u64::from(n));
    writer.varint(slots.len() as u64);
    for Slot { stamp, position, rows } in slots {
        writer.raw(&stamp.clock.to_u64().to_le_bytes());
        writer.raw(&stamp.nonce.to_le_bytes());
        writer.varint(u64::from(*position));
        writer.groups(rows);
    }
}

/// How many bytes a group takes in a bag.
pub(crate) fn group_bytes(group: &pivot_advice::Group) -> usize {
    let mut writer = Writer::new();
    group.key.iter().for_each(|value| writer.value(value));
    writer.varint(group.n);
    group.states.iter().for_each(|state| writer.state(state));
    writer.len()
}

/// The kind and the key, and a reader of the content.
fn read_head(bytes: &[u8]) -> Result<(u8, BagKey, Reader<'_>), BaggageError> {
    let mut reader = Reader::new(bytes);
    let kind = reader.u8()?;
    let query = QueryId::from_u64(fixed64(&mut reader)?);
    let stage = u16::try_from(reader.varint()?);
    let stage = stage.map_err(|_| malformed("the stage of a bag is out of bounds"))?;
    Ok((kind, BagKey { query, stage }, reader))
}

/// Whose bag it is.
pub(crate) fn peek_key(bytes: &[u8]) -> Result<BagKey, BaggageError> {
    read_head(bytes).map(|(_, key, _)| key)
}

/// The threshold at which its groups were cut.
pub(crate) fn peek_cut(bytes: &[u8]) -> Option<u64> {
    let (kind, _, mut content) = read_head(bytes).ok()?;
    if kind == CUT { fixed64(&mut content).ok() } else { None }
}

/// Whether tuples are missing in it. Of a kind that this build does not know, all are.
pub(crate) fn peek_lacks(bytes: &[u8]) -> bool {
    !matches!(bytes.first(), Some(&(ALL | FIRST | MOST_RECENT)))
}

pub(crate) fn read_bag(bytes: &[u8]) -> Result<Bag, BaggageError> {
    let (kind, _, mut reader) = read_head(bytes)?;
    let bag = match kind {
        ALL => Bag::Grouped { rows: reader.groups()?, cut: None },
        CUT => {
            let cut = Some(fixed64(&mut reader)?);
            Bag::Grouped { rows: reader.groups()?, cut }
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

fn read_slots(reader: &mut Reader<'_>) -> Result<(u32, Vec<Slot>), BaggageError> {
    let n = u32::try_from(reader.varint()?).unwrap_or(u32::MAX);
    let count = reader.count("slots")?;
    if count == 0 || count > n as usize {
        return Err(malformed("a temporal bag does not fit its bound"));
    }
    let mut slots: Vec<Slot> = Vec::new();
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

fn read_slot(reader: &mut Reader<'_>) -> Result<Slot, BaggageError> {
    let clock = Hlc::from_u64(fixed64(reader)?);
    let mut nonce = [0; 4];
    nonce.copy_from_slice(reader.raw(4)?);
    let stamp = Stamp { clock, nonce: u32::from_le_bytes(nonce) };
    let position = u32::try_from(reader.varint()?).map_err(|_| malformed("a position is out of bounds"))?;
    Ok(Slot { stamp, position, rows: reader.groups()? })
}
