//! Let placement: a value is computed where its inputs meet, if fewer columns travel from there.
//!
//! ```text
//! let v = f(x.a) over (pack (x.a) ⋈ y)  =  pack (v) ⋈ y   with v = f(x.a) below
//! ```

use super::rule::Rule;
use crate::plan::{Plan, StageEnd, StageJoin, StageStep, columns_of};
use pivot_advice::{Expr, Match};
use std::collections::BTreeSet;

pub(super) struct LetPlacement;

impl Rule for LetPlacement {
    fn name(&self) -> &'static str {
        "let placement"
    }

    /// Parents come first, so a value that went down a stage goes on from there.
    fn apply(&self, plan: &mut Plan) {
        for stage in 0..plan.stages.len() {
            while let Some((column, expr, child)) = movable(plan, stage) {
                for steps in plan.stages[stage].lists_mut() {
                    steps.retain(|step| !matches!(step, StageStep::Let(known, _) if *known == column));
                }
                plan.stages[child].steps.push(StageStep::Let(column, expr));
                // From here on up it is passed on already, as far as it goes.
                plan.stages[child].end.keys_mut().push(column);
            }
        }
    }
}

/// A LET of a stage whose inputs all come from one child, and which saves a column on the way.
fn movable(plan: &Plan, stage: usize) -> Option<(u16, Expr, usize)> {
    let lets = plan.stages[stage].all_steps().filter_map(|step| match step {
        StageStep::Let(column, expr) => Some((*column, expr)),
        _ => None,
    });
    lets.filter(|(column, _)| is_only(plan, stage, *column)).find_map(|(column, expr)| {
        let inputs = columns_of(expr);
        let child = source(plan, stage, &inputs)?;
        let wanted = wanted(plan, stage, column);
        let saves = inputs.iter().any(|input| !wanted.contains(input));
        saves.then(|| (column, expr.clone(), child))
    })
}

/// Whether one step alone gives a column its value: members of a union may give it different ones.
fn is_only(plan: &Plan, stage: usize, column: u16) -> bool {
    let computed = plan.stages.iter().flat_map(|stage| stage.all_steps());
    let times = computed.filter(|step| step.computes() == Some(column)).count();
    times == 1 && !plan.stages[stage].observes(column) && !plan.stages[stage].has_distinct()
}

/// The child that all inputs come from, if rows of it may get another column.
fn source(plan: &Plan, stage: usize, inputs: &BTreeSet<u16>) -> Option<usize> {
    let comes_from = |join: &&StageJoin| {
        let appended = plan.appended(join.child);
        !inputs.is_empty() && inputs.iter().all(|input| appended.contains(input))
    };
    let join = plan.stages[stage].joins().find(comes_from)?;
    let child = &plan.stages[join.child];
    let takes =
        matches!(child.end, StageEnd::Rows { .. }) && !child.is_temporal() && join.matching == Match::Inner;
    takes.then_some(join.child)
}

/// Columns that a stage and those above it read, but for the LET in question.
fn wanted(plan: &Plan, stage: usize, but: u16) -> BTreeSet<u16> {
    let mut wanted = BTreeSet::new();
    for above in plan.way_up(stage) {
        let found = &plan.stages[above];
        let steps = found.all_steps().filter(|step| step.computes() != Some(but));
        wanted.extend(steps.flat_map(StageStep::reads));
        if found.end.is_sink() {
            wanted.extend(found.end.reads());
        }
    }
    wanted
}
