//! Which compiled advice can be fused, and what is left of it then.

use crate::run::cell_expr::AcceptedInts;
use crate::run::ir::{AggregateInput, BagJoin, CompiledAdvice, CompiledStep, GroupSchema, RowSink};
use crate::site::default_field::DefaultField;
use pivot_advice::{AggregateKind, BagKey};
use std::sync::Arc;

/// An advice without columns: each field is read where it is needed.
#[derive(Debug)]
pub(crate) struct FusedAdvice {
    pub(super) kernel: FusedKernel,
    pub(super) filter: Option<FieldFilter>,
    /// The field that all aggregates are of. If there is none, they are of the filtered field, or of a column of the
    /// unpacked row.
    pub(super) argument: Option<usize>,
    pub(super) input: AggregateInput,
    pub(super) keys: FusedKeys,
    pub(super) join: Option<Box<FusedJoinPlan>>,
    pub(crate) schema: Arc<GroupSchema>,
    /// The address of the schema, by which a thread's table is recognized.
    pub(crate) schema_address: usize,
}

/// The event is rejected unless a field is in a range.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldFilter {
    pub(super) field: usize,
    pub(super) range: AcceptedInts,
}

/// The parts of an advice without options, for the shapes that are compiled apart. A part that the shape does not use is
/// arbitrary.
#[derive(Debug)]
pub(super) struct FusedKernel {
    pub(super) shape: KernelShape,
    pub(super) filter: FieldFilter,
    pub(super) argument: usize,
    /// The exported fields that are the keys.
    pub(super) keys: [usize; 2],
}

/// Whether there is a filter, what is aggregated, and how many keys there are. Known at once, instead of part by part.
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
    /// The filtered field is also the summed one.
    FilterSumSelf1,
    FilterSumSelf2,
    /// Anything else that can be fused: default fields or unpacked columns as keys, other aggregates, joins.
    General,
}

#[derive(Debug)]
pub(super) enum FusedKeys {
    /// One key, or none at all.
    One(FusedKey),
    Two(FusedKey, FusedKey),
}

/// Where the value of a key comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum FusedKey {
    Exported(usize),
    Default(DefaultField, &'static str),
    /// A column of the unpacked row.
    Unpacked(usize),
    /// The key of a result without keys: null.
    None,
}

/// The happened-before join of fused advice.
#[derive(Debug)]
pub(crate) struct FusedJoinPlan {
    pub(super) bag: BagKey,
    pub(super) width: usize,
    pub(super) aggregates: Vec<AggregateKind>,
    /// The column of the bag that the aggregates are of, if they are of one.
    pub(super) argument: Option<usize>,
}

impl FusedAdvice {
    /// Fuses compiled advice at a tracepoint of this name, or returns `None` if it needs columns.
    pub(crate) fn fuse(compiled: &CompiledAdvice, tracepoint: &'static str) -> Option<FusedAdvice> {
        let (RowSink::Emit, join) = (compiled.sink, compiled.join.as_ref()) else { return None };
        let fused_join = match join {
            Some(join) => Some(Box::new(FusedJoinPlan::fuse(join, compiled.input)?)),
            None => None,
        };

        // The steps must be, in this order: a filter, the argument, the keys. Each is optional; nothing else may be.
        let mut steps = RemainingSteps { rest: &compiled.steps, join, tracepoint };
        let filter = steps.take_filter();
        let argument = steps.take_argument(compiled.input, filter.map(|(column, _)| column))?;
        let keys = steps.take_keys(&compiled.keys)?;
        if !steps.rest.is_empty() {
            return None;
        }

        let filter = filter.map(|(_, filter)| filter);
        Some(FusedAdvice {
            kernel: match join {
                Some(_) => FusedKernel::GENERAL,
                None => FusedKernel::of(filter, argument, compiled.input, &keys),
            },
            filter,
            argument,
            input: compiled.input,
            keys,
            join: fused_join,
            schema: Arc::clone(&compiled.schema),
            schema_address: compiled.schema.address(),
        })
    }
}

/// The steps of compiled advice that are not fused yet.
struct RemainingSteps<'a> {
    rest: &'a [CompiledStep],
    join: Option<&'a BagJoin>,
    tracepoint: &'static str,
}

impl RemainingSteps<'_> {
    fn unpacked(&self, column: usize) -> Option<usize> {
        self.join.and_then(|join| join.bag_column(column))
    }

    /// Takes the filter, and returns it with its column, if there is one.
    fn take_filter(&mut self) -> Option<(usize, FieldFilter)> {
        let [CompiledStep::ObserveInRange { column, field, range }, rest @ ..] = self.rest else {
            return None;
        };
        self.rest = rest;
        Some((*column, FieldFilter { field: *field, range: *range }))
    }

    /// Takes the field that all aggregates are of. Returns `Some(None)` if they are of nothing, of the filtered column
    /// or of an unpacked one, and `None` if the advice cannot be fused.
    fn take_argument(&mut self, input: AggregateInput, filtered: Option<usize>) -> Option<Option<usize>> {
        let column = match input {
            AggregateInput::SummableColumn(column) | AggregateInput::Column(column) => column,
            AggregateInput::None => return Some(None),
            AggregateInput::Mixed => return None,
        };
        if filtered == Some(column) || self.unpacked(column).is_some() {
            return Some(None);
        }

        match self.rest {
            [CompiledStep::Observe { column: observed, field }, rest @ ..] if *observed == column => {
                self.rest = rest;
                Some(Some(*field))
            }
            _ => None,
        }
    }

    /// Takes the keys, or returns `None` if there are more than two or one is computed.
    fn take_keys(&mut self, columns: &[usize]) -> Option<FusedKeys> {
        let mut keys = Vec::with_capacity(2);
        for column in columns {
            if let Some(column) = self.unpacked(*column) {
                keys.push(FusedKey::Unpacked(column));
                continue;
            }
            let (first, rest) = self.rest.split_first()?;
            self.rest = rest;
            keys.push(FusedKey::observed(*column, first, self.tracepoint)?);
        }

        match keys[..] {
            [] => Some(FusedKeys::One(FusedKey::None)),
            [only] => Some(FusedKeys::One(only)),
            [first, second] => Some(FusedKeys::Two(first, second)),
            _ => None,
        }
    }
}

impl FusedJoinPlan {
    /// Fuses a join, or returns `None` if it has a condition or steps after it.
    fn fuse(join: &BagJoin, input: AggregateInput) -> Option<FusedJoinPlan> {
        if join.on.is_some() || !join.steps.is_empty() {
            return None;
        }

        let argument = match input {
            AggregateInput::SummableColumn(column) | AggregateInput::Column(column) => {
                join.bag_column(column)
            }
            AggregateInput::None | AggregateInput::Mixed => None,
        };
        Some(FusedJoinPlan {
            bag: join.bag,
            width: join.width,
            aggregates: join.aggregates.clone(),
            argument,
        })
    }
}

impl FusedKernel {
    const GENERAL: FusedKernel = FusedKernel {
        shape: KernelShape::General,
        filter: FieldFilter { field: 0, range: AcceptedInts::NONE },
        argument: 0,
        keys: [0; 2],
    };

    fn of(
        filter: Option<FieldFilter>,
        argument: Option<usize>,
        input: AggregateInput,
        keys: &FusedKeys,
    ) -> FusedKernel {
        let Some([one, two]) = KernelShape::with_one_or_two_keys(filter.is_some(), argument, input) else {
            return FusedKernel::GENERAL;
        };
        let (shape, keys) = match keys {
            FusedKeys::One(FusedKey::Exported(only)) => (one, [*only, 0]),
            FusedKeys::Two(FusedKey::Exported(first), FusedKey::Exported(second)) => (two, [*first, *second]),
            _ => return FusedKernel::GENERAL,
        };

        let filter = filter.unwrap_or(FusedKernel::GENERAL.filter);
        FusedKernel { shape, filter, argument: argument.unwrap_or_default(), keys }
    }
}

impl KernelShape {
    /// Returns the shapes with one key and with two, or `None` if no shape but the general one does this.
    fn with_one_or_two_keys(
        has_filter: bool,
        argument: Option<usize>,
        input: AggregateInput,
    ) -> Option<[KernelShape; 2]> {
        use KernelShape::*;
        Some(match (has_filter, input, argument) {
            (false, AggregateInput::None, _) => [Count1, Count2],
            (false, AggregateInput::SummableColumn(_), Some(_)) => [Sum1, Sum2],
            (true, AggregateInput::None, _) => [FilterCount1, FilterCount2],
            (true, AggregateInput::SummableColumn(_), Some(_)) => [FilterSum1, FilterSum2],
            (true, AggregateInput::SummableColumn(_), None) => [FilterSumSelf1, FilterSumSelf2],
            _ => return None,
        })
    }
}

impl FusedKey {
    /// Returns the key that a step observes, or `None` if the step does not observe that column.
    fn observed(column: usize, step: &CompiledStep, tracepoint: &'static str) -> Option<FusedKey> {
        match step {
            CompiledStep::Observe { column: observed, field } if *observed == column => {
                Some(FusedKey::Exported(*field))
            }
            CompiledStep::ObserveDefault { column: observed, field } if *observed == column => {
                Some(FusedKey::Default(*field, tracepoint))
            }
            _ => None,
        }
    }
}
