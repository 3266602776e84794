//! Functions whose results may be far larger than their arguments, each with a bound on what it makes at once.
//!
//! The pool of memory knows what operators sort, join and group, and nothing of the values between them: a `repeat` would
//! take gigabytes before anybody counts them. So how much such a function will make is computed before it makes it.

use super::made_size::{ITEM_BYTES, MAX_MADE, MAX_TEXT, value_size};
use super::text_concat::TextConcat;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, FieldRef, Float64Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, exec_err};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// The most items of a list that a function makes.
const MAX_ITEMS: f64 = 10_000.0;

/// The most pairs of characters that `levenshtein` compares for one batch of rows.
const MAX_PAIRS: f64 = 1e9;

/// A day, in nanoseconds.
const DAY_NS: f64 = 86_400e9;

/// Returns the functions of SQL, those that may make much with their bound.
pub(super) fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let functions = SessionStateDefaults::default_scalar_functions().into_iter();
    functions.map(bounded).chain([Arc::new(ScalarUDF::new_from_impl(TextConcat::new()))]).collect()
}

fn bounded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    let growth = match function.name() {
        "repeat" => Growth::Repeat,
        "lpad" | "rpad" => Growth::Pad,
        "replace" => Growth::Replace,
        "concat" | "concat_ws" => Growth::Concat,
        "array_to_string" => Growth::Join,
        "levenshtein" => Growth::Compare,
        "range" | "generate_series" => Growth::Series,
        "array_repeat" => Growth::RepeatItem,
        "array_resize" => Growth::Resize,
        "make_array" | "array_concat" | "array_append" | "array_prepend" | "arrays_zip" => Growth::Sum,
        _ => return function,
    };

    Arc::new(ScalarUDF::new_from_impl(BoundedFunction { function, growth }))
}

/// How the size of a result comes from the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// `repeat(text, n)`
    Repeat,
    /// `lpad(text, n, ..)`
    Pad,
    /// `replace(text, from, to)`
    Replace,
    /// A text as large as all arguments together.
    Concat,
    /// As large as all arguments together.
    Sum,
    /// `array_to_string(list, separator)`
    Join,
    /// `levenshtein(a, b)`, which takes time and makes nothing.
    Compare,
    /// `range(from, to, step)`
    Series,
    /// `array_repeat(item, n)`
    RepeatItem,
    /// `array_resize(list, n, item)`
    Resize,
}

/// A function that fails if its result would be too large.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundedFunction {
    function: Arc<ScalarUDF>,
    growth: Growth,
}

impl ScalarUDFImpl for BoundedFunction {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.function.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let name = self.function.name();
        let rows = if args.args.iter().any(|arg| matches!(arg, ColumnarValue::Array(_))) {
            args.number_rows
        } else {
            1
        };
        let columns: Vec<ArrayRef> = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let (mut made, mut items) = (0.0, 0.0_f64);

        for row in 0..rows {
            let size = self.growth.of(&columns, row)?;
            items = items.max(size.items);
            made += size.bytes;
            if self.growth != Growth::Compare && size.is_text && size.bytes > MAX_TEXT {
                return exec_err!(
                    "{name} would make a text of {:.0} bytes, and may make {MAX_TEXT}",
                    size.bytes
                );
            }
        }

        match self.growth {
            Growth::Compare if made > MAX_PAIRS => exec_err!("{name} would compare texts that are too long"),
            Growth::Compare => self.function.invoke_with_args(args),
            _ if items > MAX_ITEMS => {
                exec_err!(
                    "{name} would make a list of {items:.0} items, and may make {MAX_ITEMS}; \
                     `FROM generate_series(..)` makes as many rows"
                )
            }
            _ if made > MAX_MADE => {
                exec_err!("{name} would make {:.0} MiB at once, and may make {:.0}", mib(made), mib(MAX_MADE))
            }
            _ => self.function.invoke_with_args(args),
        }
    }
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

/// The size of a result.
#[derive(Debug, Default)]
struct MadeSize {
    bytes: f64,
    /// Of a list.
    items: f64,
    is_text: bool,
}

impl MadeSize {
    fn text(bytes: f64) -> MadeSize {
        MadeSize { bytes, items: 0.0, is_text: true }
    }

    fn list(items: f64, item_bytes: f64) -> MadeSize {
        MadeSize { bytes: items * item_bytes, items, is_text: false }
    }
}

impl Growth {
    /// Returns the size of the result of a row, at most.
    fn of(self, columns: &[ArrayRef], row: usize) -> Result<MadeSize> {
        let row = ArgumentRow { columns, row };
        Ok(match self {
            Growth::Repeat => MadeSize::text(row.size(0) * row.count(1)?),
            Growth::Pad => MadeSize::text(row.count(1)? * row.size(2).clamp(1.0, 4.0)),
            Growth::Replace => MadeSize::text(row.size(0) + (row.size(0) + 1.0) * row.size(2)),
            Growth::Concat => MadeSize::text(row.all_sizes() + row.size(0) * columns.len() as f64),
            Growth::Sum => MadeSize::list(1.0, row.all_sizes()),
            Growth::Join => MadeSize::text(row.size(0) * (row.size(1) + 1.0)),
            Growth::Compare => MadeSize::text(row.size(0) * row.size(1)),

            Growth::RepeatItem => MadeSize::list(row.count(1)?, row.size(0).max(ITEM_BYTES)),
            Growth::Resize => MadeSize::list(row.count(1)?, row.size(2).max(ITEM_BYTES)),
            Growth::Series => MadeSize::list(series_length(columns, row.row)?, ITEM_BYTES),
        })
    }
}

/// The arguments of one row.
struct ArgumentRow<'a> {
    columns: &'a [ArrayRef],
    row: usize,
}

impl ArgumentRow<'_> {
    /// Returns the bytes of an argument; 0 if it is not there.
    fn size(&self, argument: usize) -> f64 {
        self.columns.get(argument).map_or(0.0, |array| value_size(array, self.row))
    }

    fn all_sizes(&self) -> f64 {
        (0..self.columns.len()).map(|argument| self.size(argument)).sum()
    }

    /// Returns an argument that says how many; 0 if it is not there, or less.
    fn count(&self, argument: usize) -> Result<f64> {
        self.columns.get(argument).map_or(Ok(0.0), |array| Ok(number(array, self.row)?.max(0.0)))
    }
}

/// Returns a bound of a series: a number, or a time in nanoseconds.
fn place(array: &ArrayRef, row: usize) -> Result<f64> {
    match array.data_type() {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            let times = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            Ok(number(&times, row)? * 1e3)
        }
        _ => number(array, row),
    }
}

/// Returns how many items there are from a number or time to another.
fn series_length(columns: &[ArrayRef], row: usize) -> Result<f64> {
    let [bounds @ .., step] = columns else { return Ok(0.0) };
    match (bounds, step.data_type()) {
        ([from, to], DataType::Interval(_)) => {
            let step = cast(step, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            let step = step.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let ns = f64::from(step.months) * 28.0 * DAY_NS
                + f64::from(step.days) * DAY_NS
                + step.nanoseconds as f64;
            Ok((place(to, row)? - place(from, row)?).abs() / ns.abs().max(1.0) + 1.0)
        }

        ([from, to], _) => {
            Ok((place(to, row)? - place(from, row)?).abs() / place(step, row)?.abs().max(1.0) + 1.0)
        }
        ([from], _) => Ok((place(step, row)? - place(from, row)?).abs() + 1.0),
        _ => Ok(place(step, row)?.abs() + 1.0),
    }
}

/// Returns a number of a column, or 0 for null.
fn number(array: &ArrayRef, row: usize) -> Result<f64> {
    if array.is_null(row) {
        return Ok(0.0);
    }
    match array.data_type() {
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Null => {
            let doubles = cast(array, &DataType::Float64)?;
            Ok(if doubles.is_null(row) { 0.0 } else { doubles.as_primitive::<Float64Type>().value(row) })
        }

        // What is no number, or beyond all of them, is for the function itself to refuse.
        _ => {
            let integers = cast(&array.slice(row, 1), &DataType::Int64)?;
            Ok(if integers.is_null(0) { 0.0 } else { integers.as_primitive::<Int64Type>().value(0) as f64 })
        }
    }
}
