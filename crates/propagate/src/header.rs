//! The headers, or trailers, in which baggage travels.
//!
//! | header | for | text | a reply brings a branch back |
//! |---|---|---|---|
//! | `pivot-baggage-bin` | gRPC | base64, as its metadata want it | yes |
//! | `pivot-baggage` | any other HTTP | base64url | yes |
//! | `baggage: pivot=…` | hops that forward W3C `baggage` alone | base64url | no |
//!
//! All three hold the same bytes: an encoded [`Baggage`], and behind it a signature if there is a
//! [`SigningKey`].
//!
//! A receiver reads the first header of this list that is there, and removes all of them. So a proxy
//! that copies headers neither echoes baggage nor has it read twice. Whatever cannot be read is left
//! out and counted in [`losses`](fn@pivot_baggage::losses): a header never fails a request.

use crate::header_room::HeaderRoom;
use crate::signing_key::SigningKey;
use crate::w3c_baggage;
use base64_simd::{AsOut, Base64, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use pivot_baggage::withheld_counts::{WithheldReason, note_withheld};
use pivot_baggage::{
    Baggage, BaggageError, HARD_LIMIT, PendingReply, RequestSnapshot, UNCHANGED_REPLY, budget_bytes, losses,
};
use std::borrow::Cow;

/// The gRPC metadata that carries baggage. The name ends in `-bin`, so the value is base64.
pub const BINARY_HEADER: HeaderName = HeaderName::from_static("pivot-baggage-bin");

/// The HTTP header that carries baggage, as unpadded base64url.
pub const TEXT_HEADER: HeaderName = HeaderName::from_static("pivot-baggage");

/// [`UNCHANGED_REPLY`] in base64; both alphabets write it the same.
const UNCHANGED_BASE64: &str = "CAFYAg";

/// The bytes of baggage that, in base64 and with the member's name, fit into the W3C member's 2 KB.
const BRIDGE_BYTES: usize = (w3c_baggage::MAX_MEMBER - w3c_baggage::NAME.len() - 1) / 4 * 3;

/// The longest value of a header of ours: all that a query may have travel, and a signature, in base64.
const MAX_VALUE_BYTES: usize = (HARD_LIMIT + SigningKey::BYTES).div_ceil(3) * 4;

/// The header in which a request carries a branch there, and its reply the branch back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderKind {
    /// [`BINARY_HEADER`], for gRPC.
    Binary,
    /// [`TEXT_HEADER`], for any other HTTP.
    Text,
}

/// The baggage that a request brought to a server.
#[derive(Debug)]
pub(crate) enum ReceivedBaggage {
    /// None, or none that can be read.
    None,
    /// A branch, which the reply brings back in the same kind of header.
    Branch(HeaderKind, Baggage),
    /// A detached branch, from the W3C bridge: the hops between would not bring it back.
    Detached(Baggage),
}

impl HeaderKind {
    /// Returns the header for a request with these headers: gRPC's, if that is its content type.
    pub(crate) fn for_request(headers: &HeaderMap) -> HeaderKind {
        let content = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
        match content.is_some_and(|content| content.starts_with(b"application/grpc")) {
            true => HeaderKind::Binary,
            false => HeaderKind::Text,
        }
    }

    /// Returns the header's name.
    pub(crate) fn name(self) -> HeaderName {
        match self {
            HeaderKind::Binary => BINARY_HEADER,
            HeaderKind::Text => TEXT_HEADER,
        }
    }

    fn base64(self) -> &'static Base64 {
        match self {
            HeaderKind::Binary => &STANDARD_NO_PAD,
            HeaderKind::Text => &URL_SAFE_NO_PAD,
        }
    }

    /// Adds a branch to the headers of a request, if it belongs to one and there is room.
    pub(crate) fn insert_request(
        self,
        headers: &mut HeaderMap,
        room: HeaderRoom,
        branch: Baggage,
        key: Option<&SigningKey>,
    ) -> InsertedBranch {
        let Some((bytes, pending)) = branch.encode_request() else { return InsertedBranch::None };
        match self.insert(headers, room, bytes, key) {
            true => InsertedBranch::Sent(pending),
            false => InsertedBranch::NoRoom(pending),
        }
    }

    /// Adds a branch to the headers or trailers of a reply. Only its changes since the snapshot travel. Where there is no
    /// room it stays away, and is counted as withheld.
    pub(crate) fn insert_reply(
        self,
        headers: &mut HeaderMap,
        branch: Baggage,
        snapshot: Option<&RequestSnapshot>,
        key: Option<&SigningKey>,
    ) {
        let room = HeaderRoom::beside(headers, 0);
        // Whose tuples stay away is known as long as there is a copy, which is made only where that may happen.
        let copy = (!room.fits(&self.name(), MAX_VALUE_BYTES)).then(|| branch.detach());

        let fits = match branch.encode_reply(snapshot) {
            // The commonest reply is a constant: it costs no encoding, and HPACK sends it as an index.
            Cow::Borrowed(UNCHANGED_REPLY) if key.is_none() => {
                let fits = room.fits(&self.name(), UNCHANGED_BASE64.len());
                if fits {
                    headers.insert(self.name(), HeaderValue::from_static(UNCHANGED_BASE64));
                }
                fits
            }
            bytes => bytes.is_empty() || self.insert(headers, room, bytes.into_owned(), key),
        };
        if !fits {
            note_withheld("", WithheldReason::NoRoom, copy.as_ref());
        }
    }

    /// Adds a header of ours. Returns false if there is no room.
    fn insert(
        self,
        headers: &mut HeaderMap,
        room: HeaderRoom,
        bytes: Vec<u8>,
        key: Option<&SigningKey>,
    ) -> bool {
        let text = self.base64().encode_to_string(with_signature(bytes, key));
        let value = room.fits(&self.name(), text.len()).then(|| header_value(text)).flatten();
        value.map(|value| headers.insert(self.name(), value)).is_some()
    }
}

/// The outcome of putting a branch into the headers of a request.
#[derive(Debug)]
pub(crate) enum InsertedBranch {
    /// It belongs to no request: there is no header.
    None,
    /// It is in a header.
    Sent(PendingReply),
    /// There is no room for it, and no header. The branch is in the reply that will not come.
    NoRoom(PendingReply),
}

/// Appends a signature, if there is a key.
fn with_signature(bytes: Vec<u8>, key: Option<&SigningKey>) -> Vec<u8> {
    match key {
        Some(key) => key.sign(bytes),
        None => bytes,
    }
}

/// Makes a header value that HPACK does not index: every one is different, and would only push useful
/// entries out of the connection's table.
fn header_value(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Adds a detached copy of the baggage as a member of W3C `baggage`. Returns false, which the caller
/// counts as withheld, if the member, the header or all headers would get too long.
pub(crate) fn insert_bridge(
    headers: &mut HeaderMap,
    room: HeaderRoom,
    baggage: &Baggage,
    key: Option<&SigningKey>,
) -> bool {
    let most = BRIDGE_BYTES - key.map_or(0, |_| SigningKey::BYTES);
    let bytes = baggage.encode_detached(budget_bytes().min(most));
    if bytes.is_empty() {
        return true;
    }

    // The budget drops groups until the rest fits, but the smallest baggage may still be too large.
    if bytes.len() > most {
        return false;
    }

    let text = URL_SAFE_NO_PAD.encode_to_string(with_signature(bytes, key));
    let member = format!("{}={text}", w3c_baggage::NAME);
    room.fits(&w3c_baggage::HEADER, member.len())
        && header_value(member).is_some_and(|member| w3c_baggage::put(headers, &member))
}

/// Removes every header of ours from a request and decodes the first that is there.
pub(crate) fn take_request(headers: &mut HeaderMap, key: Option<&SigningKey>) -> ReceivedBaggage {
    let present = PresentHeaders::of(headers);

    // All of them are removed before any is read, so that none is left whichever is read.
    let member = if present.bridge { w3c_baggage::take(headers) } else { None };
    let binary = if present.binary { headers.remove(BINARY_HEADER) } else { None };
    let text = if present.text { headers.remove(TEXT_HEADER) } else { None };

    let branch = match (binary, text) {
        (Some(value), _) => Some((HeaderKind::Binary, value)),
        (None, Some(value)) => Some((HeaderKind::Text, value)),
        (None, None) => None,
    };
    if let Some((kind, value)) = branch {
        return match decode_value(kind.base64(), value.as_bytes(), key, decode_branch) {
            Some(baggage) => ReceivedBaggage::Branch(kind, baggage),
            None => ReceivedBaggage::None,
        };
    }

    match member.and_then(|value| decode_value(&URL_SAFE_NO_PAD, &value, key, decode_branch)) {
        Some(baggage) => ReceivedBaggage::Detached(baggage.into_detached()),
        None => ReceivedBaggage::None,
    }
}

/// Removes every header of ours from a request, unread.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let present = PresentHeaders::of(headers);
    if present.bridge {
        w3c_baggage::take(headers);
    }
    if present.binary || present.text {
        headers.remove(BINARY_HEADER);
        headers.remove(TEXT_HEADER);
    }
}

/// The headers of ours that a message has. Most messages have none, and few headers altogether: one
/// pass over the names costs less than three look-ups.
#[derive(Debug, Default)]
struct PresentHeaders {
    binary: bool,
    text: bool,
    bridge: bool,
}

impl PresentHeaders {
    fn of(headers: &HeaderMap) -> PresentHeaders {
        let mut present = PresentHeaders::default();
        for name in headers.keys() {
            match name.as_str() {
                "pivot-baggage-bin" => present.binary = true,
                "pivot-baggage" => present.text = true,
                "baggage" => present.bridge = true,
                _ => {}
            }
        }
        present
    }
}

/// Removes the branch from the headers or trailers of a reply and decodes it against the one that was sent.
/// Returns `None` if there is none, or if an earlier header of this reply was read already.
pub(crate) fn take_reply(
    headers: &mut HeaderMap,
    kind: HeaderKind,
    pending: &mut PendingReply,
    key: Option<&SigningKey>,
) -> Option<Baggage> {
    let value = headers.remove(kind.name())?;

    // A branch joins once: a reply that carries it in headers and in trailers counts as one.
    if !pending.is_awaited() {
        return None;
    }

    if key.is_none() && value == UNCHANGED_BASE64 {
        return pending.accept_unchanged();
    }
    decode_value(kind.base64(), value.as_bytes(), key, |length, fill| pending.decode_reply(length, fill))
}

/// Decodes a branch of `length` bytes, which `fill` writes.
fn decode_branch(length: usize, fill: &mut dyn FnMut(&mut [u8]) -> bool) -> Result<Baggage, BaggageError> {
    Baggage::decode_from(length, fill)
}

/// Decodes the base64 of a header's value into baggage, checking the signature if there is a key.
/// Returns `None` if it cannot be read, which is counted, or belongs to no request.
///
/// `decode` gets the length and a function that writes the bytes: without a key base64 is decoded
/// straight into the baggage's own memory.
fn decode_value(
    base64: &Base64,
    value: &[u8],
    key: Option<&SigningKey>,
    decode: impl FnOnce(usize, &mut dyn FnMut(&mut [u8]) -> bool) -> Result<Baggage, BaggageError>,
) -> Option<Baggage> {
    // gRPC wants padded and unpadded `-bin` values accepted alike.
    let unpadded = value.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let value = &value[..unpadded];

    let decoded = match key {
        None => {
            let length = base64.decoded_length(value).map_err(|_| losses::note_malformed()).ok()?;
            decode(length, &mut |out| base64.decode(value, out.as_out()).is_ok())
        }
        Some(key) => {
            let bytes = base64.decode_to_vec(value).map_err(|_| losses::note_malformed()).ok()?;
            let bytes = key.verify(bytes)?;
            decode(bytes.len(), &mut |out| {
                out.copy_from_slice(&bytes);
                true
            })
        }
    };
    decoded.ok().filter(|baggage| !baggage.has_no_id())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Begins a request and returns its branch and id.
    fn begun() -> (Baggage, u128) {
        let mut baggage = Baggage::new();
        let request = baggage.request_or_begin();
        (baggage, request)
    }

    /// Returns all the room that there is.
    fn room() -> HeaderRoom {
        HeaderRoom::beside(&HeaderMap::new(), 0)
    }

    /// Sends a branch, and returns what its reply is read with.
    fn sent(kind: HeaderKind, headers: &mut HeaderMap, branch: Baggage) -> Option<PendingReply> {
        match kind.insert_request(headers, room(), branch, None) {
            InsertedBranch::Sent(pending) => Some(pending),
            InsertedBranch::None | InsertedBranch::NoRoom(_) => None,
        }
    }

    /// Returns how baggage was received, and the id of its request.
    fn request(received: ReceivedBaggage) -> (&'static str, u128) {
        match received {
            ReceivedBaggage::None => ("nothing", 0),
            ReceivedBaggage::Branch(_, baggage) => ("branch", baggage.request().unwrap()),
            ReceivedBaggage::Detached(baggage) => ("bridged", baggage.request().unwrap()),
        }
    }

    #[test]
    fn a_branch_arrives_as_it_was_sent_and_once() {
        for kind in [HeaderKind::Binary, HeaderKind::Text] {
            let ((baggage, id), mut headers) = (begun(), HeaderMap::new());
            assert!(sent(kind, &mut headers, baggage).is_some());
            assert!(headers[kind.name()].is_sensitive());
            assert_eq!(request(take_request(&mut headers, None)), ("branch", id));
            assert!(headers.is_empty());
        }
    }

    #[test]
    fn a_branch_of_no_request_adds_no_header() {
        let mut headers = HeaderMap::new();
        assert!(sent(HeaderKind::Text, &mut headers, Baggage::new()).is_none());
        insert_bridge(&mut headers, room(), &Baggage::new(), None);
        assert!(headers.is_empty());
    }

    #[test]
    fn one_of_several_headers_is_read_and_none_is_left() {
        let ((binary, id), (text, _), (bridge, _)) = (begun(), begun(), begun());
        let mut headers = HeaderMap::new();
        headers.insert(w3c_baggage::HEADER, HeaderValue::from_static("user=1"));
        sent(HeaderKind::Binary, &mut headers, binary);
        sent(HeaderKind::Text, &mut headers, text);
        insert_bridge(&mut headers, room(), &bridge, None);
        assert_eq!(request(take_request(&mut headers, None)), ("branch", id));
        assert_eq!((headers.len(), &headers[w3c_baggage::HEADER]), (1, &HeaderValue::from_static("user=1")));
    }

    #[test]
    fn a_bridge_may_reach_many_receivers_and_none_joins() {
        let (mut baggage, id) = begun();
        let mut headers = HeaderMap::new();
        insert_bridge(&mut headers, room(), &baggage, None);

        for mut headers in [headers.clone(), headers] {
            let ReceivedBaggage::Detached(receiver) = take_request(&mut headers, None) else {
                panic!("not bridged")
            };
            assert_eq!(receiver.request(), Some(id));
            assert_eq!(baggage.join(receiver), pivot_baggage::JoinOutcome::Foreign);
        }
    }

    #[test]
    fn a_reply_whose_headers_cannot_be_read_brings_the_branch_back_in_its_trailers_and_once() {
        let ((baggage, id), mut request) = (begun(), HeaderMap::new());
        let mut pending = sent(HeaderKind::Text, &mut request, baggage).unwrap();
        let ReceivedBaggage::Branch(_, there) = take_request(&mut request, None) else { panic!("no branch") };

        let snapshot = there.snapshot();
        let mut trailers = HeaderMap::new();
        HeaderKind::Text.insert_reply(&mut trailers, there, snapshot.as_ref(), None);

        let headers = HeaderMap::from_iter([(TEXT_HEADER, HeaderValue::from_static("AAAA"))]);
        let mut back =
            |mut headers: HeaderMap| take_reply(&mut headers, HeaderKind::Text, &mut pending, None);

        assert!(back(headers).is_none());
        assert_eq!(back(trailers.clone()).and_then(|baggage| baggage.request()), Some(id));
        assert!(back(trailers).is_none());
    }

    #[test]
    fn an_unchanged_reply_is_a_constant() {
        assert_eq!(
            [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|base64| base64.encode_to_string(UNCHANGED_REPLY)),
            [UNCHANGED_BASE64; 2]
        );
    }

    #[test]
    fn malformed_headers_are_ignored_and_counted() {
        for (name, text) in [
            (BINARY_HEADER, "not base64!"),
            (BINARY_HEADER, "/////w"),
            (TEXT_HEADER, "AAAA"),
            (w3c_baggage::HEADER, "pivot=AAAA"),
            (w3c_baggage::HEADER, "pivot"),
        ] {
            let before = losses().malformed;
            let mut headers = HeaderMap::from_iter([(name, HeaderValue::from_static(text))]);
            assert_eq!(request(take_request(&mut headers, None)).0, "nothing");
            assert!(headers.is_empty() && (losses().malformed > before || text == "pivot"), "{text}");
        }
    }
}
