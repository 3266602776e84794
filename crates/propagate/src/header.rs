//! The headers, or trailers, in which baggage travels.
//!
//! There are three, and a receiver reads exactly one, the first of them that is there. It takes all
//! of them away, so that baggage is never echoed or read twice.

use crate::key::SigningKey;
use crate::w3c;
use base64_simd::{AsOut, Base64, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use pivot_baggage::{
    Baggage, BaggageError, PendingReply, RequestSnapshot, UNCHANGED_REPLY, budget_bytes, losses,
};
use std::borrow::Cow;

/// gRPC's binary metadata: its name ends in `-bin`, so the value is base64.
pub const BINARY_HEADER: HeaderName = HeaderName::from_static("pivot-baggage-bin");

/// The header of any other HTTP: unpadded base64url.
pub const TEXT_HEADER: HeaderName = HeaderName::from_static("pivot-baggage");

/// [`UNCHANGED_REPLY`] in base64, of either alphabet.
const UNCHANGED_BASE64: &str = "CAFYAg";

/// The bytes of baggage that fit into the bridge, in base64 and with its name, within 2 KB.
const BRIDGE_BYTES: usize = (w3c::MAX_MEMBER - w3c::NAME.len() - 1) / 4 * 3;

/// How baggage travels with a message and back with its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderKind {
    Binary,
    Text,
}

/// What arrived with a request.
#[derive(Debug)]
pub(crate) enum ReceivedBaggage {
    None,
    /// A branch, of which the reply brings back what became of it.
    Branch(HeaderKind, Baggage),
    /// A detached branch, which came through a hop that does not know of it.
    Detached(Baggage),
}

impl HeaderKind {
    /// The carrier for a request with these headers.
    pub(crate) fn for_request(request: &HeaderMap) -> HeaderKind {
        let content = request.get(CONTENT_TYPE).map(|value| value.as_bytes());
        match content.is_some_and(|content| content.starts_with(b"application/grpc")) {
            true => HeaderKind::Binary,
            false => HeaderKind::Text,
        }
    }

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

    /// Sends a branch along; one that is not born adds nothing. Gives what to read the reply with.
    pub(crate) fn insert_request(
        self,
        headers: &mut HeaderMap,
        baggage: Baggage,
        key: Option<&SigningKey>,
    ) -> Option<PendingReply> {
        let (bytes, sent) = baggage.encode_request()?;
        self.insert(headers, bytes, key)?;
        Some(sent)
    }

    /// Sends a branch back to whoever asked.
    pub(crate) fn insert_reply(
        self,
        headers: &mut HeaderMap,
        baggage: Baggage,
        asked: Option<&RequestSnapshot>,
        key: Option<&SigningKey>,
    ) {
        match baggage.encode_reply(asked) {
            // Always the same, so it may stand in HPACK's table.
            Cow::Borrowed(UNCHANGED_REPLY) if key.is_none() => {
                headers.insert(self.name(), HeaderValue::from_static(UNCHANGED_BASE64));
            }
            bytes if !bytes.is_empty() => {
                self.insert(headers, bytes.into_owned(), key);
            }
            _ => {}
        }
    }

    fn insert(self, headers: &mut HeaderMap, bytes: Vec<u8>, key: Option<&SigningKey>) -> Option<()> {
        let value = value(self.base64().encode_to_string(signed(bytes, key)))?;
        headers.insert(self.name(), value);
        Some(())
    }
}

fn signed(bytes: Vec<u8>, key: Option<&SigningKey>) -> Vec<u8> {
    match key {
        Some(key) => key.sign(bytes),
        None => bytes,
    }
}

fn value(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    // Sensitive values stay out of HPACK's table, where each would displace useful ones.
    value.set_sensitive(true);
    Some(value)
}

/// Sends what the current branch holds through hops that only forward W3C `baggage`. False, which is
/// counted, if there is no room.
pub(crate) fn insert_bridge(headers: &mut HeaderMap, baggage: &Baggage, key: Option<&SigningKey>) -> bool {
    let room = BRIDGE_BYTES - key.map_or(0, |_| SigningKey::BYTES);
    let bytes = baggage.encode_detached(budget_bytes().min(room));
    if bytes.is_empty() {
        return true;
    }
    if bytes.len() > room {
        losses::note_withheld();
        return false;
    }
    let member = format!("{}={}", w3c::NAME, URL_SAFE_NO_PAD.encode_to_string(signed(bytes, key)));
    value(member).is_some_and(|member| w3c::put(headers, &member))
}

/// Takes what arrived with a request. Whatever cannot be read is counted and left out.
pub(crate) fn take_request(headers: &mut HeaderMap, key: Option<&SigningKey>) -> ReceivedBaggage {
    let found = PresentHeaders::of(headers);
    let bridged = if found.bridge { w3c::take(headers) } else { None };
    let kinds = [(HeaderKind::Binary, found.binary), (HeaderKind::Text, found.text)];
    let values = kinds.map(|(kind, is_there)| is_there.then(|| (kind, headers.remove(kind.name()))));
    for (kind, value) in values.into_iter().flatten() {
        let Some(value) = value else { continue };
        let baggage =
            read(kind.base64(), value.as_bytes(), key, |length, fill| Baggage::decode_from(length, fill));
        return baggage.map_or(ReceivedBaggage::None, |baggage| ReceivedBaggage::Branch(kind, baggage));
    }
    let bridged = bridged.and_then(|value| {
        read(&URL_SAFE_NO_PAD, &value, key, |length, fill| Baggage::decode_from(length, fill))
    });
    bridged.map_or(ReceivedBaggage::None, |baggage| ReceivedBaggage::Detached(baggage.into_detached()))
}

/// Takes baggage away unread.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let found = PresentHeaders::of(headers);
    if found.bridge {
        w3c::take(headers);
    }
    if found.binary || found.text {
        [BINARY_HEADER, TEXT_HEADER].into_iter().for_each(|name| drop(headers.remove(name)));
    }
}

/// Which carriers a message has. Most have none, and few headers: looking at each once takes less than
/// looking for each carrier.
#[derive(Debug, Default)]
struct PresentHeaders {
    binary: bool,
    text: bool,
    bridge: bool,
}

impl PresentHeaders {
    fn of(headers: &HeaderMap) -> PresentHeaders {
        let mut found = PresentHeaders::default();
        for name in headers.keys() {
            match name.as_str() {
                "pivot-baggage-bin" => found.binary = true,
                "pivot-baggage" => found.text = true,
                "baggage" => found.bridge = true,
                _ => {}
            }
        }
        found
    }
}

/// Takes what a reply brings back.
pub(crate) fn take_reply(
    headers: &mut HeaderMap,
    kind: HeaderKind,
    sent: &mut PendingReply,
    key: Option<&SigningKey>,
) -> Option<Baggage> {
    let value = headers.remove(kind.name())?;
    // A reply brings it back once.
    if !sent.is_awaited() {
        return None;
    }
    if key.is_none() && value == UNCHANGED_BASE64 {
        return sent.accept_unchanged();
    }
    read(kind.base64(), value.as_bytes(), key, |length, fill| sent.decode_reply(length, fill))
}

/// What stands in a header, which is decoded straight into its place; None if there is nothing.
fn read(
    base64: &Base64,
    value: &[u8],
    key: Option<&SigningKey>,
    decode: impl FnOnce(usize, &mut dyn FnMut(&mut [u8]) -> bool) -> Result<Baggage, BaggageError>,
) -> Option<Baggage> {
    // Some pad, some do not.
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

    fn begun() -> (Baggage, u128) {
        let mut baggage = Baggage::new();
        let request = baggage.request_or_begin();
        (baggage, request)
    }

    fn request(arrived: ReceivedBaggage) -> (&'static str, u128) {
        match arrived {
            ReceivedBaggage::None => ("nothing", 0),
            ReceivedBaggage::Branch(_, baggage) => ("branch", baggage.request().unwrap()),
            ReceivedBaggage::Detached(baggage) => ("bridged", baggage.request().unwrap()),
        }
    }

    #[test]
    fn a_branch_arrives_as_it_was_sent_and_once() {
        for kind in [HeaderKind::Binary, HeaderKind::Text] {
            let ((baggage, id), mut headers) = (begun(), HeaderMap::new());
            assert!(kind.insert_request(&mut headers, baggage, None).is_some());
            assert!(headers[kind.name()].is_sensitive());
            assert_eq!(request(take_request(&mut headers, None)), ("branch", id));
            assert!(headers.is_empty());
        }
    }

    #[test]
    fn a_branch_that_is_not_born_adds_no_header() {
        let mut headers = HeaderMap::new();
        assert!(HeaderKind::Text.insert_request(&mut headers, Baggage::new(), None).is_none());
        insert_bridge(&mut headers, &Baggage::new(), None);
        assert!(headers.is_empty());
    }

    #[test]
    fn of_several_carriers_one_is_read_and_none_is_left() {
        let ((binary, id), (text, _), (bridge, _)) = (begun(), begun(), begun());
        let mut headers = HeaderMap::new();
        headers.insert(w3c::HEADER, HeaderValue::from_static("user=1"));
        HeaderKind::Binary.insert_request(&mut headers, binary, None);
        HeaderKind::Text.insert_request(&mut headers, text, None);
        insert_bridge(&mut headers, &bridge, None);
        assert_eq!(request(take_request(&mut headers, None)), ("branch", id));
        assert_eq!((headers.len(), &headers[w3c::HEADER]), (1, &HeaderValue::from_static("user=1")));
    }

    #[test]
    fn a_bridge_may_reach_many_and_each_goes_on_by_itself() {
        let (mut baggage, id) = begun();
        let mut headers = HeaderMap::new();
        insert_bridge(&mut headers, &baggage, None);
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
        let mut sent = HeaderKind::Text.insert_request(&mut request, baggage, None).unwrap();
        let ReceivedBaggage::Branch(_, there) = take_request(&mut request, None) else { panic!("no branch") };
        let asked = there.snapshot();
        let mut trailers = HeaderMap::new();
        HeaderKind::Text.insert_reply(&mut trailers, there, asked.as_ref(), None);
        let headers = HeaderMap::from_iter([(TEXT_HEADER, HeaderValue::from_static("AAAA"))]);
        let mut back = |mut headers: HeaderMap| take_reply(&mut headers, HeaderKind::Text, &mut sent, None);
        assert!(back(headers).is_none());
        assert_eq!(back(trailers.clone()).and_then(|baggage| baggage.request()), Some(id));
        assert!(back(trailers).is_none());
    }

    #[test]
    fn nothing_new_is_said_in_one_word() {
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
            (w3c::HEADER, "pivot=AAAA"),
            (w3c::HEADER, "pivot"),
        ] {
            let before = losses().malformed;
            let mut headers = HeaderMap::from_iter([(name, HeaderValue::from_static(text))]);
            assert_eq!(request(take_request(&mut headers, None)).0, "nothing");
            assert!(headers.is_empty() && (losses().malformed > before || text == "pivot"), "{text}");
        }
    }
}
