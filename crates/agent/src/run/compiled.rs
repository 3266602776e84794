//! Runs a routine over one event. What it does is what [`interpret`](crate::run::interpreter) does; a test holds
//! them to that.

use crate::limits::MAX_ROWS;
use crate::report::group_table::GroupTable;
use crate::report::query_report::QueryReport;
use crate::report::thread_table::{DeferredPacks, QueryTable};
use crate::run::cells::{Cell, Cells, FieldReader};
use crate::run::ir::{
    AggregateArgument, AggregateInput, BagJoin, CompiledAdvice, CompiledStep, GroupSchema, RowSink,
};
use crate::site::default_field::default_cell;
use pivot_advice::{
    AggregateState, BagKey, EvalErrors, Group, Groups, LossCounts, QueryCost, TemporalFilter, Value, codec,
};
use pivot_baggage::{self as bag, Baggage, CompleteRows, Summand};
use std::borrow::Cow;

/// Up to so many keys of a row are packed without a list of them.
const FEW: usize = 4;

impl CompiledAdvice {
    /// Runs the steps that leave the baggage alone. False if the event is rejected.
    #[inline(always)]
    pub(crate) fn begins(
        &self,
        tracepoint: &'static str,
        fields: FieldReader<'_>,
        cells: &mut Cells,
        errors: &mut EvalErrors,
    ) -> bool {
        cells.begin(self.columns);
        for step in &self.steps {
            match step {
                CompiledStep::Observe(column, index) => {
                    let cell = fields(*index, cells);
                    cells.set(*column, cell);
                }
                CompiledStep::Test(column, index, range) => {
                    let cell = fields(*index, cells);
                    cells.set(*column, cell);
                    if !range.holds(cell, cells, errors) {
                        return false;
                    }
                }
                CompiledStep::Default(column, field) => {
                    let cell = default_cell(*field, tracepoint, cells);
                    cells.set(*column, cell);
                }
                step => {
                    if !step.holds(cells, errors) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Runs the steps that need the baggage, after those that do not. False if rows are to be packed and
    /// there is no request. Where `later` is given, packs are left there.
    #[inline(always)]
    pub(crate) fn ends(
        &self,
        baggage: Option<&mut Baggage>,
        cells: &mut Cells,
        local: &mut QueryTable,
        later: Option<&mut DeferredPacks>,
        errors: &mut EvalErrors,
    ) -> bool {
        match (&self.join, self.end) {
            (None, RowSink::Emit) => self.emit(1, &[], cells, local, errors),
            (Some(join), RowSink::Emit) => self.emit_rows(join, baggage.as_deref(), cells, local, errors),
            (join, RowSink::Pack(bag, keep)) => {
                let Some(baggage) = baggage else {
                    // Its errors count all the same.
                    if join.is_none() {
                        self.one_row(cells, errors);
                    }
                    return join.is_some();
                };
                match (join, later) {
                    (None, None) => {
                        self.pack_row(baggage, bag, keep, cells, &mut local.part.cost, errors);
                    }
                    (join, later) => {
                        let table = match join {
                            Some(join) => self.joined(join, baggage, cells, local, errors),
                            None => Some(self.one_row(cells, errors)),
                        };
                        self.pack_table(table, baggage, bag, keep, &mut local.part.cost, later);
                    }
                }
            }
        }
        true
    }

    #[inline(never)]
    fn emit_rows(
        &self,
        join: &BagJoin,
        baggage: Option<&Baggage>,
        cells: &mut Cells,
        local: &mut QueryTable,
        errors: &mut EvalErrors,
    ) {
        join.rows(baggage, cells, local, errors, |row| {
            self.emit(row.n, row.states, row.cells, row.local, row.errors);
        });
    }

    /// What a join leaves to be packed, if anything.
    #[inline(never)]
    fn joined(
        &self,
        join: &BagJoin,
        baggage: &Baggage,
        cells: &mut Cells,
        local: &mut QueryTable,
        errors: &mut EvalErrors,
    ) -> Option<Groups> {
        let mut table = None;
        join.rows(Some(baggage), cells, local, errors, |row| {
            let table = table.get_or_insert_with(|| self.table());
            let group = table.entry(&self.key(row.cells));
            group.n = group.n.saturating_add(row.n);
            self.fold(row.n, row.states, row.cells, &mut group.states, row.errors);
        });
        table
    }

    #[inline(never)]
    fn pack_table(
        &self,
        table: Option<Groups>,
        baggage: &mut Baggage,
        bag: BagKey,
        keep: TemporalFilter,
        cost: &mut QueryCost,
        later: Option<&mut DeferredPacks>,
    ) {
        let Some(table) = table else { return };
        cost.count_packed(&table);
        match later {
            Some(later) => later.push((bag, keep, vec![table])),
            None => drop(baggage.pack(bag, keep, [table])),
        }
    }

    /// Packs the one row of an event without an Unpack. A tuple that the bag does not take is not made.
    fn pack_row(
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
        if keep == TemporalFilter::All && self.pack_plainly(baggage, bag, cells, cost) {
            return;
        }
        let mut key = cells.take_row();
        key.extend(self.keys.iter().map(|column| cells.value(cells.get(*column))));
        let mut states: Vec<AggregateState> =
            self.shape.aggregates.iter().map(|aggregate| aggregate.empty()).collect();
        self.fold(1, &[], cells, &mut states, errors);
        cost.packed = cost.packed.saturating_add(1);
        let bytes = codec::row_size(&key, 1, states.len());
        cost.packed_bytes = cost.packed_bytes.saturating_add(bytes as u64);
        let aggregates = &self.shape.aggregates;
        match keep {
            TemporalFilter::All => baggage.pack_row(bag, aggregates, &key, 1, &states),
            keep => drop(baggage.pack_temporal(bag, keep, aggregates, &key, &states)),
        }
        cells.keep_row(key);
    }

    /// The same of a row of few keys and a whole number that all aggregates are of. False, and nothing was done,
    /// if it is not one or takes more than to change bytes of the bag.
    fn pack_plainly(&self, baggage: &mut Baggage, bag: BagKey, cells: &Cells, cost: &mut QueryCost) -> bool {
        let term = match self.takes {
            AggregateInput::SummableColumn(column) => cells.get(column).as_term(),
            AggregateInput::None => Some(Summand::Integer(0)),
            AggregateInput::Column(_) | AggregateInput::Mixed => None,
        };
        let Some(term) = term.filter(|_| self.keys.len() <= FEW) else { return false };
        let mut buffers = [[0; 16]; FEW];
        let mut parts = [const { bag::ValueRef::I64(0) }; FEW];
        for ((part, buffer), column) in parts.iter_mut().zip(&mut buffers).zip(&self.keys) {
            *part = cells.as_part(cells.get(*column), buffer);
        }
        let parts = parts.get(..self.keys.len()).unwrap_or_default();
        if !baggage.pack_summand(bag, &self.shape.aggregates, parts, term) {
            return false;
        }
        let bytes = parts.iter().map(bag::ValueRef::size).sum::<usize>()
            + codec::row_size(&[], 1, self.arguments.len());
        cost.packed = cost.packed.saturating_add(1);
        cost.packed_bytes = cost.packed_bytes.saturating_add(bytes as u64);
        true
    }

    /// The rows of an event without an Unpack.
    fn one_row(&self, cells: &mut Cells, errors: &mut EvalErrors) -> Groups {
        let mut table = self.table();
        let key = self.key(cells);
        self.add(cells, table.entry(&key), errors);
        table
    }

    fn table(&self) -> Groups {
        Groups::new(self.keys.len(), &self.shape.aggregates)
    }

    fn key(&self, cells: &Cells) -> Vec<Value> {
        self.keys.iter().map(|column| cells.value(cells.get(*column))).collect()
    }

    /// Adds the one row of an event without an Unpack.
    fn add(&self, cells: &mut Cells, group: &mut Group, errors: &mut EvalErrors) {
        group.n = group.n.saturating_add(1);
        self.fold(1, &[], cells, &mut group.states, errors);
    }

    #[inline(always)]
    fn fold(
        &self,
        n: u64,
        with: &[AggregateState],
        cells: &mut Cells,
        states: &mut [AggregateState],
        errors: &mut EvalErrors,
    ) {
        for (state, argument) in states.iter_mut().zip(&self.arguments) {
            argument.add_to(state, n, with, cells, errors);
        }
    }

    /// Adds a row to the process's part of the result.
    #[inline(always)]
    pub(crate) fn emit(
        &self,
        n: u64,
        with: &[AggregateState],
        cells: &mut Cells,
        local: &mut QueryTable,
        errors: &mut EvalErrors,
    ) {
        let QueryTable { part, rows, .. } = local;
        if !rows.takes(&self.shape) {
            part.emitted = part.emitted.saturating_add(n);
            part.loss.dropped = part.loss.dropped.saturating_add(n);
            return;
        }
        let argument = match self.takes {
            AggregateInput::SummableColumn(column) => cells.get(column),
            _ => Cell::NULL,
        };
        if n == 1 && self.add_plainly(argument, cells, rows) {
            return;
        }
        part.emitted = part.emitted.saturating_add(n);
        let group = rows.group(&self.keys, argument, cells).unwrap_or_else(|| other(&self.shape, part));
        *group.n = group.n.saturating_add(n);
        self.fold(n, with, cells, group.states, errors);
    }

    /// Adds a row beside the states of its group, if that takes one look.
    #[inline(always)]
    fn add_plainly(&self, argument: Cell, cells: &Cells, rows: &mut GroupTable) -> bool {
        if let AggregateInput::Column(_) | AggregateInput::Mixed = self.takes {
            return false;
        }
        let place = match self.keys[..] {
            [] => rows.find(&[Cell::NULL]),
            [only] => rows.find(&[cells.get(only)]),
            [first, second] => rows.find(&[cells.get(first), cells.get(second)]),
            _ => None,
        };
        let plain = place.and_then(|place| rows.pending(place));
        plain.is_some_and(|plain| match self.takes {
            AggregateInput::SummableColumn(_) => plain.add(argument),
            _ => plain.count(),
        })
    }
}

/// The group of those for which there is no room.
#[cold]
#[inline(never)]
pub(crate) fn other<'a>(
    shape: &GroupSchema,
    part: &'a mut QueryReport,
) -> crate::report::group_table::GroupMut<'a> {
    let other = part.other.get_or_insert_with(|| Groups::new(0, &shape.aggregates)).entry(&[]);
    crate::report::group_table::GroupMut { n: &mut other.n, states: &mut other.states }
}

impl CompiledStep {
    /// Sets a column, or says whether a condition is true.
    #[inline(never)]
    fn holds(&self, cells: &mut Cells, errors: &mut EvalErrors) -> bool {
        match self {
            CompiledStep::Within(column, range) => range.holds(cells.get(*column), cells, errors),
            CompiledStep::Filter(code) => code.holds(cells, errors),
            CompiledStep::Let(column, code) => {
                let cell = code.eval(cells, errors);
                cells.set(*column, cell);
                true
            }
            CompiledStep::Observe(..) | CompiledStep::Default(..) | CompiledStep::Test(..) => true,
        }
    }
}

/// The rows that several bags of the baggage have together. Counts it if some are missing.
#[cold]
#[inline(never)]
pub(crate) fn unpack_merged<'a>(
    baggage: &'a Baggage,
    bag: BagKey,
    loss: &mut LossCounts,
) -> Option<Cow<'a, Groups>> {
    let merged = baggage.unpack(bag);
    // Asked afterwards: bytes that cannot be read are found out when they are unpacked.
    loss.truncated = loss.truncated.saturating_add(u64::from(baggage.is_incomplete(bag)));
    merged
}

/// A row behind the join.
struct JoinedRow<'a> {
    n: u64,
    states: &'a [AggregateState],
    cells: &'a mut Cells,
    local: &'a mut QueryTable,
    errors: &'a mut EvalErrors,
}

impl BagJoin {
    /// Calls with each row that the join makes and that passes the steps behind it.
    #[inline(always)]
    fn rows(
        &self,
        baggage: Option<&Baggage>,
        cells: &mut Cells,
        local: &mut QueryTable,
        errors: &mut EvalErrors,
        each: impl FnMut(JoinedRow<'_>),
    ) {
        let Some(baggage) = baggage else { return };
        let mut joining = BagJoinRows { join: self, matched: 0, cells, local, errors, each };
        match baggage.unpack_complete(self.bag) {
            Some(CompleteRows::Encoded(rows)) if rows.fits(self.width, &self.aggregates) => {
                rows.each(&mut joining, BagJoinRows::see, BagJoinRows::end);
            }
            Some(CompleteRows::Decoded(groups)) => joining.groups(groups),
            Some(CompleteRows::Encoded(_)) => joining.errors.0 += 1,
            None => {
                let merged = unpack_merged(baggage, self.bag, &mut joining.local.part.loss);
                merged.iter().for_each(|groups| joining.groups(groups));
            }
        }
    }
}

/// A join with one row after the other.
struct BagJoinRows<'a, F> {
    join: &'a BagJoin,
    matched: usize,
    cells: &'a mut Cells,
    local: &'a mut QueryTable,
    errors: &'a mut EvalErrors,
    each: F,
}

impl<F: FnMut(JoinedRow<'_>)> BagJoinRows<'_, F> {
    fn groups(&mut self, groups: &Groups) {
        if groups.keys() != self.join.width || *groups.aggregates() != *self.join.aggregates {
            self.errors.0 += 1;
            return;
        }
        for group in groups {
            for (i, value) in group.key.iter().enumerate() {
                self.see(i, bag::ValueRef::from(value));
            }
            self.end(group.n, &group.states);
        }
    }

    /// Sets one of the bag's columns.
    #[inline(always)]
    fn see(&mut self, column: usize, part: bag::ValueRef<'_>) {
        let cell = self.cells.part(part);
        self.cells.set(self.join.first + column, cell);
    }

    /// Ends a row of which all columns are set.
    #[inline(always)]
    fn end(&mut self, n: u64, states: &[AggregateState]) {
        let BagJoinRows { join, matched, cells, local, errors, each } = self;
        if join.on.as_ref().is_some_and(|on| !on.holds(cells, errors)) {
            return;
        }
        if *matched == MAX_ROWS {
            let dropped = &mut local.part.loss.dropped;
            *dropped = dropped.saturating_add(n);
            return;
        }
        *matched += 1;
        if join.steps.iter().all(|step| step.holds(cells, errors)) {
            each(JoinedRow { n, states, cells, local, errors });
        }
    }
}

impl AggregateArgument {
    #[inline(always)]
    fn add_to(
        &self,
        state: &mut AggregateState,
        n: u64,
        with: &[AggregateState],
        cells: &mut Cells,
        errors: &mut EvalErrors,
    ) {
        let cell = match self {
            AggregateArgument::Column(column) => cells.get(*column),
            AggregateArgument::Code(code) => code.eval(cells, errors),
            AggregateArgument::State(index) => {
                if let Some(theirs) = with.get(*index) {
                    state.merge(theirs);
                }
                return;
            }
        };
        add_cell(state, cell, n, cells, errors);
    }
}

/// Adds a value that counts so many times.
#[inline(always)]
pub(crate) fn add_cell(
    state: &mut AggregateState,
    cell: Cell,
    n: u64,
    cells: &Cells,
    errors: &mut EvalErrors,
) {
    let added = n == 1 && cell.as_integer().is_some_and(|x| state.add_integer(x));
    if !added {
        add_value(state, cell, n, cells, errors);
    }
}

#[inline(never)]
fn add_value(state: &mut AggregateState, cell: Cell, n: u64, cells: &Cells, errors: &mut EvalErrors) {
    state.update(&cells.value(cell), n, errors);
}
