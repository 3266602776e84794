//! Spans that are open, and the requests that some of them carry.
//!
//! ```text
//! subscriber_bridge, layer ─▶ tracked_spans ─▶ carried_request      the request of one span
//!                                  └─────────▶ entered_carriers     what one thread is inside of
//! ```

pub(crate) mod carried_request;
pub(crate) mod entered_carriers;
pub(crate) mod server_spans;
pub(crate) mod tracked_spans;
