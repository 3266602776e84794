//! Expressions rebuilt from their parts.

use pivot_advice::Expr;
use std::collections::BTreeSet;
use std::convert::Infallible;

/// The expression with `change` applied to the expressions directly inside it.
pub(crate) fn rebuilt<E>(expr: &Expr, change: &mut dyn FnMut(&Expr) -> Result<Expr, E>) -> Result<Expr, E> {
    let mut boxed = |x: &Expr| change(x).map(Box::new);
    Ok(match expr {
        Expr::Column(_) | Expr::Literal(_) => expr.clone(),
        Expr::Unary(op, x) => Expr::Unary(*op, boxed(x)?),
        Expr::Matches(x, pattern) => Expr::Matches(boxed(x)?, pattern.clone()),
        Expr::Cast(x, ty) => Expr::Cast(boxed(x)?, *ty),
        Expr::Extract(x, pattern, group) => Expr::Extract(boxed(x)?, pattern.clone(), *group),
        Expr::Binary(op, x, y) => Expr::Binary(*op, boxed(x)?, boxed(y)?),
        Expr::Call(function, arguments) => {
            Expr::Call(*function, arguments.iter().map(change).collect::<Result<_, E>>()?)
        }
        Expr::In(x, list) => {
            let x = boxed(x)?;
            Expr::In(x, list.iter().map(change).collect::<Result<_, E>>()?)
        }
        Expr::Case(arms, otherwise) => {
            let mut rebuilt = Vec::with_capacity(arms.len());
            for (when, then) in arms {
                rebuilt.push((change(when)?, change(then)?));
            }
            let otherwise = otherwise.as_deref().map(|x| change(x).map(Box::new)).transpose()?;
            Expr::Case(rebuilt, otherwise)
        }
    })
}

/// The expression with every column replaced.
pub(crate) fn renamed(expr: &Expr, replace: &mut dyn FnMut(u16) -> Expr) -> Expr {
    if let Expr::Column(index) = expr {
        return replace(*index);
    }
    let result: Result<Expr, Infallible> = rebuilt(expr, &mut |child| Ok(renamed(child, replace)));
    match result {
        Ok(expr) => expr,
        Err(never) => match never {},
    }
}

/// The columns that an expression reads.
pub(crate) fn columns_of(expr: &Expr) -> BTreeSet<u16> {
    let mut found = BTreeSet::new();
    expr.columns(&mut |index| {
        found.insert(index);
    });
    found
}
