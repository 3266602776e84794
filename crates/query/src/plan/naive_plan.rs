//! The naive plan: every stage passes on every column that it has.
//!
//! It is what the query means, step by step; the rules change its cost only.

use super::stage_tree::{Plan, StageSource, StageStep};
use pivot_advice::JoinKind;
use std::collections::BTreeSet;

/// Gives every stage that packs rows all its columns as keys. Children come after parents, so from the
/// back all columns of a subtree are known.
pub(crate) fn complete(plan: &mut Plan) {
    // A rule may compute a part of an aggregate elsewhere: its number says what belongs together.
    let folds = plan.stages.iter_mut().flat_map(|stage| stage.end.folds_mut());
    for (fold, number) in folds.zip(1..) {
        fold.number = number;
    }

    // Stages are numbered by now, so what lies behind them is free for further bags.
    let further = plan.stages.len()..;
    let choices = plan.stages.iter_mut().flat_map(|stage| &mut stage.choices);
    for (choice, bag) in choices.zip(further) {
        choice.bag = bag;
    }

    for index in (0..plan.stages.len()).rev() {
        if !plan.stages[index].end.is_sink() {
            let columns = columns(plan, index);
            *plan.stages[index].end.keys_mut() = columns;
        }
    }
}

/// Returns the columns that every member of a stage has in the end.
fn columns(plan: &Plan, index: usize) -> Vec<u16> {
    let stage = &plan.stages[index];
    if stage.members.is_empty() {
        // All sources aggregate: the columns are those that are wanted of them, which all of them have.
        let united = plan.joined(index).and_then(|join| join.united.first());
        return united.map_or(vec![], |united| united.values.iter().map(|(column, _)| *column).collect());
    }

    let mut members = stage.members.iter().map(|member| columns_of_member(plan, member, &stage.steps));
    let mut common = members.next().unwrap_or_default();
    for other in members {
        common.retain(|column| other.contains(column));
    }
    common
}

/// Returns the columns that the rows of one member have in the end, each once.
fn columns_of_member(plan: &Plan, member: &StageSource, behind: &[StageStep]) -> Vec<u16> {
    let mut bound: Vec<u16> = member.observed.iter().map(|observed| observed.column).collect();
    for step in member.steps.iter().chain(behind) {
        match step {
            StageStep::Let(column, _) | StageStep::Unnest { element: column, .. } => bound.push(*column),
            StageStep::Join(join) if join.matching != JoinKind::Anti => {
                bound.extend(plan.appended(join.child))
            }
            StageStep::Distinct(columns) => bound.clone_from(columns),
            StageStep::Join(_) | StageStep::Filter(_) | StageStep::Order(_) | StageStep::Choose => {}
        }
    }

    // A column that several steps give a value, as in members of a union, is one.
    let mut seen = BTreeSet::new();
    bound.retain(|column| seen.insert(*column));
    bound
}
