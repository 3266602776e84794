//! Reads the envelope of a branch; see [`super::envelope`].
//!
//! What arrives comes from a network: lengths, counts and shares are bounded before anything is allocated for
//! them, and an envelope that cannot be read is refused, counted, and never fails the request.

use crate::baggage::Baggage;
use crate::carry::leaks;
use crate::causality::branch::{Branch, first_root};
use crate::causality::clock::Hlc;
use crate::causality::instance::{Instance, Instances, copies};
use crate::causality::request_generation;
use crate::causality::share::Share;
use crate::error::{BaggageError, malformed};
use crate::format::bags::bag_header::peek_key;
use crate::format::bags::bag_map::BagMap;
use crate::format::bags::lazy_bag::LazyBag;
use crate::format::envelope::{
    MAX_BYTES, MAX_INSTANCES, SIGNATURE_FIELD, VERSION, field, instance_field, reply_kind,
};
use crate::format::protobuf::{EncodedField, for_each_field};
use crate::format::shared_bytes::SharedBytes;
use crate::losses;

impl Baggage {
    /// Returns the branch that travelled in these bytes; no bytes are a branch without an id. A refusal is
    /// counted.
    #[track_caller]
    pub fn decode(bytes: &[u8]) -> Result<Baggage, BaggageError> {
        Baggage::decode_from(bytes.len(), |out| {
            out.copy_from_slice(bytes);
            true
        })
    }

    /// Returns the branch that travelled in so many bytes, which `fill` writes where they stay, instead of
    /// having them copied there; it says whether it could.
    #[track_caller]
    pub fn decode_from(length: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Result<Baggage, BaggageError> {
        Baggage::decode_expecting(length, fill, &mut None)
    }

    /// Returns the branch that travelled in so many bytes, which may be a reply to what was `sent`.
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
                let mut is_filled = false;
                let bytes = SharedBytes::filled(length, |bytes| is_filled = fill(bytes));
                if is_filled { read_branch(&bytes, sent) } else { Err(malformed("it could not be read")) }
            }
        };

        let mut branch = read.inspect_err(|_| losses::MALFORMED.add(1))?;
        branch.origin = leaks::origin();
        Ok(Baggage(Some(branch)))
    }
}

/// Reads an envelope. A reply is understood with what was sent, and takes it if the branch comes back as it
/// was.
fn read_branch(bytes: &SharedBytes, sent: &mut Option<Box<Branch>>) -> Result<Box<Branch>, BaggageError> {
    let mut branch = Box::new(Branch::blank(0));
    let (mut version, mut request, mut root) = (0, None, None);
    let (mut is_signed, mut reply) = (false, 0);

    for_each_field(bytes, |field| {
        match field.number {
            field::VERSION => version = field.varint()?,
            field::REQUEST => request = Some(field.bytes()?),
            field::CLOCK => branch.clock.receive(Hlc::from_u64(field.fixed64()?)),
            field::ROOT => root = Some(field.fixed64()?),
            field::SHARE => branch.share = read_share(field)?,
            field::PARTIAL => branch.partial |= field.varint()? != 0,
            field::SAMPLING_RATE => branch.sampling_rate = fraction(f64::from_bits(field.fixed64()?))?,
            field::ACTIVE_BAG => note_bag(bytes, field.bytes()?, &mut branch.active)?,
            field::INSTANCE => branch.frozen.push(read_instance(bytes, field.bytes()?)?),
            field::GENERATION => branch.generation = field.varint()?,
            field::REPLY => reply = field.varint()?,
            field::BARE_REPLY => branch.has_bare_reply |= field.varint()? != 0,
            SIGNATURE_FIELD => is_signed = true,
            _ => branch.unknown.extend_from_slice(field.raw),
        }
        if branch.frozen.len() > MAX_INSTANCES { Err(malformed("too many instances")) } else { Ok(()) }
    })?;

    if version != VERSION {
        return Err(BaggageError::Version { version });
    }

    sort(&mut branch.frozen);
    match reply {
        0 => identify(&mut branch, request, root)?,
        reply_kind::CHANGED => restore(&mut branch, sent.as_deref().ok_or(malformed("a reply to nothing"))?),
        reply_kind::UNCHANGED => return sent.take().ok_or(malformed("a reply to nothing")),
        _ => return Err(malformed("a reply of a kind that nobody knows")),
    }

    // The branch may travel on in these bytes unless something has to be written anew: what an anonymous
    // branch gathered itself, which has to be sealed; a signature, which ends where it was checked; a reply,
    // which only its caller understands; a generation that is lowered here.
    let is_sealed = !branch.share.is_empty() || branch.active.is_empty();
    let generation = request_generation::at_arrival(branch.generation);
    let is_same = is_sealed && !is_signed && reply == 0 && generation == branch.generation;
    branch.arrived = is_same.then(|| bytes.clone());
    branch.generation = generation;

    let is_repeated = branch.frozen.windows(2).any(|pair| pair[0].uid == pair[1].uid);
    if is_repeated { Err(malformed("an instance is repeated")) } else { Ok(branch) }
}

/// Sets the ids of a branch that is not a reply.
fn identify(branch: &mut Branch, request: Option<&[u8]>, root: Option<u64>) -> Result<(), BaggageError> {
    let request = request.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    branch.request = u128::from_be_bytes(request.ok_or(malformed("the request id is not 16 bytes"))?);
    branch.root = root.unwrap_or(first_root(branch.request));
    Ok(())
}

/// Adds what a reply leaves out to the branch that came with it.
fn restore(branch: &mut Branch, sent: &Branch) {
    let Branch { request, root, sampling_rate, clock, .. } = *sent;
    (branch.request, branch.root, branch.sampling_rate) = (request, root, sampling_rate);
    branch.clock.receive(clock);
    branch.unknown.clone_from(&sent.unknown);

    // Instances that came back have changed since they were sent: their domain has grown, or a bag was cut.
    if branch.frozen.is_empty() {
        branch.frozen = copies(&sent.frozen);
        return;
    }
    let missing = sent.frozen.iter().filter(|instance| !branch.holds(instance.uid));
    let missing: Instances = missing.cloned().collect();
    branch.frozen.extend(missing);
    sort(&mut branch.frozen);
}

/// Sorts instances by uid, as whoever looks one up expects. They are written in this order, so mostly they
/// are.
fn sort(instances: &mut Instances) {
    if !instances.is_sorted_by_key(|instance| instance.uid) {
        instances.sort_by_key(|instance| instance.uid);
    }
}

fn read_instance(envelope: &SharedBytes, bytes: &[u8]) -> Result<Instance, BaggageError> {
    let (mut uid, mut domain, mut pinned) = (0, Share::default(), false);
    let (mut only, mut bags, mut unknown) = (None, BagMap::default(), Vec::new());

    for_each_field(bytes, |field| {
        match field.number {
            instance_field::UID => uid = field.fixed64()?,
            instance_field::DOMAIN => domain = read_share(field)?,
            instance_field::PINNED => pinned = field.varint()? != 0,
            // Most have a single bag. It is noted as bytes, and a map is made only if there are more.
            instance_field::BAG if only.is_none() && bags.is_empty() => {
                let bag = field.bytes()?;
                peek_key(bag)?;
                only = Some(bag);
            }
            instance_field::BAG => {
                only.take().map_or(Ok(()), |first| note_bag(envelope, first, &mut bags))?;
                note_bag(envelope, field.bytes()?, &mut bags)?;
            }
            _ => unknown.extend_from_slice(field.raw),
        }
        Ok(())
    })?;

    let mut instance = match only {
        Some(bag) => Instance::arrived(uid, domain, envelope.part(bag)),
        None => Instance::new(uid, domain, bags),
    };
    instance.pinned = pinned;
    instance.unknown = unknown;
    Ok(instance)
}

/// Notes where a bag lies. Of its content only the key is read.
fn note_bag(envelope: &SharedBytes, bytes: &[u8], bags: &mut BagMap) -> Result<(), BaggageError> {
    let added = bags.insert(peek_key(bytes)?, LazyBag::arrived(envelope.part(bytes)));
    if added { Ok(()) } else { Err(malformed("a bag is repeated")) }
}

fn read_share(field: EncodedField<'_>) -> Result<Share, BaggageError> {
    Share::decode(field.bytes()?).map_err(malformed)
}

fn fraction(rate: f64) -> Result<f64, BaggageError> {
    if (0.0..=1.0).contains(&rate) { Ok(rate) } else { Err(malformed("the sampling rate is not a fraction")) }
}
