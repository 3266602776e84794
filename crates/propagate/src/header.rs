//! The header, or trailer, in which baggage travels.
//!
//! Its name ends in `-bin`, so gRPC takes it for binary metadata: base64 on the wire, with or
//! without padding. Whoever reads it removes it, so that it is never echoed or read twice.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue};
use pivot_baggage::Baggage;

/// The name of the header.
pub const HEADER: HeaderName = HeaderName::from_static("pivot-baggage-bin");

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Sends a branch along; one that is not born adds nothing.
pub(crate) fn put(headers: &mut HeaderMap, baggage: Baggage) {
    let bytes = baggage.encode();
    if bytes.is_empty() {
        return;
    }
    if let Ok(mut value) = HeaderValue::try_from(BASE64.encode(bytes)) {
        // Sensitive values stay out of HPACK's table, where each would displace useful ones.
        value.set_sensitive(true);
        headers.insert(HEADER, value);
    }
}

/// Takes the branch that arrived; None if there is none or it is malformed.
pub(crate) fn take(headers: &mut HeaderMap) -> Option<Baggage> {
    let value = headers.remove(HEADER)?;
    let bytes = BASE64.decode(value.as_bytes()).ok()?;
    Baggage::decode(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        HeaderValue::try_from(text).into_iter().map(|value| (HEADER, value)).collect()
    }

    #[test]
    fn a_branch_arrives_as_it_was_sent_and_once() {
        let mut baggage = Baggage::new();
        let request = baggage.request_or_begin();
        let mut headers = HeaderMap::new();
        put(&mut headers, baggage);
        assert!(headers[HEADER].is_sensitive());
        assert_eq!(take(&mut headers).and_then(|arrived| arrived.request()), Some(request));
        assert!(take(&mut headers).is_none());
    }

    #[test]
    fn a_branch_that_is_not_born_adds_no_header() {
        let mut headers = HeaderMap::new();
        put(&mut headers, Baggage::new());
        assert!(headers.is_empty());
    }

    #[test]
    fn malformed_headers_are_ignored() {
        assert!(take(&mut headers("not base64!")).is_none());
        assert!(take(&mut headers("/////w")).is_none());
    }
}
