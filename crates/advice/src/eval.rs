//! Evaluation of expressions by walking the tree: the reference that all faster forms are tested against.
//!
//! It cannot fail. An expression without a value, as by an overflow, a division by zero or an operand of the
//! wrong type, is null and counted in [`EvalErrors`]; a null operand gives null and is not counted.

mod cast;
mod functions;
mod operators;

use crate::codec::ByteWriter;
use crate::error::EvalErrors;
use crate::expr::{BinaryOperator, Expr, Function};
use crate::kleene::LogicalConnective;
use crate::stable_hash::stable_hash;
use crate::value::Value;

pub use operators::{binary, ordered, unary};

impl Expr {
    /// Evaluates the expression over the columns of a row; a column that is not there is null.
    pub fn eval(&self, row: &[Value], errors: &mut EvalErrors) -> Value {
        match self {
            Expr::Column(index) => row.get(usize::from(*index)).cloned().unwrap_or_default(),
            Expr::Literal(value) => value.clone(),

            Expr::Unary(op, x) => unary(*op, x.eval(row, errors), errors),
            // These two may have a value though an operand has none, and do not always evaluate both.
            Expr::Binary(BinaryOperator::And, x, y) => connective(LogicalConnective::And, x, y, row, errors),
            Expr::Binary(BinaryOperator::Or, x, y) => connective(LogicalConnective::Or, x, y, row, errors),
            Expr::Binary(op, x, y) => binary(*op, &x.eval(row, errors), &y.eval(row, errors), errors),

            Expr::Call(function, arguments) => call(*function, arguments, row, errors),
            Expr::Case(arms, otherwise) => {
                let chosen = arms.iter().find(|(when, _)| when.holds(row, errors)).map(|(_, then)| then);
                chosen.or(otherwise.as_deref()).map_or(Value::Null, |then| then.eval(row, errors))
            }
            Expr::In(x, list) => is_in(&x.eval(row, errors), list, row, errors),

            Expr::Matches(x, pattern) => match x.eval(row, errors) {
                Value::Null => Value::Null,
                Value::Str(text) => Value::Bool(pattern.matches(&text)),
                _ => errors.null(),
            },
            Expr::Extract(x, pattern, group) => match x.eval(row, errors) {
                Value::Null => Value::Null,
                Value::Str(text) => pattern.extract(&text, *group).map_or(Value::Null, Value::str),
                _ => errors.null(),
            },
            Expr::Cast(x, ty) => cast::cast(x.eval(row, errors), *ty, errors),
        }
    }

    /// Whether this condition is true; unknown is not.
    pub fn holds(&self, row: &[Value], errors: &mut EvalErrors) -> bool {
        matches!(self.eval(row, errors), Value::Bool(true))
    }
}

/// Evaluates `AND` or `OR`; the right operand only if the left one leaves the result open.
fn connective(op: LogicalConnective, x: &Expr, y: &Expr, row: &[Value], errors: &mut EvalErrors) -> Value {
    let left = truth(x.eval(row, errors), errors);
    let result = op.combine(left, || truth(y.eval(row, errors), errors));
    result.map_or(Value::Null, Value::Bool)
}

/// Returns the truth value of a condition; unknown, and counted, if it is neither a truth value nor null.
fn truth(value: Value, errors: &mut EvalErrors) -> Option<bool> {
    match value {
        Value::Bool(x) => Some(x),
        Value::Null => None,
        _ => {
            errors.0 += 1;
            None
        }
    }
}

/// Evaluates `x IN (..)` as SQL does: true if an item equals `x`, otherwise unknown if a comparison is.
fn is_in(x: &Value, list: &[Expr], row: &[Value], errors: &mut EvalErrors) -> Value {
    let mut unknown = x.is_null();
    for item in list {
        match binary(BinaryOperator::Equal, x, &item.eval(row, errors), errors) {
            Value::Bool(true) => return Value::Bool(true),
            Value::Bool(false) => {}
            _ => unknown = true,
        }
    }
    if unknown { Value::Null } else { Value::Bool(false) }
}

/// Calls a scalar function.
fn call(function: Function, arguments: &[Expr], row: &[Value], errors: &mut EvalErrors) -> Value {
    // These two do not evaluate all of their arguments.
    match function {
        Function::Coalesce => {
            let mut values = arguments.iter().map(|argument| argument.eval(row, errors));
            return values.find(|value| !value.is_null()).unwrap_or_default();
        }
        Function::If => {
            let [condition, then, otherwise] = arguments else { return errors.null() };
            let chosen = if condition.holds(row, errors) { then } else { otherwise };
            return chosen.eval(row, errors);
        }
        _ => {}
    }

    let values: Vec<Value> = arguments.iter().map(|argument| argument.eval(row, errors)).collect();
    match function {
        // A null has a hash and a size as any other value.
        Function::Hash => Value::U64(stable_hash(&values)),
        Function::Size => {
            let mut writer = ByteWriter::new();
            values.iter().for_each(|value| writer.value(value));
            Value::U64(writer.len() as u64)
        }
        _ if values.iter().any(Value::is_null) => Value::Null,
        _ => functions::strict(function, &values, errors).unwrap_or_else(|| errors.null()),
    }
}

#[cfg(test)]
mod tests;
