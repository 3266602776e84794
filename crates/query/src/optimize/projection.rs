//! Projection: only columns that something downstream reads are observed, computed, packed and emitted.
//!
//! ```text
//! π[a] (pack (x.a, x.b) ⋈ y)  =  pack (x.a) ⋈ y
//! ```

use super::rule::OptimizerRule;
use crate::plan::{Plan, Stage, StageAggregateInput, StageEnd, StageStep, SubqueryGroups};
use std::collections::BTreeSet;

/// The rule that drops the columns that nothing downstream reads.
pub(super) struct ProjectionRule;

impl OptimizerRule for ProjectionRule {
    fn name(&self) -> &'static str {
        "projection"
    }

    /// Each round may make more columns unused; there are as many rounds as LETs and blocks nest.
    fn apply(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        while drop_unread(plan) {
            changed = true;
        }
        changed
    }
}

/// Drops what nothing reads. Returns whether there was anything.
fn drop_unread(plan: &mut Plan) -> bool {
    let mut changed = false;
    let read: Vec<BTreeSet<u16>> = plan.stages.iter().map(reads).collect();

    for index in 0..plan.stages.len() {
        let above = union(&read, &plan.above(index));
        // What a sink gives is read from its parent on.
        let parent_reads = match plan.stages[index].parent {
            Some(parent) => union(&read, &plan.way_up(parent)),
            None => BTreeSet::new(),
        };

        let stage = &mut plan.stages[index];
        let is_read = |column: &u16| read[index].contains(column) || above.contains(column);
        let before = size(stage);
        for member in &mut stage.members {
            member.observed.retain(|observed| is_read(&observed.column));
        }
        for steps in stage.lists_mut() {
            steps.retain(|step| !matches!(step, StageStep::Let(column, _) if !is_read(column)));
        }
        match &mut stage.end {
            StageEnd::Rows { keys, .. } => keys.retain(|key| above.contains(key)),
            StageEnd::Groups(groups) => drop_aggregates(groups, &parent_reads),
            StageEnd::Emit { .. } => {}
        }
        changed |= size(stage) != before;
    }

    // The groups of a union have the columns that its tuples are left with.
    for index in 0..plan.stages.len() {
        changed |= drop_united(plan, index);
    }
    changed
}

/// Drops what nothing reads of groups in unions that a stage joins. Returns whether there was anything.
fn drop_united(plan: &mut Plan, index: usize) -> bool {
    let keys: Vec<Vec<u16>> = plan.stages.iter().map(|stage| stage.end.keys().to_vec()).collect();
    let mut changed = false;
    for step in plan.stages[index].lists_mut().flatten() {
        let StageStep::Join(join) = step else { continue };
        for united in &mut join.united {
            let before = united.values.len();
            united.values.retain(|(column, _)| keys[join.child].contains(column));
            changed |= united.values.len() != before;
        }
    }
    changed
}

/// Returns the columns that some stages read.
fn union(read: &[BTreeSet<u16>], stages: &[usize]) -> BTreeSet<u16> {
    stages.iter().flat_map(|stage| read[*stage].iter().copied()).collect()
}

/// Returns how much there is of what the rule drops.
fn size(stage: &Stage) -> [usize; 4] {
    let observed = stage.members.iter().map(|member| member.observed.len()).sum();
    let folds = match &stage.end {
        StageEnd::Groups(groups) => groups.folds.len() + groups.finished.len(),
        other => other.folds().len(),
    };
    [observed, stage.all_steps().count(), stage.end.keys().len(), folds]
}

/// Returns the columns that a stage reads itself.
fn reads(stage: &Stage) -> BTreeSet<u16> {
    let mut read = stage.step_columns();
    read.extend(stage.end.folds().iter().flat_map(|fold| fold.reads()));
    if stage.end.is_sink() {
        read.extend(stage.end.keys());
    }
    read
}

/// Drops aggregates of a subquery whose result nobody reads. Its keys stay: they decide what a group is.
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
        let plain = matches!(groups.folds[fold].input, StageAggregateInput::Expr(_));
        if plain && groups.finished.iter().all(|finished| finished.fold != fold) {
            groups.folds.remove(fold);
            groups.finished.iter_mut().filter(|f| f.fold > fold).for_each(|f| f.fold -= 1);
        }
    }
}
