//! Projection: only columns that something downstream reads are observed, computed, packed and emitted.
//!
//! ```text
//! π[a] (pack (x.a, x.b) ⋈ y)  =  pack (x.a) ⋈ y
//! ```

use super::rule::Rule;
use crate::plan::{Plan, Stage, StageStep, SubqueryGroups};
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
        // What a sink gives is read from its parent on.
        let parent_reads: BTreeSet<u16> = match plan.stages[index].parent {
            Some(parent) => plan.way_up(parent).into_iter().flat_map(|stage| read[stage].clone()).collect(),
            None => BTreeSet::new(),
        };
        let stage = &mut plan.stages[index];
        let used = |column: &u16| read[index].contains(column) || above.contains(column);
        let before = size(stage);
        for member in &mut stage.members {
            member.observed.retain(|observed| used(&observed.column));
        }
        for steps in stage.lists_mut() {
            steps.retain(|step| !matches!(step, StageStep::Let(column, _) if !used(column)));
        }
        match &mut stage.end {
            crate::plan::StageEnd::Rows { keys, .. } => keys.retain(|key| above.contains(key)),
            crate::plan::StageEnd::Groups(groups) => drop_aggregates(groups, &parent_reads),
            crate::plan::StageEnd::Emit { .. } => {}
        }
        changed |= size(stage) != before;
    }
    changed
}

fn size(stage: &Stage) -> [usize; 4] {
    let observed = stage.members.iter().map(|member| member.observed.len()).sum();
    let folds = match &stage.end {
        crate::plan::StageEnd::Groups(groups) => groups.folds.len() + groups.finished.len(),
        other => other.folds().len(),
    };
    [observed, stage.all_steps().count(), stage.end.keys().len(), folds]
}

/// Columns that a stage reads itself.
fn reads(stage: &Stage) -> BTreeSet<u16> {
    let mut read = stage.step_columns();
    read.extend(stage.end.folds().iter().flat_map(|fold| fold.reads()));
    if stage.end.is_sink() {
        read.extend(stage.end.keys());
    }
    read
}

/// Aggregates of a subquery whose result nobody reads. Its keys stay: they decide what a group is.
fn drop_aggregates(groups: &mut SubqueryGroups, read: &BTreeSet<u16>) {
    let first = groups.keys.len() + 1;
    for place in (0..groups.finished.len()).rev() {
        if groups.unpacked.get(first + place).is_some_and(|column| !read.contains(column)) {
            groups.finished.remove(place);
            groups.unpacked.remove(first + place);
        }
    }
    for fold in (0..groups.folds.len()).rev() {
        // A fold that combines states belongs to folds below, which are counted on to be there.
        let plain = matches!(groups.folds[fold].input, crate::plan::StageFoldInput::Expr(_));
        if plain && groups.finished.iter().all(|finished| finished.fold != fold) {
            groups.folds.remove(fold);
            groups.finished.iter_mut().filter(|f| f.fold > fold).for_each(|f| f.fold -= 1);
        }
    }
}
