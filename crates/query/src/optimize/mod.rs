//! Rewrites that change what a plan costs, and nothing else. One rule a file, with its equation.
//!
//! ```text
//! let placement ─▶ filter placement ─▶ pre-aggregation ─▶ projection ─▶ sharing
//! values go down   conditions follow    aggregates too    the rest goes  equal bags are one
//! ```

mod filter_placement;
mod let_placement;
mod pack_sharing;
mod pre_aggregation;
mod projection;
mod rule;
mod rules;

pub(crate) use rules::{optimize, rule_names};
