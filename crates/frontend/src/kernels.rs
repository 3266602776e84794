//! Expressions as Arrow kernels, or as functions over the whole row.
//!
//! Arrow wraps or fails where the language gives null, has no arithmetic of mixed signs, and one type for a
//! column. So an expression is planned natively where both agree, and is a function over the row, by its
//! number, where they differ. What is sorted or told apart goes by its rank among all values.

use crate::arrow::{array, data_type, scalar, unite, values};
use crate::finished::{FinishedGroups, NUMBER, name};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::functions::expr_fn::{coalesce, nullif};
use datafusion::logical_expr::{
    self as df, ColumnarValue, ScalarFunctionImplementation, Volatility, cast, create_udf, lit, when,
};
use datafusion::prelude::col;
use pivot_advice::{Binary, Errors, Expr, Function, Type, Unary, Value};
use std::sync::Arc;

/// How expressions are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// As Arrow kernels where they agree with the language.
    Native,
    /// All as functions over the row.
    Rowwise,
}

/// An expression over the rows of a table, and the type of its values. Counts what has no value.
pub(crate) fn planned(
    expr: &Expr,
    declared: Type,
    table: &FinishedGroups,
    plan: Plan,
    errors: &mut Errors,
) -> (df::Expr, Type) {
    let native = if plan == Plan::Native { native(expr, &table.pure_types()) } else { None };
    let fails = expr_divides(expr);
    match native {
        // Arrow's null does not say where it comes from.
        Some(native) if fails => {
            evaluated(expr, table, errors);
            native
        }
        Some(native) => native,
        None => {
            let found = evaluated(expr, table, errors);
            let ty = unite(&found.iter().collect::<Vec<_>>(), declared);
            (by_number(found, ty), ty)
        }
    }
}

/// The place of each row's value among all values of an expression; equal ones have the same.
pub(crate) fn rank(expr: &Expr, table: &FinishedGroups) -> df::Expr {
    let found = evaluated(expr, table, &mut Errors::default());
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|a, b| found[*a].group_cmp(&found[*b]));
    let mut ranks = vec![Value::U64(0); found.len()];
    let mut rank = 0;
    for (i, row) in order.iter().enumerate() {
        rank += u64::from(i > 0 && found[order[i - 1]] != found[*row]);
        ranks[*row] = Value::U64(rank);
    }
    by_number(ranks, Type::U64)
}

fn evaluated(expr: &Expr, table: &FinishedGroups, errors: &mut Errors) -> Vec<Value> {
    table.rows.iter().map(|row| expr.eval(&row.values, errors)).collect()
}

/// Whether an expression may have no value where its kernels are native.
fn expr_divides(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(_) => false,
        Expr::Binary(Binary::Divide | Binary::Remainder, ..) => true,
        Expr::Binary(_, x, y) => expr_divides(x) || expr_divides(y),
        Expr::Unary(_, x) => expr_divides(x),
        Expr::Call(_, arguments) => arguments.iter().any(expr_divides),
        Expr::Case(arms, otherwise) => {
            let arms = arms.iter().any(|(when, then)| expr_divides(when) || expr_divides(then));
            arms || otherwise.as_deref().is_some_and(expr_divides)
        }
        Expr::In(..) | Expr::Matches(..) | Expr::Cast(..) | Expr::Extract(..) => true,
    }
}

/// The expression in Arrow kernels, if they agree with the language for these types.
fn native(expr: &Expr, types: &[Option<Type>]) -> Option<(df::Expr, Type)> {
    match expr {
        Expr::Column(i) => Some((col(name(usize::from(*i))), (*types.get(usize::from(*i))?)?)),
        Expr::Literal(value) => {
            let ty = value.type_of();
            let plain = matches!(ty, Type::Bool | Type::I64 | Type::U64 | Type::F64 | Type::String);
            Some((lit(scalar(value, ty).ok().filter(|_| plain)?), ty))
        }
        Expr::Unary(op, x) => {
            let (x, ty) = native(x, types)?;
            match (op, ty) {
                (Unary::IsNull, _) => Some((x.is_null(), Type::Bool)),
                (Unary::Not, Type::Bool) => Some((df::not(x), Type::Bool)),
                (Unary::Negate, Type::F64) => Some((df::Expr::Negative(Box::new(x)), Type::F64)),
                _ => None,
            }
        }
        Expr::Binary(op, x, y) => binary(*op, native(x, types)?, native(y, types)?),
        Expr::Call(Function::Coalesce, arguments) => {
            let arguments: Vec<_> = arguments.iter().map(|x| native(x, types)).collect::<Option<_>>()?;
            let ty = arguments.first()?.1;
            let same = arguments.iter().all(|(_, other)| *other == ty);
            same.then(|| (coalesce(arguments.into_iter().map(|(x, _)| x).collect()), ty))
        }
        Expr::Case(arms, otherwise) => case(arms, otherwise.as_deref()?, types),
        Expr::Call(..) | Expr::In(..) | Expr::Matches(..) | Expr::Cast(..) | Expr::Extract(..) => None,
    }
}

fn binary(op: Binary, (x, a): (df::Expr, Type), (y, b): (df::Expr, Type)) -> Option<(df::Expr, Type)> {
    use Type::{Bool, F64, I64, String, U64};
    let numbers = [I64, U64, F64];
    let doubles = numbers.contains(&a) && numbers.contains(&b) && (a == F64 || b == F64);
    let comparable = a == b && matches!(a, Bool | I64 | U64 | String | Type::Timestamp | Type::Duration);
    let operator = match op {
        Binary::Add => df::Operator::Plus,
        Binary::Subtract => df::Operator::Minus,
        Binary::Multiply => df::Operator::Multiply,
        Binary::Divide => df::Operator::Divide,
        Binary::Remainder => df::Operator::Modulo,
        Binary::Equal => df::Operator::Eq,
        Binary::NotEqual => df::Operator::NotEq,
        Binary::Less => df::Operator::Lt,
        Binary::LessEqual => df::Operator::LtEq,
        Binary::Greater => df::Operator::Gt,
        Binary::GreaterEqual => df::Operator::GtEq,
        Binary::And => df::Operator::And,
        Binary::Or => df::Operator::Or,
        Binary::Concat => return None,
    };
    match op {
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder if doubles => {
            let (x, y) = (cast(x, DataType::Float64), cast(y, DataType::Float64));
            Some((df::binary_expr(x, operator, y), F64))
        }
        // A zero divisor is null here; the other operators would wrap around.
        Binary::Divide | Binary::Remainder if a == b && matches!(a, I64 | U64) => {
            let zero = if a == I64 { lit(0_i64) } else { lit(0_u64) };
            Some((df::binary_expr(x, operator, nullif(y, zero)), a))
        }
        Binary::And | Binary::Or if a == Bool && b == Bool => Some((df::binary_expr(x, operator, y), Bool)),
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => None,
        Binary::And | Binary::Or => None,
        _ => comparable.then(|| (df::binary_expr(x, operator, y), Bool)),
    }
}

fn case(arms: &[(Expr, Expr)], otherwise: &Expr, types: &[Option<Type>]) -> Option<(df::Expr, Type)> {
    let (mut result, ty) = native(otherwise, types)?;
    for (condition, then) in arms.iter().rev() {
        let ((condition, truth), (then, then_ty)) = (native(condition, types)?, native(then, types)?);
        if truth != Type::Bool || then_ty != ty {
            return None;
        }
        result = when(condition, then).otherwise(result).ok()?;
    }
    Some((result, ty))
}

/// A function that gives each row the value of its number.
fn by_number(found: Vec<Value>, ty: Type) -> df::Expr {
    let evaluate: ScalarFunctionImplementation = Arc::new(move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let numbers = arrays.first().map_or_else(|| Ok(vec![]), |array| values(array, Type::U64))?;
        let of = |number: &Value| {
            let row = number.as_integer().and_then(|number| usize::try_from(number).ok());
            row.and_then(|row| found.get(row)).unwrap_or(&Value::Null)
        };
        Ok::<_, DataFusionError>(ColumnarValue::Array(array(numbers.iter().map(of), ty)?))
    });
    let inputs = vec![data_type(Type::U64)];
    create_udf("pivot_row", inputs, data_type(ty), Volatility::Immutable, evaluate).call(vec![col(NUMBER)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_comparison_are_kernels() {
        let large = Expr::binary(Binary::Greater, Expr::Column(1), Expr::Literal(Value::U64(1)));
        let then = Expr::Literal(Value::str("many"));
        let case = Expr::Case(vec![(large, then)], Some(Box::new(Expr::Literal(Value::str("one")))));
        assert!(native(&case, &[Type::Null, Type::U64, Type::Null].map(Some)).is_some());
    }
}
