//! Bags, decoded and as bytes.
//!
//! ```text
//! number ─▶ column (a value) ─▶ encoded_rows ─▶ grouped_bag (rows) ─┐
//!                               temporal_bag (chosen tuples) ───────┴▶ bag_codec ─▶ lazy_bag ─▶ bag_map
//! ```

pub mod bag;
pub(crate) mod bag_codec;
pub(crate) mod bag_header;
pub(crate) mod bag_map;
mod encoded_rows;
pub(crate) mod encoded_states;
mod grouped_bag;
mod key_column;
pub(crate) mod lazy_bag;
mod number;
mod row_index;
pub(crate) mod stored_rows;
pub(crate) mod temporal_bag;
pub(crate) mod value;
