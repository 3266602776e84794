//! A column of aggregate states in a file.
//!
//! ```text
//! COUNT, SUM, MIN, MAX, ANY    a column of values, which are the states     sum of 3 and 4: 7
//! AVERAGE                      a column of sums, and one of counts          7, 2
//! sketches                     bytes alone
//! ```
//!
//! States that are no such values, like sums beyond 64 bits, and those whose values have another type than the column, are
//! bytes beside it.

use super::error::HistoryError;
use super::value_column::{ValueArrays, ValueColumnBuilder};
use super::value_types::ValueTypes;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt64Builder};
use datafusion::arrow::datatypes::UInt64Type;
use pivot_advice::codec::ByteReader;
use pivot_advice::columns::SumType;
use pivot_advice::{AggregateKind, AggregateState, Sum, Value};
use std::sync::Arc;

/// A state as the columns of a file have it.
#[derive(Debug, PartialEq)]
pub(super) enum StateForm<'s> {
    /// The state is a value.
    Value(&'s Value),
    /// The state is a number or a duration, or null for none.
    Number(Value),
    /// A mean: the sum, and the number of values.
    Mean(Value, u64),
    /// Anything else.
    Encoded,
}

impl<'s> StateForm<'s> {
    /// Returns the form of a state.
    pub(super) fn of(state: &'s AggregateState) -> StateForm<'s> {
        match state {
            AggregateState::Count(count) => StateForm::Number(Value::U64(*count)),

            AggregateState::Sum(sum) => sum_value(sum).map_or(StateForm::Encoded, StateForm::Number),
            AggregateState::Average(sum, count) => match sum_value(sum) {
                Some(sum) => StateForm::Mean(sum, *count),
                None => StateForm::Encoded,
            },
            AggregateState::Min(value) | AggregateState::Max(value) | AggregateState::Any(value) => {
                StateForm::Value(value)
            }
            _ => StateForm::Encoded,
        }
    }

    /// Returns the value of the form, if it has one.
    pub(super) fn value(&self) -> Option<&Value> {
        match self {
            StateForm::Value(value) => Some(value),
            StateForm::Number(value) | StateForm::Mean(value, _) => Some(value),
            StateForm::Encoded => None,
        }
    }
}

/// Returns the value that stands for a sum; null for that of no values.
fn sum_value(sum: &Sum) -> Option<Value> {
    if *sum == Sum::Empty {
        return Some(Value::Null);
    }
    let (sum_type, number) = SumType::of(sum)?;
    Some(match sum_type {
        SumType::Integer => Value::I64(number as i64),
        SumType::Duration => Value::Duration(number as i64),
        // Not `Value::double`: a state comes back with all its bits.
        SumType::Double => Value::F64(f64::from_bits(number)),
    })
}

/// Returns the sum that a value stands for.
fn sum_of(value: Value) -> Result<Sum, HistoryError> {
    match value {
        Value::Null => Ok(Sum::Empty),
        Value::I64(x) => Ok(Sum::Integer(x.into())),
        Value::Duration(x) => Ok(Sum::Duration(x.into())),
        Value::F64(x) => Ok(Sum::Double(x)),
        other => Err(HistoryError::damaged(format!("a sum is {other}"))),
    }
}

/// Whether the states of an aggregate are nothing but bytes.
pub(super) fn is_opaque(aggregate: AggregateKind) -> bool {
    aggregate.is_sketch() || aggregate == AggregateKind::Moments
}

/// A column of states that is being made.
#[derive(Debug)]
pub(super) struct StateColumnBuilder {
    values: ValueColumnBuilder,
    counts: UInt64Builder,
}

/// A column of states as it is read.
#[derive(Debug, Clone)]
pub(super) struct StateArrays {
    pub(super) values: ValueArrays,
    /// How many values each mean is of.
    pub(super) counts: Option<ArrayRef>,
}

impl StateColumnBuilder {
    /// Begins a column of states that are made of values with these types.
    pub(super) fn new(types: ValueTypes) -> StateColumnBuilder {
        StateColumnBuilder { values: ValueColumnBuilder::new(types), counts: UInt64Builder::new() }
    }

    /// Adds a state.
    pub(super) fn push(&mut self, state: &AggregateState) {
        let form = StateForm::of(state);
        match (&form, form.value()) {
            (StateForm::Mean(_, count), _) => self.counts.append_value(*count),
            _ => self.counts.append_null(),
        }
        self.values.push_or_encode(form.value(), |writer| writer.state(state));
    }

    /// Adds no state.
    pub(super) fn push_nothing(&mut self) {
        self.values.push(&Value::Null);
        self.counts.append_null();
    }

    /// Takes the arrays of all states that were added.
    pub(super) fn take(&mut self) -> StateArrays {
        StateArrays { values: self.values.take(), counts: Some(Arc::new(self.counts.finish())) }
    }
}

impl StateArrays {
    /// Returns the part of some rows.
    pub(super) fn slice(&self, first: usize, rows: usize) -> StateArrays {
        let counts = self.counts.as_ref().map(|counts| counts.slice(first, rows));
        StateArrays { values: self.values.slice(first, rows), counts }
    }

    /// Returns the state of a row.
    pub(super) fn state(&self, aggregate: AggregateKind, row: usize) -> Result<AggregateState, HistoryError> {
        if let Some(bytes) = self.values.encoded(row) {
            let state = ByteReader::new(bytes).state(aggregate);
            return state.map_err(|error| HistoryError::damaged(format!("a state: {error}")));
        }

        let value = self.values.typed(row)?;
        Ok(match aggregate {
            AggregateKind::Count => match value {
                Value::U64(count) => AggregateState::Count(count),
                other => return Err(HistoryError::damaged(format!("a count is {other}"))),
            },
            AggregateKind::Sum => AggregateState::Sum(sum_of(value)?),
            AggregateKind::Average => AggregateState::Average(sum_of(value)?, self.count(row)?),
            AggregateKind::Min => AggregateState::Min(value),
            AggregateKind::Max => AggregateState::Max(value),
            AggregateKind::Any => AggregateState::Any(value),
            _ => return Err(HistoryError::damaged("a state has no bytes")),
        })
    }

    fn count(&self, row: usize) -> Result<u64, HistoryError> {
        let counts = self.counts.as_ref().and_then(|counts| counts.as_primitive_opt::<UInt64Type>());
        match counts.filter(|counts| counts.is_valid(row)) {
            Some(counts) => Ok(counts.value(row)),
            None => Err(HistoryError::damaged("a mean has no count")),
        }
    }
}
