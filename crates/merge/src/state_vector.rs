//! The states of one aggregate, of all groups.

use pivot_advice::columns::{ColumnBlock, ColumnBlockWriter, NumberType, StateColumn, SumType, ValueColumn};
use pivot_advice::{AggregateKind, AggregateState, Sum};
use std::cmp::Ordering;

/// The group of rows for which there was no room.
pub(crate) const NO_GROUP: u32 = u32::MAX;

/// The states of one aggregate, of all groups: in vectors of numbers if they all have one type.
#[derive(Debug, Clone)]
pub(crate) enum StateVector {
    /// There is no group yet.
    Empty,
    /// Of COUNT.
    Counts(Vec<u64>),
    /// Of SUM over integers or durations, in 128 bits.
    Integers(SumType, Vec<i128>),
    /// Of SUM over doubles.
    Doubles(Vec<f64>),
    /// Of AVERAGE over integers or durations: the sums, and the number of values of each.
    IntegerAverages(SumType, Vec<i128>, Vec<u64>),
    /// Of MIN or MAX over numbers of one type.
    Extremes(NumberType, Vec<u64>),
    /// Of any aggregate.
    States(Vec<AggregateState>),
}

/// Says which of several numbers a vector keeps.
#[derive(Debug, Clone, Copy)]
struct Extreme {
    number_type: NumberType,
    /// MIN or MAX.
    aggregate: AggregateKind,
}

/// The rows of a block as they are added: the group of each, and how many groups there are then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowGroups<'g> {
    /// The group of each row, or [`NO_GROUP`].
    pub(crate) of_rows: &'g [u32],
    /// The number of groups, those included that the block brings.
    pub(crate) groups: usize,
}

impl StateVector {
    /// Adds a column of states of a block; `numbers` is a buffer.
    pub(crate) fn add(
        &mut self,
        block: &ColumnBlock,
        column: usize,
        rows: RowGroups<'_>,
        numbers: &mut Vec<u64>,
    ) {
        let (aggregate, incoming) = (block.aggregates[column], &block.states[column]);
        if let StateVector::Empty = self {
            *self = StateVector::for_states(aggregate, incoming);
        }

        if !self.fits(incoming) {
            self.generalize(aggregate);
        }
        self.grow(aggregate, rows.groups);
        self.add_fitting(block, column, rows, numbers);
    }

    /// Returns a vector without groups for states like these.
    fn for_states(aggregate: AggregateKind, incoming: &StateColumn) -> StateVector {
        match incoming {
            StateColumn::Counts(_) => StateVector::Counts(Vec::new()),
            StateColumn::Sums(SumType::Double, _) => StateVector::Doubles(Vec::new()),
            StateColumn::Sums(sum_type, _) => StateVector::Integers(*sum_type, Vec::new()),

            StateColumn::Averages(sum_type @ (SumType::Integer | SumType::Duration), ..) => {
                StateVector::IntegerAverages(*sum_type, Vec::new(), Vec::new())
            }
            StateColumn::Values(ValueColumn::Numbers(number_type, _)) if aggregate != AggregateKind::Any => {
                StateVector::Extremes(*number_type, Vec::new())
            }
            _ => StateVector::States(Vec::new()),
        }
    }

    /// Returns whether states of a block can be added as they are.
    fn fits(&self, incoming: &StateColumn) -> bool {
        match (self, incoming) {
            (StateVector::Counts(_), StateColumn::Counts(_)) => true,
            (StateVector::Integers(mine, _), StateColumn::Sums(theirs, _)) => mine == theirs,
            (StateVector::Doubles(_), StateColumn::Sums(theirs, _)) => *theirs == SumType::Double,
            (StateVector::IntegerAverages(mine, ..), StateColumn::Averages(theirs, ..)) => mine == theirs,

            (StateVector::Extremes(mine, _), StateColumn::Values(ValueColumn::Numbers(theirs, _))) => {
                mine == theirs
            }
            (StateVector::States(_), _) => true,
            _ => false,
        }
    }

    /// Makes it a vector of any states.
    fn generalize(&mut self, aggregate: AggregateKind) {
        let states = (0..self.len()).map(|group| self.state(aggregate, group)).collect();
        *self = StateVector::States(states);
    }

    fn len(&self) -> usize {
        match self {
            StateVector::Empty => 0,
            StateVector::Counts(counts) => counts.len(),
            StateVector::Integers(_, sums) | StateVector::IntegerAverages(_, sums, _) => sums.len(),
            StateVector::Doubles(sums) => sums.len(),
            StateVector::Extremes(_, numbers) => numbers.len(),
            StateVector::States(states) => states.len(),
        }
    }

    /// Adds groups with the state of no rows, to which the first row of each is then added.
    fn grow(&mut self, aggregate: AggregateKind, groups: usize) {
        match self {
            StateVector::Empty => {}
            StateVector::Counts(counts) => counts.resize(groups, 0),
            StateVector::Integers(_, sums) => sums.resize(groups, 0),
            StateVector::Doubles(sums) => sums.resize(groups, 0.0),

            StateVector::IntegerAverages(_, sums, counts) => {
                sums.resize(groups, 0);
                counts.resize(groups, 0);
            }
            StateVector::Extremes(number_type, numbers) => {
                let extreme = Extreme { number_type: *number_type, aggregate };
                numbers.resize(groups, farthest(extreme));
            }
            StateVector::States(states) => states.resize_with(groups, || aggregate.empty()),
        }
    }

    /// Adds a column of states that fit.
    fn add_fitting(
        &mut self,
        block: &ColumnBlock,
        column: usize,
        rows: RowGroups<'_>,
        numbers: &mut Vec<u64>,
    ) {
        let (aggregate, incoming) = (block.aggregates[column], &block.states[column]);
        if let StateColumn::Counts(more)
        | StateColumn::Sums(_, more)
        | StateColumn::Averages(_, more, _)
        | StateColumn::Values(ValueColumn::Numbers(_, more)) = incoming
        {
            more.read_into(&block.bytes, numbers);
        }

        match (&mut *self, incoming) {
            (StateVector::Counts(counts), StateColumn::Counts(_)) => {
                add_each(counts, rows, numbers, add_count)
            }
            (StateVector::Integers(_, sums), StateColumn::Sums(..)) => {
                add_each(sums, rows, numbers, add_integer);
            }
            (StateVector::Doubles(sums), StateColumn::Sums(..)) => {
                add_each(sums, rows, numbers, |sum, more| *sum += f64::from_bits(more));
            }
            (StateVector::IntegerAverages(_, sums, counts), StateColumn::Averages(.., more_counts)) => {
                add_each(sums, rows, numbers, add_integer);
                more_counts.read_into(&block.bytes, numbers);
                add_each(counts, rows, numbers, add_count);
            }

            (StateVector::Extremes(number_type, extremes), StateColumn::Values(ValueColumn::Numbers(..))) => {
                let extreme = Extreme { number_type: *number_type, aggregate };
                add_extremes(extremes, rows, numbers, extreme);
            }
            (StateVector::States(states), _) => {
                let more = incoming.states(&block.bytes, aggregate);
                for (group, more) in rows.of_rows.iter().zip(&more) {
                    if let Some(state) = states.get_mut(*group as usize) {
                        state.merge(more);
                    }
                }
            }
            _ => {}
        }
    }

    /// Returns the state of a group.
    pub(crate) fn state(&self, aggregate: AggregateKind, group: usize) -> AggregateState {
        match self {
            StateVector::Empty => aggregate.empty(),
            StateVector::Counts(counts) => AggregateState::Count(counts[group]),
            StateVector::Integers(sum_type, sums) => AggregateState::Sum(wide_sum(*sum_type, sums[group])),
            StateVector::Doubles(sums) => AggregateState::Sum(Sum::Double(sums[group])),
            StateVector::IntegerAverages(sum_type, sums, counts) => {
                AggregateState::Average(wide_sum(*sum_type, sums[group]), counts[group])
            }

            StateVector::Extremes(number_type, numbers) => {
                let value = number_type.value(numbers[group]);
                match aggregate {
                    AggregateKind::Min => AggregateState::Min(value),
                    _ => AggregateState::Max(value),
                }
            }
            StateVector::States(states) => states[group].clone(),
        }
    }
}

impl StateVector {
    /// Writes the states of all groups to a block.
    pub(crate) fn write(&self, aggregate: AggregateKind, writer: &mut ColumnBlockWriter) {
        match self {
            StateVector::Counts(counts) => return writer.counts(counts),
            StateVector::Integers(sum_type, sums) => {
                if let Some(sums) = narrow(sums) {
                    return writer.sums(*sum_type, &sums);
                }
            }
            StateVector::Doubles(sums) => {
                let bits: Vec<u64> = sums.iter().map(|sum| sum.to_bits()).collect();
                return writer.sums(SumType::Double, &bits);
            }
            StateVector::IntegerAverages(sum_type, sums, counts) => {
                if let Some(sums) = narrow(sums) {
                    return writer.averages(*sum_type, &sums, counts);
                }
            }
            StateVector::Extremes(number_type, numbers) => return writer.extremes(*number_type, numbers),
            StateVector::States(states) => return writer.states(aggregate, states.iter()),
            StateVector::Empty => return writer.states(aggregate, [].iter()),
        }

        let states: Vec<AggregateState> = (0..self.len()).map(|group| self.state(aggregate, group)).collect();
        writer.states(aggregate, states.iter());
    }
}

/// Adds the numbers of the rows of a block, each to the number of its row's group.
#[inline(always)]
pub(crate) fn add_each<T>(mine: &mut [T], rows: RowGroups<'_>, numbers: &[u64], add: impl Fn(&mut T, u64)) {
    for (group, number) in rows.of_rows.iter().zip(numbers) {
        // Rows without a group are not added here.
        if let Some(mine) = mine.get_mut(*group as usize) {
            add(mine, *number);
        }
    }
}

fn add_count(count: &mut u64, more: u64) {
    *count = count.saturating_add(more);
}

/// Adds a signed number. Numbers of 64 bits add up to more than 128 bits only if there are more than 2^64 of them.
fn add_integer(sum: &mut i128, more: u64) {
    *sum = sum.wrapping_add((more as i64).into());
}

/// Keeps the least or the largest numbers of the rows of each group.
fn add_extremes(mine: &mut [u64], rows: RowGroups<'_>, numbers: &[u64], extreme: Extreme) {
    let Extreme { number_type, aggregate } = extreme;
    let wanted = if aggregate == AggregateKind::Min { Ordering::Less } else { Ordering::Greater };
    let replace = |mine: &mut u64, more: u64, order: Ordering| {
        if order == wanted {
            *mine = more;
        }
    };

    match number_type {
        NumberType::U64 | NumberType::Bool => {
            add_each(mine, rows, numbers, |mine, more| replace(mine, more, more.cmp(mine)));
        }
        NumberType::I64 | NumberType::Timestamp | NumberType::Duration => {
            add_each(mine, rows, numbers, |mine, more| {
                replace(mine, more, (more as i64).cmp(&(*mine as i64)));
            });
        }
        NumberType::F64 => add_each(mine, rows, numbers, |mine, more| {
            let more = number_type.canonical(more);
            replace(mine, more, f64::from_bits(more).total_cmp(&f64::from_bits(*mine)));
        }),
    }
}

/// Returns the number that any other one replaces as the least or the largest.
fn farthest(extreme: Extreme) -> u64 {
    let Extreme { number_type, aggregate } = extreme;
    let is_min = aggregate == AggregateKind::Min;

    match number_type {
        NumberType::U64 => {
            if is_min {
                u64::MAX
            } else {
                0
            }
        }
        NumberType::Bool => u64::from(is_min),
        NumberType::I64 | NumberType::Timestamp | NumberType::Duration => {
            if is_min {
                i64::MAX as u64
            } else {
                i64::MIN as u64
            }
        }
        // A NaN is above all numbers.
        NumberType::F64 => {
            NumberType::F64.canonical(if is_min { f64::NAN } else { f64::NEG_INFINITY }.to_bits())
        }
    }
}

fn wide_sum(sum_type: SumType, sum: i128) -> Sum {
    match sum_type {
        SumType::Duration => Sum::Duration(sum),
        _ => Sum::Integer(sum),
    }
}

/// Returns sums in 64 bits, or `None` if one does not fit.
fn narrow(sums: &[i128]) -> Option<Vec<u64>> {
    sums.iter().map(|sum| i64::try_from(*sum).ok().map(|sum| sum as u64)).collect()
}
