//! Let placement: a value is computed where its inputs meet, if fewer columns travel from there.
//!
//! ```text
//! let v = f(x.a) over (pack (x.a) ⋈ y)  =  pack (v) ⋈ y   with v = f(x.a) below
//! ```

use super::rule::OptimizerRule;
use crate::plan::{Plan, StageEnd, StageJoin, StageStep, columns_of};
use pivot_advice::{Expr, JoinKind};
use std::collections::BTreeSet;

/// The rule that computes the value of a LET at an earlier stage if fewer columns travel from there.
pub(super) struct LetPlacementRule;

impl OptimizerRule for LetPlacementRule {
    fn name(&self) -> &'static str {
        "let placement"
    }

    /// Parents come first, so a value that went down a stage goes on from there.
    fn apply(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        for stage in 0..plan.stages.len() {
            while let Some(MovableLet { column, expr, child }) = movable(plan, stage) {
                changed = true;
                for steps in plan.stages[stage].lists_mut() {
                    steps.retain(|step| !matches!(step, StageStep::Let(known, _) if *known == column));
                }
                plan.stages[child].steps.push(StageStep::Let(column, expr));
                // From here on up it is passed on already, as far as it goes.
                plan.stages[child].end.keys_mut().push(column);
            }
        }
        changed
    }
}

/// A LET that can be computed in a child.
struct MovableLet {
    column: u16,
    expr: Expr,
    child: usize,
}

/// Returns a LET of a stage whose inputs all come from one child, and which saves a column on the way, or
/// `None` if there is none.
fn movable(plan: &Plan, stage: usize) -> Option<MovableLet> {
    for step in plan.stages[stage].all_steps() {
        let StageStep::Let(column, expr) = step else { continue };
        if !is_only(plan, stage, *column) {
            continue;
        }

        // The value travels instead of an input that nothing else reads.
        let inputs = columns_of(expr);
        let Some(child) = source(plan, stage, &inputs) else { continue };
        let wanted = wanted(plan, stage, *column);
        if inputs.iter().any(|input| !wanted.contains(input)) {
            return Some(MovableLet { column: *column, expr: expr.clone(), child });
        }
    }
    None
}

/// Returns whether one step alone gives a column its value: members of a union may give it different ones.
fn is_only(plan: &Plan, stage: usize, column: u16) -> bool {
    let computed = plan.stages.iter().flat_map(|stage| stage.all_steps());
    let times = computed.filter(|step| step.computes() == Some(column)).count();
    times == 1 && !plan.stages[stage].observes(column) && !plan.stages[stage].has_distinct()
}

/// Returns the child that all inputs come from, or `None` if its rows may not get another column.
fn source(plan: &Plan, stage: usize, inputs: &BTreeSet<u16>) -> Option<usize> {
    let comes_from = |join: &&StageJoin| {
        let appended = plan.appended(join.child);
        !inputs.is_empty() && inputs.iter().all(|input| appended.contains(input))
    };
    let join = plan.stages[stage].joins().find(comes_from)?;

    // Groups have the columns they have; a column more would make tuples that were equal differ.
    let child = &plan.stages[join.child];
    let packs_rows = matches!(child.end, StageEnd::Rows { .. }) && !child.is_temporal();
    (packs_rows && join.united.is_empty() && join.matching == JoinKind::Inner).then_some(join.child)
}

/// Returns the columns that a stage and those above it read, but for the LET in question.
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
