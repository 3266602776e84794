//! Sharing: two aliases that need the same bag share one pack.
//!
//! ```text
//! (pack x ⋈ y) ⋈ pack x'  =  (b ⋈ y) ⋈ b   with b = pack x, if x and x' do the same
//! ```

use super::rule::Rule;
use crate::plan::{Plan, Stage, StageEnd, StageFold, StageFoldInput, StageMember, StageStep, renamed};
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
    let leaf = |stage: &Stage| matches!(stage.end, StageEnd::Rows { .. }) && stage.joins().next().is_none();
    let members = || a.members.iter().zip(&b.members);
    leaf(a)
        && leaf(b)
        && a.keep == b.keep
        && a.members.len() == b.members.len()
        && members().all(|(x, y)| observes_same(x, y) && work(a, x) == work(b, y))
}

fn observes_same(a: &StageMember, b: &StageMember) -> bool {
    a.tracepoints == b.tracepoints
        && a.observed.len() == b.observed.len()
        && a.observed.iter().zip(&b.observed).all(|(x, y)| x.field == y.field)
}

/// Steps, how many of them are the member's own, keys and folds.
type StageSignature = (Vec<StageStep>, usize, Vec<u16>, Vec<(Aggregate, Expr)>);

/// What a leaf does, with columns as positions in its row.
fn work(stage: &Stage, member: &StageMember) -> StageSignature {
    let mut row: Vec<u16> = member.observed.iter().map(|observed| observed.column).collect();
    let mut steps = Vec::new();
    for step in member.steps.iter().chain(&stage.steps) {
        let list = |columns: &[u16]| columns.iter().map(|column| place(*column, &row)).collect();
        let positioned = match step {
            StageStep::Filter(expr) => StageStep::Filter(over(expr, &row)),
            StageStep::Let(_, expr) => StageStep::Let(0, over(expr, &row)),
            StageStep::Unnest { list, .. } => StageStep::Unnest { list: place(*list, &row), element: 0 },
            StageStep::Distinct(columns) => StageStep::Distinct(list(columns)),
            StageStep::Order(columns) => StageStep::Order(list(columns)),
            // A leaf has none.
            StageStep::Join(join) => StageStep::Join(join.clone()),
        };
        steps.push(positioned);
        row.extend(step.computes());
    }
    let keys = stage.end.keys().iter().map(|key| place(*key, &row)).collect();
    let fold = |fold: &StageFold| match &fold.input {
        StageFoldInput::Expr(expr) => (fold.aggregate, over(expr, &row)),
        // A leaf unpacks no states.
        StageFoldInput::State => (fold.aggregate, Expr::Literal(Value::Null)),
    };
    (steps, member.steps.len(), keys, stage.end.folds().iter().map(fold).collect())
}

fn place(column: u16, row: &[u16]) -> u16 {
    let found = row.iter().position(|known| *known == column);
    found.and_then(|found| u16::try_from(found).ok()).unwrap_or(u16::MAX)
}

fn over(expr: &Expr, row: &[u16]) -> Expr {
    renamed(expr, &mut |column| Expr::Column(place(column, row)))
}
