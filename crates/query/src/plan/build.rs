//! The naive plan: every stage passes on every column, and everything is computed at the sink.
//!
//! It is what the query means, step by step; the rules change its cost only.

use super::tree::{End, Fold, Input, Plan, Stage};
use crate::resolve::{Column, Finish, Resolved, Step};
use pivot_advice::{Expr, Form, Type};

/// The plan of a query that resolved without errors.
pub(crate) fn build(resolved: &Resolved) -> Plan {
    let stages = resolved.stages.iter().enumerate().map(|(i, stage)| Stage {
        alias: stage.alias.clone(),
        parent: stage.parent,
        tracepoints: stage.tracepoints.clone(),
        observed: stage.observed.clone(),
        before: stage.choice.clone(),
        children: children_of(resolved, i),
        steps: vec![],
        keep: stage.keep,
        end: End::Rows { keys: vec![], folds: vec![] },
        bag: i,
    });
    let mut plan = Plan { columns: resolved.columns.clone(), stages: stages.collect() };
    let mut number = 0;
    for block in &resolved.blocks {
        plan.stages[block.sink].steps.extend(block.steps.iter().cloned());
        let end = finish(&mut plan, block.sink, &block.finish, &mut number);
        plan.stages[block.sink].end = end;
    }
    for stage in (0..plan.stages.len()).rev() {
        pass_everything(&mut plan, stage);
    }
    plan
}

fn children_of(resolved: &Resolved, stage: usize) -> Vec<usize> {
    let all = resolved.stages.iter().enumerate();
    all.filter(|(_, child)| child.parent == Some(stage)).map(|(i, _)| i).collect()
}

/// Children come after parents, so from the back all columns of a subtree are known.
fn pass_everything(plan: &mut Plan, stage: usize) {
    let mine = &plan.stages[stage];
    if mine.end.is_sink() {
        return;
    }
    let mut columns: Vec<u16> = mine.observed.iter().map(|observed| observed.column).collect();
    for child in &mine.children {
        columns.extend(match &plan.stages[*child].end {
            End::Groups { unpacked, .. } => unpacked,
            other => other.keys(),
        });
    }
    *plan.stages[stage].end.keys_mut() = columns;
}

fn finish(plan: &mut Plan, sink: usize, finish: &Finish, number: &mut usize) -> End {
    match finish {
        Finish::Rows { values } => {
            let keys = keys(plan, sink, values);
            End::Emit { keys, folds: vec![], form: Form::Rows }
        }
        Finish::Groups { keys: grouped, aggregates, unpacked, .. } => {
            let keys = keys(plan, sink, grouped);
            let folds = aggregates.iter().map(|(aggregate, expr, _)| {
                *number += 1;
                Fold { number: *number, aggregate: *aggregate, input: Input::Expr(expr.clone()) }
            });
            let folds = folds.collect();
            match unpacked.is_empty() {
                true => End::Emit { keys, folds, form: Form::Groups },
                false => End::Groups { keys, folds, unpacked: unpacked.clone() },
            }
        }
    }
}

/// Keys are columns: what is not gets one at the sink.
fn keys(plan: &mut Plan, sink: usize, values: &[(String, Expr, Type)]) -> Vec<u16> {
    let mut keys = Vec::with_capacity(values.len());
    for (name, expr, ty) in values {
        if let Expr::Column(column) = expr {
            keys.push(*column);
            continue;
        }
        let number = u16::try_from(plan.columns.len()).unwrap_or(u16::MAX);
        plan.columns.push(Column { alias: String::new(), name: name.clone(), ty: *ty });
        plan.stages[sink].steps.push(Step::Let(number, expr.clone()));
        keys.push(number);
    }
    keys
}
