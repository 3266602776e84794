//! Which advice runs without a column, and what is left of it then.

use crate::report::group_table::address;
use crate::run::cell_expr::IntRange;
use crate::run::ir::{AggregateInput, BagJoin, CompiledAdvice, CompiledStep, GroupSchema, RowSink};
use crate::site::default_field::DefaultField;
use pivot_advice::{Aggregate, BagKey};
use std::sync::Arc;

/// A routine without a column.
#[derive(Debug)]
pub(crate) struct FusedAdvice {
    pub(super) kernel: FusedKernel,
    /// The event is rejected unless this field is in this range.
    pub(super) test: Option<(usize, IntRange)>,
    /// What all aggregates are of: this field, or else that which was tested, or that of an unpacked row.
    pub(super) argument: Option<usize>,
    pub(super) takes: AggregateInput,
    pub(super) keys: FusedKeys,
    pub(super) joined: Option<Box<FusedJoin>>,
    pub(crate) shape: Arc<GroupSchema>,
    /// The address of the shape.
    pub(crate) address: usize,
}

/// The same once more if it is one of the forms that are compiled apart: all keys are exported fields.
#[derive(Debug)]
pub(super) struct FusedKernel {
    pub(super) form: KernelShape,
    pub(super) test: (usize, IntRange),
    pub(super) argument: usize,
    pub(super) keys: [usize; 2],
}

/// What is done, to be asked once and not part by part: whether there is a test, what is taken in, and how many
/// keys there are.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum KernelShape {
    Count1,
    Count2,
    Sum1,
    Sum2,
    FilterCount1,
    FilterCount2,
    FilterSum1,
    FilterSum2,
    /// What was tested.
    FilterSumSelf1,
    FilterSumSelf2,
    General,
}

#[derive(Debug)]
pub(super) enum FusedKeys {
    One(FusedKey),
    Two(FusedKey, FusedKey),
}

/// What the value of a key is asked of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FusedKey {
    Exported(usize),
    Default(DefaultField, &'static str),
    /// A column of the unpacked row.
    Unpacked(usize),
    /// There is no such key.
    None,
}

/// The join of a straight routine.
#[derive(Debug)]
pub(crate) struct FusedJoin {
    pub(super) bag: BagKey,
    pub(super) width: usize,
    pub(super) aggregates: Vec<Aggregate>,
    /// The column of the bag that the aggregates are of.
    pub(super) argument: Option<usize>,
}

impl FusedAdvice {
    /// None of a routine that needs columns.
    pub(crate) fn of(routine: &CompiledAdvice, tracepoint: &'static str) -> Option<FusedAdvice> {
        let (RowSink::Emit, join) = (&routine.end, &routine.join) else { return None };
        let joined = match join {
            Some(join) => Some(Box::new(FusedJoin::of(join, routine.takes)?)),
            None => None,
        };
        let unpacked = |column: usize| join.as_ref().and_then(|join| join.column(column));
        let (test, mut observed) = match &routine.steps[..] {
            [CompiledStep::Test(column, index, range), rest @ ..] => (Some((*column, *index, *range)), rest),
            all => (None, all),
        };
        let mut argument = None;
        match routine.takes {
            AggregateInput::Mixed => return None,
            AggregateInput::SummableColumn(column) | AggregateInput::Column(column) => {
                let is_tested = test.is_some_and(|(tested, ..)| tested == column);
                if !is_tested && unpacked(column).is_none() {
                    let [CompiledStep::Observe(first, index), rest @ ..] = observed else { return None };
                    (argument, observed) = ((*first == column).then_some(*index), rest);
                    argument?;
                }
            }
            AggregateInput::None => {}
        }
        let mut key = |column: usize| {
            if let Some(column) = unpacked(column) {
                return Some(FusedKey::Unpacked(column));
            }
            let (first, rest) = observed.split_first()?;
            observed = rest;
            FusedKey::of(column, first, tracepoint)
        };
        let keys = match routine.keys[..] {
            [] => FusedKeys::One(FusedKey::None),
            [only] => FusedKeys::One(key(only)?),
            [first, second] => FusedKeys::Two(key(first)?, key(second)?),
            _ => return None,
        };
        let takes = if joined.is_some() { AggregateInput::Mixed } else { routine.takes };
        let kernel = FusedKernel::of(test, argument, takes, &keys);
        observed.is_empty().then(|| FusedAdvice {
            kernel,
            test: test.map(|(_, index, range)| (index, range)),
            argument,
            takes: routine.takes,
            keys,
            joined,
            shape: Arc::clone(&routine.shape),
            address: address(&routine.shape),
        })
    }
}

impl FusedJoin {
    /// None of a join that asks more of its rows.
    pub(crate) fn of(join: &BagJoin, takes: AggregateInput) -> Option<FusedJoin> {
        let argument = match takes {
            AggregateInput::SummableColumn(column) | AggregateInput::Column(column) => join.column(column),
            AggregateInput::None | AggregateInput::Mixed => None,
        };
        let (bag, width, aggregates) = (join.bag, join.width, join.aggregates.clone());
        (join.on.is_none() && join.steps.is_empty()).then_some(FusedJoin { bag, width, aggregates, argument })
    }
}

impl FusedKernel {
    fn of(
        test: Option<(usize, usize, IntRange)>,
        argument: Option<usize>,
        takes: AggregateInput,
        keys: &FusedKeys,
    ) -> FusedKernel {
        let (form, keys) = match keys {
            FusedKeys::One(FusedKey::Exported(only)) => {
                (KernelShape::of(test.is_some(), argument, takes, 1), [*only, 0])
            }
            FusedKeys::Two(FusedKey::Exported(first), FusedKey::Exported(second)) => {
                (KernelShape::of(test.is_some(), argument, takes, 2), [*first, *second])
            }
            _ => (KernelShape::General, [0; 2]),
        };
        let test = test.map_or((0, IntRange::NONE), |(_, index, range)| (index, range));
        FusedKernel { form, test, argument: argument.unwrap_or_default(), keys }
    }
}

impl KernelShape {
    fn of(tests: bool, argument: Option<usize>, takes: AggregateInput, keys: usize) -> KernelShape {
        let [one, two] = match (tests, takes, argument) {
            (false, AggregateInput::None, _) => [KernelShape::Count1, KernelShape::Count2],
            (false, AggregateInput::SummableColumn(_), Some(_)) => [KernelShape::Sum1, KernelShape::Sum2],
            (true, AggregateInput::None, _) => [KernelShape::FilterCount1, KernelShape::FilterCount2],
            (true, AggregateInput::SummableColumn(_), Some(_)) => {
                [KernelShape::FilterSum1, KernelShape::FilterSum2]
            }
            (true, AggregateInput::SummableColumn(_), None) => {
                [KernelShape::FilterSumSelf1, KernelShape::FilterSumSelf2]
            }
            _ => return KernelShape::General,
        };
        if keys == 1 { one } else { two }
    }
}

impl FusedKey {
    /// None if the step does not observe the column.
    fn of(column: usize, step: &CompiledStep, tracepoint: &'static str) -> Option<FusedKey> {
        let (observed, key) = match step {
            CompiledStep::Observe(observed, index) => (*observed, FusedKey::Exported(*index)),
            CompiledStep::Default(observed, field) => (*observed, FusedKey::Default(*field, tracepoint)),
            _ => return None,
        };
        (observed == column).then_some(key)
    }
}

impl BagJoin {
    /// Which of the bag's columns this is.
    pub(crate) fn column(&self, column: usize) -> Option<usize> {
        column.checked_sub(self.first).filter(|column| *column < self.width)
    }
}
