//! Bags, decoded and as bytes.
//!
//! ```text
//! prefix_varint ─▶ key_column ─▶ encoded_rows ─▶ grouped_bag (rows) ──┐
//!                                     temporal_codec (chosen tuples) ──┴─▶ bag_codec ─▶ lazy_bag ─▶ bag_map
//! ```

pub mod bag;
pub(crate) mod bag_codec;
pub(crate) mod bag_header;
pub(crate) mod bag_map;
pub(crate) mod bag_rows;
mod encoded_rows;
pub(crate) mod encoded_states;
mod grouped_bag;
mod key_column;
pub(crate) mod lazy_bag;
mod prefix_varint;
mod row_index;
pub(crate) mod temporal_codec;
pub(crate) mod value;
