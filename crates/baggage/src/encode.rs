//! The form in which baggage travels: the envelope of `proto/pivot/v1/baggage.proto`.
//!
//! Each bag is one opaque field of it, so that an envelope costs little to take apart. Any agent
//! can merge any bag, whether or not it knows the query, because the layout tells the shape.
//!
//! ```text
//! bag    kind:u8 query:8 bytes LE stage:varint content
//!        kind 1  all        content = groups
//!        kind 2  all, cut   content = cut:8 bytes LE groups
//!        kind 3  first      content = n:varint slots
//!        kind 4  most recent          n:varint slots
//! slots  count:varint { clock:8 bytes LE nonce:4 bytes LE position:varint groups }*count
//! ```
//!
//! `groups` is the layout of [`pivot_advice::codec`].

use crate::bag::{Bag, Slot};
use crate::baggage::Baggage;
use crate::bags::Bags;
use crate::branch::{Branch, Instance};
use crate::clock::{Hlc, Stamp};
use crate::error::BaggageError;
use crate::losses;
use crate::share::Share;
use crate::wire::{Field, WriteField, fixed64, for_each_field};
use pivot_advice::codec::{Reader, Writer};
use pivot_advice::{BagKey, DecodeError, QueryId};
use std::sync::Arc;

/// The most bytes in which baggage travels, whatever it holds.
pub const HARD_LIMIT: usize = 4 * 1024;

/// The longest encoded baggage that is read. Others may have a larger limit than ours.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most frozen instances that an encoded baggage may have.
pub const MAX_INSTANCES: usize = 1024;

/// The version that is written, and the only one that is read.
pub const VERSION: u64 = 1;

impl Baggage {
    /// The bytes in which the branch travels on, at most [`HARD_LIMIT`] of them; none if it is not
    /// born. It ends here: to go on here as well, fork and encode the fork.
    pub fn encode(self) -> Vec<u8> {
        self.encode_within(HARD_LIMIT)
    }

    /// The same within another limit. What does not fit is left behind, the bags of the newest
    /// query first; the ids always travel.
    pub fn encode_within(self, limit_bytes: usize) -> Vec<u8> {
        let Some(mut branch) = self.into_branch() else { return Vec::new() };
        branch.seal();
        loop {
            let bytes = write_branch(&branch);
            let left_behind = if bytes.len() > limit_bytes { branch.forget_newest() } else { 0 };
            if left_behind == 0 {
                return bytes;
            }
            losses::OVERFLOWED.add(left_behind);
        }
    }

    /// The branch that travelled in these bytes; one not born from no bytes. A refusal is counted.
    pub fn decode(bytes: &[u8]) -> Result<Baggage, BaggageError> {
        let read = match bytes.len() {
            0 => return Ok(Baggage::new()),
            bytes if bytes > MAX_BYTES => Err(BaggageError::TooLong { bytes }),
            _ => read_branch(bytes).map(Baggage::of),
        };
        read.inspect_err(|_| losses::MALFORMED.add(1))
    }
}

fn write_branch(branch: &Branch) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.varint_field(1, VERSION);
    writer.bytes_field(2, &branch.request.to_be_bytes());
    writer.fixed64_field(3, branch.clock.to_u64());
    writer.fixed64_field(4, branch.root);
    writer.bytes_field(5, &branch.share.encode());
    writer.varint_field(6, u64::from(branch.partial));
    if branch.keep < 1.0 {
        // Written even when it is zero: its absence means 1.
        writer.varint(7 << 3 | 1);
        writer.raw(&branch.keep.to_le_bytes());
    }
    write_bags(&mut writer, 8, &branch.active);
    branch.frozen.iter().for_each(|instance| writer.bytes_field(9, &write_instance(instance)));
    writer.varint_field(10, branch.began_ms.unwrap_or(0));
    writer.raw(&branch.unknown);
    writer.into_bytes()
}

fn write_instance(instance: &Instance) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.fixed64_field(1, instance.uid);
    writer.bytes_field(2, &instance.domain.encode());
    writer.varint_field(3, u64::from(instance.never));
    write_bags(&mut writer, 4, &instance.bags);
    writer.raw(&instance.unknown);
    writer.into_bytes()
}

fn write_bags(writer: &mut Writer, number: u64, bags: &Bags) {
    for (key, bag) in bags.iter() {
        let mut content = Writer::new();
        write_bag(&mut content, *key, bag);
        writer.bytes_field(number, &content.into_bytes());
    }
}

fn write_bag(writer: &mut Writer, key: BagKey, bag: &Bag) {
    let mut head = |kind: u8| {
        writer.u8(kind);
        writer.raw(&key.query.to_u64().to_le_bytes());
        writer.varint(u64::from(key.stage));
    };
    match bag {
        Bag::Grouped { rows, cut: None } => {
            head(1);
            writer.groups(rows);
        }
        Bag::Grouped { rows, cut: Some(cut) } => {
            head(2);
            writer.raw(&cut.to_le_bytes());
            writer.groups(rows);
        }
        Bag::First { n, slots } => {
            head(3);
            write_slots(writer, *n, slots);
        }
        Bag::MostRecent { n, slots } => {
            head(4);
            write_slots(writer, *n, slots);
        }
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

fn read_branch(bytes: &[u8]) -> Result<Branch, BaggageError> {
    let mut branch = Branch { root: 0, share: Share::default(), ..Branch::root() };
    let (mut version, mut request) = (0, None);
    for_each_field(bytes, |field| {
        match field.number {
            1 => version = field.varint()?,
            2 => request = Some(field.bytes()?),
            3 => branch.clock.receive(Hlc::from_u64(field.fixed64()?)),
            4 => branch.root = field.fixed64()?,
            5 => branch.share = read_share(field)?,
            6 => branch.partial |= field.varint()? != 0,
            7 => branch.keep = fraction(f64::from_bits(field.fixed64()?))?,
            8 => read_bag(field.bytes()?, &mut branch.active)?,
            9 => branch.frozen.push(read_instance(field.bytes()?)?),
            10 => branch.began_ms = Some(field.varint()?).filter(|ms| *ms > 0),
            _ => branch.unknown.extend_from_slice(field.raw),
        }
        if branch.frozen.len() > MAX_INSTANCES { Err(malformed("too many instances")) } else { Ok(()) }
    })?;
    if version != VERSION {
        return Err(BaggageError::Version { version });
    }
    let request = request.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    branch.request = u128::from_be_bytes(request.ok_or(malformed("the request id is not 16 bytes"))?);
    branch.frozen.sort_by_key(|instance| instance.uid);
    let repeated = branch.frozen.windows(2).any(|pair| pair[0].uid == pair[1].uid);
    if repeated { Err(malformed("an instance is repeated")) } else { Ok(branch) }
}

fn read_instance(bytes: &[u8]) -> Result<Instance, BaggageError> {
    let (mut uid, mut domain, mut never) = (0, Share::default(), false);
    let (mut bags, mut unknown) = (Bags::default(), Vec::new());
    for_each_field(bytes, |field| {
        match field.number {
            1 => uid = field.fixed64()?,
            2 => domain = read_share(field)?,
            3 => never = field.varint()? != 0,
            4 => read_bag(field.bytes()?, &mut bags)?,
            _ => unknown.extend_from_slice(field.raw),
        }
        Ok(())
    })?;
    Ok(Instance { uid, domain, never, bags: Arc::new(bags), unknown })
}

fn read_share(field: Field<'_>) -> Result<Share, BaggageError> {
    Share::decode(field.bytes()?).map_err(malformed)
}

fn fraction(keep: f64) -> Result<f64, BaggageError> {
    if (0.0..=1.0).contains(&keep) { Ok(keep) } else { Err(malformed("the sampling rate is not a fraction")) }
}

fn malformed(what: &'static str) -> BaggageError {
    BaggageError::Field { what }
}

fn read_bag(bytes: &[u8], bags: &mut Bags) -> Result<(), BaggageError> {
    let mut reader = Reader::new(bytes);
    let kind = reader.u8()?;
    let query = QueryId::from_u64(fixed64(&mut reader)?);
    let stage =
        u16::try_from(reader.varint()?).map_err(|_| malformed("the stage of a bag is out of bounds"))?;
    let bag = match kind {
        1 => Bag::Grouped { rows: reader.groups()?, cut: None },
        2 => {
            let cut = Some(fixed64(&mut reader)?);
            Bag::Grouped { rows: reader.groups()?, cut }
        }
        3 => {
            let (n, slots) = read_slots(&mut reader)?;
            Bag::First { n, slots }
        }
        4 => {
            let (n, slots) = read_slots(&mut reader)?;
            Bag::MostRecent { n, slots }
        }
        tag => return Err(DecodeError::UnknownTag { what: "bag", tag }.into()),
    };
    if !reader.is_empty() {
        return Err(malformed("a bag has bytes left over"));
    }
    match bags.add(BagKey { query, stage }, bag) {
        0 => Ok(()),
        _ => Err(DecodeError::ShapeMismatch.into()),
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use pivot_advice::{Aggregate, Errors, Groups, Keep, Value};
    use proptest::prelude::*;
    use prost::Message;

    /// `proto/pivot/v1/baggage.proto`, as prost reads it.
    #[derive(Clone, PartialEq, Message)]
    struct Envelope {
        #[prost(uint32, tag = "1")]
        version: u32,
        #[prost(bytes = "vec", tag = "2")]
        request: Vec<u8>,
        #[prost(fixed64, tag = "3")]
        clock: u64,
        #[prost(fixed64, tag = "4")]
        root: u64,
        #[prost(bytes = "vec", tag = "5")]
        share: Vec<u8>,
        #[prost(bool, tag = "6")]
        partial: bool,
        #[prost(double, optional, tag = "7")]
        keep: Option<f64>,
        #[prost(bytes = "vec", repeated, tag = "8")]
        active: Vec<Vec<u8>>,
        #[prost(message, repeated, tag = "9")]
        frozen: Vec<Frozen>,
        #[prost(uint64, tag = "10")]
        began_ms: u64,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Frozen {
        #[prost(fixed64, tag = "1")]
        uid: u64,
        #[prost(bytes = "vec", tag = "2")]
        domain: Vec<u8>,
        #[prost(bool, tag = "3")]
        never: bool,
        #[prost(bytes = "vec", repeated, tag = "4")]
        bags: Vec<Vec<u8>>,
    }

    const KEEPS: [Keep; 3] = [Keep::All, Keep::First(2), Keep::MostRecent(3)];

    fn key(number: u32) -> BagKey {
        BagKey { query: QueryId::new(9, number), stage: 300 }
    }

    fn pack(baggage: &mut Baggage, times: u64) {
        for i in 0..times {
            for (number, keep) in KEEPS.into_iter().enumerate() {
                let mut rows = Groups::new(2, &[Aggregate::Sum, Aggregate::Max]);
                let group = rows.entry(&[Value::str("host"), Value::U64(i)]);
                group.n = 1;
                let update = |state: &mut pivot_advice::State| {
                    state.update(&Value::U64(i), 1, &mut Errors::default());
                };
                group.states.iter_mut().for_each(update);
                baggage.pack(key(number as u32), keep, [rows.empty_like(), rows]);
            }
        }
    }

    /// A branch with everything that an envelope can hold, and its parent.
    fn sample() -> (Baggage, Baggage) {
        let mut parent = Baggage::of(Branch { began_ms: Some(1_790_000_000_000), ..Branch::root() });
        parent.keep_at_most(0.25);
        pack(&mut parent, 4);
        let mut child = parent.fork();
        let _foreign = child.join(Baggage::of(Branch::root()));
        pack(&mut child, 2);
        (child, parent)
    }

    fn decoded(bytes: &[u8]) -> Baggage {
        Baggage::decode(bytes).unwrap()
    }

    #[test]
    fn the_envelope_is_what_prost_would_write() {
        let (child, parent) = sample();
        for baggage in [child, parent] {
            let (partial, instances) = (baggage.is_partial(), baggage.instances());
            let bytes = baggage.encode();
            let envelope = Envelope::decode(bytes.as_slice()).unwrap();
            assert_eq!((envelope.version, envelope.partial, envelope.keep), (1, partial, Some(0.25)));
            assert_eq!((envelope.request.len(), envelope.frozen.len()), (16, instances));
            assert_eq!(envelope.encode_to_vec(), bytes);
        }
    }

    #[test]
    fn a_branch_is_the_same_after_it_travelled() {
        let (child, _parent) = sample();
        let seen = |baggage: &Baggage| {
            KEEPS.map(|keep| {
                let number = KEEPS.iter().position(|other| *other == keep).unwrap_or_default();
                baggage.unpack(key(number as u32)).map(|rows| rows.into_owned())
            })
        };
        let known = |baggage: &Baggage| (baggage.request(), baggage.share(), baggage.began_ns());
        let before = (seen(&child), known(&child));
        let bytes = child.encode();
        let after = decoded(&bytes);
        assert_eq!((seen(&after), known(&after)), before);
        assert_eq!(after.encode(), bytes);
    }

    #[test]
    fn nothing_travels_as_no_bytes() {
        assert!(Baggage::new().encode().is_empty());
        assert!(decoded(&[]).is_unborn());
    }

    #[test]
    fn unknown_fields_travel_on() {
        let (child, _parent) = sample();
        let mut envelope = child.encode();
        let news = [0xa2, 0x06, 2, b'h', b'i'];
        let instance = [&[9, 1, 2, 3, 4, 5, 6, 7, 8], news.as_slice()].concat();
        envelope.extend_from_slice(&[9 << 3 | 2, instance.len() as u8]);
        envelope.extend_from_slice(&instance);
        envelope.extend_from_slice(&news);
        let mut branch = decoded(&envelope);
        let onward = branch.fork().encode();
        assert_eq!(onward.windows(news.len()).filter(|part| *part == news).count(), 2);
        assert!(onward.ends_with(&news));
    }

    #[test]
    fn what_does_not_fit_is_left_behind_newest_query_first() {
        let (child, _parent) = sample();
        let length = child.encode().len();
        let kept = |limit: usize| {
            let cut = decoded(&sample().0.encode_within(limit));
            assert!(cut.is_partial());
            assert_eq!(cut.instances(), 1);
            (0..3).filter(|number| cut.unpack(key(*number)).is_some()).collect::<Vec<u32>>()
        };
        assert_eq!(kept(length), [0, 1, 2]);
        assert_eq!(kept(length - 1), [0, 1]);
        assert_eq!(kept(0), []);
    }

    fn check_refused(bytes: &[u8], expected: BaggageError) {
        assert_eq!(Baggage::decode(bytes).map(|_| ()), Err(expected));
    }

    #[test]
    fn malformed_baggage_is_refused_with_its_reason() {
        let good = Envelope::decode(sample().0.encode().as_slice()).unwrap();
        let check = |change: fn(&mut Envelope), expected: BaggageError| {
            let mut envelope = good.clone();
            change(&mut envelope);
            check_refused(&envelope.encode_to_vec(), expected);
        };
        check(|envelope| envelope.version = 2, BaggageError::Version { version: 2 });
        check(|envelope| envelope.request.truncate(15), malformed("the request id is not 16 bytes"));
        check(|envelope| envelope.keep = Some(f64::NAN), malformed("the sampling rate is not a fraction"));
        check(|envelope| envelope.share = vec![65], malformed("an interval of a share is out of bounds"));
        check(|envelope| envelope.active[0].push(0), malformed("a bag has bytes left over"));
        check(|envelope| envelope.active[0][0] = 9, DecodeError::UnknownTag { what: "bag", tag: 9 }.into());
        check(
            |envelope| envelope.frozen = vec![envelope.frozen[0].clone(); 2],
            malformed("an instance is repeated"),
        );
        check(|envelope| envelope.frozen = vec![Frozen::default(); 1025], malformed("too many instances"));
        check_refused(&vec![0; MAX_BYTES + 1], BaggageError::TooLong { bytes: MAX_BYTES + 1 });
        check_refused(&[8, 1, 16, 1], malformed("a field is of the wrong type"));
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_an_error_or_another_baggage(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            length in any::<prop::sample::Index>()
        ) {
            let mut bytes = sample().0.encode();
            damage.iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = *byte);
            bytes.truncate(length.index(bytes.len() + 1));
            if let Ok(mut baggage) = Baggage::decode(&bytes) {
                let _joined = baggage.join(decoded(&sample().0.encode()));
                let again = baggage.fork().encode_within(MAX_BYTES);
                prop_assert!(Baggage::decode(&again).is_ok());
            }
        }
    }
}
