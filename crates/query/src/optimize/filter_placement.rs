//! Filter placement: a condition runs at the earliest stage where all its aliases are bound, and there
//! before everything that it does not need.
//!
//! ```text
//! σ[p(x)] (x ⋈ y)  =  σ[p(x)] x ⋈ y      unless x is kept by First or MostRecent, or joined by LEFT
//! ```
//!
//! A condition never goes into a temporal stage: it would choose other tuples. Nor below a LEFT join,
//! where it would make rows without a match. A condition of the join itself may: it decides about the
//! match, and so does what is packed.

use super::rule::Rule;
use crate::plan::{Plan, StageEnd, StageJoin, StageStep, columns_of, renamed};
use pivot_advice::expr::MAX_DEPTH;
use pivot_advice::{Expr, Match};

/// A condition that would grow beyond this keeps its LET and its place.
const MAX_INLINED: usize = 256;

pub(super) struct FilterPlacement;

/// A list of steps: of a member, or the one behind all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StepList {
    stage: usize,
    member: Option<usize>,
}

impl Rule for FilterPlacement {
    fn name(&self) -> &'static str {
        "filter placement"
    }

    /// Parents come first, so a condition that went down a stage goes on from there.
    fn apply(&self, plan: &mut Plan) {
        for stage in 0..plan.stages.len() {
            place_all(plan, StepList { stage, member: None });
            for member in 0..plan.stages[stage].members.len() {
                place_all(plan, StepList { stage, member: Some(member) });
            }
            lower_conditions(plan, stage);
        }
    }
}

impl StepList {
    fn of(self, plan: &Plan) -> &[StageStep] {
        let stage = &plan.stages[self.stage];
        self.member.map_or(&stage.steps, |member| &stage.members[member].steps)
    }

    fn of_mut(self, plan: &mut Plan) -> &mut Vec<StageStep> {
        let stage = &mut plan.stages[self.stage];
        match self.member {
            None => &mut stage.steps,
            Some(member) => &mut stage.members[member].steps,
        }
    }
}

fn place_all(plan: &mut Plan, list: StepList) {
    // A condition that moves up in its list leaves those behind it where they are.
    for place in 0..list.of(plan).len() {
        if let Some(StageStep::Filter(condition)) = list.of(plan).get(place).cloned() {
            list.of_mut(plan).remove(place);
            if !put(plan, list, place, condition) {
                return place_all(plan, list);
            }
        }
    }
}

/// Puts a condition that stood at a place of a list where it should; false if it left the list.
fn put(plan: &mut Plan, list: StepList, place: usize, condition: Expr) -> bool {
    let (mut at, mut inlined, mut current) = (place, false, condition.clone());
    // The best place so far. A LET is written out only if the condition then runs before a join.
    let (mut best, mut condition) = (place, condition);
    while at > 0 {
        let step = &list.of(plan)[at - 1];
        let gains = matches!(step, StageStep::Join(_) | StageStep::Unnest { .. });
        match pass(plan, step, &current) {
            FilterMove::Over => {}
            FilterMove::Into(child) => {
                let filter = StageStep::Filter(current);
                // It may come from several members that join the same child.
                if !plan.stages[child].steps.contains(&filter) {
                    plan.stages[child].steps.push(filter);
                }
                return false;
            }
            FilterMove::Inlined(expanded) => (current, inlined) = (expanded, true),
            FilterMove::No => break,
        }
        at -= 1;
        if gains || !inlined {
            (best, condition) = (at, current.clone());
            inlined &= !gains;
        }
    }
    let stage = &plan.stages[list.stage];
    if best == 0 && list.member.is_none() && !stage.is_temporal() {
        for member in &mut plan.stages[list.stage].members {
            member.steps.push(StageStep::Filter(condition.clone()));
        }
        return false;
    }
    let steps = list.of_mut(plan);
    // Behind those that are there: conditions keep their order.
    let filters = steps[best..place].iter().take_while(|step| matches!(step, StageStep::Filter(_))).count();
    steps.insert(best + filters, StageStep::Filter(condition));
    true
}

/// Whether a condition may run before a step.
enum FilterMove {
    Over,
    Into(usize),
    /// With the value of a LET written out.
    Inlined(Expr),
    No,
}

fn pass(plan: &Plan, step: &StageStep, condition: &Expr) -> FilterMove {
    let columns = columns_of(condition);
    match step {
        StageStep::Filter(_) | StageStep::Order(_) | StageStep::Distinct(_) => FilterMove::Over,
        StageStep::Unnest { element, .. } if columns.contains(element) => FilterMove::No,
        StageStep::Unnest { .. } => FilterMove::Over,
        StageStep::Let(column, _) if !columns.contains(column) => FilterMove::Over,
        StageStep::Let(column, value) => {
            let expanded = renamed(condition, &mut |index| match index == *column {
                true => value.clone(),
                false => Expr::Column(index),
            });
            let fits = expanded.size() <= MAX_INLINED && expanded.depth() <= MAX_DEPTH;
            if fits && !columns_of(&expanded).is_empty() {
                FilterMove::Inlined(expanded)
            } else {
                FilterMove::No
            }
        }
        StageStep::Join(join) => pass_join(plan, join, condition),
    }
}

fn pass_join(plan: &Plan, join: &StageJoin, condition: &Expr) -> FilterMove {
    let columns = columns_of(condition);
    let appended = plan.appended(join.child);
    let theirs = columns.iter().filter(|column| appended.contains(column)).count();
    let rows = matches!(plan.stages[join.child].end, StageEnd::Rows { .. });
    match join.matching {
        Match::Anti => FilterMove::Over,
        _ if theirs == 0 => FilterMove::Over,
        Match::Inner if theirs == columns.len() && rows && !plan.stages[join.child].is_temporal() => {
            FilterMove::Into(join.child)
        }
        _ => FilterMove::No,
    }
}

/// Conditions of a match that need the child alone run there.
fn lower_conditions(plan: &mut Plan, stage: usize) {
    let joins: Vec<StageJoin> = plan.stages[stage].joins().cloned().collect();
    for join in joins {
        let child = join.child;
        let may =
            matches!(plan.stages[child].end, StageEnd::Rows { .. }) && !plan.stages[child].is_temporal();
        let appended = plan.appended(child).to_vec();
        let lowers = |condition: &Expr| {
            let columns = columns_of(condition);
            may && !columns.is_empty() && columns.iter().all(|column| appended.contains(column))
        };
        let (down, stay): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().partition(lowers);
        if down.is_empty() {
            continue;
        }
        for step in plan.stages[stage].lists_mut().flatten() {
            if let StageStep::Join(join) = step
                && join.child == child
            {
                join.on.clone_from(&stay);
            }
        }
        // The child may be joined in several members, which all have the same conditions.
        let filters: Vec<StageStep> = down.into_iter().map(StageStep::Filter).collect();
        if !filters.iter().all(|filter| plan.stages[child].steps.contains(filter)) {
            plan.stages[child].steps.extend(filters);
        }
    }
}
