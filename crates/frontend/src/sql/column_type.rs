//! The types of columns in SQL.
//!
//! Where the compiler does not know the type of a column, its values decide: integers of both kinds make a
//! `Decimal128(20, 0)`, integers beside doubles a `Float64`, anything else that is mixed a text.

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use pivot_advice::{Type, Value};
use std::sync::Arc;

/// The bit from which on the types of the items of lists are.
const FIRST_LIST_BIT: u32 = 16;

/// The name of the time zone of all points in time.
const UTC: &str = "UTC";

/// The types that values of a column have: bit `n` stands for the type with code `n`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ObservedTypes(pub(crate) u32);

impl ObservedTypes {
    /// Adds the type of a value; null has none, and of a list it is that of each item.
    pub(crate) fn note(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::List(items) => {
                self.0 |= 1 << Type::Any.list().code();
                items.iter().for_each(|item| self.0 |= 1 << item.type_of().list().code());
            }
            other => self.0 |= 1 << other.type_of().code(),
        }
    }

    /// Returns the type of the column that holds all of the values.
    fn data_type(self) -> DataType {
        let (scalars, items) = (self.0 & ((1 << FIRST_LIST_BIT) - 1), self.0 >> FIRST_LIST_BIT);
        match (scalars, items) {
            (0, 0) => DataType::Utf8,
            (scalars, 0) => scalar_type(scalars),
            (0, items) => list_of(scalar_type(items)),
            _ => DataType::Utf8,
        }
    }
}

/// Returns the type of the column that holds values of a set of types without lists.
fn scalar_type(types: u32) -> DataType {
    // Neither says what the values are.
    let known = types & !bits(&[Type::Any, Type::Null]);
    let integers = bits(&[Type::I64, Type::U64]);

    if known.count_ones() == 1 {
        let only = Type::SCALARS.into_iter().find(|ty| known == bits(&[*ty]));
        return declared_type(only.unwrap_or(Type::String)).unwrap_or(DataType::Utf8);
    }
    match known {
        0 => DataType::Utf8,
        _ if known & !integers == 0 => DataType::Decimal128(20, 0),
        _ if known & !integers & !bits(&[Type::F64]) == 0 => DataType::Float64,
        _ => DataType::Utf8,
    }
}

/// Returns the set of some types.
fn bits(types: &[Type]) -> u32 {
    types.iter().fold(0, |set, ty| set | 1 << ty.code())
}

/// Returns the type of a column whose type the compiler knows, or `None` if its values must tell.
fn declared_type(ty: Type) -> Option<DataType> {
    Some(match ty {
        Type::Any => return None,
        Type::Null | Type::String => DataType::Utf8,
        Type::Bool => DataType::Boolean,
        Type::I64 => DataType::Int64,
        Type::U64 => DataType::UInt64,
        Type::F64 => DataType::Float64,
        Type::Bytes => DataType::Binary,

        Type::Timestamp => timestamp_type(),
        Type::Duration => DataType::Duration(TimeUnit::Nanosecond),
        Type::List(item) => list_of(declared_type(*item)?),
    })
}

/// Returns whether the compiler does not know the type of a column.
pub(crate) fn is_open(declared: Type) -> bool {
    declared_type(declared).is_none()
}

/// Returns the type of a column in SQL.
pub(super) fn column_type(declared: Type, observed: ObservedTypes) -> DataType {
    declared_type(declared).unwrap_or_else(|| observed.data_type())
}

/// Returns the type of points in time.
pub(super) fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into()))
}

/// Returns the type of lists.
pub(super) fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(declared: Type, values: &[Value], expected: DataType) {
        let mut observed = ObservedTypes::default();
        values.iter().for_each(|value| observed.note(value));
        assert_eq!(column_type(declared, observed), expected, "{declared}, {values:?}");
    }

    #[test]
    fn a_known_type_is_kept() {
        check(Type::I64, &[Value::str("a")], DataType::Int64);
        check(Type::Timestamp, &[], timestamp_type());
        check(Type::String.list(), &[], list_of(DataType::Utf8));
    }

    #[test]
    fn values_decide_where_no_type_is_known() {
        check(Type::Any, &[], DataType::Utf8);
        check(Type::Any, &[Value::Null, Value::Bool(true)], DataType::Boolean);
        check(Type::Any, &[Value::I64(1), Value::U64(1)], DataType::Decimal128(20, 0));
        check(Type::Any, &[Value::I64(1), Value::U64(1), Value::F64(0.5)], DataType::Float64);
        check(Type::Any, &[Value::F64(0.5), Value::Duration(1)], DataType::Utf8);
        let list = |item: Value| Value::List(vec![item].into());
        check(Type::Any, &[list(Value::I64(1)), list(Value::Null)], list_of(DataType::Int64));
        check(Type::Any.list(), &[list(Value::I64(1)), list(Value::str("a"))], list_of(DataType::Utf8));
        check(Type::Any, &[list(Value::I64(1)), Value::I64(1)], DataType::Utf8);
    }
}
