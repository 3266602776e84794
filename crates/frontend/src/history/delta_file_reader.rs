//! Reading a file of history: its additions to windows, one after the other.

use super::delta_file::{FIXED, GROUPS, OTHER, SAMPLED, WINDOW};
use super::error::HistoryError;
use super::state_column::{StateArrays, is_opaque};
use super::value_column::ValueArrays;
use crate::store::{DeltaKey, WindowDeltaRecord};
use crate::time_range::TimeRange;
use crate::window_delta::WindowDelta;
use crate::window_groups::WindowGroups;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampNanosecondType, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::parquet::file::statistics::Statistics;
use pivot_advice::columns::{ColumnBlock, ColumnBlockWriter};
use pivot_advice::{AggregateKind, AggregateState, Groups, Value};
use pivot_merge::MergedGroups;
use prost::Message;
use prost::bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// The additions of a file to windows that begin in a range, in the order of their keys.
#[derive(Debug)]
pub(crate) struct DeltaFileReader {
    query: u32,
    shape: MergedGroups,
    starts: TimeRange,
    batches: ParquetRecordBatchReader,
    /// The batch that is read.
    rows: Option<FileRows>,
    /// The addition whose groups are being read.
    open: Option<OpenDelta>,
}

/// Some rows of a file, and how many of them are read.
#[derive(Debug)]
struct FileRows {
    starts: Vec<i64>,
    commits: Vec<u64>,
    parts: ArrayRef,
    windows: ArrayRef,
    multiplicities: Vec<u64>,
    keys: Vec<ValueArrays>,
    states: Vec<StateArrays>,
    read: usize,
}

/// An addition of which more groups may follow.
#[derive(Debug)]
struct OpenDelta {
    key: DeltaKey,
    delta: WindowDelta,
}

impl DeltaFileReader {
    /// Begins to read the bytes of a file of a query with groups of this shape.
    pub(crate) fn new(
        query: u32,
        shape: &MergedGroups,
        starts: TimeRange,
        file: Vec<u8>,
    ) -> Result<DeltaFileReader, HistoryError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file))?;
        let row_groups = row_groups_in(builder.metadata(), starts);
        let batches = builder.with_row_groups(row_groups).build()?;
        Ok(DeltaFileReader { query, shape: shape.clone(), starts, batches, rows: None, open: None })
    }

    /// Returns the next addition, or `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<(DeltaKey, WindowDelta)>, HistoryError> {
        loop {
            let Some(rows) = &mut self.rows else {
                match self.batches.next() {
                    None => return Ok(self.open.take().map(|open| (open.key, open.delta))),
                    Some(batch) => self.rows = Some(FileRows::new(&batch?, &self.shape)?),
                }
                continue;
            };
            let Some(run) = rows.next_run() else {
                self.rows = None;
                continue;
            };

            let start_ns = rows.starts[run.start];
            if start_ns < self.starts.start_ns || start_ns >= self.starts.end_ns {
                continue;
            }
            match rows.part(run.start) {
                WINDOW => {
                    let key = DeltaKey { query: self.query, start_ns, batch: rows.commits[run.start] };
                    let delta = rows.window(run.start)?.delta(start_ns, &self.shape);
                    let before = self.open.replace(OpenDelta { key, delta });
                    if let Some(before) = before {
                        return Ok(Some((before.key, before.delta)));
                    }
                }
                part => {
                    let open = self.open.as_mut();
                    let open = open.ok_or_else(|| HistoryError::damaged("groups are of no window"))?;
                    let added = Arc::make_mut(&mut open.delta.added);
                    rows.add_groups(part, run, &self.shape, added)?;
                }
            }
        }
    }
}

impl FileRows {
    fn new(batch: &RecordBatch, shape: &MergedGroups) -> Result<FileRows, HistoryError> {
        let mut columns = batch.columns().iter();
        let mut next = || columns.next().cloned().ok_or_else(|| HistoryError::damaged("a column is missing"));
        let mut fixed: Vec<ArrayRef> = Vec::with_capacity(FIXED.len());
        for name in FIXED {
            let column = next()?;
            if !has_expected_type(name, column.data_type()) {
                let found = column.data_type();
                return Err(HistoryError::damaged(format!("the column {name} has the type {found}")));
            }
            fixed.push(column);
        }

        let mut keys = Vec::new();
        // One more than exact groups have, for those of a sample.
        for _ in 0..=shape.keys() {
            keys.push(ValueArrays { typed: next()?, exact: next()? });
        }
        let mut states = Vec::new();
        for aggregate in shape.aggregates() {
            states.push(state_arrays(*aggregate, batch.num_rows(), &mut next)?);
        }

        let n = fixed[8].as_primitive::<UInt64Type>();
        Ok(FileRows {
            starts: fixed[0].as_primitive::<TimestampNanosecondType>().values().to_vec(),
            commits: fixed[2].as_primitive::<UInt64Type>().values().to_vec(),
            parts: fixed[3].clone(),
            windows: fixed[7].clone(),
            multiplicities: n.iter().map(Option::unwrap_or_default).collect(),
            keys,
            states,
            read: 0,
        })
    }

    /// Takes the next rows of one part of one addition.
    fn next_run(&mut self) -> Option<Range<usize>> {
        let first = self.read;
        if first >= self.starts.len() {
            return None;
        }
        let place = |row: usize| (self.starts[row], self.commits[row], self.part(row));
        let is_window = self.part(first) == WINDOW;

        let mut end = first + 1;
        while !is_window && end < self.starts.len() && place(end) == place(first) {
            end += 1;
        }
        self.read = end;
        Some(first..end)
    }

    fn part(&self, row: usize) -> &str {
        self.parts.as_string::<i32>().value(row)
    }

    fn window(&self, row: usize) -> Result<WindowDeltaRecord, HistoryError> {
        let bytes = self.windows.as_binary::<i32>().value(row);
        WindowDeltaRecord::decode(bytes).map_err(|error| HistoryError::damaged(format!("a window: {error}")))
    }

    /// Adds the groups of some rows to a table.
    fn add_groups(
        &self,
        part: &str,
        rows: Range<usize>,
        shape: &MergedGroups,
        added: &mut WindowGroups,
    ) -> Result<(), HistoryError> {
        match part {
            GROUPS => {
                let block = self.block(rows, shape)?;
                added.groups.merge(&block, usize::MAX, &mut added.other);
            }

            SAMPLED => {
                let empty = || Groups::new(shape.keys() + 1, shape.aggregates());
                let sampled = added.sampled.groups.get_or_insert_with(empty);
                self.add_to_groups(rows, shape.keys() + 1, sampled)?;
            }
            OTHER => self.add_to_groups(rows, 0, &mut added.other)?,
            other => return Err(HistoryError::damaged(format!("a part is `{other}`"))),
        }
        Ok(())
    }

    /// Makes a block of the exact groups in some rows.
    fn block(&self, rows: Range<usize>, shape: &MergedGroups) -> Result<ColumnBlock, HistoryError> {
        let mut writer = ColumnBlockWriter::new(rows.len(), shape.keys(), shape.aggregates());
        for key in &self.keys[..shape.keys()] {
            let part = key.slice(rows.start, rows.len());
            let values: Vec<Value> = (0..rows.len()).map(|row| part.value(row)).collect::<Result<_, _>>()?;
            writer.value_keys(values.iter());
        }
        writer.multiplicities(&self.multiplicities[rows.clone()]);

        for (column, aggregate) in self.states.iter().zip(shape.aggregates()) {
            let part = column.slice(rows.start, rows.len());
            let states = (0..rows.len()).map(|row| part.state(*aggregate, row));
            let states: Vec<AggregateState> = states.collect::<Result<_, _>>()?;
            writer.states(*aggregate, states.iter());
        }
        ColumnBlock::decode(writer.into_bytes())
            .map_err(|error| HistoryError::damaged(format!("groups: {error}")))
    }

    /// Adds the groups in some rows, with so many keys, to a table of rows.
    fn add_to_groups(&self, rows: Range<usize>, keys: usize, table: &mut Groups) -> Result<(), HistoryError> {
        for row in rows {
            let key: Vec<Value> =
                self.keys[..keys].iter().map(|column| column.value(row)).collect::<Result<_, _>>()?;
            let columns = self.states.iter().zip(table.aggregates());
            let states = columns.map(|(column, aggregate)| column.state(*aggregate, row));
            let states: Vec<AggregateState> = states.collect::<Result<_, _>>()?;
            table.entry(&key).merge(self.multiplicities[row], &states);
        }
        Ok(())
    }
}

/// Whether a column that every file has is of the type that it is read as.
fn has_expected_type(name: &str, found: &DataType) -> bool {
    match name {
        "window_start" => matches!(found, DataType::Timestamp(TimeUnit::Nanosecond, _)),
        "commit" | "n" => *found == DataType::UInt64,
        "part" => *found == DataType::Utf8,
        "window" => *found == DataType::Binary,
        // These are for other readers.
        _ => true,
    }
}

fn state_arrays(
    aggregate: AggregateKind,
    rows: usize,
    next: &mut impl FnMut() -> Result<ArrayRef, HistoryError>,
) -> Result<StateArrays, HistoryError> {
    let typed = match is_opaque(aggregate) {
        true => new_null_array(&DataType::Utf8, rows),
        false => next()?,
    };
    let counts = if aggregate == AggregateKind::Average { Some(next()?) } else { None };
    Ok(StateArrays { values: ValueArrays { typed, exact: next()? }, counts })
}

/// Returns the numbers of the row groups that may have windows which begin in a range.
fn row_groups_in(file: &ParquetMetaData, starts: TimeRange) -> Vec<usize> {
    let mut wanted = Vec::new();

    for (number, row_group) in file.row_groups().iter().enumerate() {
        let statistics = row_group.columns().first().and_then(|column| column.statistics());
        let (least, most) = match statistics {
            Some(Statistics::Int64(statistics)) => (statistics.min_opt(), statistics.max_opt()),
            _ => (None, None),
        };

        let begins_late = least.is_some_and(|least| *least >= starts.end_ns);
        let ends_early = most.is_some_and(|most| *most < starts.start_ns);
        if !begins_late && !ends_early {
            wanted.push(number);
        }
    }
    wanted
}
