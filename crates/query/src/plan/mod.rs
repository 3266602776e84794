//! The logical plan: a tree of stages, each with what it observes, joins, computes, and passes on.

mod build;
mod rewrite;
mod show;
mod tree;

pub(crate) use build::complete;
pub(crate) use rewrite::{columns_of, rebuilt, renamed};
pub(crate) use show::expr_text;
pub(crate) use tree::{
    Column, End, Finished, Fold, Groups, Input, Join, Member, Observed, Plan, Stage, Step, Tracepoint,
};
