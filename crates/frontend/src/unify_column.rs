//! One type for each column of a result.
//!
//! Expressions give each row a value of its own type: of a field without a declared type, or where agents
//! disagree, a column may hold an integer here and a text there. Readers want columns of one type, so the
//! values of a mixed column are converted:
//!
//! ```text
//! 1, 2.5          ──▶ 1.0, 2.5        integers beside doubles become doubles
//! -1, 7 (u64)     ──▶ -1, 7           integers become the type that holds all of them
//! 5, "a", true    ──▶ "5", "a", "true"  anything else becomes text
//! ```
//!
//! Null fits every type. The items of all lists of a column are one such column themselves.

use pivot_advice::Value;
use std::mem::discriminant;

/// The type that the values of a mixed column get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CommonColumnType {
    I64,
    U64,
    F64,
    Text,
}

/// Converts the values of a column to one type, if they have several.
pub(crate) fn unify(column: &mut [Value]) {
    let mut values = column.iter().filter(|value| !value.is_null());
    let Some(first) = values.next() else { return };

    // Nearly all columns have one type already, and are left alone.
    if values.all(|value| discriminant(value) == discriminant(first)) {
        if matches!(first, Value::List(_)) {
            unify_items(column);
        }
        return;
    }

    let common = common_type(column);
    for value in column.iter_mut().filter(|value| !value.is_null()) {
        *value = convert(value, common);
    }
}

/// Unifies the items of all lists of a column.
fn unify_items(column: &mut [Value]) {
    let mut items: Vec<Value> = Vec::new();
    for value in column.iter() {
        if let Value::List(list) = value {
            items.extend_from_slice(list);
        }
    }
    unify(&mut items);

    // Each list takes its items back, as many as it had.
    let mut rest = items.as_slice();
    for value in column.iter_mut() {
        if let Value::List(list) = value {
            let (own, others) = rest.split_at(list.len());
            *list = own.into();
            rest = others;
        }
    }
}

/// Returns the type that holds all values of a mixed column.
fn common_type(column: &[Value]) -> CommonColumnType {
    if !column.iter().all(|value| value.is_null() || value.type_of().is_number()) {
        return CommonColumnType::Text;
    }

    if column.iter().any(|value| matches!(value, Value::F64(_))) {
        CommonColumnType::F64
    } else if column.iter().all(is_within::<i64>) {
        CommonColumnType::I64
    } else if column.iter().all(is_within::<u64>) {
        CommonColumnType::U64
    } else {
        // Negative numbers beside numbers beyond the signed ones.
        CommonColumnType::Text
    }
}

fn is_within<T: TryFrom<i128>>(value: &Value) -> bool {
    value.as_integer().is_none_or(|x| T::try_from(x).is_ok())
}

fn convert(value: &Value, common: CommonColumnType) -> Value {
    let integer = value.as_integer();
    match common {
        CommonColumnType::I64 => integer.and_then(|x| i64::try_from(x).ok()).map_or(Value::Null, Value::I64),
        CommonColumnType::U64 => integer.and_then(|x| u64::try_from(x).ok()).map_or(Value::Null, Value::U64),
        CommonColumnType::F64 => value.as_f64().map_or(Value::Null, Value::double),
        CommonColumnType::Text => match value {
            Value::Str(_) => value.clone(),
            other => Value::str(other.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(column: &[Value], expected: &[Value]) {
        let mut found = column.to_vec();
        unify(&mut found);
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    }

    #[test]
    fn a_column_of_one_type_stays_as_it_is() {
        let times = [Value::Duration(5), Value::Null, Value::Duration(-5)];
        check(&times, &times);
        check(&[Value::U64(7)], &[Value::U64(7)]);
        check(&[], &[]);
    }

    #[test]
    fn numbers_of_several_types_become_the_type_that_holds_all() {
        check(&[Value::I64(1), Value::F64(2.5)], &[Value::F64(1.0), Value::F64(2.5)]);
        check(&[Value::I64(-1), Value::U64(7)], &[Value::I64(-1), Value::I64(7)]);
        check(&[Value::I64(1), Value::U64(1 << 63)], &[Value::U64(1), Value::U64(1 << 63)]);
        let apart = [Value::I64(-1), Value::U64(1 << 63)];
        check(&apart, &[Value::str("-1"), Value::str("9223372036854775808")]);
    }

    #[test]
    fn anything_else_becomes_text() {
        let mixed = [Value::I64(5), Value::str("a"), Value::Bool(true), Value::Null];
        check(&mixed, &[Value::str("5"), Value::str("a"), Value::str("true"), Value::Null]);
    }

    #[test]
    fn the_items_of_all_lists_have_one_type() {
        let list = |items: &[Value]| Value::List(items.into());
        let column = [list(&[Value::I64(1), Value::Null]), Value::Null, list(&[]), list(&[Value::str("a")])];
        let text = [list(&[Value::str("1"), Value::Null]), Value::Null, list(&[]), list(&[Value::str("a")])];
        check(&column, &text);
    }
}
