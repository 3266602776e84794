//! Values of expressions, above all where there is none.

use super::functions::{bucket, truncate, width_bucket};
use super::*;
use crate::expr::UnaryOperator;
use crate::value::Type;

/// Checks the value of `x op y`, and its type.
fn check(op: BinaryOperator, x: Value, y: Value, expected: Value) {
    let mut errors = EvalErrors::default();
    let found = Expr::binary(op, Expr::Literal(x.clone()), Expr::Literal(y.clone())).eval(&[], &mut errors);
    assert_eq!(found, expected, "{x:?} {op:?} {y:?}");
    assert_eq!(found.type_of(), expected.type_of(), "{x:?} {op:?} {y:?}");
}

#[test]
fn integer_arithmetic_is_checked() {
    use Value::*;
    check(BinaryOperator::Add, I64(i64::MAX), I64(1), Null);
    check(BinaryOperator::Add, U64(u64::MAX), U64(1), Null);
    check(BinaryOperator::Subtract, U64(3), U64(5), I64(-2));
    check(BinaryOperator::Divide, I64(1), I64(0), Null);
    check(BinaryOperator::Divide, I64(i64::MIN), I64(-1), Null);
    check(BinaryOperator::Divide, U64(7), U64(2), U64(3));
    check(BinaryOperator::Multiply, I64(-2), U64(3), I64(-6));
}

#[test]
fn times_have_their_own_arithmetic() {
    use Value::*;
    check(BinaryOperator::Subtract, Timestamp(9), Timestamp(4), Duration(5));
    check(BinaryOperator::Add, Timestamp(9), Duration(4), Timestamp(13));
    check(BinaryOperator::Divide, Duration(9), I64(2), Duration(4));
    check(BinaryOperator::Divide, Duration(9), Duration(2), F64(4.5));
    check(BinaryOperator::Multiply, F64(0.5), Duration(8), Duration(4));
    check(BinaryOperator::Add, Timestamp(9), Timestamp(4), Null);
}

#[test]
fn comparison_with_null_is_unknown() {
    check(BinaryOperator::Equal, Value::Null, Value::Null, Value::Null);
    check(BinaryOperator::And, Value::Null, Value::Bool(false), Value::Bool(false));
    check(BinaryOperator::Or, Value::Null, Value::Bool(false), Value::Null);
}

#[test]
fn numbers_compare_across_types() {
    use Value::*;
    check(BinaryOperator::Less, I64(-1), U64(u64::MAX), Bool(true));
    check(BinaryOperator::Equal, F64(2.0), U64(2), Bool(true));
    check(BinaryOperator::NotEqual, F64(f64::NAN), F64(f64::NAN), Bool(true));
}

#[test]
fn a_computed_zero_has_no_sign() {
    let shown = |expr: Expr| expr.eval(&[], &mut EvalErrors::default()).to_string();
    let literal = |x: f64| Box::new(Expr::Literal(Value::F64(x)));
    assert_eq!(shown(Expr::Unary(UnaryOperator::Negate, literal(0.0))), "0.0");
    assert_eq!(shown(Expr::Binary(BinaryOperator::Multiply, literal(-1.0), literal(0.0))), "0.0");
    assert_eq!(shown(Expr::Call(Function::Ceil, vec![*literal(-0.25)])), "0.0");
    let text = Box::new(Expr::Literal(Value::str("-0.0")));
    assert_eq!(shown(Expr::Cast(text, Type::F64)), "0.0");
}

#[test]
fn values_that_do_not_fit_are_null_and_counted() {
    let mut errors = EvalErrors::default();
    let casted = Expr::Cast(Box::new(Expr::Literal(Value::str("x"))), Type::I64).eval(&[], &mut errors);
    assert_eq!((casted, errors.0), (Value::Null, 1));
    check(BinaryOperator::Less, Value::str("a"), Value::I64(1), Value::Null);
}

#[test]
fn units_of_time_begin_where_the_calendar_says() {
    // 2026-11-25 19:27:54.5 UTC, a Wednesday.
    let at = 1_795_634_874_500_000_000;
    let since = |unit| truncate(at, unit).map(|start| (at - start) / 1_000_000);
    assert_eq!(since("second"), Some(500));
    assert_eq!(since("minute"), Some(54_500));
    assert_eq!(since("DAY"), Some(((19 * 60 + 27) * 60 + 54) * 1_000 + 500));
    assert_eq!(since("week"), Some((((48 + 19) * 60 + 27) * 60 + 54) * 1_000 + 500));
    assert_eq!((since("year"), truncate(-1, "second")), (None, Some(-1_000_000_000)));
}

#[test]
fn values_outside_all_buckets_have_buckets_of_their_own() {
    let place = |x: f64| width_bucket(&Value::F64(x), [&Value::I64(0), &Value::I64(100)], 10);
    assert_eq!([-1.0, 0.0, 9.9, 10.0, 99.9, 100.0].map(place), [0, 1, 1, 2, 10, 11].map(Some));
    assert_eq!(width_bucket(&Value::I64(1), [&Value::I64(5), &Value::I64(5)], 10), None);
}

#[test]
fn a_size_is_what_the_values_take_in_baggage() {
    let literal = |value: Value| Expr::Literal(value);
    let size = Expr::Call(Function::Size, vec![literal(Value::str("abc")), literal(Value::Null)]);
    assert_eq!(size.eval(&[], &mut EvalErrors::default()), Value::U64(6));
}

#[test]
fn a_bucket_is_never_above_its_value() {
    let mut errors = EvalErrors::default();
    let found = bucket(&Value::I64(-1), &Value::I64(10), &mut errors);
    assert_eq!(found, Value::I64(-10));
    assert_eq!(bucket(&Value::U64(25), &Value::I64(10), &mut errors), Value::U64(20));
    assert_eq!(bucket(&Value::U64(25), &Value::I64(0), &mut errors), Value::Null);
    assert_eq!(errors.0, 1);
}
