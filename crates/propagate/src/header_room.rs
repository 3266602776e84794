//! How much a message's headers leave for ours. A message that arrives without baggage must arrive with it.
//!
//! Receivers limit headers: HTTP/2 in bytes, each header costing its name, its value and 32 more (RFC 9113, 6.5.2), 16 KiB
//! with most libraries; HTTP/1.1 in lines, 100 with hyper. What of it is ours to use is less: lines that the connection
//! adds behind us, as `host`, `date` and `content-length`, have to fit too.

use http::{HeaderMap, HeaderName};

/// The bytes of headers up to which ours are added.
const MAX_BYTES: usize = (16 << 10) - MARGIN_BYTES;

/// The bytes that are left for pseudo-headers and for what is added behind us.
const MARGIN_BYTES: usize = 1 << 10;

/// The lines of headers up to which ours are added.
const MAX_LINES: usize = 96;

/// What each header costs besides its name and value.
const OVERHEAD_BYTES: usize = 32;

/// The room that is left for headers of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderRoom {
    bytes: usize,
    lines: usize,
}

impl HeaderRoom {
    /// Returns the room that the headers of a message leave. `target_bytes` is the length of a request's URI, which
    /// travels as a header as well.
    pub(crate) fn beside(headers: &HeaderMap, target_bytes: usize) -> HeaderRoom {
        let used: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + OVERHEAD_BYTES).sum();
        HeaderRoom {
            bytes: MAX_BYTES.saturating_sub(used + target_bytes),
            lines: MAX_LINES.saturating_sub(headers.len()),
        }
    }

    /// Returns whether one more header fits, with a value of so many bytes.
    pub(crate) fn fits(self, name: &HeaderName, value_bytes: usize) -> bool {
        self.lines > 0 && name.as_str().len() + value_bytes + OVERHEAD_BYTES <= self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::{COOKIE, TE};

    #[test]
    fn headers_cost_their_text_and_32_bytes_and_a_line_each() {
        let mut headers = HeaderMap::new();
        let room = HeaderRoom::beside(&headers, 1_000);
        let most = (15 << 10) - 1_000 - 32 - 2;
        assert!(room.fits(&TE, most) && !room.fits(&TE, most + 1));

        headers.append(COOKIE, HeaderValue::from_static("abcd"));
        let room = HeaderRoom::beside(&headers, 1_000);
        assert!(room.fits(&TE, most - 42) && !room.fits(&TE, most - 41));

        for _ in 1..96 {
            assert!(HeaderRoom::beside(&headers, 0).fits(&TE, 8));
            headers.append(COOKIE, HeaderValue::from_static(""));
        }
        assert!(!HeaderRoom::beside(&headers, 0).fits(&TE, 8));
        assert!(!HeaderRoom::beside(&headers, usize::MAX / 2).fits(&TE, 0));
    }
}
