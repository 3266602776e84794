//! Expressions as Arrow kernels, or as functions over the whole row.
//!
//! Arrow wraps or fails where the language gives null, and has no arithmetic of mixed signs. So an
//! expression is planned natively where both agree, and is a function over the row where they differ.

use crate::arrow::{array, data_type, scalar, unite, values};
use crate::table::{Table, name};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
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

/// An expression over the rows of a table, and the type of its values.
pub(crate) fn planned(expr: &Expr, declared: Type, table: &Table, plan: Plan) -> (df::Expr, Type) {
    let native = if plan == Plan::Native { native(expr, &table.types) } else { None };
    native.unwrap_or_else(|| rowwise(expr, declared, table))
}

/// The expression in Arrow kernels, if they agree with the language for these types.
fn native(expr: &Expr, types: &[Type]) -> Option<(df::Expr, Type)> {
    match expr {
        Expr::Column(i) => Some((col(name(usize::from(*i))), *types.get(usize::from(*i))?)),
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

fn case(arms: &[(Expr, Expr)], otherwise: &Expr, types: &[Type]) -> Option<(df::Expr, Type)> {
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

/// The expression as a function over the whole row, by the language's own evaluation.
fn rowwise(expr: &Expr, declared: Type, table: &Table) -> (df::Expr, Type) {
    let found: Vec<Value> =
        table.rows.iter().map(|row| expr.eval(&row.values, &mut Errors::default())).collect();
    let ty = unite(&found.iter().collect::<Vec<_>>(), declared);
    let (owned, types) = (expr.clone(), table.types.clone());
    let evaluate: ScalarFunctionImplementation = Arc::new(move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let columns: Vec<Vec<Value>> =
            arrays.iter().zip(&types).map(|(array, ty)| values(array, *ty)).collect::<Result<_>>()?;
        let count = columns.first().map_or(0, Vec::len);
        let rows = (0..count).map(|i| {
            let row: Vec<Value> = columns.iter().map(|column| column[i].clone()).collect();
            owned.eval(&row, &mut Errors::default())
        });
        Ok::<_, DataFusionError>(ColumnarValue::Array(array(&rows.collect::<Vec<_>>(), ty)?))
    });
    let inputs = table.types.iter().map(|ty| data_type(*ty)).collect();
    let function = create_udf("pivot_row", inputs, data_type(ty), Volatility::Immutable, evaluate);
    (function.call((0..table.types.len()).map(|i| col(name(i))).collect()), ty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_comparison_are_kernels() {
        let large = Expr::binary(Binary::Greater, Expr::Column(1), Expr::Literal(Value::U64(1)));
        let then = Expr::Literal(Value::str("many"));
        let case = Expr::Case(vec![(large, then)], Some(Box::new(Expr::Literal(Value::str("one")))));
        assert!(native(&case, &[Type::Null, Type::U64, Type::Null]).is_some());
    }
}
