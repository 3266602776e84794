//! How compiled advice packs rows into the baggage.

use crate::report::thread_table::{DeferredPack, DeferredPacks};
use crate::run::cells::Cells;
use crate::run::ir::{AggregateInput, CompiledAdvice};
use pivot_advice::{AggregateState, BagKey, EvalErrors, Groups, QueryCost, TemporalFilter, Value, codec};
use pivot_baggage::{AddedNumber, Baggage, ValueRef};

/// Up to this many keys a row is packed without a list of them on the heap.
const FEW_KEYS: usize = 4;

impl CompiledAdvice {
    /// Packs rows, or leaves them in `deferred` if that is given.
    #[inline(never)]
    pub(crate) fn pack_groups(
        &self,
        rows: Groups,
        baggage: &mut Baggage,
        bag: BagKey,
        keep: TemporalFilter,
        cost: &mut QueryCost,
        deferred: Option<&mut DeferredPacks>,
    ) {
        cost.count_packed(&rows);

        match deferred {
            Some(deferred) => deferred.push(DeferredPack { bag, keep, tuples: vec![rows] }),
            None => drop(baggage.pack(bag, keep, [rows])),
        }
    }

    /// Packs the one row of an event without a join. A tuple that the bag does not take is not made.
    pub(crate) fn pack_row(
        &self,
        baggage: &mut Baggage,
        bag: BagKey,
        keep: TemporalFilter,
        cells: &mut Cells,
        cost: &mut QueryCost,
        errors: &mut EvalErrors,
    ) {
        if !baggage.accepts(bag, keep) {
            return;
        }
        if keep == TemporalFilter::All && self.pack_in_place(baggage, bag, cells, cost) {
            return;
        }

        let mut key = cells.take_row();
        key.extend(self.keys.iter().map(|column| cells.value(cells.get(*column))));
        let mut states: Vec<AggregateState> =
            self.schema.aggregates.iter().map(|aggregate| aggregate.empty()).collect();
        self.fold(1, &[], cells, &mut states, errors);
        cost.add_packed(codec::row_size(&key, 1, states.len()));

        let aggregates = &self.schema.aggregates;
        match keep {
            TemporalFilter::All => baggage.pack_row(bag, aggregates, &key, 1, &states),
            keep => drop(baggage.pack_temporal(bag, keep, aggregates, &key, &states)),
        }
        cells.keep_row(key);
    }

    /// Fast path: adds an integer to a row of the encoded bag. Returns false, with nothing done, if there are more than
    /// [`FEW_KEYS`] keys, the value is no integer, or the bag must be re-encoded.
    fn pack_in_place(&self, baggage: &mut Baggage, bag: BagKey, cells: &Cells, cost: &mut QueryCost) -> bool {
        let summand = match self.input {
            AggregateInput::SummableColumn(column) => cells.get(column).as_summand(),
            AggregateInput::None => Some(AddedNumber::Integer(0)),
            AggregateInput::Column(_) | AggregateInput::Mixed => None,
        };
        let Some(summand) = summand.filter(|_| self.keys.len() <= FEW_KEYS) else { return false };

        let mut buffers = [[0; 16]; FEW_KEYS];
        let mut key = [const { ValueRef::I64(0) }; FEW_KEYS];
        for ((value, buffer), column) in key.iter_mut().zip(&mut buffers).zip(&self.keys) {
            *value = cells.as_value_ref(cells.get(*column), buffer);
        }

        let key = key.get(..self.keys.len()).unwrap_or_default();
        if !baggage.pack_summand(bag, &self.schema.aggregates, key, summand) {
            return false;
        }
        let key_bytes: usize = key.iter().map(ValueRef::size).sum();
        cost.add_packed(key_bytes + codec::row_size(&[], 1, self.arguments.len()));
        true
    }

    /// Returns the one row of an event without a join, as groups.
    pub(crate) fn single_row(&self, cells: &mut Cells, errors: &mut EvalErrors) -> Groups {
        let mut rows = self.empty_groups();
        let group = rows.entry(&self.key(cells));
        group.n = group.n.saturating_add(1);
        self.fold(1, &[], cells, &mut group.states, errors);
        rows
    }

    pub(crate) fn empty_groups(&self) -> Groups {
        Groups::new(self.keys.len(), &self.schema.aggregates)
    }

    pub(crate) fn key(&self, cells: &Cells) -> Vec<Value> {
        self.keys.iter().map(|column| cells.value(cells.get(*column))).collect()
    }
}
