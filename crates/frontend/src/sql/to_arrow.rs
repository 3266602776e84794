//! Values as columns of Arrow.

use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanArray, Decimal128Array, DurationNanosecondArray, Float64Array,
    Int64Array, ListArray, StringBuilder, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use pivot_advice::Value;
use std::sync::Arc;

/// Makes a column of a type. Fails if a value does not fit it; a text takes every value.
pub(super) fn array(field: &Field, values: &[Value]) -> Result<ArrayRef> {
    Ok(match field.data_type() {
        DataType::Boolean => Arc::new(
            fitting(field, values, |value| match value {
                Value::Bool(x) => Some(*x),
                _ => None,
            })?
            .into_iter()
            .collect::<BooleanArray>(),
        ),
        DataType::Int64 => Arc::new(Int64Array::from(fitting(field, values, integer)?)),
        DataType::UInt64 => Arc::new(UInt64Array::from(fitting(field, values, integer)?)),
        DataType::UInt32 => Arc::new(UInt32Array::from(fitting(field, values, integer)?)),

        DataType::Decimal128(precision, scale) => {
            let integers = Decimal128Array::from(fitting(field, values, Value::as_integer)?);
            Arc::new(integers.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Float64 => Arc::new(Float64Array::from(fitting(field, values, Value::as_f64)?)),
        DataType::Utf8 => texts(values),
        DataType::Binary => bytes(field, values)?,

        DataType::Timestamp(_, zone) => {
            let times = fitting(field, values, |value| match value {
                Value::Timestamp(ns) => Some(*ns),
                _ => None,
            })?;
            Arc::new(TimestampNanosecondArray::from(times).with_timezone_opt(zone.clone()))
        }

        DataType::Duration(_) => {
            Arc::new(DurationNanosecondArray::from(fitting(field, values, |value| match value {
                Value::Duration(ns) => Some(*ns),
                _ => None,
            })?))
        }
        DataType::List(item) => lists(field, item, values)?,
        other => return exec_err!("no values become {other}"),
    })
}

/// Returns what each value is in a column; null stays null.
fn fitting<T>(field: &Field, values: &[Value], fit: impl Fn(&Value) -> Option<T>) -> Result<Vec<Option<T>>> {
    let mut found = Vec::with_capacity(values.len());
    for value in values {
        found.push(match value {
            Value::Null => None,
            value => Some(fit(value).ok_or_else(|| misfit(field, value))?),
        });
    }
    Ok(found)
}

fn misfit(field: &Field, value: &Value) -> datafusion::error::DataFusionError {
    let (name, ty, is) = (field.name(), field.data_type(), value.type_of());
    exec_datafusion_err!(
        "the column \"{name}\" is {ty}, and has a value of another type now: {value} ({is}); ask again"
    )
}

fn integer<T: TryFrom<i128>>(value: &Value) -> Option<T> {
    value.as_integer().and_then(|x| T::try_from(x).ok())
}

fn texts(values: &[Value]) -> ArrayRef {
    let mut texts = StringBuilder::new();
    for value in values {
        match value {
            Value::Null => texts.append_null(),
            Value::Str(text) => texts.append_value(text),
            other => texts.append_value(other.to_string()),
        }
    }
    Arc::new(texts.finish())
}

fn bytes(field: &Field, values: &[Value]) -> Result<ArrayRef> {
    let mut builder = BinaryBuilder::new();
    for value in values {
        match value {
            Value::Null => builder.append_null(),
            Value::Bytes(bytes) => builder.append_value(bytes),
            other => return Err(misfit(field, other)),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn lists(field: &Field, item: &Arc<Field>, values: &[Value]) -> Result<ArrayRef> {
    let (mut items, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        valid.push(!value.is_null());
        lengths.push(match value {
            Value::Null => 0,
            Value::List(list) => {
                items.extend_from_slice(list);
                list.len()
            }
            other => return Err(misfit(field, other)),
        });
    }

    let items = array(item, &items)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(item.clone(), offsets, items, Some(NullBuffer::from(valid)))?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::column_type::{list_of, timestamp_type};
    use super::super::from_arrow::SentColumn;
    use super::*;
    use datafusion::arrow::datatypes::TimeUnit;

    /// Makes a column, and takes it apart again.
    fn check(ty: DataType, values: &[Value]) {
        let field = Field::new("x", ty, true);
        let made = array(&field, values).unwrap();
        assert_eq!(SentColumn::of(&field).values(&made).unwrap(), values, "{field}");
    }

    #[test]
    fn values_come_back_as_they_were() {
        let list = Value::List(vec![Value::I64(1), Value::Null].into());
        check(DataType::Boolean, &[Value::Bool(true), Value::Null]);
        check(DataType::Int64, &[Value::I64(i64::MIN), Value::Null]);
        check(DataType::UInt64, &[Value::U64(u64::MAX)]);
        check(DataType::Float64, &[Value::F64(0.5), Value::Null]);
        check(DataType::Utf8, &[Value::str("ä"), Value::str(""), Value::Null]);
        check(DataType::Binary, &[Value::Bytes(vec![0, 255].into()), Value::Null]);
        check(timestamp_type(), &[Value::Timestamp(7), Value::Null]);
        check(DataType::Duration(TimeUnit::Nanosecond), &[Value::Duration(-7), Value::Null]);
        check(list_of(DataType::Int64), &[list, Value::Null, Value::List(vec![].into())]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error_that_names_it() {
        let error = array(&Field::new("n", DataType::Int64, true), &[Value::str("many")]).unwrap_err();
        assert!(error.to_string().contains("\"n\" is Int64"), "{error}");
        assert!(error.to_string().contains("many (string)"), "{error}");
        let beyond = array(&Field::new("n", DataType::Int64, true), &[Value::U64(1 << 63)]);
        assert!(beyond.is_err());
    }
}
