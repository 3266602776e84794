//! `merge(state)`: the state of all rows behind several states, over windows or groups.

use super::state_value::{decode, encode};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use pivot_advice::AggregateState;
use std::sync::Arc;

/// The name of the function.
pub(super) const MERGE: &str = "merge";

/// Returns the function of SQL.
pub(super) fn merge_function() -> AggregateUDF {
    AggregateUDF::new_from_impl(MergeStates {
        signature: Signature::exact(vec![DataType::Binary], Volatility::Immutable),
    })
}

/// The aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MergeStates {
    signature: Signature,
}

impl AggregateUDFImpl for MergeStates {
    fn name(&self) -> &str {
        MERGE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    /// The sum of states is known to be of the values that the states are known to be of.
    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef> {
        let metadata = arguments.first().map(|field| field.metadata().clone()).unwrap_or_default();
        Ok(Arc::new(Field::new(MERGE, DataType::Binary, true).with_metadata(metadata)))
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(MergedState::default()))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", arguments.name), DataType::Binary, true))])
    }
}

/// A state that grows.
#[derive(Debug, Default)]
struct MergedState {
    state: Option<AggregateState>,
    /// The bytes of the largest state that was added, for the size of this one.
    bytes: usize,
}

impl MergedState {
    fn add_all(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let Some(states) = columns.first() else { return Ok(()) };
        let states = cast(states, &DataType::Binary)?;
        let states = states.as_binary::<i32>();

        for row in (0..states.len()).filter(|row| states.is_valid(*row)) {
            let bytes = states.value(row);
            let more = decode(bytes)?;
            self.bytes = self.bytes.max(bytes.len());
            match &mut self.state {
                None => self.state = Some(more),
                Some(state) if state.aggregate() == more.aggregate() => state.merge(&more),
                Some(state) => {
                    return exec_err!(
                        "states of {} and {} do not add up",
                        state.aggregate(),
                        more.aggregate()
                    );
                }
            }
        }
        Ok(())
    }

    fn bytes(&self) -> ScalarValue {
        ScalarValue::Binary(self.state.as_ref().map(encode))
    }
}

impl Accumulator for MergedState {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.add_all(columns)
    }

    fn merge_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.add_all(columns)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.bytes())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.bytes()])
    }

    fn size(&self) -> usize {
        // Counters take a word where their bytes take one or a few.
        size_of::<Self>() + 8 * self.bytes
    }
}
