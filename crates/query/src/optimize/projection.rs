//! Projection: only columns that something downstream reads are observed, computed, packed and emitted.
//!
//! ```text
//! π[a] (pack (x.a, x.b) ⋈ y)  =  pack (x.a) ⋈ y
//! ```

use super::rule::Rule;
use crate::plan::{End, Input, Plan, Stage, columns_of};
use crate::resolve::Step;
use std::collections::BTreeSet;

pub(super) struct Projection;

impl Rule for Projection {
    fn name(&self) -> &'static str {
        "projection"
    }

    /// Each round may make more columns unused; there are as many rounds as LETs and blocks nest.
    fn apply(&self, plan: &mut Plan) {
        while round(plan) {}
    }
}

/// Drops what nothing reads; says whether there was anything.
fn round(plan: &mut Plan) -> bool {
    let mut changed = false;
    let read: Vec<BTreeSet<u16>> = plan.stages.iter().map(reads).collect();
    for index in 0..plan.stages.len() {
        let above: BTreeSet<u16> =
            plan.above(index).into_iter().flat_map(|stage| read[stage].clone()).collect();
        let sink = plan.stages[index].end.is_sink();
        let parent_reads: BTreeSet<u16> = match plan.stages[index].parent {
            Some(parent) => plan.way_up(parent).into_iter().flat_map(|stage| read[stage].clone()).collect(),
            None => BTreeSet::new(),
        };
        let stage = &mut plan.stages[index];
        let used = |column: &u16| read[index].contains(column) || above.contains(column);
        let before = size(stage);
        stage.observed.retain(|observed| used(&observed.column));
        stage.steps.retain(|step| !matches!(step, Step::Let(column, _) if !used(column)));
        if !sink {
            stage.end.keys_mut().retain(|key| above.contains(key));
        }
        drop_aggregates(&mut stage.end, &parent_reads);
        changed |= size(stage) != before;
    }
    changed
}

fn size(stage: &Stage) -> (usize, usize, usize, usize) {
    (stage.observed.len(), stage.steps.len(), stage.end.keys().len(), stage.end.folds().len())
}

/// Columns that a stage reads itself.
fn reads(stage: &Stage) -> BTreeSet<u16> {
    let mut read = stage.step_columns();
    if stage.end.is_sink() {
        read.extend(stage.end.keys());
    }
    for fold in stage.end.folds() {
        if let Input::Expr(expr) = &fold.input {
            read.extend(columns_of(expr));
        }
    }
    read
}

/// Aggregates of a subquery whose result nobody reads. Its keys stay: they decide what a group is.
fn drop_aggregates(end: &mut End, read: &BTreeSet<u16>) {
    let End::Groups { keys, folds, unpacked } = end else { return };
    let first = keys.len() + 1;
    for place in (0..folds.len()).rev() {
        // A fold that combines states belongs to folds below, which are counted on to be there.
        let plain = matches!(folds[place].input, Input::Expr(_));
        if plain && unpacked.get(first + place).is_some_and(|column| !read.contains(column)) {
            folds.remove(place);
            unpacked.remove(first + place);
        }
    }
}
