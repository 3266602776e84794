//! What the frontend knows of itself, as tables: `pivot.queries`, `pivot.agents`, `pivot.tracepoints`.
//!
//! They hold what the lists of the client service hold, as it is when the statement is planned.

use super::column_type::{list_of, timestamp_type};
use super::to_arrow::array;
use crate::client_wire;
use crate::shared_state::SharedState;
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::datasource::MemTable;
use pivot_advice::{LossCounts, Value};
use pivot_protocol::{from_wire, wire};
use std::sync::Arc;

/// A table of the schema `pivot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SystemTable {
    /// Installed queries.
    Queries,
    /// Processes that are or were connected.
    Agents,
    /// Tracepoints of the catalogue.
    Tracepoints,
}

impl SystemTable {
    /// All of them.
    pub(super) const ALL: [SystemTable; 3] =
        [SystemTable::Queries, SystemTable::Agents, SystemTable::Tracepoints];

    /// Returns the name behind `pivot.`.
    pub(super) fn name(self) -> &'static str {
        match self {
            SystemTable::Queries => "queries",
            SystemTable::Agents => "agents",
            SystemTable::Tracepoints => "tracepoints",
        }
    }

    /// Returns the table of a name, or `None` if there is none.
    pub(super) fn find(name: &str) -> Option<SystemTable> {
        SystemTable::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Returns the table with its rows as they are now.
    pub(super) fn snapshot(self, shared: &SharedState) -> Result<MemTable> {
        let schema = Arc::new(Schema::new(self.fields()));
        let rows = self.rows(shared);

        let mut columns = Vec::with_capacity(schema.fields().len());
        for (i, field) in schema.fields().iter().enumerate() {
            let values: Vec<Value> = rows.iter().map(|row| row.get(i).cloned().unwrap_or_default()).collect();
            columns.push(array(field, &values)?);
        }
        let batch = RecordBatch::try_new(schema.clone(), columns)?;
        MemTable::try_new(schema, vec![vec![batch]])
    }

    fn fields(self) -> Vec<Field> {
        let columns = match self {
            SystemTable::Queries => query_columns(),
            SystemTable::Agents => agent_columns(),
            SystemTable::Tracepoints => tracepoint_columns(),
        };
        columns.into_iter().map(|(name, ty)| Field::new(name, ty, true)).collect()
    }

    /// Lists under the lock, and makes rows without it.
    fn rows(self, shared: &SharedState) -> Vec<Vec<Value>> {
        match self {
            SystemTable::Queries => {
                let queries: Vec<wire::Query> = {
                    let state = shared.lock();
                    state.active().map(|query| client_wire::query(query, &state)).collect()
                };
                queries.into_iter().map(query_row).collect()
            }

            SystemTable::Agents => {
                let agents: Vec<wire::Agent> = {
                    let state = shared.lock();
                    state.registry.iter().map(|(_, agent)| client_wire::agent(agent, &state)).collect()
                };
                agents.into_iter().map(agent_row).collect()
            }

            SystemTable::Tracepoints => {
                let tracepoints = client_wire::tracepoints(&shared.lock().registry.exports);
                tracepoints.into_iter().map(tracepoint_row).collect()
            }
        }
    }
}

fn query_columns() -> Vec<(&'static str, DataType)> {
    let mut columns = vec![
        ("number", DataType::UInt32),
        ("name", DataType::Utf8),
        ("text", DataType::Utf8),
        ("installed_at", timestamp_type()),
        ("owner", DataType::Utf8),
        ("agents", DataType::UInt32),
        ("readers", DataType::UInt32),
        ("groups", DataType::UInt64),
        ("emitted", DataType::UInt64),
        ("events", DataType::UInt64),
        ("busy", duration_type()),
        ("packed", DataType::UInt64),
        ("packed_bytes", DataType::UInt64),
    ];

    for (kind, _) in LossCounts::default().by_kind() {
        columns.push((kind.name, DataType::UInt64));
    }
    columns
}

fn query_row(query: wire::Query) -> Vec<Value> {
    let cost = query.cost.unwrap_or_default();
    let mut row = vec![
        Value::U64(query.number.into()),
        text(&query.name),
        text(&query.text),
        Value::Timestamp(query.installed_ns),
        text(&query.owner),
        Value::U64(query.agents_woven.into()),
        Value::U64(query.readers.into()),
        Value::U64(query.groups),
        Value::U64(query.rows_emitted),
        Value::U64(cost.events),
        duration(cost.busy_ns),
        Value::U64(cost.packed),
        Value::U64(cost.packed_bytes),
    ];

    let loss = from_wire::loss(query.loss);
    row.extend(loss.by_kind().map(|(_, amount)| Value::U64(amount)));
    row
}

fn agent_columns() -> Vec<(&'static str, DataType)> {
    vec![
        ("host", DataType::Utf8),
        ("process", DataType::Utf8),
        ("pid", DataType::UInt32),
        ("build", DataType::Utf8),
        ("labels", list_of(DataType::Utf8)),
        ("state", DataType::Utf8),
        ("tracepoints", DataType::UInt32),
        ("connected_at", timestamp_type()),
        ("heard_at", timestamp_type()),
        ("converged", DataType::Boolean),
        ("clock_uncertainty", duration_type()),
        ("misplaced_rows", DataType::UInt64),
        ("tracepoints_left_out", DataType::UInt64),
    ]
}

fn agent_row(agent: wire::Agent) -> Vec<Value> {
    let state = match agent.state() {
        wire::agent::State::Connected => "connected",
        wire::agent::State::Left => "left",
        wire::agent::State::Lost => "lost",
        wire::agent::State::Unspecified => "unknown",
    };
    let mut labels: Vec<String> =
        agent.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    labels.sort();

    vec![
        text(&agent.host),
        text(&agent.process),
        Value::U64(agent.pid.into()),
        text(&agent.build),
        texts(labels),
        Value::str(state),
        Value::U64(agent.tracepoints.into()),
        Value::Timestamp(agent.connected_ns),
        Value::Timestamp(agent.last_heard_ns),
        Value::Bool(agent.converged),
        agent.clock_uncertainty_ns.map_or(Value::Null, Value::Duration),
        Value::U64(agent.misplaced_rows),
        Value::U64(agent.left_out),
    ]
}

fn tracepoint_columns() -> Vec<(&'static str, DataType)> {
    vec![
        ("name", DataType::Utf8),
        ("fields", list_of(DataType::Utf8)),
        ("types", list_of(DataType::Utf8)),
        ("agents", DataType::UInt32),
        ("places", list_of(DataType::Utf8)),
    ]
}

fn tracepoint_row(tracepoint: wire::Tracepoint) -> Vec<Value> {
    let types = tracepoint.fields.iter().map(|field| from_wire::ty(field.r#type).to_string()).collect();
    let fields = tracepoint.fields.into_iter().map(|field| field.name).collect();
    vec![
        text(&tracepoint.name),
        texts(fields),
        texts(types),
        Value::U64(tracepoint.agents.into()),
        texts(tracepoint.places),
    ]
}

fn duration_type() -> DataType {
    DataType::Duration(TimeUnit::Nanosecond)
}

fn duration(ns: u64) -> Value {
    Value::Duration(i64::try_from(ns).unwrap_or(i64::MAX))
}

/// Returns a text; what is not given is null.
fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::str(text) }
}

fn texts(texts: Vec<String>) -> Value {
    Value::List(texts.iter().map(Value::str).collect())
}
