//! Spans that are open, and the requests that some of them carry.
//!
//! ```text
//! subscriber_bridge, layer ─▶ tracked_spans ─▶ span_table                 finds them, of all threads
//!                                  ├─────────▶ tracked_span               one of them
//!                                  ├─────────▶ baggage's CarriedRequest   the request of one span
//!                                  ├─────────▶ entered_carriers           what one thread is inside of
//!                                  └─────────▶ executing                  which task or thread it is
//! ```

pub(crate) mod entered_carriers;
pub(crate) mod executing;
pub(crate) mod server_spans;
pub(crate) mod span_table;
pub(crate) mod tracked_span;
pub(crate) mod tracked_spans;
