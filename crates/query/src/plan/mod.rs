//! The logical plan: a tree of stages, each with what it observes, joins, computes, and passes on.

mod build;
mod rewrite;
mod show;
mod tree;

pub(crate) use build::build;
pub(crate) use rewrite::{columns_of, rebuilt, renamed};
pub(crate) use show::expr_text;
pub(crate) use tree::{End, Fold, Input, Plan, Stage};
