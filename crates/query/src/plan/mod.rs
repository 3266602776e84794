//! The logical plan: a tree of stages, each with what it observes, joins, computes, and passes on.

mod expr_columns;
mod naive_plan;
mod plan_text;
mod stage_tree;

pub(crate) use expr_columns::{
    children_mut, columns_of, conjuncts, inlined, map_columns, narrow, with_columns,
};
pub(crate) use naive_plan::complete;
pub(crate) use plan_text::expr_text;
pub(crate) use stage_tree::{
    ObservedField, Plan, PlanColumn, Stage, StageAggregate, StageAggregateInput, StageAggregateResult,
    StageChoice, StageEnd, StageJoin, StageSource, StageStep, StageTracepoint, SubqueryGroups, UnitedGroups,
};
