//! Writes the envelope of a branch, within a limit of bytes; see [`super::envelope`].

use crate::baggage::Baggage;
use crate::causality::branch::{Branch, first_root};
use crate::causality::instance::Instance;
use crate::causality::share::Share;
use crate::format::cut::cut_newest;
use crate::format::envelope::{VERSION, field, instance_field, reply_kind};
use crate::format::protobuf::ProtoWriter;
use crate::format::query_byte_budgets::{self, travel_budget_bytes};
use crate::format::request_snapshot::RequestSnapshot;
use crate::losses;

/// About how many bytes an envelope takes without its bags.
const ENVELOPE_BYTES: usize = 96;

/// About how many bytes an instance takes without its bags.
const INSTANCE_BYTES: usize = 32;

/// About how many bytes a bag takes besides its own: the key and the length of its field.
const BAG_FIELD_BYTES: usize = 4;

impl Baggage {
    /// Returns the bytes in which the branch travels on, within [`budget_bytes`](crate::budget_bytes) or the
    /// larger budget of one of its queries; none if it has no id. The branch ends here: to go on here as well,
    /// fork and encode the fork.
    pub fn encode(self) -> Vec<u8> {
        let limit_bytes = self.branch().map_or(0, travel_budget_bytes);
        self.encode_within(limit_bytes)
    }

    /// Returns the bytes in which the branch travels on, within a limit. What does not fit is left behind,
    /// newest query first; the ids always travel.
    pub fn encode_within(self, limit_bytes: usize) -> Vec<u8> {
        let Some(mut branch) = self.into_branch() else { return Vec::new() };
        if query_byte_budgets::are_set() {
            branch.cut_to_query_budgets();
        }
        if let Some(arrived) = branch.arrived.as_ref().filter(|arrived| arrived.len() <= limit_bytes) {
            return arrived.to_vec();
        }
        write_within(&mut branch, limit_bytes, None)
    }

    /// Returns the bytes for a message that may reach any number of receivers, or none. They carry no share
    /// of the request, so each receiver goes on as a detached branch. This branch goes on as well.
    pub fn encode_detached(&self, limit_bytes: usize) -> Vec<u8> {
        let Some(mut branch) = self.detach().into_branch() else { return Vec::new() };
        (branch.root, branch.share) = (first_root(branch.request), Share::default());
        Baggage::from_branch(*branch).encode_within(limit_bytes)
    }
}

/// Writes a branch within a limit, and leaves behind what does not fit. A reply leaves out what came with its
/// request.
pub(crate) fn write_within(
    branch: &mut Branch,
    limit_bytes: usize,
    request: Option<&RequestSnapshot>,
) -> Vec<u8> {
    branch.seal();
    if query_byte_budgets::are_set() {
        branch.cut_to_query_budgets();
    }

    // Whatever is cut leaves a mark, so the next attempt may still be too long. Each leaves something behind,
    // until nothing is left but ids and marks, which travel even if they are too long.
    loop {
        let bytes = write_branch(branch, request);
        let excess = bytes.len().saturating_sub(limit_bytes);
        let left_behind = if excess > 0 { cut_newest(branch, excess) } else { 0 };
        if left_behind == 0 {
            return bytes;
        }
        losses::OVERFLOWED.add(left_behind);
    }
}

/// Whether an instance has to be written: the caller does not have it, or not like this.
fn is_new(instance: &Instance, request: Option<&RequestSnapshot>) -> bool {
    !request.is_some_and(|request| request.has(instance))
}

fn write_branch(branch: &Branch, request: Option<&RequestSnapshot>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(room_for(branch, request));
    bytes.varint_field(field::VERSION, VERSION);

    // The caller knows the ids of its request.
    if request.is_none() {
        bytes.bytes_field(field::REQUEST, &branch.request.to_be_bytes());
    }
    if request.is_none_or(|request| request.clock != branch.clock) {
        bytes.fixed64_field(field::CLOCK, branch.clock.to_u64());
    }
    if request.is_none() && branch.root != first_root(branch.request) {
        bytes.fixed64_field(field::ROOT, branch.root);
    }

    bytes.bytes_field(field::SHARE, &branch.share.encode());
    bytes.varint_field(field::PARTIAL, u64::from(branch.partial));
    if request.is_none() && branch.sampling_rate < 1.0 {
        // Written even when it is zero: its absence means 1.
        bytes.varint(field::SAMPLING_RATE << 3 | 1);
        bytes.extend_from_slice(&branch.sampling_rate.to_le_bytes());
    }

    for (key, bag) in branch.active.iter() {
        bytes.bytes_field(field::ACTIVE_BAG, bag.encoded(*key));
    }
    for instance in branch.frozen.iter().filter(|instance| is_new(instance, request)) {
        write_instance(&mut bytes, instance);
    }
    bytes.varint_field(field::GENERATION, branch.generation);
    if request.is_some() {
        bytes.varint_field(field::REPLY, reply_kind::CHANGED);
    }
    bytes.varint_field(field::BARE_REPLY, u64::from(branch.has_bare_reply));

    if request.is_none() {
        bytes.extend_from_slice(&branch.unknown);
    }
    bytes
}

/// Returns about how many bytes a branch takes, so that they are allocated once.
fn room_for(branch: &Branch, request: Option<&RequestSnapshot>) -> usize {
    let mut room = ENVELOPE_BYTES + branch.unknown.len();
    for (key, bag) in branch.active.iter() {
        room += bag.encoded(*key).len() + BAG_FIELD_BYTES;
    }
    for instance in branch.frozen.iter().filter(|instance| is_new(instance, request)) {
        room += INSTANCE_BYTES;
        instance.each_encoded(|bag| room += bag.len() + BAG_FIELD_BYTES);
    }
    room
}

/// Appends an instance.
fn write_instance(bytes: &mut Vec<u8>, instance: &Instance) {
    let domain = instance.domain.encode();

    // The length of a message stands in front of it, and is summed up before its fields are written.
    let uid = if instance.uid == 0 { 0 } else { 9 };
    let ids = uid + field_bytes(domain.len()) + 2 * usize::from(instance.pinned);
    let mut bags = 0;
    instance.each_encoded(|bag| bags += field_bytes(bag.len()));
    bytes.open_field(field::INSTANCE, ids + bags + instance.unknown.len());

    bytes.fixed64_field(instance_field::UID, instance.uid);
    bytes.bytes_field(instance_field::DOMAIN, &domain);
    bytes.varint_field(instance_field::PINNED, u64::from(instance.pinned));
    instance.each_encoded(|bag| bytes.bytes_field(instance_field::BAG, bag));
    bytes.extend_from_slice(&instance.unknown);
}

/// Returns how many bytes a field takes whose value has so many: its key, its length, its value.
fn field_bytes(length: usize) -> usize {
    match length {
        0 => 0,
        1..0x80 => 2 + length,
        0x80..0x4000 => 3 + length,
        _ => 1 + (usize::BITS - length.leading_zeros()).div_ceil(7) as usize + length,
    }
}
