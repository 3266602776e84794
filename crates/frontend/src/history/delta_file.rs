//! A file of history: additions to windows of one query, as Parquet that any tool can read.
//!
//! ```text
//! window_start  window_end  commit  part     revision  partial  covered   window  n     host    host$exact  SUM(x)  SUM(x)$exact
//! 12:00:00      12:00:01       71   window   0         false    1s        bytes   null  null    null        null    null
//! 12:00:00      12:00:01       71   groups   null      null     null      null    2     "dn-1"  null        4096    null
//! 12:00:00      12:00:01       71   groups   null      null     null      null    1     "dn-2"  null        512     null
//! 12:00:01      12:00:02       73   window   …
//! ```
//!
//! Rows are in the order of windows, then of the commits that brought them. Each addition begins with a row `window`, which
//! says how complete the window is, and has the rest of it as bytes; then come its groups. `sampled` are groups of a
//! sample of the requests, with one more key, and `other` are the rows that found no group of their own. The groups of a
//! window are the sum of all its additions, here and in other files.
//!
//! What columns there are follows from the query: two for each key (the value, and `$exact` where it does not fit the type
//! of the column), and one to three for each aggregate state (`$count` of means).

use super::error::HistoryError;
use super::state_column::{StateArrays, StateColumnBuilder, StateForm, is_opaque};
use super::value_column::{ValueArrays, ValueColumnBuilder};
use super::value_types::{UTC, ValueTypes};
use crate::store::{DeltaKey, WindowDeltaRecord};
use crate::window_delta::{WindowDelta, WindowState};
use crate::window_groups::WindowGroups;
use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, DurationNanosecondBuilder, StringBuilder,
    TimestampNanosecondBuilder, UInt32Builder, UInt64Builder,
};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use pivot_advice::{AggregateKind, Group, Value};
use pivot_query::OutputPlan;
use prost::Message;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The rows that are encoded at once.
const BATCH_ROWS: usize = 8_192;

/// The most rows of a part of a file that is read or skipped as a whole.
const ROW_GROUP_ROWS: usize = 65_536;

/// The values of the column `part`.
pub(super) const WINDOW: &str = "window";
pub(super) const GROUPS: &str = "groups";
pub(super) const SAMPLED: &str = "sampled";
pub(super) const OTHER: &str = "other";

/// The columns that every file has, in their order; those of keys and states follow.
pub(super) const FIXED: [&str; 9] =
    ["window_start", "window_end", "commit", "part", "revision", "partial", "covered", "window", "n"];

/// The types of the values in the columns of a file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ColumnTypes {
    /// Of the keys, and of the one more that groups of a sample have.
    pub(crate) keys: Vec<ValueTypes>,
    pub(crate) states: Vec<ValueTypes>,
}

impl ColumnTypes {
    /// Adds the types of all values of a table.
    pub(crate) fn note(&mut self, table: &WindowGroups) {
        self.keys.resize(table.groups.keys() + 1, ValueTypes::default());
        self.states.resize(table.groups.aggregates().len(), ValueTypes::default());
        let sampled = table.sampled.groups.iter().flatten();
        for group in table.groups.iter().chain(sampled.cloned()).chain(table.other.iter().cloned()) {
            self.keys.iter_mut().zip(&group.key).for_each(|(types, value)| types.note(value));
            for (types, state) in self.states.iter_mut().zip(&group.states) {
                StateForm::of(state).value().into_iter().for_each(|value| types.note(value));
            }
        }
    }

    /// Adds the types of other files.
    pub(crate) fn union(&mut self, other: &ColumnTypes) {
        for (mine, theirs) in [(&mut self.keys, &other.keys), (&mut self.states, &other.states)] {
            mine.resize(mine.len().max(theirs.len()), ValueTypes::default());
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = mine.union(*theirs));
        }
    }
}

/// A file that is being written.
pub(crate) struct DeltaFileWriter {
    aggregates: Box<[AggregateKind]>,
    columns: FileColumns,
    schema: Arc<Schema>,
    writer: ArrowWriter<Vec<u8>>,
    /// The rows that were written, and those in `columns`.
    rows: u64,
}

impl std::fmt::Debug for DeltaFileWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeltaFileWriter").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// The rows that are to be encoded next, column by column.
#[derive(Debug)]
struct FileColumns {
    start: TimestampNanosecondBuilder,
    end: TimestampNanosecondBuilder,
    commit: UInt64Builder,
    part: StringBuilder,
    revision: UInt32Builder,
    partial: BooleanBuilder,
    covered: DurationNanosecondBuilder,
    window: BinaryBuilder,
    n: UInt64Builder,
    keys: Vec<ValueColumnBuilder>,
    states: Vec<StateColumnBuilder>,
    rows: usize,
}

impl DeltaFileWriter {
    /// Begins a file of a query's additions, whose values have the given types.
    pub(crate) fn new(output: &OutputPlan, types: &ColumnTypes) -> Result<DeltaFileWriter, HistoryError> {
        let mut columns = FileColumns::new(types);
        let aggregates: Box<[AggregateKind]> = output.states.as_slice().into();

        let names = column_names(output, types.keys.len());
        let fields: Vec<Field> = names
            .into_iter()
            .zip(columns.take(&aggregates))
            .map(|(name, array)| Field::new(name, array.data_type().clone(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));

        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
        Ok(DeltaFileWriter { aggregates, columns, schema, writer, rows: 0 })
    }

    /// Adds an addition to a window. They come in the order of their keys.
    pub(crate) fn push(&mut self, key: DeltaKey, delta: &WindowDelta) -> Result<(), HistoryError> {
        self.columns.push_window(key.batch, delta);
        self.flush_if_full()?;

        let added = &delta.added;
        for group in added.groups.iter() {
            self.push_group(key.batch, delta, GROUPS, &group)?;
        }
        for group in added.sampled.groups.iter().flatten() {
            self.push_group(key.batch, delta, SAMPLED, group)?;
        }
        for group in added.other.iter() {
            self.push_group(key.batch, delta, OTHER, group)?;
        }
        Ok(())
    }

    fn push_group(
        &mut self,
        batch: u64,
        delta: &WindowDelta,
        part: &str,
        group: &Group,
    ) -> Result<(), HistoryError> {
        self.columns.push_group(batch, delta, part, group);
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Result<(), HistoryError> {
        if self.columns.rows >= BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), HistoryError> {
        self.rows += self.columns.rows as u64;
        let arrays = self.columns.take(&self.aggregates);
        Ok(self.writer.write(&RecordBatch::try_new(self.schema.clone(), arrays)?)?)
    }

    /// Returns the bytes of the file, and the number of its rows.
    pub(crate) fn finish(mut self) -> Result<(Vec<u8>, u64), HistoryError> {
        self.flush()?;
        Ok((self.writer.into_inner()?, self.rows))
    }
}

impl FileColumns {
    fn new(types: &ColumnTypes) -> FileColumns {
        let time = || TimestampNanosecondBuilder::new().with_timezone(UTC);
        FileColumns {
            start: time(),
            end: time(),
            commit: UInt64Builder::new(),
            part: StringBuilder::new(),
            revision: UInt32Builder::new(),
            partial: BooleanBuilder::new(),
            covered: DurationNanosecondBuilder::new(),
            window: BinaryBuilder::new(),
            n: UInt64Builder::new(),
            keys: types.keys.iter().map(|types| ValueColumnBuilder::new(*types)).collect(),
            states: types.states.iter().map(|types| StateColumnBuilder::new(*types)).collect(),
            rows: 0,
        }
    }

    /// Adds the row that an addition begins with.
    fn push_window(&mut self, batch: u64, delta: &WindowDelta) {
        self.push_place(batch, delta, WINDOW);
        let state = delta.state.as_ref();
        self.revision.append_option(state.map(|state| state.revision));
        self.partial.append_option(state.map(WindowState::is_partial));
        self.covered.append_option(state.map(|state| state.time.covered_ns));
        self.window.append_value(WindowDeltaRecord::without_groups(delta).encode_to_vec());

        self.n.append_null();
        self.keys.iter_mut().for_each(|key| key.push(&Value::Null));
        self.states.iter_mut().for_each(StateColumnBuilder::push_nothing);
    }

    fn push_group(&mut self, batch: u64, delta: &WindowDelta, part: &str, group: &Group) {
        self.push_place(batch, delta, part);
        self.revision.append_null();
        self.partial.append_null();
        self.covered.append_null();
        self.window.append_null();

        self.n.append_value(group.n);
        for (i, key) in self.keys.iter_mut().enumerate() {
            key.push(group.key.get(i).unwrap_or(&Value::Null));
        }
        self.states.iter_mut().zip(&group.states).for_each(|(column, state)| column.push(state));
    }

    fn push_place(&mut self, batch: u64, delta: &WindowDelta, part: &str) {
        self.rows += 1;
        self.start.append_value(delta.window.start_ns);
        self.end.append_value(delta.window.end_ns);
        self.commit.append_value(batch);
        self.part.append_value(part);
    }

    /// Takes the arrays of all rows, in the order of the file's columns.
    fn take(&mut self, aggregates: &[AggregateKind]) -> Vec<ArrayRef> {
        self.rows = 0;
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(self.start.finish()),
            Arc::new(self.end.finish()),
            Arc::new(self.commit.finish()),
            Arc::new(self.part.finish()),
            Arc::new(self.revision.finish()),
            Arc::new(self.partial.finish()),
            Arc::new(self.covered.finish()),
            Arc::new(self.window.finish()),
            Arc::new(self.n.finish()),
        ];

        for ValueArrays { typed, exact } in self.keys.iter_mut().map(ValueColumnBuilder::take) {
            arrays.extend([typed, exact]);
        }
        for (column, aggregate) in self.states.iter_mut().zip(aggregates) {
            let StateArrays { values: ValueArrays { typed, exact }, counts } = column.take();
            arrays.extend((!is_opaque(*aggregate)).then_some(typed));
            arrays.extend(counts.filter(|_| *aggregate == AggregateKind::Average));
            arrays.push(exact);
        }
        arrays
    }
}

/// Returns the names of a file's columns, each once, for so many keys.
fn column_names(output: &OutputPlan, keys: usize) -> Vec<String> {
    let mut names = ColumnNames { names: FIXED.map(str::to_owned).to_vec(), taken: BTreeSet::new() };
    names.taken.extend(names.names.iter().cloned());

    for i in 0..keys {
        // Behind the keys of the query may be the number of the stratum of a sample.
        let name = output.keys.get(i).map_or("stratum", |key| &key.name);
        names.push_all(name, &["", "$exact"]);
    }
    for (i, aggregate) in output.states.iter().enumerate() {
        let finished = output.finished.iter().find(|value| usize::from(value.finished.state) == i);
        let name = finished.map_or_else(|| aggregate.name().to_owned(), |value| value.name.clone());
        match aggregate {
            AggregateKind::Average => names.push_all(&name, &["", "$count", "$exact"]),
            aggregate if is_opaque(*aggregate) => names.push_all(&name, &["$state"]),
            _ => names.push_all(&name, &["", "$exact"]),
        }
    }
    names.names
}

/// The names of the columns of a file.
#[derive(Debug)]
struct ColumnNames {
    names: Vec<String>,
    taken: BTreeSet<String>,
}

impl ColumnNames {
    /// Adds a name with each of the endings; where one is taken, all of them get a number.
    fn push_all(&mut self, name: &str, endings: &[&str]) {
        let mut number = 1;

        loop {
            let stem = if number == 1 { name.to_owned() } else { format!("{name}_{number}") };
            let names: Vec<String> = endings.iter().map(|ending| format!("{stem}{ending}")).collect();
            if names.iter().all(|name| !self.taken.contains(name)) {
                self.taken.extend(names.iter().cloned());
                self.names.extend(names);
                return;
            }
            number += 1;
        }
    }
}
