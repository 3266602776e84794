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
use crate::plan::{End, Join, Plan, Step, columns_of, renamed};
use pivot_advice::expr::MAX_DEPTH;
use pivot_advice::{Expr, Match};

/// A condition that would grow beyond this keeps its LET and its place.
const MAX_INLINED: usize = 256;

pub(super) struct FilterPlacement;

/// A list of steps: of a member, or the one behind all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct List {
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
            place_all(plan, List { stage, member: None });
            for member in 0..plan.stages[stage].members.len() {
                place_all(plan, List { stage, member: Some(member) });
            }
            lower_conditions(plan, stage);
        }
    }
}

impl List {
    fn of(self, plan: &Plan) -> &[Step] {
        let stage = &plan.stages[self.stage];
        self.member.map_or(&stage.steps, |member| &stage.members[member].steps)
    }

    fn of_mut(self, plan: &mut Plan) -> &mut Vec<Step> {
        let stage = &mut plan.stages[self.stage];
        match self.member {
            None => &mut stage.steps,
            Some(member) => &mut stage.members[member].steps,
        }
    }
}

fn place_all(plan: &mut Plan, list: List) {
    // A condition that moves up in its list leaves those behind it where they are.
    for place in 0..list.of(plan).len() {
        if let Some(Step::Filter(condition)) = list.of(plan).get(place).cloned() {
            list.of_mut(plan).remove(place);
            if !put(plan, list, place, condition) {
                return place_all(plan, list);
            }
        }
    }
}

/// Puts a condition that stood at a place of a list where it should; false if it left the list.
fn put(plan: &mut Plan, list: List, place: usize, condition: Expr) -> bool {
    let (mut at, mut inlined, mut current) = (place, false, condition.clone());
    // The best place so far. A LET is written out only if the condition then runs before a join.
    let (mut best, mut condition) = (place, condition);
    while at > 0 {
        let step = &list.of(plan)[at - 1];
        let gains = matches!(step, Step::Join(_) | Step::Unnest { .. });
        match pass(plan, step, &current) {
            Pass::Over => {}
            Pass::Into(child) => {
                let filter = Step::Filter(current);
                // It may come from several members that join the same child.
                if !plan.stages[child].steps.contains(&filter) {
                    plan.stages[child].steps.push(filter);
                }
                return false;
            }
            Pass::Inlined(expanded) => (current, inlined) = (expanded, true),
            Pass::No => break,
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
            member.steps.push(Step::Filter(condition.clone()));
        }
        return false;
    }
    let steps = list.of_mut(plan);
    // Behind those that are there: conditions keep their order.
    let filters = steps[best..place].iter().take_while(|step| matches!(step, Step::Filter(_))).count();
    steps.insert(best + filters, Step::Filter(condition));
    true
}

/// Whether a condition may run before a step.
enum Pass {
    Over,
    Into(usize),
    /// With the value of a LET written out.
    Inlined(Expr),
    No,
}

fn pass(plan: &Plan, step: &Step, condition: &Expr) -> Pass {
    let columns = columns_of(condition);
    match step {
        Step::Filter(_) | Step::Order(_) | Step::Distinct(_) => Pass::Over,
        Step::Unnest { element, .. } if columns.contains(element) => Pass::No,
        Step::Unnest { .. } => Pass::Over,
        Step::Let(column, _) if !columns.contains(column) => Pass::Over,
        Step::Let(column, value) => {
            let expanded = renamed(condition, &mut |index| match index == *column {
                true => value.clone(),
                false => Expr::Column(index),
            });
            let fits = expanded.size() <= MAX_INLINED && expanded.depth() <= MAX_DEPTH;
            if fits && !columns_of(&expanded).is_empty() { Pass::Inlined(expanded) } else { Pass::No }
        }
        Step::Join(join) => pass_join(plan, join, condition),
    }
}

fn pass_join(plan: &Plan, join: &Join, condition: &Expr) -> Pass {
    let columns = columns_of(condition);
    let appended = plan.appended(join.child);
    let theirs = columns.iter().filter(|column| appended.contains(column)).count();
    let rows = matches!(plan.stages[join.child].end, End::Rows { .. });
    match join.matching {
        Match::Anti => Pass::Over,
        _ if theirs == 0 => Pass::Over,
        Match::Inner if theirs == columns.len() && rows && !plan.stages[join.child].is_temporal() => {
            Pass::Into(join.child)
        }
        _ => Pass::No,
    }
}

/// Conditions of a match that need the child alone run there.
fn lower_conditions(plan: &mut Plan, stage: usize) {
    let joins: Vec<Join> = plan.stages[stage].joins().cloned().collect();
    for join in joins {
        let child = join.child;
        let may = matches!(plan.stages[child].end, End::Rows { .. }) && !plan.stages[child].is_temporal();
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
            if let Step::Join(join) = step
                && join.child == child
            {
                join.on.clone_from(&stay);
            }
        }
        // The child may be joined in several members, which all have the same conditions.
        let filters: Vec<Step> = down.into_iter().map(Step::Filter).collect();
        if !filters.iter().all(|filter| plan.stages[child].steps.contains(filter)) {
            plan.stages[child].steps.extend(filters);
        }
    }
}
