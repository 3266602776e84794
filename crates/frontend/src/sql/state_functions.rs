//! Functions over states of aggregates: `quantile(state, 0.99)`, `count_distinct(state)`, `topk(state, 10)`, `hist(state)`.

use super::column_type::list_of;
use super::state_value::{decode, value_type};
use super::to_arrow::array;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, TimeUnit};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use pivot_advice::{AggregateKind, AggregateState, EvalErrors, FinalFunction, Type, Value};
use std::sync::Arc;

/// A function that makes a value of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum StateFunction {
    /// The number below which a fraction of the values lies.
    Quantile,
    /// How many different values there are.
    CountDistinct,
    /// The most frequent values.
    TopK,
    /// The buckets of a histogram.
    Hist,
}

impl StateFunction {
    /// All of them.
    pub(super) const ALL: [StateFunction; 4] =
        [StateFunction::Quantile, StateFunction::CountDistinct, StateFunction::TopK, StateFunction::Hist];

    /// Returns its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            StateFunction::Quantile => "quantile",
            StateFunction::CountDistinct => "count_distinct",
            StateFunction::TopK => "topk",
            StateFunction::Hist => "hist",
        }
    }

    /// Returns how it is called.
    fn usage(self) -> &'static str {
        match self {
            StateFunction::Quantile => "quantile(state, fraction), as in quantile(\"P99(e.elapsed)\", 0.99)",
            StateFunction::CountDistinct => "count_distinct(state)",
            StateFunction::TopK => "topk(state, n)",
            StateFunction::Hist => "hist(state)",
        }
    }

    /// Returns the aggregate whose states it takes.
    fn aggregate(self) -> AggregateKind {
        match self {
            StateFunction::Quantile | StateFunction::Hist => AggregateKind::Histogram,
            StateFunction::CountDistinct => AggregateKind::Distinct,
            StateFunction::TopK => AggregateKind::Top,
        }
    }

    /// Returns the types of the arguments behind the state.
    fn parameter(self) -> Option<DataType> {
        match self {
            StateFunction::Quantile => Some(DataType::Float64),
            StateFunction::TopK => Some(DataType::Int64),
            StateFunction::CountDistinct | StateFunction::Hist => None,
        }
    }

    /// Returns the function of SQL.
    pub(super) fn function(self) -> ScalarUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::new_from_impl(StateScalar { function: self, signature })
    }

    /// Makes the value of a state.
    fn finish(self, state: &AggregateState, parameter: Parameter) -> Result<Value> {
        let is_tally = self == StateFunction::Hist && state.aggregate() == AggregateKind::Tally;
        if state.aggregate() != self.aggregate() && !is_tally {
            let (name, wanted, found) = (self.name(), self.aggregate(), state.aggregate());
            return exec_err!("{name} takes states of {wanted}, and this is one of {found}");
        }

        let finish = match (self, parameter) {
            (StateFunction::Quantile, Parameter::Fraction(q)) if (0.0..=1.0).contains(&q) => {
                FinalFunction::Quantile(q)
            }
            (StateFunction::Quantile, _) => return exec_err!("the fraction of a quantile is from 0 to 1"),
            (StateFunction::TopK, Parameter::Count(k)) => {
                FinalFunction::Top(u16::try_from(k).unwrap_or(u16::MAX))
            }
            _ => FinalFunction::Plain,
        };
        Ok(state.finish(finish, &mut EvalErrors::default()))
    }
}

/// The argument behind the state.
#[derive(Debug, Clone, Copy)]
enum Parameter {
    None,
    Fraction(f64),
    Count(i64),
}

/// The function as SQL calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct StateScalar {
    function: StateFunction,
    signature: Signature,
}

impl ScalarUDFImpl for StateScalar {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let wanted = 1 + usize::from(self.function.parameter().is_some());
        let is_state = matches!(
            types.first(),
            Some(DataType::Binary | DataType::BinaryView | DataType::LargeBinary | DataType::Null)
        );

        if types.len() != wanted || !is_state {
            return plan_err!(
                "it is {}, where the state is a column of a table such as q7$states",
                self.function.usage()
            );
        }
        Ok([DataType::Binary].into_iter().chain(self.function.parameter()).collect())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(match self.function {
            StateFunction::Quantile => DataType::Float64,
            StateFunction::CountDistinct => DataType::UInt64,
            StateFunction::TopK | StateFunction::Hist => list_of(DataType::Utf8),
        })
    }

    /// A quantile of durations is a duration, where it is known that the states are of such.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let of_durations = args.arg_fields.first().is_some_and(|field| value_type(field) == Type::Duration);
        let ty = match self.function {
            StateFunction::Quantile if of_durations => DataType::Duration(TimeUnit::Nanosecond),
            _ => self.return_type(&[])?,
        };
        Ok(Arc::new(Field::new(self.function.name(), ty, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let Some(states) = args.args.first() else { return exec_err!("it is {}", self.function.usage()) };
        let states = cast(&states.to_array(rows)?, &DataType::Binary)?;
        let states = states.as_binary::<i32>();
        let parameters = args.args.get(1).map(|parameter| parameter.to_array(rows)).transpose()?;

        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            let parameter = match (&parameters, self.function) {
                (Some(all), _) if all.is_null(row) => Parameter::None,
                (Some(all), StateFunction::Quantile) => {
                    Parameter::Fraction(all.as_primitive::<Float64Type>().value(row))
                }
                (Some(all), _) => Parameter::Count(all.as_primitive::<Int64Type>().value(row).max(0)),
                (None, _) => Parameter::None,
            };
            values.push(match states.is_null(row) {
                true => Value::Null,
                false => {
                    let value = self.function.finish(&decode(states.value(row))?, parameter)?;
                    in_unit_of(args.return_field.data_type(), value)
                }
            });
        }
        Ok(ColumnarValue::Array(array(&args.return_field, &values)?))
    }
}

/// Returns a value in the unit of a column: a duration, or the nanoseconds of one.
fn in_unit_of(ty: &DataType, value: Value) -> Value {
    let is_duration = matches!(ty, DataType::Duration(_));
    match value {
        Value::Duration(ns) if !is_duration => Value::F64(ns as f64),
        Value::F64(ns) if is_duration => Value::Duration(ns as i64),
        other => other,
    }
}
