//! Calls and their replies. A reply need not repeat what came with its request: the caller, who has kept what
//! it sent, adds it again.
//!
//! ```text
//! caller                                                   callee
//! fork, encode_request ─▶ bytes ──── request ────▶ decode ─▶ Baggage ─▶ snapshot
//!          │                                                   │ works       │
//!          ▼                                                   ▼             ▼
//!   PendingReply ─▶ decode_reply ◀──── reply ──── bytes ◀─ encode_reply (snapshot)
//!                       │
//!                       ▼ join
//! ```
//!
//! Mostly a reply is what is new, about 30 bytes. If nothing is new it is [`UNCHANGED_REPLY`], four constant
//! bytes: neither side encodes or decodes anything, and the caller takes back the very branch that it sent. A
//! caller that keeps nothing, because it sends through a queue, cannot ask for such replies, and a callee
//! that was not asked answers in full.

use crate::baggage::Baggage;
use crate::carry::{leaks, reply_ledger};
use crate::causality::branch::Branch;
use crate::error::BaggageError;
use crate::format::call_tag::CallTag;
use crate::format::encode::write_within;
use crate::format::envelope::{VERSION, field, reply_kind};
use crate::format::query_byte_budgets::travel_budget_bytes;
use crate::format::request_snapshot::RequestSnapshot;
use std::borrow::Cow;

/// The bytes of a reply that changes nothing: the branch comes back as it was sent.
pub const UNCHANGED_REPLY: &[u8] =
    &[(field::VERSION << 3) as u8, VERSION as u8, (field::REPLY << 3) as u8, reply_kind::UNCHANGED as u8];

/// The branch that was sent with a request, by which the reply is understood; nothing once the branch has
/// come back.
#[derive(Debug)]
pub struct PendingReply(Option<Box<Branch>>);

impl Baggage {
    /// Returns the bytes in which the branch travels to a callee that replies, and what its reply is
    /// understood by, or `None` if it has no id. The branch ends here, and comes back with the reply.
    pub fn encode_request(self) -> Option<(Vec<u8>, PendingReply)> {
        let mut branch = self.into_branch()?;
        let limit_bytes = travel_budget_bytes(&branch);
        let bytes = write_within(&mut branch, limit_bytes, None);
        Some((bytes, PendingReply(Some(branch))))
    }

    /// Returns the bytes in which the branch travels back to its caller, and ends it here. With the snapshot
    /// of the request they leave out what the caller has.
    pub fn encode_reply(self, request: Option<&RequestSnapshot>) -> Cow<'static, [u8]> {
        let continued =
            |request: &RequestSnapshot| self.branch().is_some_and(|branch| request.is_continued_by(branch));
        let Some(request) = request else { return self.encode().into() };
        if !continued(request) {
            if let Some(branch) = self.branch() {
                note_left(request, branch);
            }
            return self.encode().into();
        }

        let Some(mut branch) = self.into_branch() else { return Cow::Borrowed(&[]) };
        if request.is_repeated_by(&branch) {
            return UNCHANGED_REPLY.into();
        }
        let limit_bytes = travel_budget_bytes(&branch);
        let bytes = write_within(&mut branch, limit_bytes, Some(request));
        note_left(request, &branch);
        bytes.into()
    }
}

/// Notes of which queries the reply to a request brings new tuples, so that somebody misses them if it loses them.
fn note_left(request: &RequestSnapshot, branch: &Branch) {
    if let Some(tag) = request.tag() {
        reply_ledger::note_left(tag, &request.queries_packed_since(branch));
    }
}

impl PendingReply {
    /// Returns the tag of the call, or `None` if the branch came back or is anonymous.
    pub fn tag(&self) -> Option<CallTag> {
        let branch = self.0.as_deref()?;
        CallTag::of(branch.request, branch.root, &branch.share, branch.clock)
    }

    /// Returns the branch that comes back in so many bytes, which `fill` writes; see
    /// [`Baggage::decode_from`]. After bytes that cannot be read the reply is still pending: others may bring
    /// the branch back.
    #[track_caller]
    pub fn decode_reply(
        &mut self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> bool,
    ) -> Result<Baggage, BaggageError> {
        let back = Baggage::decode_expecting(length, fill, &mut self.0)?;
        self.0 = None;
        Ok(back)
    }

    /// Returns the branch that comes back with [`UNCHANGED_REPLY`], or `None` if it came back before.
    #[track_caller]
    pub fn accept_unchanged(&mut self) -> Option<Baggage> {
        let mut branch = self.0.take()?;
        branch.origin = leaks::origin();
        Some(Baggage(Some(branch)))
    }

    /// Whether the branch has not come back yet.
    pub fn is_awaited(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::causality::instance::copies;
    use crate::{JoinOutcome, MAX_BYTES, Share};
    use pivot_advice::{BagKey, QueryId, TemporalFilter, Value};

    const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };

    fn pack(baggage: &mut Baggage, value: u64) {
        baggage.pack_row(KEY, &[], &[Value::U64(value)], 1, &[]);
    }

    fn rows(baggage: &Baggage) -> usize {
        baggage.unpack(KEY).map_or(0, |rows| rows.len())
    }

    /// Drops the bag from all instances, as a cut of another branch does that came along.
    fn leave_behind(baggage: &mut Baggage) {
        let branch = baggage.0.as_mut().unwrap();
        branch.arrived = None;
        branch.frozen.iter_mut().for_each(|instance| instance.change(|bags| bags.change(KEY, |_| None)));
    }

    fn copied(branch: &Branch) -> Baggage {
        let (share, frozen) = (branch.share.clone(), copies(&branch.frozen));
        let (active, unknown) = (branch.active.clone(), Vec::new());
        Baggage::from_branch(Branch {
            share,
            frozen,
            active,
            unknown,
            arrived: None,
            answered: Default::default(),
            home: None,
            ..*branch
        })
    }

    /// As if the reply had come twice.
    fn copy(sent: &PendingReply) -> PendingReply {
        PendingReply(copied(sent.0.as_ref().unwrap()).into_branch())
    }

    fn read(sent: &PendingReply, bytes: &[u8]) -> Result<Baggage, BaggageError> {
        copy(sent).decode_reply(bytes.len(), |out| {
            out.copy_from_slice(bytes);
            true
        })
    }

    /// A client that has packed, and a call of it that has arrived.
    fn called() -> (Baggage, PendingReply, Baggage, RequestSnapshot) {
        let mut client = Baggage::new();
        (0..50).for_each(|value| pack(&mut client, value));
        let (request, sent) = client.fork().encode_request().unwrap();
        let server = Baggage::decode(&request).unwrap();
        let snapshot = server.snapshot().unwrap();
        (client, sent, server, snapshot)
    }

    #[test]
    fn a_reply_does_not_repeat_what_came() {
        let (mut client, sent, mut server, snapshot) = called();
        pack(&mut server, 100);
        let answer = server.encode_reply(Some(&snapshot));
        assert!(answer.len() < 40, "{} bytes", answer.len());
        assert!(Baggage::decode(&answer).is_err(), "only whoever snapshot can read it");
        assert_eq!(client.join(read(&sent, &answer).unwrap()), JoinOutcome::Merged);
        assert_eq!((rows(&client), client.instance_count(), client.is_partial()), (51, 0, false));
    }

    #[test]
    fn an_answer_without_anything_new_is_always_the_same() {
        let (mut client, sent, mut server, snapshot) = called();
        let callee = server.fork();
        assert_ne!(
            copied(server.branch().unwrap()).encode_reply(Some(&snapshot)),
            UNCHANGED_REPLY,
            "its callee has not answered"
        );
        server.join(callee);
        let answer = server.encode_reply(Some(&snapshot));
        assert_eq!(answer, UNCHANGED_REPLY);
        let again = read(&sent, &answer).unwrap();
        assert_eq!(client.join(copy(&sent).accept_unchanged().unwrap()), JoinOutcome::Merged);
        assert_eq!((client.instance_count(), rows(&client), client.share()), (0, 50, Share::whole()));
        assert_eq!(client.join(again), JoinOutcome::Duplicate);
        assert!(Baggage::decode(UNCHANGED_REPLY).is_err(), "it answers nothing");
    }

    #[test]
    fn whatever_is_new_is_told() {
        let changes: [fn(&mut Baggage); 5] = [
            |server| pack(server, 100),
            leave_behind,
            |server| server.lower_sampling_rate(0.5),
            |server| drop(server.fork()),
            |server| assert_eq!(server.join(Baggage::from_branch(Branch::root())), JoinOutcome::Foreign),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let (_, _, mut server, snapshot) = called();
            change(&mut server);
            assert_ne!(server.encode_reply(Some(&snapshot)), UNCHANGED_REPLY, "change {number}");
        }
    }

    #[test]
    fn whoever_takes_the_reply_sees_what_was_sent() {
        let mut client = Baggage::new();
        client.request_or_begin();
        let mut other = client.fork();
        (0..50).for_each(|value| pack(&mut client, value));
        let (request, sent) = client.fork().encode_request().unwrap();
        let mut server = Baggage::decode(&request).unwrap();
        let snapshot = server.snapshot().unwrap();
        assert_eq!(rows(&other), 0);
        pack(&mut server, 100);
        let answer = server.encode_reply(Some(&snapshot));
        assert_eq!(other.join(read(&sent, &answer).unwrap()), JoinOutcome::Merged);
        assert_eq!(rows(&other), 51);
        assert_eq!(read(&sent, &answer).map(|twice| other.join(twice)), Ok(JoinOutcome::Duplicate));
    }

    #[test]
    fn what_was_changed_on_the_way_is_told() {
        let (mut client, sent, mut server, snapshot) = called();
        leave_behind(&mut server);
        server.lower_sampling_rate(0.5);
        pack(&mut server, 100);
        let answer = server.encode_reply(Some(&snapshot));
        let reply = read(&sent, &answer).unwrap();
        assert_eq!((rows(&reply), reply.sampling_rate()), (1, 0.5));
        assert_eq!(client.join(reply), JoinOutcome::Merged);
        assert_eq!(rows(&client), 51);
    }

    #[test]
    fn a_reply_that_outgrew_the_budget_is_cut_everywhere() {
        let (mut client, sent, mut server, snapshot) = called();
        (100..1000).for_each(|value| pack(&mut server, value));
        let mut branch = server.into_branch().unwrap();
        let answer = write_within(&mut branch, 300, Some(&snapshot));
        assert!(answer.len() <= 300);
        let reply = read(&sent, &answer).unwrap();
        let threshold = reply.cut(KEY).unwrap();
        client.join(reply);
        assert_eq!((client.cut(KEY), client.is_incomplete(KEY)), (Some(threshold), true));
        let below = |value: &u64| pivot_advice::stable_hash(&[Value::U64(*value)]) < threshold;
        assert_eq!(rows(&client), (0..50).chain(100..1000).filter(below).count());
    }

    #[test]
    fn whoever_has_kept_nothing_answers_in_full() {
        let (mut client, sent, mut server, _) = called();
        pack(&mut server, 100);
        let answer = server.encode_reply(None);
        assert!(Baggage::decode(&answer).is_ok() && answer.len() < MAX_BYTES);
        assert_eq!(client.join(read(&sent, &answer).unwrap()), JoinOutcome::Merged);
        assert_eq!(rows(&client), 51);
    }

    #[test]
    fn a_reply_tells_of_a_lower_generation() {
        let mut client = Baggage::from_branch(Branch { generation: 7, ..Branch::root() });
        pack(&mut client, 1);
        let (request, sent) = client.fork().encode_request().unwrap();
        let mut branch = Baggage::decode(&request).unwrap().into_branch().unwrap();
        // As a process that has woven less reads it.
        (branch.generation, branch.arrived) = (5, None);
        let server = Baggage::from_branch(*branch);
        let snapshot = server.snapshot();
        let answer = server.encode_reply(snapshot.as_ref());
        client.join(read(&sent, &answer).unwrap());
        assert_eq!(client.generation(), 5);
    }

    #[test]
    fn nothing_is_sent_and_answered_as_nothing() {
        assert!(Baggage::new().encode_request().is_none() && Baggage::new().snapshot().is_none());
        assert!(Baggage::new().encode_reply(None).is_empty());
    }

    #[test]
    fn an_answer_is_followed_by_its_siblings_share() {
        let (mut client, sent, mut server, snapshot) = called();
        let child = server.fork();
        let answer = server.encode_reply(Some(&snapshot));
        client.join(read(&sent, &answer).unwrap());
        assert_eq!(client.instance_count(), 1, "a part of the share is still out");
        client.join(child);
        assert_eq!((client.instance_count(), rows(&client)), (0, 50));
        assert_eq!(client.pack(KEY, TemporalFilter::First(1), []), None);
    }
}
