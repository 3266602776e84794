//! The commonest routines once more, in the form that takes the fewest steps: one condition on an integer,
//! groups by at most two fields, and aggregates of one field. No column is written down: each field is asked
//! for where it is needed, and put away with the event.
//!
//! Such a routine may have a happened-before join too, of whose rows no more is asked than that; see
//! [`joined`](crate::run::fused_join).

use crate::report::thread_table::QueryTable;
use crate::run::cells::{Cell, Cells, FieldReader};
use crate::run::fused::join::FusedEvent;
use crate::run::fused::plan::{FusedAdvice, FusedKernel, FusedKey, FusedKeys, KernelShape};
use crate::site::default_field::default_cell;

/// What a form takes in.
const NOTHING: u8 = 0;
const FIELD: u8 = 1;
const TESTED: u8 = 2;

impl FusedAdvice {
    /// Runs it over one event. False, and nothing was done, if it has a join and the request is one of a sample.
    #[inline(always)]
    pub(crate) fn run(&self, fields: FieldReader<'_>, cells: &mut Cells, local: &mut QueryTable) -> bool {
        match self.kernel.form {
            KernelShape::Count1 => self.run_as::<false, NOTHING, 1>(fields, cells, local),
            KernelShape::Count2 => self.run_as::<false, NOTHING, 2>(fields, cells, local),
            KernelShape::Sum1 => self.run_as::<false, FIELD, 1>(fields, cells, local),
            KernelShape::Sum2 => self.run_as::<false, FIELD, 2>(fields, cells, local),
            KernelShape::FilterCount1 => self.run_as::<true, NOTHING, 1>(fields, cells, local),
            KernelShape::FilterCount2 => self.run_as::<true, NOTHING, 2>(fields, cells, local),
            KernelShape::FilterSum1 => self.run_as::<true, FIELD, 1>(fields, cells, local),
            KernelShape::FilterSum2 => self.run_as::<true, FIELD, 2>(fields, cells, local),
            KernelShape::FilterSumSelf1 => self.run_as::<true, TESTED, 1>(fields, cells, local),
            KernelShape::FilterSumSelf2 => self.run_as::<true, TESTED, 2>(fields, cells, local),
            KernelShape::General => return self.run_otherwise(fields, cells, local),
        }
        true
    }

    #[inline(always)]
    fn run_as<const TESTS: bool, const TAKES: u8, const N: usize>(
        &self,
        fields: FieldReader<'_>,
        cells: &mut Cells,
        local: &mut QueryTable,
    ) {
        let FusedKernel { test: (index, range), argument, keys, .. } = &self.kernel;
        let mut taken = Cell::NULL;
        if TESTS {
            let tested = fields(*index, cells);
            if !range.lets_pass(tested, cells, &mut local.errors) {
                return;
            }
            taken = tested;
        }
        if TAKES == FIELD {
            taken = fields(*argument, cells);
        }
        let key: [Cell; N] = std::array::from_fn(|i| fields(keys[i], cells));
        let plain = local.rows.find(&key).and_then(|place| local.rows.pending(place));
        if !plain.is_some_and(|plain| if TAKES == NOTHING { plain.count() } else { plain.add(taken) }) {
            self.add_anew(key, taken, 1, cells, local);
            cells.end();
        }
    }

    #[inline(always)]
    fn run_otherwise(&self, fields: FieldReader<'_>, cells: &mut Cells, local: &mut QueryTable) -> bool {
        let mut argument = Cell::NULL;
        if let Some((index, range)) = &self.test {
            argument = fields(*index, cells);
            if !range.lets_pass(argument, cells, &mut local.errors) {
                return true;
            }
        }
        if let Some(index) = self.argument {
            argument = fields(index, cells);
        }
        match &self.keys {
            FusedKeys::One(only) => {
                let key = [only.ask(fields, cells)];
                self.ends([only], key, argument, cells, local)
            }
            FusedKeys::Two(first, second) => {
                let key = [first.ask(fields, cells), second.ask(fields, cells)];
                self.ends([first, second], key, argument, cells, local)
            }
        }
    }

    #[inline(always)]
    fn ends<const N: usize>(
        &self,
        keys: [&FusedKey; N],
        key: [Cell; N],
        argument: Cell,
        cells: &mut Cells,
        local: &mut QueryTable,
    ) -> bool {
        if let Some(joined) = &self.joined {
            return joined.run(FusedEvent { straight: self, keys, key, argument, cells, local });
        }
        if !self.add(key, argument, 1, cells, local) {
            cells.end();
        }
        true
    }
}

impl FusedKey {
    #[inline(always)]
    pub(crate) fn ask(&self, fields: FieldReader<'_>, cells: &mut Cells) -> Cell {
        match self {
            FusedKey::Exported(index) => fields(*index, cells),
            FusedKey::Default(field, tracepoint) => default_cell(*field, tracepoint, cells),
            FusedKey::Unpacked(_) | FusedKey::None => Cell::NULL,
        }
    }
}
