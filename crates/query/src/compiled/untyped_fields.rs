//! Fields that an aggregate needs a number of, and of which nobody knows whether they are numbers.
//!
//! What a program logs with `?` or `%` is text: SUM of it is null, which EXPLAIN says beforehand.

use crate::plan::{Plan, StageAggregate, StageAggregateInput};
use pivot_advice::{AggregateKind, Expr, Type};

/// Returns the names of fields and variables without a type that are added up, averaged or put into a
/// histogram.
pub(crate) fn untyped_fields(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    let folds = plan.stages.iter().flat_map(|stage| stage.end.folds());
    for fold in folds.filter(|fold| wants_numbers(fold)) {
        // Every aggregate is looked at once: the plan is the naive one, in which none is split.
        if let StageAggregateInput::Expr(expr) = &fold.input {
            columns(expr, &mut found);
        }
    }

    let columns = found.into_iter().map(|index| &plan.columns[usize::from(index)]);
    let mut names: Vec<String> = columns.filter(|column| column.ty == Type::Any).map(|c| c.shown()).collect();
    names.sort();
    names.dedup();
    names
}

fn wants_numbers(fold: &StageAggregate) -> bool {
    use AggregateKind::{Average, Histogram, Moments, Sum, Tally};
    matches!(fold.aggregate, Sum | Average | Moments | Histogram | Tally)
}

/// Collects the columns that an expression's value is made of as they are.
fn columns(expr: &Expr, found: &mut Vec<u16>) {
    match expr {
        Expr::Column(index) => found.push(*index),
        Expr::Binary(_, a, b) => [a, b].into_iter().for_each(|side| columns(side, found)),
        Expr::Unary(_, x) => columns(x, found),
        // A cast makes a number of text; the types of others are known.
        _ => {}
    }
}
