//! A block of columns: groups of one shape, decoded as far as its columns' places.

use super::number_column::NumberColumn;
use super::state_column::{StateColumn, SumType};
use super::value_column::{NumberType, ValueColumn};
use crate::aggregate::{AggregateKind, AggregateState};
use crate::codec::{ByteReader, ByteWriter, MAX_COLUMNS};
use crate::error::DecodeError;
use crate::groups::Groups;
use crate::value::Value;

/// The most bytes that the texts of dictionaries take when each row has its own: as much as a message could carry. Texts
/// beyond it are written without a dictionary, so that the bytes of a block bound what they take.
const MAX_SPELLED_BYTES: usize = 64 << 20;

/// The most rows of a block, some forty times as many as a frontend has groups of a query: columns of equal numbers have no
/// bytes for a row, and many for each when they are read.
const MAX_ROWS: usize = 1 << 22;

/// Groups of one shape, in columns: the bytes, and what is where in them.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnBlock {
    /// The encoded block, from which the columns are read.
    pub bytes: Vec<u8>,
    /// The number of rows, each of which is a group.
    pub rows: usize,
    /// The columns of the key.
    pub keys: Vec<ValueColumn>,
    /// How many rows each group stands for.
    pub multiplicities: NumberColumn,
    /// The aggregate of each column of states.
    pub aggregates: Box<[AggregateKind]>,
    /// The columns of states.
    pub states: Vec<StateColumn>,
}

impl ColumnBlock {
    /// Decodes a block and checks that all of it can be read.
    pub fn decode(bytes: Vec<u8>) -> Result<ColumnBlock, DecodeError> {
        let mut reader = ByteReader::new(&bytes);
        let rows = reader.count("rows")?;
        if rows > MAX_ROWS {
            return Err(DecodeError::TooLarge { what: "rows" });
        }
        let keys = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        let count = reader.count("shape")?;
        if keys > MAX_COLUMNS || count > MAX_COLUMNS {
            return Err(DecodeError::TooLarge { what: "shape" });
        }
        // Blocks are small and many, so that each allocation counts.
        let mut aggregates = Vec::with_capacity(count);
        for code in reader.raw(count)? {
            let aggregate = AggregateKind::from_code(*code);
            aggregates.push(aggregate.ok_or(DecodeError::UnknownTag { what: "aggregate", tag: *code })?);
        }

        let mut columns = Vec::with_capacity(keys);
        for _ in 0..keys {
            columns.push(ValueColumn::read(&mut reader, &bytes, rows)?);
        }
        let keys = columns;

        let spelled = keys.iter().map(|column| column.spelled_bytes(&bytes));
        if spelled.fold(0_usize, usize::saturating_add) > MAX_SPELLED_BYTES {
            return Err(DecodeError::TooLarge { what: "keys" });
        }

        let multiplicities = NumberColumn::read(&mut reader, &bytes, rows)?;

        let mut states = Vec::with_capacity(count);
        for aggregate in &aggregates {
            states.push(StateColumn::read(&mut reader, &bytes, rows, *aggregate)?);
        }

        if !reader.is_empty() {
            return Err(DecodeError::ShapeMismatch);
        }
        Ok(ColumnBlock { rows, keys, multiplicities, aggregates: aggregates.into(), states, bytes })
    }

    /// Returns how many rows the groups stand for.
    pub fn row_count(&self) -> u64 {
        let multiplicities = self.multiplicities.numbers(&self.bytes);
        multiplicities.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Returns the groups as a table of rows. Groups with equal keys, which no honest writer makes, are merged.
    pub fn to_groups(&self) -> Groups {
        let keys: Vec<Vec<Value>> = self.keys.iter().map(|column| column.values(&self.bytes)).collect();
        let columns = self.states.iter().zip(&self.aggregates);
        let states: Vec<Vec<AggregateState>> =
            columns.map(|(column, aggregate)| column.states(&self.bytes, *aggregate)).collect();

        let mut groups = Groups::new(keys.len(), &self.aggregates);
        for (row, n) in self.multiplicities.numbers(&self.bytes).into_iter().enumerate() {
            let key: Vec<Value> = keys.iter().map(|column| column[row].clone()).collect();
            let states: Vec<AggregateState> = states.iter().map(|column| column[row].clone()).collect();
            groups.entry(&key).merge(n, &states);
        }
        groups
    }
}

/// Writes a block, column by column: as many key columns as was said, the multiplicities, then the states.
#[derive(Debug)]
pub struct ColumnBlockWriter {
    writer: ByteWriter,
    /// How many bytes the texts of further dictionaries may take when each row has its own.
    spelled_room: usize,
}

impl ColumnBlockWriter {
    /// Begins a block of so many rows and key columns, with one state for each aggregate.
    pub fn new(rows: usize, keys: usize, aggregates: &[AggregateKind]) -> ColumnBlockWriter {
        let mut writer = ByteWriter::new();
        writer.varint(rows as u64);
        writer.varint(keys as u64);
        writer.varint(aggregates.len() as u64);
        aggregates.iter().for_each(|aggregate| writer.u8(*aggregate as u8));
        ColumnBlockWriter { writer, spelled_room: MAX_SPELLED_BYTES }
    }

    /// Returns the bytes of the block.
    pub fn into_bytes(self) -> Vec<u8> {
        self.writer.into_bytes()
    }

    /// Adds a key column of numbers of one type.
    pub fn number_keys(&mut self, number_type: NumberType, numbers: &[u64]) {
        ValueColumn::write_numbers(&mut self.writer, number_type, numbers);
    }

    /// Adds a key column of texts.
    pub fn text_keys(&mut self, texts: &[&str]) {
        self.spelled_room -= ValueColumn::write_texts(&mut self.writer, texts, self.spelled_room);
    }

    /// Adds a key column of values of any types.
    pub fn value_keys<'v>(&mut self, values: impl Iterator<Item = &'v Value> + Clone) {
        self.spelled_room -= ValueColumn::write(&mut self.writer, values, self.spelled_room);
    }

    /// Adds the multiplicities of the groups.
    pub fn multiplicities(&mut self, multiplicities: &[u64]) {
        NumberColumn::write(&mut self.writer, multiplicities);
    }

    /// Adds a column of states of COUNT.
    pub fn counts(&mut self, counts: &[u64]) {
        StateColumn::write_counts(&mut self.writer, counts);
    }

    /// Adds a column of states of SUM, given the numbers of the sums.
    pub fn sums(&mut self, sum_type: SumType, sums: &[u64]) {
        StateColumn::write_sums(&mut self.writer, sum_type, sums);
    }

    /// Adds a column of states of AVERAGE, given the numbers of the sums and how many values each has.
    pub fn averages(&mut self, sum_type: SumType, sums: &[u64], counts: &[u64]) {
        StateColumn::write_averages(&mut self.writer, sum_type, sums, counts);
    }

    /// Adds a column of states of MIN or MAX over numbers of one type.
    pub fn extremes(&mut self, number_type: NumberType, numbers: &[u64]) {
        StateColumn::write_extremes(&mut self.writer, number_type, numbers);
    }

    /// Adds a column of states of any one aggregate.
    pub fn states<'s>(
        &mut self,
        aggregate: AggregateKind,
        states: impl Iterator<Item = &'s AggregateState> + Clone,
    ) {
        StateColumn::write(&mut self.writer, aggregate, states);
    }
}
