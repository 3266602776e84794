//! A column of values in a file: of one type, which anybody can read, and beside it the values that do not fit that type.
//!
//! ```text
//! values     "a"    "b"    5        null
//! host       "a"    "b"    null     null       Utf8: the type of most columns is that of all their values
//! host$exact null   null   03 0a    null       Binary: a tag and the value
//! ```

use super::error::HistoryError;
use super::value_types::{UTC, ValueTypes};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, DurationNanosecondBuilder, Float64Builder,
    Int64Builder, StringBuilder, TimestampNanosecondBuilder, UInt64Builder,
};
use datafusion::arrow::datatypes::{
    DataType, DurationNanosecondType, Float64Type, Int64Type, TimeUnit, TimestampNanosecondType, UInt64Type,
};
use pivot_advice::codec::{ByteReader, ByteWriter};
use pivot_advice::{Type, Value};
use std::sync::Arc;

/// The values that are added to a column of one type.
#[derive(Debug)]
enum TypedBuilder {
    Bool(BooleanBuilder),
    I64(Int64Builder),
    U64(UInt64Builder),
    F64(Float64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Timestamp(TimestampNanosecondBuilder),
    Duration(DurationNanosecondBuilder),
}

/// A column of values that is being made.
#[derive(Debug)]
pub(super) struct ValueColumnBuilder {
    typed: TypedBuilder,
    exact: BinaryBuilder,
}

/// A column of values as it is read: two arrays with a row for each value.
#[derive(Debug, Clone)]
pub(super) struct ValueArrays {
    pub(super) typed: ArrayRef,
    pub(super) exact: ArrayRef,
}

impl ValueColumnBuilder {
    /// Begins a column of values that have these types.
    pub(super) fn new(types: ValueTypes) -> ValueColumnBuilder {
        let typed = match types.column_type() {
            Type::Bool => TypedBuilder::Bool(BooleanBuilder::new()),
            Type::I64 => TypedBuilder::I64(Int64Builder::new()),
            Type::U64 => TypedBuilder::U64(UInt64Builder::new()),
            Type::F64 => TypedBuilder::F64(Float64Builder::new()),
            Type::Bytes => TypedBuilder::Bytes(BinaryBuilder::new()),

            Type::Timestamp => TypedBuilder::Timestamp(TimestampNanosecondBuilder::new().with_timezone(UTC)),
            Type::Duration => TypedBuilder::Duration(DurationNanosecondBuilder::new()),
            _ => TypedBuilder::Text(StringBuilder::new()),
        };
        ValueColumnBuilder { typed, exact: BinaryBuilder::new() }
    }

    /// Adds a value.
    pub(super) fn push(&mut self, value: &Value) {
        self.push_or_encode(Some(value), |writer| writer.value(value));
    }

    /// Adds a value if it is null or has the type of the column; else the bytes that `encode` writes.
    pub(super) fn push_or_encode(&mut self, value: Option<&Value>, encode: impl FnOnce(&mut ByteWriter)) {
        let is_typed = self.push_typed(value.unwrap_or(&Value::Null));
        if is_typed || value.is_some_and(Value::is_null) {
            return self.exact.append_null();
        }
        let mut writer = ByteWriter::new();
        encode(&mut writer);
        self.exact.append_value(writer.into_bytes());
    }

    /// Adds a value if it has the type of the column, else null. Returns whether it has.
    fn push_typed(&mut self, value: &Value) -> bool {
        match (&mut self.typed, value) {
            (TypedBuilder::Bool(column), Value::Bool(x)) => column.append_value(*x),
            (TypedBuilder::I64(column), Value::I64(x)) => column.append_value(*x),
            (TypedBuilder::U64(column), Value::U64(x)) => column.append_value(*x),
            (TypedBuilder::F64(column), Value::F64(x)) => column.append_value(*x),
            (TypedBuilder::Text(column), Value::Str(x)) => column.append_value(x),
            (TypedBuilder::Bytes(column), Value::Bytes(x)) => column.append_value(x),
            (TypedBuilder::Timestamp(column), Value::Timestamp(x)) => column.append_value(*x),
            (TypedBuilder::Duration(column), Value::Duration(x)) => column.append_value(*x),

            _ => {
                self.push_null();
                return false;
            }
        }
        true
    }

    fn push_null(&mut self) {
        match &mut self.typed {
            TypedBuilder::Bool(column) => column.append_null(),
            TypedBuilder::I64(column) => column.append_null(),
            TypedBuilder::U64(column) => column.append_null(),
            TypedBuilder::F64(column) => column.append_null(),
            TypedBuilder::Text(column) => column.append_null(),
            TypedBuilder::Bytes(column) => column.append_null(),
            TypedBuilder::Timestamp(column) => column.append_null(),
            TypedBuilder::Duration(column) => column.append_null(),
        }
    }

    /// Takes the arrays of all values that were added.
    pub(super) fn take(&mut self) -> ValueArrays {
        let typed: ArrayRef = match &mut self.typed {
            TypedBuilder::Bool(column) => Arc::new(column.finish()),
            TypedBuilder::I64(column) => Arc::new(column.finish()),
            TypedBuilder::U64(column) => Arc::new(column.finish()),
            TypedBuilder::F64(column) => Arc::new(column.finish()),
            TypedBuilder::Text(column) => Arc::new(column.finish()),
            TypedBuilder::Bytes(column) => Arc::new(column.finish()),
            TypedBuilder::Timestamp(column) => Arc::new(column.finish()),
            TypedBuilder::Duration(column) => Arc::new(column.finish()),
        };

        ValueArrays { typed, exact: Arc::new(self.exact.finish()) }
    }
}

impl ValueArrays {
    /// Returns the part of some rows.
    pub(super) fn slice(&self, first: usize, rows: usize) -> ValueArrays {
        ValueArrays { typed: self.typed.slice(first, rows), exact: self.exact.slice(first, rows) }
    }

    /// Returns the bytes that stand for the value of a row, if there are any.
    pub(super) fn encoded(&self, row: usize) -> Option<&[u8]> {
        let exact = self.exact.as_binary_opt::<i32>()?;
        exact.is_valid(row).then(|| exact.value(row))
    }

    /// Returns the value of a row in the column of one type; null if it has none of that type.
    pub(super) fn typed(&self, row: usize) -> Result<Value, HistoryError> {
        let column = &self.typed;
        if column.is_null(row) {
            return Ok(Value::Null);
        }

        Ok(match column.data_type() {
            DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
            DataType::Int64 => Value::I64(column.as_primitive::<Int64Type>().value(row)),
            DataType::UInt64 => Value::U64(column.as_primitive::<UInt64Type>().value(row)),
            DataType::Float64 => Value::double(column.as_primitive::<Float64Type>().value(row)),
            DataType::Utf8 => Value::str(column.as_string::<i32>().value(row)),
            DataType::Binary => Value::Bytes(column.as_binary::<i32>().value(row).into()),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Value::Timestamp(column.as_primitive::<TimestampNanosecondType>().value(row))
            }
            DataType::Duration(TimeUnit::Nanosecond) => {
                Value::Duration(column.as_primitive::<DurationNanosecondType>().value(row))
            }
            other => return Err(HistoryError::damaged(format!("a column has the type {other}"))),
        })
    }

    /// Returns the value of a row.
    pub(super) fn value(&self, row: usize) -> Result<Value, HistoryError> {
        match self.encoded(row) {
            Some(bytes) => {
                let value = ByteReader::new(bytes).value();
                value.map_err(|error| HistoryError::damaged(format!("a value: {error}")))
            }
            None => self.typed(row),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_of_any_types_come_back_as_they_were() {
        let list = Value::List(vec![Value::str("a"), Value::Null].into());
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::I64(i64::MIN),
            Value::U64(u64::MAX),
            Value::double(f64::NAN),
            Value::str("a"),
            Value::Bytes(vec![0, 255].into()),
            Value::Timestamp(i64::MAX),
            Value::Duration(-1),
            list,
        ];
        // All of them in one column, and each in one of its own.
        let mut columns: Vec<Vec<Value>> =
            values.iter().map(|value| vec![value.clone(), Value::Null]).collect();
        columns.push(values.to_vec());

        for column in columns {
            let mut types = ValueTypes::default();
            column.iter().for_each(|value| types.note(value));
            let mut builder = ValueColumnBuilder::new(types);
            column.iter().for_each(|value| builder.push(value));

            let arrays = builder.take();
            let read: Vec<Value> = (0..column.len()).map(|row| arrays.value(row).unwrap()).collect();
            assert_eq!(read, column);
        }
    }
}
