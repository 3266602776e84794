//! The bytes in which baggage travels, from one value to the envelope of a branch.
//!
//! ```text
//! number ─▶ column (a value) ─▶ encoded_rows, encoded_states ─▶ grouped_bag ─┐
//!                                                    temporal_bag ───────────┴▶ bag_codec ─▶ lazy_bag ─▶ bag_map
//! protobuf ─▶ encode, decode: the envelope of all bags of a branch ─▶ reply
//! ```

pub mod bag;
pub(crate) mod bag_codec;
pub(crate) mod bag_header;
pub(crate) mod bag_map;
mod column;
pub(crate) mod complete_rows;
pub(crate) mod cut;
mod decode;
mod encode;
mod encoded_rows;
pub(crate) mod encoded_states;
pub mod envelope;
mod grouped_bag;
pub(crate) mod lazy_bag;
mod number;
mod protobuf;
pub mod reply;
pub(crate) mod request_snapshot;
mod row_index;
pub(crate) mod shared_bytes;
pub(crate) mod temporal_bag;
pub(crate) mod value;
