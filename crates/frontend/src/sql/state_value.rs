//! States of aggregates as bytes in a column, and back.
//!
//! ```text
//! kind:u8 state        the kind is the number of the aggregate; the state is as it travels in reports
//! ```

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_datafusion_err};
use pivot_advice::codec::{ByteReader, ByteWriter};
use pivot_advice::{AggregateKind, AggregateState, Type};
use std::collections::HashMap;

/// The name by which a field says what the values of its aggregate are.
const VALUE_TYPE: &str = "pivot.type";

/// Returns a column of states of an aggregate whose values are of a type.
pub(super) fn state_field(name: &str, value_type: Type) -> Field {
    let type_code = value_type.code().to_string();
    let metadata = HashMap::from([(VALUE_TYPE.to_owned(), type_code)]);
    Field::new(name, DataType::Binary, true).with_metadata(metadata)
}

/// Returns the type of the values of an aggregate of whose states a field is, as far as that is known.
pub(super) fn value_type(field: &Field) -> Type {
    let code = field.metadata().get(VALUE_TYPE).and_then(|code| code.parse().ok());
    code.map_or(Type::Any, Type::from_code)
}

/// Returns a state as bytes.
pub(super) fn encode(state: &AggregateState) -> Vec<u8> {
    let mut writer = ByteWriter::new();
    writer.u8(state.aggregate() as u8);
    writer.state(state);
    writer.into_bytes()
}

/// Returns the state of bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<AggregateState> {
    let mut reader = ByteReader::new(bytes);
    let code = reader.u8().map_err(|wrong| exec_datafusion_err!("these bytes are no state: {wrong}"))?;
    let kind = AggregateKind::from_code(code)
        .ok_or_else(|| exec_datafusion_err!("these bytes are no state: there is no aggregate {code}"))?;

    let state =
        reader.state(kind).map_err(|wrong| exec_datafusion_err!("these bytes are no state: {wrong}"))?;
    match reader.is_empty() {
        true => Ok(state),
        false => Err(exec_datafusion_err!("these bytes are no state: there are more behind it")),
    }
}
