//! Pre-aggregation: an aggregate is computed where its argument is bound, and its states are combined.
//!
//! ```text
//! γ[k; SUM(x.b)] (pack (k, x.b) ⋈ y)  =  γ[k; combine SUM] (pack (k; SUM(x.b)) ⋈ y)
//! ```
//!
//! The two sides agree because a packed row carries its multiplicity, and a join scales the states of
//! each side by the multiplicity of the others. Columns that conditions or keys still need stay keys.

use super::rule::OptimizerRule;
use crate::plan::{Plan, StageAggregate, StageAggregateInput, StageStep, columns_of, inlined};
use pivot_advice::{Expr, JoinKind};
use std::collections::BTreeSet;

/// The rule that computes aggregates where their arguments are bound, before rows are packed.
pub(super) struct PreAggregationRule;

/// One aggregate that could be computed earlier.
struct EarlyAggregate {
    /// The stage whose aggregate it is.
    sink: usize,
    /// The number of the aggregate.
    number: usize,
    /// The stage where it could be computed.
    target: usize,
    /// The columns of its argument.
    columns: BTreeSet<u16>,
}

impl OptimizerRule for PreAggregationRule {
    fn name(&self) -> &'static str {
        "pre-aggregation"
    }

    fn apply(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        for sink in 0..plan.stages.len() {
            if plan.stages[sink].end.is_sink() {
                changed |= write_out_lets(plan, sink);
            }
        }

        // A candidate that is raised may save nothing for another any more, so this ends with none to raise.
        let mut candidates = candidates(plan);
        while raise(plan, &mut candidates) {}
        for candidate in &candidates {
            let needed = needed_above(plan, candidate, &candidates);
            fold_early(plan, candidate, &needed);
        }
        changed || !candidates.is_empty()
    }
}

/// Writes out the LETs in the arguments of a sink's aggregates, where these can then be computed earlier,
/// and drops those that nothing reads any more. Returns whether there were any.
fn write_out_lets(plan: &mut Plan, sink: usize) -> bool {
    let mut changed = false;
    for place in 0..plan.stages[sink].end.folds().len() {
        let StageAggregateInput::Expr(expr) = &plan.stages[sink].end.folds()[place].input else { continue };

        // Where the argument is bound at the sink only, its LETs had better stay.
        let Some(expanded) = without_lets(expr, &plan.stages[sink].steps) else { continue };
        let meets_earlier = plan.meeting(&columns_of(&expanded)).is_some_and(|meeting| meeting != sink);
        if meets_earlier && expanded != *expr {
            plan.stages[sink].end.folds_mut()[place].input = StageAggregateInput::Expr(expanded);
            changed = true;
        }
    }

    while let Some(place) = unread_let(plan, sink) {
        plan.stages[sink].steps.remove(place);
        changed = true;
    }
    changed
}

/// Returns an expression with the LETs of some steps written out, or `None` if it would grow too large.
fn without_lets(expr: &Expr, steps: &[StageStep]) -> Option<Expr> {
    let mut expanded = expr.clone();
    // A LET uses those before it, so the last is written out first.
    for step in steps.iter().rev() {
        if let StageStep::Let(column, value) = step {
            expanded = inlined(&expanded, *column, value)?;
        }
    }
    Some(expanded)
}

/// Returns the place of a LET of a sink that nothing reads, or `None` if all are read.
fn unread_let(plan: &Plan, sink: usize) -> Option<usize> {
    let stage = &plan.stages[sink];
    let read: BTreeSet<u16> = stage.step_columns().into_iter().chain(stage.end.reads()).collect();
    stage.steps.iter().position(|step| matches!(step, StageStep::Let(column, _) if !read.contains(column)))
}

/// Moves up the first candidate that saves no column where it is. Returns false if there was none.
fn raise(plan: &Plan, candidates: &mut Vec<EarlyAggregate>) -> bool {
    let saves_nothing =
        |candidate: &EarlyAggregate| candidate.columns.is_subset(&needed_above(plan, candidate, candidates));
    let Some(at) = candidates.iter().position(saves_nothing) else { return false };

    match plan.above(candidates[at].target).first() {
        Some(parent) if *parent != candidates[at].sink => candidates[at].target = *parent,
        // At the sink itself it is computed anyway.
        _ => {
            candidates.remove(at);
        }
    }
    true
}

/// Returns the aggregates whose argument is bound before their sink.
fn candidates(plan: &Plan) -> Vec<EarlyAggregate> {
    let mut found = Vec::new();
    for (sink, stage) in plan.stages.iter().enumerate().filter(|(_, stage)| stage.end.is_sink()) {
        for fold in stage.end.folds() {
            let StageAggregateInput::Expr(expr) = &fold.input else { continue };
            // The states of sketches are larger than the values that they are made of.
            if fold.aggregate.is_sketch() {
                continue;
            }

            let columns = columns_of(expr);
            let Some(meeting) = plan.meeting(&columns) else { continue };

            let target = above_obstacles(plan, meeting, expr);
            if target != sink {
                found.push(EarlyAggregate { sink, number: fold.number, target, columns });
            }
        }
    }
    found
}

/// Returns the earliest stage from which states reach their sink. They pass through grouped bags only, and a
/// DISTINCT loses them: it lies above the last such stage on the way. A row that a LEFT join keeps has the
/// empty state, so only an argument that is null in it, as a column alone is, may be aggregated below. Nor does
/// a union with the groups of a query take states.
fn above_obstacles(plan: &Plan, stage: usize, argument: &Expr) -> usize {
    let way = plan.way_up(stage);
    let is_column = matches!(argument, Expr::Column(_));
    let mut target = 0;

    for (i, stage) in way.iter().enumerate() {
        if i > 0 && plan.stages[*stage].has_distinct() {
            target = i;
        }
        // The last of the way is the sink, which packs nothing for these states.
        let packs = i + 1 < way.len();
        let joined = plan.joined(*stage);
        let is_left = joined.is_some_and(|join| join.matching == JoinKind::Left);
        // Groups of a union bring values and no states.
        let is_united = joined.is_some_and(|join| !join.united.is_empty());
        if packs && (plan.stages[*stage].is_temporal() || is_united || is_left && !is_column) {
            target = i + 1;
        }
    }
    way.get(target).copied().unwrap_or(stage)
}

/// Returns the columns that stages above the candidate's read one by one.
fn needed_above(plan: &Plan, candidate: &EarlyAggregate, all: &[EarlyAggregate]) -> BTreeSet<u16> {
    let above = plan.above(candidate.target);
    let mut needed: BTreeSet<u16> =
        above.iter().flat_map(|stage| plan.stages[*stage].step_columns()).collect();
    needed.extend(plan.stages[candidate.sink].end.keys());

    // An aggregate above needs its argument, unless it is computed further down, too.
    for stage in &above {
        for fold in plan.stages[*stage].end.folds() {
            let moves = all.iter().any(|other| other.number == fold.number && !above.contains(&other.target));
            if let (StageAggregateInput::Expr(expr), false) = (&fold.input, moves) {
                needed.extend(columns_of(expr));
            }
        }
    }

    // So do candidates of the sink that are computed above this one.
    let higher = all.iter().filter(|other| other.sink == candidate.sink && above.contains(&other.target));
    for other in higher {
        needed.extend(&other.columns);
    }
    needed
}

/// Computes an aggregate at its target, and passes its states on up to the sink.
fn fold_early(plan: &mut Plan, candidate: &EarlyAggregate, needed: &BTreeSet<u16>) {
    let folds = plan.stages[candidate.sink].end.folds_mut();
    let Some(fold) = folds.iter_mut().find(|fold| fold.number == candidate.number) else { return };
    let early = fold.clone();
    fold.input = StageAggregateInput::State;

    for stage in plan.way_up(candidate.target) {
        if stage == candidate.sink {
            continue;
        }

        // Between target and sink the states of one stage are combined in the next.
        let input = if stage == candidate.target { early.input.clone() } else { StageAggregateInput::State };
        let end = &mut plan.stages[stage].end;
        end.folds_mut().push(StageAggregate { input, ..early.clone() });
        end.keys_mut().retain(|key| needed.contains(key) || !candidate.columns.contains(key));
    }
}
