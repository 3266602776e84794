//! The form in which baggage travels: the envelope of `proto/pivot/v1/baggage.proto`.
//!
//! Each bag is one opaque field of it, in the layout of `layout.rs`. To read an envelope is to take
//! its ids and to note where its bags lie; they are taken apart when somebody needs them.

use crate::baggage::Baggage;
use crate::carry::leaks;
use crate::causality::branch::{Branch, first_root};
use crate::causality::budget::budget_bytes;
use crate::causality::clock::Hlc;
use crate::causality::generation;
use crate::causality::instance::{Instance, Instances, copies};
use crate::causality::share::Share;
use crate::error::{BaggageError, malformed};
use crate::format::bag_header::peek_key;
use crate::format::bag_map::BagMap;
use crate::format::cut::cut_newest;
use crate::format::lazy_bag::LazyBag;
use crate::format::protobuf::{ProtoField, ProtoWriter, for_each_field};
use crate::format::request_snapshot::RequestSnapshot;
use crate::format::shared_bytes::SharedBytes;
use crate::losses;

/// The longest encoded baggage that is read. Others may have a larger limit than ours.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most frozen instances that an encoded baggage may have.
pub const MAX_INSTANCES: usize = 1024;

/// The field of a signature, which whoever knows the key appends and takes off; others ignore it.
pub const SIGNATURE_FIELD: u64 = 15;

/// The field that marks an answer, which leaves out what came with its request.
pub(crate) const ANSWER_FIELD: u64 = 11;

/// Its value where nothing else came about.
pub(crate) const AS_IT_WAS: u64 = 2;

/// The version that is written, and the only one that is read.
pub const VERSION: u64 = 1;

impl Baggage {
    /// The bytes in which the branch travels on, within [`budget_bytes`]; none if it is not born.
    /// It ends here: to go on here as well, fork and encode the fork.
    pub fn encode(self) -> Vec<u8> {
        self.encode_within(budget_bytes())
    }

    /// The same within another limit. What does not fit is left behind, by the rule of
    /// [`crate::format::cut`]; the ids always travel.
    pub fn encode_within(self, limit_bytes: usize) -> Vec<u8> {
        let Some(mut branch) = self.into_branch() else { return Vec::new() };
        if let Some(came) = branch.arrived.as_ref().filter(|came| came.len() <= limit_bytes) {
            return came.to_vec();
        }
        write_within(&mut branch, limit_bytes, None)
    }

    /// The bytes for a message that may reach any number of receivers, or none: they carry no id,
    /// so each receiver goes on as a detached branch. This branch goes on as well.
    pub fn encode_detached(&self, limit_bytes: usize) -> Vec<u8> {
        let Some(mut branch) = self.detach().into_branch() else { return Vec::new() };
        (branch.root, branch.share) = (first_root(branch.request), Share::default());
        Baggage::of(*branch).encode_within(limit_bytes)
    }

    /// The branch that travelled in these bytes; one not born from no bytes. A refusal is counted.
    #[track_caller]
    pub fn decode(bytes: &[u8]) -> Result<Baggage, BaggageError> {
        Baggage::decode_from(bytes.len(), |out| {
            out.copy_from_slice(bytes);
            true
        })
    }

    /// The same for so many bytes that the caller writes into their place, instead of having them
    /// copied there. `fill` says whether it could.
    #[track_caller]
    pub fn decode_from(length: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Result<Baggage, BaggageError> {
        Baggage::decode_expecting(length, fill, &mut None)
    }

    #[track_caller]
    pub(crate) fn decode_expecting(
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> bool,
        sent: &mut Option<Box<Branch>>,
    ) -> Result<Baggage, BaggageError> {
        let read = match length {
            0 => return Ok(Baggage::new()),
            bytes if bytes > MAX_BYTES => Err(BaggageError::TooLong { bytes }),
            _ => {
                let mut filled = false;
                let bytes = SharedBytes::filled(length, |bytes| filled = fill(bytes));
                if filled { read_branch(&bytes, sent) } else { Err(malformed("it could not be read")) }
            }
        };
        let mut branch = read.inspect_err(|_| losses::MALFORMED.add(1))?;
        branch.origin = leaks::origin();
        Ok(Baggage(Some(branch)))
    }

    /// Goes on as a detached branch.
    pub fn into_detached(mut self) -> Baggage {
        self.forgive();
        self.detach()
    }
}

/// What an envelope takes without its bags, roughly.
const ENVELOPE_BYTES: usize = 96;

/// What an instance takes without its bags, roughly.
const INSTANCE_BYTES: usize = 32;

/// Leaves behind what does not fit. An answer leaves out what came with its request.
pub(crate) fn write_within(
    branch: &mut Branch,
    limit_bytes: usize,
    asked: Option<&RequestSnapshot>,
) -> Vec<u8> {
    branch.seal();
    loop {
        let bytes = write_branch(branch, asked);
        let excess = bytes.len().saturating_sub(limit_bytes);
        let left_behind = if excess > 0 { cut_newest(branch, excess) } else { 0 };
        if left_behind == 0 {
            return bytes;
        }
        losses::OVERFLOWED.add(left_behind);
    }
}

fn write_branch(branch: &Branch, asked: Option<&RequestSnapshot>) -> Vec<u8> {
    let new = |instance: &&Instance| !asked.is_some_and(|asked| asked.has(instance));
    let mut room = ENVELOPE_BYTES + branch.unknown.len();
    branch.active.iter().for_each(|(key, section)| room += section.encoded(*key).len() + 4);
    for instance in branch.frozen.iter().filter(new) {
        room += INSTANCE_BYTES;
        instance.each_encoded(|bag| room += bag.len() + 4);
    }
    let mut bytes = Vec::with_capacity(room);
    bytes.varint_field(1, VERSION);
    if asked.is_none() {
        bytes.bytes_field(2, &branch.request.to_be_bytes());
    }
    if asked.is_none_or(|asked| asked.clock != branch.clock) {
        bytes.fixed64_field(3, branch.clock.to_u64());
    }
    if asked.is_none() && branch.root != first_root(branch.request) {
        bytes.fixed64_field(4, branch.root);
    }
    bytes.bytes_field(5, &branch.share.encode());
    bytes.varint_field(6, u64::from(branch.partial));
    if asked.is_none() && branch.sampling_rate < 1.0 {
        // Written even when it is zero: its absence means 1.
        bytes.varint(7 << 3 | 1);
        bytes.extend_from_slice(&branch.sampling_rate.to_le_bytes());
    }
    write_bags(&mut bytes, 8, &branch.active);
    branch.frozen.iter().filter(new).for_each(|instance| write_instance(&mut bytes, instance));
    bytes.varint_field(10, branch.generation);
    if asked.is_none() {
        bytes.extend_from_slice(&branch.unknown);
    } else {
        bytes.varint_field(ANSWER_FIELD, 1);
    }
    bytes
}

/// Appends an instance, whose length stands in front.
fn write_instance(bytes: &mut Vec<u8>, instance: &Instance) {
    let domain = instance.domain.encode();
    let ids =
        if instance.uid == 0 { 0 } else { 9 } + field_bytes(domain.len()) + 2 * usize::from(instance.pinned);
    let mut bags = 0;
    instance.each_encoded(|bag| bags += field_bytes(bag.len()));
    bytes.open_field(9, ids + bags + instance.unknown.len());
    bytes.fixed64_field(1, instance.uid);
    bytes.bytes_field(2, &domain);
    bytes.varint_field(3, u64::from(instance.pinned));
    instance.each_encoded(|bag| bytes.bytes_field(4, bag));
    bytes.extend_from_slice(&instance.unknown);
}

/// What a field of so many bytes takes.
fn field_bytes(length: usize) -> usize {
    match length {
        0 => 0,
        1..0x80 => 2 + length,
        0x80..0x4000 => 3 + length,
        _ => 1 + (usize::BITS - length.leading_zeros()).div_ceil(7) as usize + length,
    }
}

fn write_bags(bytes: &mut Vec<u8>, number: u64, bags: &BagMap) {
    bags.iter().for_each(|(key, section)| bytes.bytes_field(number, section.encoded(*key)));
}

/// Takes what was sent if it comes back as it was.
fn read_branch(bytes: &SharedBytes, sent: &mut Option<Box<Branch>>) -> Result<Box<Branch>, BaggageError> {
    let mut branch = Box::new(Branch::blank(0));
    let (mut version, mut request, mut root) = (0, None, None);
    let (mut signed, mut answer) = (false, 0);
    for_each_field(bytes, |field| {
        match field.number {
            1 => version = field.varint()?,
            2 => request = Some(field.bytes()?),
            3 => branch.clock.receive(Hlc::from_u64(field.fixed64()?)),
            4 => root = Some(field.fixed64()?),
            5 => branch.share = read_share(field)?,
            6 => branch.partial |= field.varint()? != 0,
            7 => branch.sampling_rate = fraction(f64::from_bits(field.fixed64()?))?,
            8 => take_bag(bytes, field.bytes()?, &mut branch.active)?,
            9 => branch.frozen.push(read_instance(bytes, field.bytes()?)?),
            10 => branch.generation = field.varint()?,
            ANSWER_FIELD => answer = field.varint()?,
            SIGNATURE_FIELD => signed = true,
            _ => branch.unknown.extend_from_slice(field.raw),
        }
        if branch.frozen.len() > MAX_INSTANCES { Err(malformed("too many instances")) } else { Ok(()) }
    })?;
    if version != VERSION {
        return Err(BaggageError::Version { version });
    }
    sort(&mut branch.frozen);
    match answer {
        0 => identify(&mut branch, request, root)?,
        1 => restore(&mut branch, sent.as_deref().ok_or(malformed("an answer to nothing"))?),
        AS_IT_WAS => return sent.take().ok_or(malformed("an answer to nothing")),
        _ => return Err(malformed("an answer of a kind that nobody knows")),
    }
    // What an anonymous branch gathered itself has to be sealed before it travels, a signature ends
    // where it was looked at, and an answer is understood only by who asked.
    let sealed = !branch.share.is_empty() || branch.active.is_empty();
    let generation = generation::at_arrival(branch.generation);
    let same = sealed && !signed && answer == 0 && generation == branch.generation;
    branch.arrived = same.then(|| bytes.clone());
    branch.generation = generation;
    let repeated = branch.frozen.windows(2).any(|pair| pair[0].uid == pair[1].uid);
    if repeated { Err(malformed("an instance is repeated")) } else { Ok(branch) }
}

/// Adds what an answer leaves out.
fn restore(branch: &mut Branch, sent: &Branch) {
    let Branch { request, root, sampling_rate, clock, .. } = *sent;
    (branch.request, branch.root, branch.sampling_rate) = (request, root, sampling_rate);
    branch.clock.receive(clock);
    branch.unknown.clone_from(&sent.unknown);
    if branch.frozen.is_empty() {
        branch.frozen = copies(&sent.frozen);
        return;
    }
    let missing = sent.frozen.iter().filter(|instance| !branch.holds(instance.uid));
    let missing: Instances = missing.cloned().collect();
    branch.frozen.extend(missing);
    sort(&mut branch.frozen);
}

fn sort(instances: &mut Instances) {
    if !instances.is_sorted_by_key(|instance| instance.uid) {
        instances.sort_by_key(|instance| instance.uid);
    }
}

fn identify(branch: &mut Branch, request: Option<&[u8]>, root: Option<u64>) -> Result<(), BaggageError> {
    let request = request.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    branch.request = u128::from_be_bytes(request.ok_or(malformed("the request id is not 16 bytes"))?);
    branch.root = root.unwrap_or(first_root(branch.request));
    Ok(())
}

fn read_instance(envelope: &SharedBytes, bytes: &[u8]) -> Result<Instance, BaggageError> {
    let (mut uid, mut domain, mut pinned) = (0, Share::default(), false);
    let (mut only, mut bags, mut unknown) = (None, BagMap::default(), Vec::new());
    for_each_field(bytes, |field| {
        match field.number {
            1 => uid = field.fixed64()?,
            2 => domain = read_share(field)?,
            3 => pinned = field.varint()? != 0,
            4 if only.is_none() && bags.is_empty() => {
                let bag = field.bytes()?;
                peek_key(bag)?;
                only = Some(bag);
            }
            4 => {
                only.take().map_or(Ok(()), |first| take_bag(envelope, first, &mut bags))?;
                take_bag(envelope, field.bytes()?, &mut bags)?;
            }
            _ => unknown.extend_from_slice(field.raw),
        }
        Ok(())
    })?;
    let mut instance = match only {
        Some(bag) => Instance::arrived(uid, domain, pinned, envelope.part(bag)),
        None => Instance::new(uid, domain, pinned, bags),
    };
    instance.unknown = unknown;
    Ok(instance)
}

fn read_share(field: ProtoField<'_>) -> Result<Share, BaggageError> {
    Share::decode(field.bytes()?).map_err(malformed)
}

fn fraction(keep: f64) -> Result<f64, BaggageError> {
    if (0.0..=1.0).contains(&keep) { Ok(keep) } else { Err(malformed("the sampling rate is not a fraction")) }
}

/// Notes where a bag lies.
fn take_bag(envelope: &SharedBytes, bytes: &[u8], bags: &mut BagMap) -> Result<(), BaggageError> {
    let added = bags.insert(peek_key(bytes)?, LazyBag::arrived(envelope.part(bytes)));
    if added { Ok(()) } else { Err(malformed("a bag is repeated")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use pivot_advice::{Aggregate, BagKey, DecodeError, Errors, Groups, Keep, QueryId, Value};
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
        generation: u64,
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
        let mut parent = Baggage::of(Branch { generation: 1_790_000_000_000, ..Branch::root() });
        parent.lower_sampling_rate(0.25);
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
            let (partial, instances) = (baggage.is_partial(), baggage.instance_count());
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
        let known = |baggage: &Baggage| (baggage.request(), baggage.share(), baggage.generation());
        let before = (seen(&child), known(&child));
        let bytes = child.encode();
        let after = decoded(&bytes);
        assert_eq!((seen(&after), known(&after)), before);
        assert_eq!(after.encode(), bytes);
    }

    #[test]
    fn nothing_travels_as_no_bytes() {
        assert!(Baggage::new().encode().is_empty());
        assert!(decoded(&[]).has_no_id());
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
        let length = sample().0.encode_within(MAX_BYTES).len();
        // Which bags lack something within a limit, and which have nothing at all.
        let cut = |limit: usize| {
            let bytes = sample().0.encode_within(limit);
            let baggage = decoded(&bytes);
            let sound = Branch { partial: false, ..*baggage.into_branch().unwrap() };
            let baggage = Baggage::of(sound);
            let all = 0..3u32;
            let lacking: Vec<u32> =
                all.clone().filter(|number| baggage.is_incomplete(key(*number))).collect();
            let rows = |number: &u32| baggage.unpack(key(*number)).map_or(0, |rows| rows.len());
            (bytes.len() <= limit, lacking, all.map(|number| rows(&number)).collect::<Vec<_>>())
        };
        assert_eq!(cut(length), (true, vec![], vec![4, 1, 2]));
        assert_eq!(cut(length - 1), (true, vec![2], vec![4, 1, 0]));
        let (fits, lacking, rows) = cut(180);
        assert!(fits && lacking == [0, 1, 2] && (1..4).contains(&rows[0]), "{rows:?}");
        assert_eq!((cut(0).1, cut(0).2), (vec![0, 1, 2], vec![0, 0, 0]));
    }

    #[test]
    fn bags_without_key_columns_are_never_cut() {
        let mut baggage = Baggage::new();
        let mut mark = Groups::new(0, &[]);
        mark.entry(&[]).n = 1;
        baggage.pack(key(9), Keep::All, [mark]);
        pack(&mut baggage, 1);
        let arrived = decoded(&baggage.encode_within(0));
        assert_eq!(arrived.unpack(key(9)).map(|rows| rows.len()), Some(1));
        assert!(!arrived.is_incomplete(key(9)) && arrived.is_incomplete(key(0)));
    }

    #[test]
    fn a_group_beyond_a_cut_is_not_taken_again() {
        let (child, _parent) = sample();
        let mut cut = decoded(&child.encode_within(0));
        let before = losses::losses().overflowed;
        pack(&mut cut, 1);
        assert_eq!(cut.unpack(key(0)).map(|rows| rows.len()), Some(0));
        assert!(cut.is_incomplete(key(1)) && cut.unpack(key(1)).is_none());
        assert!(losses::losses().overflowed > before);
    }

    #[test]
    fn a_bag_that_nobody_needs_is_never_taken_apart() {
        let (child, _parent) = sample();
        let good = Envelope::decode(child.encode().as_slice()).unwrap();
        let mut envelope = good.clone();
        envelope.active[0].push(0);
        let bytes = envelope.encode_to_vec();
        let baggage = decoded(&bytes);
        assert_eq!(baggage.unpack(key(1)).map(|rows| rows.len()), Some(1));
        assert_eq!(baggage.encode(), bytes, "as it came");
        let mut baggage = decoded(&bytes);
        let onward = Envelope::decode(baggage.fork().encode().as_slice()).unwrap();
        assert!(onward.frozen.iter().any(|instance| instance.bags == envelope.active));
    }

    #[test]
    fn a_bag_that_cannot_be_read_is_missing_and_counted() {
        for damage in [|bag: &mut Vec<u8>| bag.push(0), |bag: &mut Vec<u8>| bag[0] = 9] {
            let mut envelope = Envelope::decode(sample().0.encode().as_slice()).unwrap();
            (envelope.partial, envelope.frozen) = (false, Vec::new());
            damage(&mut envelope.active[0]);
            let mut baggage = decoded(&envelope.encode_to_vec());
            let before = losses::losses().malformed;
            assert!(
                baggage.unpack(key(0)).is_none()
                    && baggage.is_incomplete(key(0))
                    && !baggage.is_incomplete(key(1))
            );
            assert!(losses::losses().malformed > before);
            pack(&mut baggage, 1);
            assert!(baggage.is_partial());
        }
    }

    #[test]
    fn a_message_to_many_detaches_every_receiver() {
        let (mut child, _parent) = sample();
        let bytes = child.encode_detached(MAX_BYTES);
        let receivers = [(); 2].map(|()| decoded(&bytes).into_detached());
        for receiver in receivers {
            assert_eq!((receiver.request(), receiver.instance_count()), (child.request(), 0));
            assert_eq!(receiver.unpack(key(0)), child.unpack(key(0)));
            assert_eq!(child.join(receiver), crate::JoinOutcome::Foreign);
        }
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
        check(|envelope| envelope.active[0].truncate(8), DecodeError::Truncated.into());
        check(|envelope| envelope.active[1] = envelope.active[0].clone(), malformed("a bag is repeated"));
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
                for number in 0..3 {
                    let rows = baggage.unpack(key(number)).map(|rows| rows.len());
                    prop_assert!(rows.is_some() || baggage.is_incomplete(key(number)) || baggage.cut(key(number)).is_none());
                }
                prop_assert!(Baggage::decode(&baggage.fork().encode_within(100)).is_ok());
                let _joined = baggage.join(decoded(&sample().0.encode()));
                let again = baggage.fork().encode_within(MAX_BYTES);
                prop_assert!(Baggage::decode(&again).is_ok());
            }
        }
    }
}
