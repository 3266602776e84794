//! The names that completion offers: tracepoints, and tables of SQL with their columns.

use crate::client::{FrontendConnection, ListedTracepoint};
use crate::error::CliError;
use crate::sql::SqlOutcome;
use pivot_advice::Value;
use std::time::Duration;

/// How long the frontend may take to list its tables before a prompt: they are a convenience.
const PATIENCE: Duration = Duration::from_millis(500);

/// Lists all columns of tables.
const COLUMNS: &str = "SELECT table_schema, table_name, column_name FROM information_schema.columns \
     WHERE table_schema <> 'information_schema' ORDER BY table_schema, table_name, ordinal_position";

/// The names as they were when the prompt was shown.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownNames {
    pub(super) tracepoints: Vec<ListedTracepoint>,
    pub(super) tables: Vec<KnownTable>,
}

/// A table of SQL, with names as they are written in a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KnownTable {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

/// Returns the tables of a frontend.
pub(super) async fn tables(connection: &FrontendConnection) -> Result<Vec<KnownTable>, CliError> {
    let listed = tokio::time::timeout(PATIENCE, listed_columns(connection)).await;
    listed.unwrap_or_else(|_| Err(CliError::Command("the frontend is busy".to_owned())))
}

async fn listed_columns(connection: &FrontendConnection) -> Result<Vec<KnownTable>, CliError> {
    // A frontend of an earlier version has no tables.
    let SqlOutcome::Answer(mut answer) = connection.sql(COLUMNS, 0).await? else { return Ok(Vec::new()) };
    let mut tables: Vec<KnownTable> = Vec::new();

    while let Some(rows) = answer.next().await? {
        for row in rows {
            let [Value::Str(schema), Value::Str(table), Value::Str(column)] = &row[..] else { continue };
            let name = match &**schema {
                "public" => written(table),
                schema => format!("{schema}.{}", written(table)),
            };
            if tables.last().is_none_or(|last| last.name != name) {
                tables.push(KnownTable { name, columns: Vec::new() });
            }
            if let Some(last) = tables.last_mut() {
                last.columns.push(written(column));
            }
        }
    }
    Ok(tables)
}

/// Returns a name as it is written in a statement: in quotes if it has capitals, points or blanks.
fn written(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '$' | '@'));
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
