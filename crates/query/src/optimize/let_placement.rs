//! Let placement: a value is computed where its inputs meet, if fewer columns travel from there.
//!
//! ```text
//! let v = f(x.a) over (pack (x.a) ⋈ y)  =  pack (v) ⋈ y   with v = f(x.a) below
//! ```

use super::rule::Rule;
use crate::plan::{Input, Plan, columns_of};
use crate::resolve::Step;
use std::collections::BTreeSet;

pub(super) struct LetPlacement;

impl Rule for LetPlacement {
    fn name(&self) -> &'static str {
        "let placement"
    }

    fn apply(&self, plan: &mut Plan) {
        for stage in 0..plan.stages.len() {
            let mut place = 0;
            while place < plan.stages[stage].steps.len() {
                match target(plan, stage, place) {
                    Some(target) => lower(plan, stage, place, target),
                    None => place += 1,
                }
            }
        }
    }
}

/// Where the step should go instead, if it is a LET and should go.
fn target(plan: &Plan, stage: usize, place: usize) -> Option<usize> {
    let Step::Let(_, expr) = &plan.stages[stage].steps[place] else { return None };
    let inputs = columns_of(expr);
    let target = plan.meeting(&inputs).filter(|target| *target != stage)?;
    let wanted = wanted_above(plan, target, stage, place);
    inputs.iter().any(|input| !wanted.contains(input)).then_some(target)
}

/// Columns that stages above one read, but for the LET in question.
fn wanted_above(plan: &Plan, target: usize, stage: usize, place: usize) -> BTreeSet<u16> {
    let mut wanted = BTreeSet::new();
    for above in plan.above(target) {
        let found = &plan.stages[above];
        wanted.extend(found.before.iter().flat_map(columns_of));
        for (i, step) in found.steps.iter().enumerate() {
            let (Step::Let(_, expr) | Step::Filter(expr)) = step;
            if (above, i) != (stage, place) {
                wanted.extend(columns_of(expr));
            }
        }
        if found.end.is_sink() {
            wanted.extend(found.end.keys());
            wanted.extend(found.end.folds().iter().flat_map(|fold| match &fold.input {
                Input::Expr(expr) => columns_of(expr),
                Input::State => BTreeSet::new(),
            }));
        }
    }
    wanted
}

fn lower(plan: &mut Plan, stage: usize, place: usize, target: usize) {
    let step = plan.stages[stage].steps.remove(place);
    let Step::Let(column, _) = step else { return };
    plan.stages[target].steps.push(step);
    plan.carry(column);
}
