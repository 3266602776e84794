//! Values as Arrow columns and back.
//!
//! A column has the type of the values in it, whatever was declared: integers beside doubles become
//! doubles, integers of both types those that hold all, anything else mixed becomes text. Times travel as integers.

use datafusion::arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, StringArray, UInt64Array, new_null_array,
};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use pivot_advice::{Type, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// The one type that holds all these values; `declared` where there is none but null.
pub(crate) fn unite(values: &[&Value], declared: Type) -> Type {
    let mut types: Vec<Type> = Vec::new();
    for value in values.iter().filter(|value| !value.is_null()) {
        let ty = match value {
            Value::List(_) => Type::Any.list(),
            other => other.type_of(),
        };
        if !types.contains(&ty) {
            types.push(ty);
        }
    }
    let numbers = types.iter().all(|ty| matches!(ty, Type::I64 | Type::U64 | Type::F64));
    match types[..] {
        [] => declared,
        [Type::List(_)] => {
            let declared = if let Type::List(item) = declared { *item } else { Type::String };
            unite(&items(values), declared).list()
        }
        [ty] => ty,
        _ if numbers && types.contains(&Type::F64) => Type::F64,
        _ if numbers && values.iter().all(|value| fits::<i64>(value)) => Type::I64,
        _ if numbers && values.iter().all(|value| fits::<u64>(value)) => Type::U64,
        _ => Type::String,
    }
}

fn items<'a>(values: &[&'a Value]) -> Vec<&'a Value> {
    let lists = values.iter().filter_map(|value| match value {
        Value::List(items) => Some(items.iter()),
        _ => None,
    });
    lists.flatten().collect()
}

fn fits<T: TryFrom<i128>>(value: &Value) -> bool {
    value.as_integer().is_none_or(|x| T::try_from(x).is_ok())
}

/// The Arrow type of a column.
pub(crate) fn data_type(ty: Type) -> DataType {
    match ty {
        Type::Bool => DataType::Boolean,
        Type::I64 | Type::Timestamp | Type::Duration => DataType::Int64,
        Type::U64 => DataType::UInt64,
        Type::F64 => DataType::Float64,
        Type::Bytes => DataType::Binary,
        Type::List(item) => DataType::new_list(data_type(*item), true),
        Type::String | Type::Any | Type::Null => DataType::Utf8,
    }
}

/// A column of values; one that does not fit the type is null.
pub(crate) fn array<'v>(values: impl ExactSizeIterator<Item = &'v Value>, ty: Type) -> Result<ArrayRef> {
    fn integer<T: TryFrom<i128>>(value: &Value) -> Option<T> {
        value.as_integer().and_then(|x| T::try_from(x).ok())
    }
    Ok(match ty {
        _ if values.len() == 0 => new_null_array(&data_type(ty), 0),
        // Without a scalar for each value, in whole columns.
        Type::I64 => Arc::new(values.map(integer).collect::<Int64Array>()),
        Type::U64 => Arc::new(values.map(integer).collect::<UInt64Array>()),
        Type::F64 => Arc::new(values.map(Value::as_f64).collect::<Float64Array>()),
        Type::String | Type::Any | Type::Null => Arc::new(values.map(text).collect::<StringArray>()),
        _ => {
            let scalars: Vec<ScalarValue> = values.map(|value| scalar(value, ty)).collect::<Result<_>>()?;
            ScalarValue::iter_to_array(scalars)?
        }
    })
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::Str(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// One value in a column of a type.
pub(crate) fn scalar(value: &Value, ty: Type) -> Result<ScalarValue> {
    Ok(match (ty, value) {
        (_, Value::Null) => ScalarValue::try_from(&data_type(ty))?,
        (Type::Bool, Value::Bool(x)) => ScalarValue::Boolean(Some(*x)),
        (Type::Timestamp, Value::Timestamp(x)) | (Type::Duration, Value::Duration(x)) => {
            ScalarValue::Int64(Some(*x))
        }
        (Type::I64, x) => ScalarValue::Int64(x.as_integer().and_then(|x| i64::try_from(x).ok())),
        (Type::U64, x) => ScalarValue::UInt64(x.as_integer().and_then(|x| u64::try_from(x).ok())),
        (Type::F64, x) => ScalarValue::Float64(x.as_f64()),
        (Type::Bytes, Value::Bytes(x)) => ScalarValue::Binary(Some(x.to_vec())),
        (Type::List(item), Value::List(items)) => {
            let scalars: Vec<ScalarValue> = items.iter().map(|x| scalar(x, *item)).collect::<Result<_>>()?;
            ScalarValue::List(ScalarValue::new_list(&scalars, &data_type(*item), true))
        }
        (Type::String | Type::Any | Type::Null, x) => ScalarValue::Utf8(Some(x.to_string())),
        _ => ScalarValue::try_from(&data_type(ty))?,
    })
}

/// The values of a column.
pub(crate) fn values(array: &dyn Array, ty: Type) -> Result<Vec<Value>> {
    fn all<T>(found: impl Iterator<Item = Option<T>>, value: impl Fn(T) -> Value) -> Result<Vec<Value>> {
        Ok(found.map(|x| x.map_or(Value::Null, &value)).collect())
    }
    let any = array.as_any();
    if let Some(found) = any.downcast_ref::<StringArray>() {
        return all(found.iter(), Value::str);
    }
    if let Some(found) = any.downcast_ref::<UInt64Array>() {
        return all(found.iter(), Value::U64);
    }
    if let Some(found) = any.downcast_ref::<Float64Array>() {
        return all(found.iter(), Value::double);
    }
    (0..array.len()).map(|row| value(&ScalarValue::try_from_array(array, row)?, ty)).collect()
}

fn value(scalar: &ScalarValue, ty: Type) -> Result<Value> {
    Ok(match scalar {
        ScalarValue::Boolean(Some(x)) => Value::Bool(*x),
        ScalarValue::Int64(Some(x)) => match ty {
            Type::Timestamp => Value::Timestamp(*x),
            Type::Duration => Value::Duration(*x),
            _ => Value::I64(*x),
        },
        ScalarValue::UInt64(Some(x)) => Value::U64(*x),
        ScalarValue::Float64(Some(x)) => Value::double(*x),
        ScalarValue::Utf8(Some(x)) => Value::str(x),
        ScalarValue::Binary(Some(x)) => Value::Bytes(x.as_slice().into()),
        ScalarValue::List(list) if !list.is_null(0) => {
            let item = if let Type::List(item) = ty { *item } else { Type::Any };
            Value::List(values(&list.value(0), item)?.into())
        }
        _ => Value::Null,
    })
}
