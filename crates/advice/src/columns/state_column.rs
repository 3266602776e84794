//! A column of states of one aggregate.

use super::number_column::NumberColumn;
use super::value_column::{NumberType, ValueColumn};
use crate::aggregate::{AggregateKind, AggregateState};
use crate::codec::{ByteReader, ByteWriter};
use crate::error::DecodeError;
use crate::sum::Sum;

/// The forms of columns of states.
const STATES: u8 = 0;
const COUNTS: u8 = 1;
const SUMS: u8 = 2;
const VALUES: u8 = 3;
const AVERAGES: u8 = 4;

/// The type of sums that fit 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SumType {
    /// Sums of integers.
    Integer = 1,
    /// Sums of durations, in nanoseconds.
    Duration = 2,
    /// Sums with a double among them, by their bits.
    Double = 3,
}

/// A column of states within the bytes of a [block](super::ColumnBlock).
#[derive(Debug, Clone, PartialEq)]
pub enum StateColumn {
    /// Of COUNT.
    Counts(NumberColumn),
    /// Of SUM, if all sums have one type and fit 64 bits.
    Sums(SumType, NumberColumn),
    /// Of AVERAGE, if all sums have one type and fit 64 bits: the sums, and the number of values of each.
    Averages(SumType, NumberColumn, NumberColumn),
    /// Of MIN, MAX and ANY.
    Values(ValueColumn),
    /// Any others.
    States(Vec<AggregateState>),
}

impl SumType {
    /// Returns the type of a sum and its number, or `None` if it has no type or does not fit 64 bits.
    pub fn of(sum: &Sum) -> Option<(SumType, u64)> {
        match sum {
            Sum::Integer(x) => Some((SumType::Integer, i64::try_from(*x).ok()? as u64)),
            Sum::Duration(x) => Some((SumType::Duration, i64::try_from(*x).ok()? as u64)),
            Sum::Double(x) => Some((SumType::Double, x.to_bits())),
            Sum::Empty | Sum::Undefined => None,
        }
    }

    /// Returns the sum of a number.
    pub fn sum(self, number: u64) -> Sum {
        match self {
            SumType::Integer => Sum::Integer((number as i64).into()),
            SumType::Duration => Sum::Duration((number as i64).into()),
            SumType::Double => Sum::Double(f64::from_bits(number)),
        }
    }

    fn from_code(code: u8) -> Result<SumType, DecodeError> {
        match code {
            1 => Ok(SumType::Integer),
            2 => Ok(SumType::Duration),
            3 => Ok(SumType::Double),
            tag => Err(DecodeError::UnknownTag { what: "type of sums", tag }),
        }
    }
}

impl StateColumn {
    /// Appends a column of these states of one aggregate, in whichever form fits them.
    pub(super) fn write<'s>(
        writer: &mut ByteWriter,
        aggregate: AggregateKind,
        states: impl Iterator<Item = &'s AggregateState> + Clone,
    ) {
        let is_written = match aggregate {
            AggregateKind::Count => write_counts(writer, states.clone()),
            AggregateKind::Sum => write_sums(writer, states.clone()),
            AggregateKind::Average => write_averages(writer, states.clone()),
            AggregateKind::Min | AggregateKind::Max | AggregateKind::Any => {
                writer.u8(VALUES);
                // Readers share the texts of states, and spell out those of keys alone.
                ValueColumn::write(writer, states.clone().filter_map(kept_value), usize::MAX);
                true
            }
            _ => false,
        };

        if !is_written {
            writer.u8(STATES);
            states.for_each(|state| writer.state(state));
        }
    }

    /// Appends a column of states of COUNT.
    pub(super) fn write_counts(writer: &mut ByteWriter, counts: &[u64]) {
        writer.u8(COUNTS);
        NumberColumn::write(writer, counts);
    }

    /// Appends a column of states of SUM.
    pub(super) fn write_sums(writer: &mut ByteWriter, sum_type: SumType, sums: &[u64]) {
        writer.u8(SUMS);
        writer.u8(sum_type as u8);
        NumberColumn::write(writer, sums);
    }

    /// Appends a column of states of AVERAGE.
    pub(super) fn write_averages(writer: &mut ByteWriter, sum_type: SumType, sums: &[u64], counts: &[u64]) {
        writer.u8(AVERAGES);
        writer.u8(sum_type as u8);
        NumberColumn::write(writer, sums);
        NumberColumn::write(writer, counts);
    }

    /// Appends a column of states of MIN or MAX over numbers of one type.
    pub(super) fn write_extremes(writer: &mut ByteWriter, number_type: NumberType, numbers: &[u64]) {
        writer.u8(VALUES);
        ValueColumn::write_numbers(writer, number_type, numbers);
    }

    /// Takes a column of so many states of an aggregate off a reader of `block`.
    pub(super) fn read(
        reader: &mut ByteReader<'_>,
        block: &[u8],
        rows: usize,
        aggregate: AggregateKind,
    ) -> Result<StateColumn, DecodeError> {
        use AggregateKind::{Any, Average, Count, Max, Min, Sum};

        match (reader.u8()?, aggregate) {
            (STATES, _) => {
                let states = (0..rows).map(|_| reader.state(aggregate)).collect::<Result<_, _>>()?;
                Ok(StateColumn::States(states))
            }
            (COUNTS, Count) => Ok(StateColumn::Counts(NumberColumn::read(reader, block, rows)?)),
            (SUMS, Sum) => {
                let sum_type = SumType::from_code(reader.u8()?)?;
                Ok(StateColumn::Sums(sum_type, NumberColumn::read(reader, block, rows)?))
            }
            (AVERAGES, Average) => {
                let sum_type = SumType::from_code(reader.u8()?)?;
                let sums = NumberColumn::read(reader, block, rows)?;
                Ok(StateColumn::Averages(sum_type, sums, NumberColumn::read(reader, block, rows)?))
            }
            (VALUES, Min | Max | Any) => Ok(StateColumn::Values(ValueColumn::read(reader, block, rows)?)),
            (tag, _) => Err(DecodeError::UnknownTag { what: "column of states", tag }),
        }
    }

    /// Returns the states of the column, given their aggregate and the bytes of the block.
    pub fn states(&self, block: &[u8], aggregate: AggregateKind) -> Vec<AggregateState> {
        match self {
            StateColumn::Counts(counts) => {
                counts.numbers(block).into_iter().map(AggregateState::Count).collect()
            }
            StateColumn::Sums(sum_type, sums) => {
                let sums = sums.numbers(block).into_iter();
                sums.map(|sum| AggregateState::Sum(sum_type.sum(sum))).collect()
            }
            StateColumn::Averages(sum_type, sums, counts) => {
                let both = sums.numbers(block).into_iter().zip(counts.numbers(block));
                both.map(|(sum, count)| AggregateState::Average(sum_type.sum(sum), count)).collect()
            }

            StateColumn::Values(values) => {
                let values = values.values(block).into_iter();
                values
                    .map(|value| match aggregate {
                        AggregateKind::Min => AggregateState::Min(value),
                        AggregateKind::Max => AggregateState::Max(value),
                        _ => AggregateState::Any(value),
                    })
                    .collect()
            }
            StateColumn::States(states) => states.clone(),
        }
    }
}

/// Appends states of COUNT; returns whether there were only such.
fn write_counts<'s>(writer: &mut ByteWriter, states: impl Iterator<Item = &'s AggregateState>) -> bool {
    let counts: Option<Vec<u64>> = states.map(count).collect();
    let Some(counts) = counts else { return false };
    StateColumn::write_counts(writer, &counts);
    true
}

/// Appends states of SUM that have one type and fit 64 bits; returns whether all did.
fn write_sums<'s>(writer: &mut ByteWriter, states: impl Iterator<Item = &'s AggregateState>) -> bool {
    let Some((sum_type, sums)) = all_sums(states) else { return false };
    StateColumn::write_sums(writer, sum_type, &sums);
    true
}

/// Appends states of AVERAGE whose sums have one type and fit 64 bits; returns whether all did.
fn write_averages<'s>(
    writer: &mut ByteWriter,
    states: impl Iterator<Item = &'s AggregateState> + Clone,
) -> bool {
    let counts: Option<Vec<u64>> = states.clone().map(count).collect();
    let (Some(counts), Some((sum_type, sums))) = (counts, all_sums(states)) else { return false };
    StateColumn::write_averages(writer, sum_type, &sums, &counts);
    true
}

/// Returns the number of values of a state of COUNT or AVERAGE.
fn count(state: &AggregateState) -> Option<u64> {
    match state {
        AggregateState::Count(count) | AggregateState::Average(_, count) => Some(*count),
        _ => None,
    }
}

/// Returns the sums of states of SUM or AVERAGE and their type, or `None` if they have not one that fits 64 bits.
fn all_sums<'s>(states: impl Iterator<Item = &'s AggregateState>) -> Option<(SumType, Vec<u64>)> {
    let mut sums = Vec::new();
    let mut common = None;

    for state in states {
        let (AggregateState::Sum(sum) | AggregateState::Average(sum, _)) = state else { return None };
        let (sum_type, number) = SumType::of(sum)?;
        if *common.get_or_insert(sum_type) != sum_type {
            return None;
        }
        sums.push(number);
    }
    Some((common?, sums))
}

/// Returns the value that a state of MIN, MAX or ANY keeps.
fn kept_value(state: &AggregateState) -> Option<&crate::value::Value> {
    match state {
        AggregateState::Min(value) | AggregateState::Max(value) | AggregateState::Any(value) => Some(value),
        _ => None,
    }
}
