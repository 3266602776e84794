//! How much functions may make, and how much there is of a value.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::DataType;

/// The most bytes of a text that a function makes.
pub(super) const MAX_TEXT: f64 = (64 << 10) as f64;

/// The most bytes that a function makes for one batch of rows.
pub(super) const MAX_MADE: f64 = (64 << 20) as f64;

/// The bytes of an item of a list, if it is a number.
pub(super) const ITEM_BYTES: f64 = 8.0;

/// Returns the bytes of a value of a column, about.
pub(super) fn value_size(array: &ArrayRef, row: usize) -> f64 {
    if array.is_null(row) {
        return 0.0;
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value_length(row) as f64,
        DataType::LargeUtf8 => array.as_string::<i64>().value_length(row) as f64,
        DataType::Utf8View => array.as_string_view().value(row).len() as f64,

        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            array.slice(row, 1).to_data().get_slice_memory_size().unwrap_or(usize::MAX) as f64
        }
        _ => ITEM_BYTES,
    }
}
