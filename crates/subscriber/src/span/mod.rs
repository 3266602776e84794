//! Spans that are open, and the requests that they carry.

pub(crate) mod carried_request;
pub(crate) mod entered_carriers;
pub(crate) mod open_spans;
pub(crate) mod request_spans;
