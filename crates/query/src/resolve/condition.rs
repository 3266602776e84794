//! Conditions as lists of what must hold at once.

use pivot_advice::{Binary, Expr};

/// The operands of the ANDs at the top of a condition.
pub(super) fn conjuncts(condition: Expr) -> Vec<Expr> {
    match condition {
        Expr::Binary(Binary::And, left, right) => {
            let mut list = conjuncts(*left);
            list.extend(conjuncts(*right));
            list
        }
        other => vec![other],
    }
}
