//! The columns of tables of windows.

use super::column_type::{column_type, timestamp_type};
use super::state_value::state_field;
use super::time_filter::{WINDOW_END, WINDOW_START};
use super::window_source::{HistoryQuery, ObservedValues};
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use pivot_advice::{Expr, LossCounts};
use pivot_query::OutputPlan;
use std::collections::HashSet;

/// The value that a column of a table of windows holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowColumn {
    /// The number of the query.
    Query,
    /// The name of the query.
    QueryName,
    WindowStart,
    WindowEnd,
    Revision,
    Partial,
    /// The time in which the query was answered.
    Covered,
    AgentsReporting,
    AgentsExpected,
    /// How many groups the window has.
    Groups,
    /// How many rows were emitted for it, lost ones included.
    Emitted,
    /// How many of them are in no group of their own.
    OtherRows,
    /// How much of a kind was lost, by the place of the kind.
    Lost(usize),
    /// The column of SELECT with this index.
    Selected(usize),
    /// The key of the group with this index.
    Key(usize),
    /// The part of the requests that a group of a sample is about.
    Stratum,
    /// Whether the group is that of the rows without one of their own.
    IsOther,
    /// How many rows the group has.
    Count,
    /// The state of the aggregate with this index.
    State(usize),
}

/// Returns the columns of the table of a query: those of its windows, then those of its SELECT.
pub(super) fn selected_columns(query: &HistoryQuery, observed: &ObservedValues) -> Vec<(RowColumn, Field)> {
    let mut columns = window_columns();
    let mut taken = names(&columns);
    for (i, column) in query.output.columns.iter().enumerate() {
        let types = observed.columns.get(i).copied().unwrap_or_default();
        let name = unique_name(&column.name, &mut taken);
        columns.push((RowColumn::Selected(i), Field::new(name, column_type(column.ty, types), true)));
    }
    columns
}

/// Returns the columns of the table of a query's states: those of its windows, the keys of its groups, how many rows each
/// has, and the state of each aggregate under the name of the aggregate.
pub(super) fn state_columns(query: &HistoryQuery, observed: &ObservedValues) -> Vec<(RowColumn, Field)> {
    let output = &*query.output;
    let mut columns = window_columns();
    let mut taken = names(&columns);

    for (i, key) in output.keys.iter().enumerate() {
        let types = observed.keys.get(i).copied().unwrap_or_default();
        let name = unique_name(selected_name(output, i).unwrap_or(&key.name), &mut taken);
        columns.push((RowColumn::Key(i), Field::new(name, column_type(key.ty, types), true)));
    }
    if output.is_scaled() {
        columns.push((
            RowColumn::Stratum,
            Field::new(unique_name("stratum", &mut taken), DataType::UInt32, true),
        ));
    }
    columns
        .push((RowColumn::IsOther, Field::new(unique_name("other", &mut taken), DataType::Boolean, false)));
    columns.push((RowColumn::Count, Field::new(unique_name("n", &mut taken), DataType::UInt64, false)));

    // A group's row has its count behind its keys, and then its aggregates.
    for (i, aggregate) in output.finished.iter().enumerate() {
        let name = selected_name(output, output.keys.len() + 1 + i).unwrap_or(&aggregate.name);
        let name = unique_name(name, &mut taken);
        columns.push((RowColumn::State(i), state_field(&name, aggregate.ty)));
    }
    columns
}

/// Returns the columns of the table of all windows.
pub(super) fn listed_columns() -> Vec<(RowColumn, Field)> {
    let mut columns = vec![
        (RowColumn::Query, Field::new("query", DataType::UInt32, false)),
        (RowColumn::QueryName, Field::new("name", DataType::Utf8, true)),
    ];
    columns.extend(window_columns());
    columns.extend([
        (RowColumn::Covered, Field::new("covered", DataType::Duration(TimeUnit::Nanosecond), false)),
        (RowColumn::AgentsReporting, Field::new("agents_reporting", DataType::UInt32, false)),
        (RowColumn::AgentsExpected, Field::new("agents_expected", DataType::UInt32, false)),
        (RowColumn::Groups, Field::new("groups", DataType::UInt64, false)),
        (RowColumn::Emitted, Field::new("emitted", DataType::UInt64, false)),
        (RowColumn::OtherRows, Field::new("other", DataType::UInt64, false)),
    ]);

    for (i, (kind, _)) in LossCounts::default().by_kind().enumerate() {
        columns.push((RowColumn::Lost(i), Field::new(kind.name, DataType::UInt64, false)));
    }
    columns
}

fn window_columns() -> Vec<(RowColumn, Field)> {
    vec![
        (RowColumn::WindowStart, Field::new(WINDOW_START, timestamp_type(), false)),
        (RowColumn::WindowEnd, Field::new(WINDOW_END, timestamp_type(), false)),
        (RowColumn::Revision, Field::new("revision", DataType::UInt32, false)),
        (RowColumn::Partial, Field::new("partial", DataType::Boolean, false)),
    ]
}

/// Returns the name under which SELECT shows a value of a group's row as it is, or `None` if it does not.
fn selected_name(output: &OutputPlan, place: usize) -> Option<&str> {
    let is_shown = |expr: &Expr| matches!(expr, Expr::Column(column) if usize::from(*column) == place);
    output.columns.iter().find(|column| is_shown(&column.expr)).map(|column| column.name.as_str())
}

fn names(columns: &[(RowColumn, Field)]) -> HashSet<String> {
    columns.iter().map(|(_, field)| field.name().clone()).collect()
}

/// Returns a name that no other column has, and takes it.
fn unique_name(name: &str, taken: &mut HashSet<String>) -> String {
    let mut unique = name.to_owned();
    let mut number = 1;
    while !taken.insert(unique.clone()) {
        number += 1;
        unique = format!("{name}_{number}");
    }
    unique
}
