//! Sharing: two aliases that need the same bag share one pack.
//!
//! ```text
//! (pack x ⋈ y) ⋈ pack x'  =  (b ⋈ y) ⋈ b   with b = pack x, if x and x' do the same
//! ```

use super::rule::Rule;
use crate::plan::{End, Input, Plan, Stage, renamed};
use crate::resolve::Step;
use pivot_advice::{Aggregate, Expr, Value};

pub(super) struct Sharing;

impl Rule for Sharing {
    fn name(&self) -> &'static str {
        "sharing"
    }

    /// The last of equal stages packs: advice runs in the order of stages, and whoever unpacks the bag
    /// has a smaller number, so that no event sees its own tuple.
    fn apply(&self, plan: &mut Plan) {
        for index in 0..plan.stages.len() {
            let later = (index + 1..plan.stages.len()).rev();
            let mut equal = later.filter(|other| same(&plan.stages[index], &plan.stages[*other]));
            if let Some(bag) = equal.next() {
                plan.stages[index].bag = bag;
            }
        }
    }
}

/// Whether two leaves pack the same. Their columns differ in number only.
fn same(a: &Stage, b: &Stage) -> bool {
    let rows = |stage: &Stage| matches!(stage.end, End::Rows { .. }) && stage.children.is_empty();
    rows(a)
        && rows(b)
        && a.tracepoints == b.tracepoints
        && a.keep == b.keep
        && a.observed.len() == b.observed.len()
        && a.observed.iter().zip(&b.observed).all(|(x, y)| x.field == y.field)
        && positions(a) == positions(b)
}

/// Conditions before, steps, keys and folds.
type Work = (Vec<Expr>, Vec<(StepKind, Expr)>, Vec<u16>, Vec<(Aggregate, Expr)>);

#[derive(Debug, PartialEq)]
enum StepKind {
    Let,
    Filter,
}

/// What a leaf does, with columns as positions in its row.
fn positions(stage: &Stage) -> Work {
    let mut row: Vec<u16> = stage.observed.iter().map(|observed| observed.column).collect();
    let mut steps = Vec::new();
    let place = |column: u16, row: &[u16]| {
        let found = row.iter().position(|known| *known == column);
        found.and_then(|found| u16::try_from(found).ok()).unwrap_or(u16::MAX)
    };
    let over = |expr: &Expr, row: &[u16]| renamed(expr, &mut |column| Expr::Column(place(column, row)));
    let before = stage.before.iter().map(|condition| over(condition, &row)).collect();
    for step in &stage.steps {
        match step {
            Step::Filter(expr) => steps.push((StepKind::Filter, over(expr, &row))),
            Step::Let(column, expr) => {
                steps.push((StepKind::Let, over(expr, &row)));
                row.push(*column);
            }
        }
    }
    let keys = stage.end.keys().iter().map(|key| place(*key, &row)).collect();
    let folds = stage.end.folds().iter().map(|fold| match &fold.input {
        Input::Expr(expr) => (fold.aggregate, over(expr, &row)),
        // A leaf unpacks no states.
        Input::State => (fold.aggregate, Expr::Literal(Value::Null)),
    });
    (before, steps, keys, folds.collect())
}
