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

use super::rule::OptimizerRule;
use crate::plan::{Plan, StageEnd, StageJoin, StageStep, columns_of, inlined};
use pivot_advice::{Expr, JoinKind};

/// The rule that moves conditions to the earliest stage where they can be decided.
pub(super) struct FilterPlacementRule;

impl OptimizerRule for FilterPlacementRule {
    fn name(&self) -> &'static str {
        "filter placement"
    }

    /// Parents come first, so a condition that went down a stage goes on from there.
    fn apply(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        for stage in 0..plan.stages.len() {
            changed |= place_all(plan, StepLocation { stage, member: None });
            for member in 0..plan.stages[stage].members.len() {
                changed |= place_all(plan, StepLocation { stage, member: Some(member) });
            }
            changed |= lower_match_conditions(plan, stage);
        }
        changed
    }
}

/// A list of steps: of a member, or the one behind all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StepLocation {
    stage: usize,
    member: Option<usize>,
}

impl StepLocation {
    fn steps(self, plan: &Plan) -> &[StageStep] {
        let stage = &plan.stages[self.stage];
        self.member.map_or(&stage.steps, |member| &stage.members[member].steps)
    }

    fn steps_mut(self, plan: &mut Plan) -> &mut Vec<StageStep> {
        let stage = &mut plan.stages[self.stage];
        match self.member {
            None => &mut stage.steps,
            Some(member) => &mut stage.members[member].steps,
        }
    }
}

/// The fate of a condition.
enum ConditionPlacement {
    /// The condition stands where it stood.
    Stays,
    /// The condition moved up in its list.
    Moved,
    /// The condition left its list. A stage with one member reads the same when its steps become the member's.
    Left { reads_differently: bool },
}

/// Places the conditions of a list. Returns whether the plan now reads differently.
fn place_all(plan: &mut Plan, list: StepLocation) -> bool {
    let mut changed = false;
    let mut at = 0;
    while let Some(step) = list.steps(plan).get(at) {
        if !matches!(step, StageStep::Filter(_)) {
            at += 1;
            continue;
        }
        // A condition that moves up leaves those behind it where they are.
        let StageStep::Filter(condition) = list.steps_mut(plan).remove(at) else { continue };
        match place(plan, list, at, condition) {
            ConditionPlacement::Stays => at += 1,
            ConditionPlacement::Moved => {
                changed = true;
                at += 1;
            }
            // What stood behind it may now pass what it did not pass before.
            ConditionPlacement::Left { reads_differently } => {
                changed |= reads_differently;
                at = 0;
            }
        }
    }
    changed
}

/// Puts a condition, taken from a place of a list, where it should run.
fn place(plan: &mut Plan, list: StepLocation, from: usize, condition: Expr) -> ConditionPlacement {
    // The best place so far. A LET is written out only if the condition then runs before a join.
    let mut best = from;
    let mut best_condition = condition.clone();
    let mut current = condition;
    let mut is_inlined = false;
    let mut was_inlined = false;

    let mut at = from;
    while at > 0 {
        let step = &list.steps(plan)[at - 1];
        let gains = matches!(step, StageStep::Join(_) | StageStep::Unnest { .. });
        match pass(plan, step, &current) {
            FilterMove::Over => {}
            FilterMove::Into(child) => {
                let filter = StageStep::Filter(current);
                // It may come from several members that join the same child.
                if !plan.stages[child].steps.contains(&filter) {
                    plan.stages[child].steps.push(filter);
                }
                return ConditionPlacement::Left { reads_differently: true };
            }
            FilterMove::Inlined(expanded) => {
                current = expanded;
                is_inlined = true;
            }
            FilterMove::Stays => break,
        }
        at -= 1;
        if gains || !is_inlined {
            best = at;
            best_condition.clone_from(&current);
            was_inlined |= is_inlined;
            is_inlined &= !gains;
        }
    }

    let stage = &mut plan.stages[list.stage];
    if best == 0 && list.member.is_none() && !stage.is_temporal() {
        for member in &mut stage.members {
            member.steps.push(StageStep::Filter(best_condition.clone()));
        }
        let reads_differently = was_inlined || from > 0 || stage.members.len() > 1;
        return ConditionPlacement::Left { reads_differently };
    }

    // Behind the conditions that are there: they keep their order.
    let steps = list.steps_mut(plan);
    let filters = steps[best..from].iter().take_while(|step| matches!(step, StageStep::Filter(_))).count();
    let to = best + filters;
    steps.insert(to, StageStep::Filter(best_condition));
    if to == from && !was_inlined { ConditionPlacement::Stays } else { ConditionPlacement::Moved }
}

/// Whether a condition may run before a step.
enum FilterMove {
    Over,
    /// In the child that the step joins.
    Into(usize),
    /// With the value of a LET written out.
    Inlined(Expr),
    Stays,
}

/// Returns whether a condition may run before a step, and how.
fn pass(plan: &Plan, step: &StageStep, condition: &Expr) -> FilterMove {
    let columns = columns_of(condition);
    match step {
        StageStep::Filter(_) | StageStep::Order(_) | StageStep::Distinct(_) => FilterMove::Over,
        // Before the choice it would choose other tuples.
        StageStep::Choose => FilterMove::Stays,
        StageStep::Unnest { element, .. } if columns.contains(element) => FilterMove::Stays,
        StageStep::Unnest { .. } => FilterMove::Over,
        StageStep::Let(column, _) if !columns.contains(column) => FilterMove::Over,
        StageStep::Let(column, value) => match inlined(condition, *column, value) {
            Some(expanded) if !columns_of(&expanded).is_empty() => FilterMove::Inlined(expanded),
            _ => FilterMove::Stays,
        },
        StageStep::Join(join) => pass_join(plan, join, condition),
    }
}

/// Returns whether a condition may run before a join: below it, beside it, or not at all.
fn pass_join(plan: &Plan, join: &StageJoin, condition: &Expr) -> FilterMove {
    let columns = columns_of(condition);
    let appended = plan.appended(join.child);
    let theirs = columns.iter().filter(|column| appended.contains(column)).count();
    let child = &plan.stages[join.child];
    // In a union with groups, the condition is about these too.
    let packs_rows =
        matches!(child.end, StageEnd::Rows { .. }) && !child.is_temporal() && join.united.is_empty();

    match join.matching {
        JoinKind::Anti => FilterMove::Over,
        _ if theirs == 0 => FilterMove::Over,
        JoinKind::Inner if theirs == columns.len() && packs_rows => FilterMove::Into(join.child),
        _ => FilterMove::Stays,
    }
}

/// Moves conditions of a match that need the child alone into the child. Returns whether there were any.
fn lower_match_conditions(plan: &mut Plan, stage: usize) -> bool {
    let mut changed = false;
    let joins = plan.stages[stage].joins().filter(|join| join.united.is_empty());
    let children: Vec<usize> = joins.map(|join| join.child).collect();

    for child in children {
        let packed = &plan.stages[child];
        if !matches!(packed.end, StageEnd::Rows { .. }) || packed.is_temporal() {
            continue;
        }
        let appended = plan.appended(child).to_vec();
        let needs_child_alone = |condition: &mut Expr| {
            let columns = columns_of(condition);
            !columns.is_empty() && columns.iter().all(|column| appended.contains(column))
        };

        // The child may be joined in several members, which all have the same conditions.
        let mut lowered: Vec<Expr> = Vec::new();
        for step in plan.stages[stage].lists_mut().flatten() {
            if let StageStep::Join(join) = step
                && join.child == child
            {
                lowered = join.on.extract_if(.., needs_child_alone).collect();
            }
        }

        changed |= !lowered.is_empty();
        let filters: Vec<StageStep> = lowered.into_iter().map(StageStep::Filter).collect();
        let steps = &mut plan.stages[child].steps;
        if !filters.iter().all(|filter| steps.contains(filter)) {
            steps.extend(filters);
        }
    }
    changed
}
