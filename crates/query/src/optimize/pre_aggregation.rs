//! Pre-aggregation: an aggregate is computed where its argument is bound, and its states are combined.
//!
//! ```text
//! γ[k; SUM(x.b)] (pack (k, x.b) ⋈ y)  =  γ[k; combine SUM] (pack (k; SUM(x.b)) ⋈ y)
//! ```
//!
//! The two sides agree because a packed row carries its multiplicity, and a join scales the states of
//! each side by the multiplicity of the others. Columns that conditions or keys still need stay keys.

use super::rule::Rule;
use crate::plan::{Fold, Input, Plan, columns_of};
use pivot_advice::{Expr, Match};
use std::collections::BTreeSet;

pub(super) struct PreAggregation;

/// One aggregate that could be computed earlier.
struct Candidate {
    sink: usize,
    number: usize,
    target: usize,
    columns: BTreeSet<u16>,
}

impl Rule for PreAggregation {
    fn name(&self) -> &'static str {
        "pre-aggregation"
    }

    fn apply(&self, plan: &mut Plan) {
        let mut candidates = candidates(plan);
        while raise(plan, &mut candidates) {}
        for candidate in &candidates {
            let needed = needed_above(plan, candidate, &candidates);
            fold_early(plan, candidate, &needed);
        }
    }
}

/// Moves up the first candidate that saves no column where it is; says whether there was one.
fn raise(plan: &Plan, candidates: &mut Vec<Candidate>) -> bool {
    let saves_nothing =
        |candidate: &Candidate| candidate.columns.is_subset(&needed_above(plan, candidate, candidates));
    let Some(at) = candidates.iter().position(saves_nothing) else { return false };
    match plan.above(candidates[at].target).first() {
        Some(parent) if *parent != candidates[at].sink => candidates[at].target = *parent,
        _ => {
            candidates.remove(at);
        }
    }
    true
}

fn candidates(plan: &Plan) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (sink, stage) in plan.stages.iter().enumerate().filter(|(_, stage)| stage.end.is_sink()) {
        for fold in stage.end.folds() {
            let Input::Expr(expr) = &fold.input else { continue };
            if fold.aggregate.is_sketch() {
                continue;
            }
            let columns = columns_of(expr);
            let Some(meeting) = plan.meeting(&columns) else { continue };
            let target = above_obstacles(plan, meeting, expr);
            if target != sink {
                found.push(Candidate { sink, number: fold.number, target, columns });
            }
        }
    }
    found
}

/// States pass through grouped bags only, and a DISTINCT loses them: the target lies above the last such
/// stage on the way. A row that a LEFT join keeps has the empty state, so only an argument that is null
/// in it, as a column alone is, may be aggregated below.
fn above_obstacles(plan: &Plan, stage: usize, argument: &Expr) -> usize {
    let way = plan.way_up(stage);
    let is_obstacle = |(i, stage): (usize, &usize)| {
        let loses = i > 0 && plan.stages[*stage].has_distinct();
        let packs = i + 1 < way.len();
        let temporal = packs && plan.stages[*stage].is_temporal();
        let left = packs && plan.joined(*stage).is_some_and(|join| join.matching == Match::Left);
        (temporal || (left && !matches!(argument, Expr::Column(_))), loses)
    };
    let mut target = 0;
    for (i, stage) in way.iter().enumerate() {
        let (above, here) = is_obstacle((i, stage));
        if here {
            target = i;
        }
        if above {
            target = i + 1;
        }
    }
    way.get(target).copied().unwrap_or(stage)
}

/// Columns that stages above the candidate's read one by one.
fn needed_above(plan: &Plan, candidate: &Candidate, all: &[Candidate]) -> BTreeSet<u16> {
    let above = plan.above(candidate.target);
    let mut needed: BTreeSet<u16> =
        above.iter().flat_map(|stage| plan.stages[*stage].step_columns()).collect();
    needed.extend(plan.stages[candidate.sink].end.keys());
    for stage in &above {
        for fold in plan.stages[*stage].end.folds() {
            let moves = all.iter().any(|other| other.number == fold.number && !above.contains(&other.target));
            if let (Input::Expr(expr), false) = (&fold.input, moves) {
                needed.extend(columns_of(expr));
            }
        }
    }
    let higher = all.iter().filter(|other| other.sink == candidate.sink && above.contains(&other.target));
    higher.for_each(|other| needed.extend(&other.columns));
    needed
}

fn fold_early(plan: &mut Plan, candidate: &Candidate, needed: &BTreeSet<u16>) {
    let folds = plan.stages[candidate.sink].end.folds_mut();
    let Some(fold) = folds.iter_mut().find(|fold| fold.number == candidate.number) else { return };
    let early = fold.clone();
    fold.input = Input::State;
    for stage in plan.way_up(candidate.target) {
        if stage == candidate.sink {
            continue;
        }
        let input = if stage == candidate.target { early.input.clone() } else { Input::State };
        let end = &mut plan.stages[stage].end;
        end.folds_mut().push(Fold { input, ..early.clone() });
        end.keys_mut().retain(|key| needed.contains(key) || !candidate.columns.contains(key));
    }
}
