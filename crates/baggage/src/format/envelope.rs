//! The envelope: the bytes in which one branch of a request travels.
//!
//! It is a message of `proto/pivot/v1/baggage.proto`, written and read by hand: in the process of an
//! application there is no protobuf library, and to read an envelope is only to take its ids and to note
//! where its bags lie. They are decoded when somebody needs them, and a branch that nothing changes travels
//! on in the bytes in which it arrived.
//!
//! ```text
//! 08 01                                version 1
//! 12 10 <16 bytes>                     the id of the request, big-endian
//! 19 <8 bytes>                         its clock; left out while nothing was stamped
//! 2a 02 01 80                          the share of the branch: the right half
//! 42 0f 11 <query> 01 01 00 06 03 61   a bag that the branch alone holds: the key `a`, once
//! 4a <length> 09 <uid> 12 01 00 22 ..  an instance: its uid, its domain, which is the whole, and a bag
//! 50 07                                generation 7
//! ```
//!
//! `encode.rs` writes envelopes, `decode.rs` reads them. A reply may leave out what came with its request,
//! see [`crate::reply`].

/// The longest encoded baggage that is read, in bytes. Other processes may have a larger budget than ours.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most frozen instances that an encoded baggage may have.
pub const MAX_INSTANCES: usize = 1024;

/// The version that is written, and the only one that is read.
pub const VERSION: u64 = 1;

/// The field of a signature, which whoever knows the key appends and takes off; others ignore it.
pub const SIGNATURE_FIELD: u64 = 15;

/// The fields of the envelope, but for the signature.
pub(crate) mod field {
    pub(crate) const VERSION: u64 = 1;
    pub(crate) const REQUEST: u64 = 2;
    pub(crate) const CLOCK: u64 = 3;
    pub(crate) const ROOT: u64 = 4;
    pub(crate) const SHARE: u64 = 5;
    pub(crate) const PARTIAL: u64 = 6;
    pub(crate) const SAMPLING_RATE: u64 = 7;
    pub(crate) const ACTIVE_BAG: u64 = 8;
    pub(crate) const INSTANCE: u64 = 9;
    pub(crate) const GENERATION: u64 = 10;
    /// Marks a reply, which leaves out what came with its request; see [`crate::reply`].
    pub(crate) const REPLY: u64 = 11;
    pub(crate) const BARE_REPLY: u64 = 12;
}

/// The fields of an instance.
pub(crate) mod instance_field {
    pub(crate) const UID: u64 = 1;
    pub(crate) const DOMAIN: u64 = 2;
    pub(crate) const PINNED: u64 = 3;
    pub(crate) const BAG: u64 = 4;
}

/// The values of [`field::REPLY`].
pub(crate) mod reply_kind {
    /// The reply leaves out what came with its request and did not change.
    pub(crate) const CHANGED: u64 = 1;
    /// The branch comes back as it was sent, and no other field counts.
    pub(crate) const UNCHANGED: u64 = 2;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::baggage::Baggage;
    use crate::causality::branch::Branch;
    use crate::error::{BaggageError, malformed};
    use crate::losses;
    use pivot_advice::{
        AggregateKind, BagKey, DecodeError, EvalErrors, Groups, QueryId, TemporalFilter, Value,
    };
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
        frozen: Vec<FrozenMessage>,
        #[prost(uint64, tag = "10")]
        generation: u64,
        #[prost(bool, tag = "12")]
        bare_reply: bool,
    }

    #[derive(Clone, PartialEq, Message)]
    struct FrozenMessage {
        #[prost(fixed64, tag = "1")]
        uid: u64,
        #[prost(bytes = "vec", tag = "2")]
        domain: Vec<u8>,
        #[prost(bool, tag = "3")]
        never: bool,
        #[prost(bytes = "vec", repeated, tag = "4")]
        bags: Vec<Vec<u8>>,
    }

    const KEEPS: [TemporalFilter; 3] =
        [TemporalFilter::All, TemporalFilter::First(2), TemporalFilter::MostRecent(3)];

    fn key(number: u32) -> BagKey {
        BagKey { query: QueryId::new(9, number), stage: 300 }
    }

    fn pack(baggage: &mut Baggage, times: u64) {
        for i in 0..times {
            for (number, keep) in KEEPS.into_iter().enumerate() {
                let mut rows = Groups::new(2, &[AggregateKind::Sum, AggregateKind::Max]);
                let group = rows.entry(&[Value::str("host"), Value::U64(i)]);
                group.n = 1;
                let update = |state: &mut pivot_advice::AggregateState| {
                    state.update(&Value::U64(i), 1, &mut EvalErrors::default());
                };
                group.states.iter_mut().for_each(update);
                baggage.pack(key(number as u32), keep, [rows.empty_like(), rows]);
            }
        }
    }

    /// A branch with everything that an envelope can hold, and its parent.
    fn sample() -> (Baggage, Baggage) {
        let mut parent = Baggage::from_branch(Branch { generation: 1_790_000_000_000, ..Branch::root() });
        parent.lower_sampling_rate(0.25);
        pack(&mut parent, 4);
        let mut child = parent.fork();
        let _foreign = child.join(Baggage::from_branch(Branch::root()));
        child.note_bare_reply();
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
            let bare = baggage.has_bare_reply();

            let bytes = baggage.encode();
            let envelope = Envelope::decode(bytes.as_slice()).unwrap();
            assert_eq!((envelope.version, envelope.partial, envelope.keep), (1, partial, Some(0.25)));
            assert_eq!((envelope.request.len(), envelope.frozen.len()), (16, instances));
            assert_eq!(envelope.bare_reply, bare);
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
        let known = |baggage: &Baggage| {
            (baggage.request(), baggage.share(), baggage.generation(), baggage.has_bare_reply())
        };

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
            let baggage = Baggage::from_branch(sound);
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
        baggage.pack(key(9), TemporalFilter::All, [mark]);
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
        check(
            |envelope| envelope.frozen = vec![FrozenMessage::default(); 1025],
            malformed("too many instances"),
        );
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
