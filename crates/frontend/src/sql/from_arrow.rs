//! Columns of Arrow as values, as clients get them.
//!
//! Each type of Arrow is first cast to the one of its kind that our values have. What has no kind (decimals, dates,
//! intervals, structures) is sent as the text that SQL shows.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, DurationNanosecondType, Field, Float64Type, Int64Type, TimeUnit, TimestampNanosecondType,
    UInt64Type,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use pivot_advice::{Type, Value};

/// A column of an answer, and what its values are sent as.
#[derive(Debug, Clone)]
pub(super) struct SentColumn {
    /// [`Type::String`] also stands for what is sent as text for want of another type.
    pub(super) ty: Type,
    /// The type that the column is cast to before; `None` if its values are shown as text.
    cast: Option<DataType>,
}

impl SentColumn {
    /// Returns how a column is sent.
    pub(super) fn of(field: &Field) -> SentColumn {
        match field.data_type() {
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _) => match scalar(item.data_type()) {
                Some((ty, cast)) => {
                    SentColumn { ty: ty.list(), cast: Some(super::column_type::list_of(cast)) }
                }
                None => SentColumn { ty: Type::String, cast: None },
            },

            other => match scalar(other) {
                Some((ty, cast)) => SentColumn { ty, cast: Some(cast) },
                None => SentColumn { ty: Type::String, cast: None },
            },
        }
    }

    /// Returns the values of a part of the column.
    pub(super) fn values(&self, array: &ArrayRef) -> Result<Vec<Value>> {
        let Some(ty) = &self.cast else { return shown(array) };
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let cast = cast_with_options(array, ty, &options)?;

        let Type::List(item) = self.ty else { return Ok(scalars(&cast, self.ty)) };
        let lists = cast.as_list::<i32>();
        let items = scalars(lists.values(), *item);
        let offsets = lists.value_offsets();

        let mut values = Vec::with_capacity(lists.len());
        for row in 0..lists.len() {
            values.push(match lists.is_null(row) {
                true => Value::Null,
                false => Value::List(items[offsets[row] as usize..offsets[row + 1] as usize].into()),
            });
        }
        Ok(values)
    }
}

/// Returns what the values of a type are sent as, and the type of Arrow that has them so; `None` if they are shown as
/// text.
fn scalar(ty: &DataType) -> Option<(Type, DataType)> {
    Some(match ty {
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            (Type::String, DataType::Utf8)
        }
        DataType::Boolean => (Type::Bool, DataType::Boolean),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => (Type::I64, DataType::Int64),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            (Type::U64, DataType::UInt64)
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => (Type::F64, DataType::Float64),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            (Type::Bytes, DataType::Binary)
        }

        // Without a zone it is no point in time, but what a clock shows somewhere.
        DataType::Timestamp(_, Some(_)) => (Type::Timestamp, super::column_type::timestamp_type()),
        DataType::Duration(_) => (Type::Duration, DataType::Duration(TimeUnit::Nanosecond)),
        DataType::Dictionary(_, values) => return scalar(values),
        _ => return None,
    })
}

/// Returns the values of a column of the type of Arrow that has them as they are.
fn scalars(array: &ArrayRef, ty: Type) -> Vec<Value> {
    let mut values = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        if array.is_null(row) {
            values.push(Value::Null);
            continue;
        }

        values.push(match ty {
            Type::Bool => Value::Bool(array.as_boolean().value(row)),
            Type::I64 => Value::I64(array.as_primitive::<Int64Type>().value(row)),
            Type::U64 => Value::U64(array.as_primitive::<UInt64Type>().value(row)),
            Type::F64 => Value::F64(array.as_primitive::<Float64Type>().value(row)),
            Type::String => Value::str(array.as_string::<i32>().value(row)),
            Type::Bytes => Value::Bytes(array.as_binary::<i32>().value(row).into()),
            Type::Timestamp => Value::Timestamp(array.as_primitive::<TimestampNanosecondType>().value(row)),
            Type::Duration => Value::Duration(array.as_primitive::<DurationNanosecondType>().value(row)),
            Type::Any | Type::Null | Type::List(_) => Value::Null,
        });
    }
    values
}

/// Returns the texts that SQL shows for values.
fn shown(array: &ArrayRef) -> Result<Vec<Value>> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;

    let mut texts = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        texts.push(match array.is_null(row) {
            true => Value::Null,
            false => Value::str(formatter.value(row).try_to_string()?),
        });
    }
    Ok(texts)
}
