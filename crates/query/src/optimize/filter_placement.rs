//! Filter placement: a condition runs at the earliest stage where all its aliases are bound.
//!
//! ```text
//! σ[p(x)] (x ⋈ y)  =  σ[p(x)] x ⋈ y      unless x is kept by First or MostRecent
//! ```
//!
//! A condition never goes into a temporal stage: it would choose other tuples.

use super::rule::Rule;
use crate::plan::{Plan, columns_of, renamed};
use crate::resolve::Step;
use pivot_advice::Expr;
use pivot_advice::expr::MAX_DEPTH;
use std::collections::BTreeSet;

/// A condition that would grow beyond this keeps its LET and its place.
const MAX_INLINED: usize = 256;

pub(super) struct FilterPlacement;

impl Rule for FilterPlacement {
    fn name(&self) -> &'static str {
        "filter placement"
    }

    fn apply(&self, plan: &mut Plan) {
        for stage in 0..plan.stages.len() {
            let mut place = 0;
            while place < plan.stages[stage].steps.len() {
                match target(plan, stage, place) {
                    Some((target, condition)) => {
                        plan.stages[stage].steps.remove(place);
                        put(plan, target, condition);
                    }
                    None => place += 1,
                }
            }
        }
    }
}

/// Where the step should go and as which condition, if it is a WHERE and should go.
fn target(plan: &Plan, stage: usize, place: usize) -> Option<(usize, Expr)> {
    let Step::Filter(condition) = &plan.stages[stage].steps[place] else { return None };
    let direct = above_choice(plan, plan.meeting(&columns_of(condition))?);
    let expanded = expand(plan, stage, condition);
    let deeper = expanded.as_ref().and_then(|condition| plan.meeting(&columns_of(condition)));
    let deeper = deeper.map(|deeper| above_choice(plan, deeper));
    let (target, condition) = match (deeper, expanded) {
        (Some(deeper), Some(expanded)) if deeper != direct => (deeper, expanded),
        _ => (direct, condition.clone()),
    };
    let first = target == stage && is_own(plan, target, &condition);
    (target != stage || first).then_some((target, condition))
}

/// The stage itself, or the first above whose tuples are not chosen.
fn above_choice(plan: &Plan, stage: usize) -> usize {
    let way = plan.way_up(stage);
    way.into_iter().find(|stage| !plan.stages[*stage].is_temporal()).unwrap_or(stage)
}

fn is_own(plan: &Plan, stage: usize, condition: &Expr) -> bool {
    columns_of(condition).iter().all(|column| plan.stages[stage].observes(*column))
}

/// The condition with the LETs of its stage written out.
fn expand(plan: &Plan, stage: usize, condition: &Expr) -> Option<Expr> {
    let mut expanded = condition.clone();
    for step in plan.stages[stage].steps.iter().rev() {
        let Step::Let(column, value) = step else { continue };
        if columns_of(&expanded).contains(column) {
            expanded = renamed(&expanded, &mut |index| match index == *column {
                true => value.clone(),
                false => Expr::Column(index),
            });
            if expanded.size() > MAX_INLINED || expanded.depth() > MAX_DEPTH {
                return None;
            }
        }
    }
    let found: BTreeSet<u16> = columns_of(&expanded);
    (!found.is_empty()).then_some(expanded)
}

/// Before anything is unpacked, if the stage's own fields decide.
fn put(plan: &mut Plan, target: usize, condition: Expr) {
    let own = is_own(plan, target, &condition);
    let stage = &mut plan.stages[target];
    match own {
        true => stage.before.push(condition),
        false => stage.steps.push(Step::Filter(condition)),
    }
}
