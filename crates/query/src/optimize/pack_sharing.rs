//! Sharing: two aliases that need the same bag share one pack.
//!
//! ```text
//! (pack x ⋈ y) ⋈ pack x'  =  (b ⋈ y) ⋈ b   with b = pack x, if x and x' do the same
//! ```

use super::rule::OptimizerRule;
use crate::plan::{Plan, Stage, StageAggregateInput, StageEnd, StageSource, StageStep, narrow, with_columns};
use pivot_advice::{AggregateKind, Expr, Value};

/// The rule that lets aliases which need the same bag share one pack.
pub(super) struct SharingRule;

impl OptimizerRule for SharingRule {
    fn name(&self) -> &'static str {
        "sharing"
    }

    /// The last of equal stages packs: advice runs in the order of stages, and whoever unpacks the bag
    /// has a smaller number, so that no event sees its own tuple.
    fn apply(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        for index in 0..plan.stages.len() {
            let later = (index + 1..plan.stages.len()).rev();
            let mut equal = later.filter(|other| same(&plan.stages[index], &plan.stages[*other]));
            if let Some(bag) = equal.next() {
                plan.stages[index].bag = bag;
                changed = true;
            }
        }
        changed
    }
}

/// Returns whether two leaves pack the same. Their columns differ in number only.
fn same(a: &Stage, b: &Stage) -> bool {
    is_leaf(a)
        && is_leaf(b)
        && a.keep == b.keep
        && a.choices.is_empty()
        && b.choices.is_empty()
        && a.members.len() == b.members.len()
        && a.members.iter().zip(&b.members).all(|(x, y)| observes_same(x, y))
        && a.members.iter().zip(&b.members).all(|(x, y)| signature(a, x) == signature(b, y))
}

fn is_leaf(stage: &Stage) -> bool {
    let packs = !stage.members.is_empty() && matches!(stage.end, StageEnd::Rows { .. });
    packs && stage.joins().next().is_none()
}

fn observes_same(a: &StageSource, b: &StageSource) -> bool {
    a.tracepoints == b.tracepoints
        && a.observed.len() == b.observed.len()
        && a.observed.iter().zip(&b.observed).all(|(x, y)| x.field == y.field)
}

/// The work of a leaf, with columns as positions in its row: equal signatures pack equal bags.
#[derive(PartialEq)]
struct SharingKey {
    steps: Vec<StageStep>,
    /// How many of the steps are the member's own: a choice comes behind them.
    own: usize,
    keys: Vec<u16>,
    folds: Vec<(AggregateKind, Expr)>,
}

fn signature(stage: &Stage, member: &StageSource) -> SharingKey {
    let mut row: Vec<u16> = member.observed.iter().map(|observed| observed.column).collect();
    let mut steps = Vec::new();
    for step in member.steps.iter().chain(&stage.steps) {
        steps.push(positioned(step, &row));
        row.extend(step.computes());
    }

    let folds = stage.end.folds().iter().map(|fold| match &fold.input {
        StageAggregateInput::Expr(expr) => (fold.aggregate, over_row(expr, &row)),
        // A leaf unpacks no states.
        StageAggregateInput::State => (fold.aggregate, Expr::Literal(Value::Null)),
    });
    SharingKey {
        steps,
        own: member.steps.len(),
        keys: positions(stage.end.keys(), &row),
        folds: folds.collect(),
    }
}

fn positioned(step: &StageStep, row: &[u16]) -> StageStep {
    match step {
        StageStep::Filter(expr) => StageStep::Filter(over_row(expr, row)),
        StageStep::Let(_, expr) => StageStep::Let(0, over_row(expr, row)),
        StageStep::Unnest { list, .. } => StageStep::Unnest { list: position(*list, row), element: 0 },
        StageStep::Distinct(columns) => StageStep::Distinct(positions(columns, row)),
        StageStep::Order(columns) => StageStep::Order(positions(columns, row)),
        // A leaf has none.
        StageStep::Join(join) => StageStep::Join(join.clone()),
        StageStep::Choose => StageStep::Choose,
    }
}

fn positions(columns: &[u16], row: &[u16]) -> Vec<u16> {
    columns.iter().map(|column| position(*column, row)).collect()
}

fn position(column: u16, row: &[u16]) -> u16 {
    row.iter().position(|known| *known == column).map_or(u16::MAX, narrow)
}

fn over_row(expr: &Expr, row: &[u16]) -> Expr {
    with_columns(expr, &mut |column| Expr::Column(position(column, row)))
}
