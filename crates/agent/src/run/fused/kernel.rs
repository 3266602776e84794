//! Runs fused advice over one event.

use crate::report::thread_table::QueryTable;
use crate::run::cells::{Cell, Cells, FieldReader};
use crate::run::fused::join::FusedJoinEvent;
use crate::run::fused::plan::{FusedAdvice, FusedKernel, FusedKey, FusedKeys, KernelShape};
use crate::site::default_field::default_cell;

/// A kernel sums nothing. Numbers, because a const parameter cannot be an enum.
const NOTHING: u8 = 0;
/// A kernel sums the argument.
const ARGUMENT: u8 = 1;
/// A kernel sums the filtered field.
const FILTERED: u8 = 2;

impl FusedAdvice {
    /// Runs the advice over one event. Returns false, with nothing recorded, if it has a join and there is no request, or
    /// the baggage says that not all requests are kept: then it has to be decided whether this one is in the sample.
    #[inline(always)]
    pub(crate) fn run(
        &self,
        fields: FieldReader<'_>,
        cells: &mut Cells,
        query_table: &mut QueryTable,
    ) -> bool {
        match self.kernel.shape {
            KernelShape::Count1 => self.run_kernel::<false, NOTHING, 1>(fields, cells, query_table),
            KernelShape::Count2 => self.run_kernel::<false, NOTHING, 2>(fields, cells, query_table),
            KernelShape::Sum1 => self.run_kernel::<false, ARGUMENT, 1>(fields, cells, query_table),
            KernelShape::Sum2 => self.run_kernel::<false, ARGUMENT, 2>(fields, cells, query_table),
            KernelShape::FilterCount1 => self.run_kernel::<true, NOTHING, 1>(fields, cells, query_table),
            KernelShape::FilterCount2 => self.run_kernel::<true, NOTHING, 2>(fields, cells, query_table),
            KernelShape::FilterSum1 => self.run_kernel::<true, ARGUMENT, 1>(fields, cells, query_table),
            KernelShape::FilterSum2 => self.run_kernel::<true, ARGUMENT, 2>(fields, cells, query_table),
            KernelShape::FilterSumSelf1 => self.run_kernel::<true, FILTERED, 1>(fields, cells, query_table),
            KernelShape::FilterSumSelf2 => self.run_kernel::<true, FILTERED, 2>(fields, cells, query_table),
            KernelShape::General => return self.run_general(fields, cells, query_table),
        }
        true
    }

    /// Runs one of the shapes that are compiled apart: no part of it is optional at run time.
    #[inline(always)]
    fn run_kernel<const FILTERS: bool, const SUMS: u8, const KEYS: usize>(
        &self,
        fields: FieldReader<'_>,
        cells: &mut Cells,
        query_table: &mut QueryTable,
    ) {
        let FusedKernel { filter, argument, keys, .. } = &self.kernel;

        let mut summed = Cell::NULL;
        if FILTERS {
            let filtered = fields(filter.field, cells);
            if !filter.range.lets_pass(filtered, cells, &mut query_table.errors) {
                return;
            }
            summed = filtered;
        }
        if SUMS == ARGUMENT {
            summed = fields(*argument, cells);
        }
        let key: [Cell; KEYS] = std::array::from_fn(|i| fields(keys[i], cells));

        // Into the pending sum of a group that is there; whatever is not so simple is a call.
        let pending = query_table.groups.find_pending(&key);
        let is_added = pending
            .is_some_and(|pending| if SUMS == NOTHING { pending.count() } else { pending.add(summed) });
        if !is_added {
            self.add_to_group(key, summed, 1, cells, query_table);
            cells.end();
        }
    }

    /// Runs any other shape, whose parts are optional. Returns false as [`run`](FusedAdvice::run) does.
    #[inline(always)]
    fn run_general(&self, fields: FieldReader<'_>, cells: &mut Cells, query_table: &mut QueryTable) -> bool {
        let mut argument = Cell::NULL;
        if let Some(filter) = &self.filter {
            argument = fields(filter.field, cells);
            if !filter.range.lets_pass(argument, cells, &mut query_table.errors) {
                return true;
            }
        }
        if let Some(field) = self.argument {
            argument = fields(field, cells);
        }

        match &self.keys {
            FusedKeys::One(only) => {
                let key = [only.read(fields, cells)];
                self.finish([only], key, argument, cells, query_table)
            }
            FusedKeys::Two(first, second) => {
                let key = [first.read(fields, cells), second.read(fields, cells)];
                self.finish([first, second], key, argument, cells, query_table)
            }
        }
    }

    /// Adds the row, or what the join makes of it. Returns false as [`run`](FusedAdvice::run) does.
    #[inline(always)]
    fn finish<const KEYS: usize>(
        &self,
        keys: [&FusedKey; KEYS],
        key: [Cell; KEYS],
        argument: Cell,
        cells: &mut Cells,
        query_table: &mut QueryTable,
    ) -> bool {
        if let Some(join) = &self.join {
            return join.run(FusedJoinEvent { advice: self, keys, key, argument, cells, query_table });
        }

        if !self.add(key, argument, 1, cells, query_table) {
            cells.end();
        }
        true
    }
}

impl FusedKey {
    /// Returns the key's value, or null if the unpacked row will give it.
    #[inline(always)]
    fn read(&self, fields: FieldReader<'_>, cells: &mut Cells) -> Cell {
        match self {
            FusedKey::Exported(field) => fields(*field, cells),
            FusedKey::Default(field, tracepoint) => default_cell(*field, tracepoint, cells),
            FusedKey::Unpacked(_) | FusedKey::None => Cell::NULL,
        }
    }
}
