//! The columns in an expression: finds them, and puts other columns or expressions in their place.

use pivot_advice::expr::MAX_DEPTH;
use pivot_advice::{BinaryOperator, Expr};
use std::collections::BTreeSet;

/// An expression that would grow beyond this many parts keeps its LETs. A chain of LETs that each use the
/// one before twice would otherwise double with each.
const MAX_INLINED: usize = 256;

/// Replaces every column of an expression, in place. What replaces it is not looked into.
pub(crate) fn map_columns(expr: &mut Expr, replace: &mut dyn FnMut(u16) -> Expr) {
    if let Expr::Column(index) = expr {
        *expr = replace(*index);
        return;
    }
    for child in children_mut(expr) {
        map_columns(child, replace);
    }
}

/// Returns an expression with every column replaced.
pub(crate) fn with_columns(expr: &Expr, replace: &mut dyn FnMut(u16) -> Expr) -> Expr {
    let mut replaced = expr.clone();
    map_columns(&mut replaced, replace);
    replaced
}

/// Returns an expression with the value of a LET written out, or `None` if it would grow too large. The
/// size is computed before anything is copied.
pub(crate) fn inlined(expr: &Expr, column: u16, value: &Expr) -> Option<Expr> {
    let mut uses = 0;
    expr.columns(&mut |index| uses += usize::from(index == column));
    if uses == 0 {
        return Some(expr.clone());
    }

    let size = expr.size().saturating_add(value.size().saturating_mul(uses));
    if size > MAX_INLINED + uses {
        return None;
    }
    let inlined = with_columns(expr, &mut |index| match index == column {
        true => value.clone(),
        false => Expr::Column(index),
    });
    (inlined.depth() <= MAX_DEPTH).then_some(inlined)
}

/// Returns the expressions directly inside of one.
pub(crate) fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Column(_) | Expr::Literal(_) => vec![],
        Expr::Unary(_, x) | Expr::Matches(x, _) | Expr::Cast(x, _) | Expr::Extract(x, ..) => vec![x],
        Expr::Binary(_, x, y) => vec![x, y],
        Expr::Call(_, arguments) => arguments.iter_mut().collect(),
        Expr::In(x, list) => std::iter::once(&mut **x).chain(list).collect(),
        Expr::Case(arms, otherwise) => {
            let arms = arms.iter_mut().flat_map(|(when, then)| [when, then]);
            arms.chain(otherwise.as_deref_mut()).collect()
        }
    }
}

/// Returns the columns that an expression reads.
pub(crate) fn columns_of(expr: &Expr) -> BTreeSet<u16> {
    let mut found = BTreeSet::new();
    expr.columns(&mut |index| {
        found.insert(index);
    });
    found
}

/// Returns the operands of the ANDs at the top of a condition.
pub(crate) fn conjuncts(condition: Expr) -> Vec<Expr> {
    match condition {
        Expr::Binary(BinaryOperator::And, left, right) => {
            let mut list = conjuncts(*left);
            list.extend(conjuncts(*right));
            list
        }
        other => vec![other],
    }
}

/// Returns a place among columns as columns store it. No row is wider: advice is checked for that.
pub(crate) fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
