//! Rewrites that change what a plan costs, and nothing else.

mod filter_placement;
mod let_placement;
mod pre_aggregation;
mod projection;
mod rule;
mod sharing;

pub(crate) use rule::{RULES, optimize};
