//! What fits into advice: checked before a plan is built, and again on the advice itself.
//!
//! The verifier of an agent holds to the same limits. Who writes a query learns here what is too large;
//! that an agent refuses it would be known to nobody.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::{Plan, StageStep};
use pivot_advice::advice::MAX_INSTRUCTIONS;
use pivot_advice::codec::MAX_COLUMNS;
use pivot_advice::expr::MAX_DEPTH;
use pivot_advice::{Advice, CallArgument, Expr, Instruction, Value};

/// The most that the advice of all tracepoints together may hold, in parts of expressions. Each tracepoint
/// has advice of its own, which is built, checked, sent and kept.
const MAX_WEIGHT: usize = 1 << 18;

/// Literals that take as many bytes count as one more part of an expression.
const BYTES_PER_PART: usize = 8;

/// Checks the size of the advice before there is any.
pub(crate) fn check_plan(plan: &Plan, text: &str, diagnostics: &mut Diagnostics) {
    let mut longest = 0;
    let mut weight = 0usize;

    for stage in &plan.stages {
        // Steps behind all members are copied into the advice of each of their tracepoints.
        let behind: usize = stage.steps.iter().map(weight_of_step).sum();
        for member in &stage.members {
            longest = longest.max(member.observed.len() + member.steps.len() + stage.steps.len());
            let steps: usize = member.steps.iter().map(weight_of_step).sum();
            let each = member.observed.len() + steps + behind;
            weight = weight.saturating_add(each.saturating_mul(member.tracepoints.len()));
        }
    }

    if longest > MAX_INSTRUCTIONS {
        diagnostics.push(too_long(text, longest));
    }
    if weight > MAX_WEIGHT {
        let wrong = format!("the advice of all tracepoints together has {weight} parts");
        let wrong = Diagnostic::error(0..text.len(), wrong);
        let wrong = wrong.detail(format!("at most {MAX_WEIGHT} are allowed"));
        diagnostics.push(wrong.hint("narrow the patterns, or shorten the conditions and lists"));
    }
}

/// Checks advice that a plan was lowered to: rules may have added to it.
pub(crate) fn check_advice(advice: &Advice, text: &str, diagnostics: &mut Diagnostics) {
    if advice.instructions.len() > MAX_INSTRUCTIONS {
        diagnostics.push(too_long(text, advice.instructions.len()));
    }

    // A LET that was written out nests deeper than both were, and a join has the columns of two rows.
    for instruction in &advice.instructions {
        if widest(instruction) > MAX_COLUMNS {
            let wrong = format!("more than {MAX_COLUMNS} columns or aggregates in one tuple");
            diagnostics.push(Diagnostic::error(0..text.len(), wrong));
        }
        if expressions(instruction).iter().any(|expr| expr.depth() > MAX_DEPTH) {
            let wrong = format!("an expression is nested deeper than {MAX_DEPTH}");
            diagnostics.push(Diagnostic::error(0..text.len(), wrong));
        }
    }
}

fn too_long(text: &str, length: usize) -> Diagnostic {
    let wrong = format!("the query needs {length} instructions at one tracepoint");
    Diagnostic::error(0..text.len(), wrong).detail(format!("at most {MAX_INSTRUCTIONS} are allowed"))
}

fn weight_of_step(step: &StageStep) -> usize {
    match step {
        StageStep::Let(_, expr) | StageStep::Filter(expr) => weight_of(expr),
        StageStep::Join(join) => 1 + join.exprs().map(weight_of).sum::<usize>(),
        StageStep::Unnest { .. } | StageStep::Choose => 1,
        StageStep::Distinct(columns) | StageStep::Order(columns) => columns.len(),
    }
}

/// Returns how many parts an expression has; long texts and patterns count as several.
fn weight_of(expr: &Expr) -> usize {
    let bytes = match expr {
        Expr::Literal(Value::Str(text)) => text.len(),
        Expr::Matches(_, pattern) | Expr::Extract(_, pattern, _) => pattern.source().len(),
        _ => 0,
    };
    1 + bytes / BYTES_PER_PART + expr.children().into_iter().map(weight_of).sum::<usize>()
}

fn widest(instruction: &Instruction) -> usize {
    match instruction {
        Instruction::Pack { keys, folds, .. } | Instruction::Emit { keys, folds, .. } => {
            keys.len().max(folds.len())
        }
        _ => 0,
    }
}

fn expressions(instruction: &Instruction) -> Vec<&Expr> {
    match instruction {
        Instruction::Let { expr, .. } | Instruction::Filter { expr } => vec![expr],
        Instruction::Unpack { rows, on, .. } => on.iter().chain(rows.distinct()).collect(),
        Instruction::UnpackUnion { bags, on, .. } => {
            let united = bags
                .iter()
                .flat_map(|united| united.values.iter().chain(&united.having).chain(united.rows.distinct()));
            on.iter().chain(united).collect()
        }

        Instruction::Pack { folds, .. } | Instruction::Emit { folds, .. } => {
            let inputs = folds.iter().filter_map(|fold| match &fold.input {
                CallArgument::Expr(expr) => Some(expr),
                CallArgument::State(_) => None,
            });
            inputs.collect()
        }
        _ => vec![],
    }
}
