//! The commonest routines once more, in the form that takes the fewest steps: one condition on an integer,
//! groups by at most two fields, and sums, counts and means of one field. No column is written down: each
//! field is asked for where it is needed, and put away with the event.

use crate::cells::{Cell, Cells};
use crate::code::Range;
use crate::compile::{Argument, End, Routine, Shape, Step};
use crate::fire::default_cell;
use crate::link::DefaultField;
use crate::routine::{Fields, Local, add_cell, other};
use crate::rows::{Plain, address};
use std::sync::Arc;

/// A routine without a column.
#[derive(Debug)]
pub(crate) struct Straight {
    /// The event is rejected unless this field is in this range.
    test: Option<(usize, Range)>,
    /// What all aggregates are of: this field, or else that which was tested.
    argument: Option<usize>,
    /// Whether there are aggregates.
    folds: bool,
    keys: Keys,
    pub(crate) shape: Arc<Shape>,
    /// The address of the shape.
    pub(crate) address: usize,
}

#[derive(Debug)]
enum Keys {
    One(Key),
    Two(Key, Key),
}

/// What the value of a key is asked of.
#[derive(Debug, Clone, Copy)]
enum Key {
    Exported(usize),
    Default(DefaultField, &'static str),
    /// There is no such key.
    None,
}

impl Straight {
    /// None of a routine that needs columns.
    pub(crate) fn of(routine: &Routine, tracepoint: &'static str) -> Option<Straight> {
        let (End::Emit, None) = (&routine.end, &routine.join) else { return None };
        let (test, mut observed) = match &routine.steps[..] {
            [Step::Test(column, index, range), rest @ ..] => (Some((*column, *index, *range)), rest),
            all => (None, all),
        };
        let mut argument = None;
        if let [Argument::Column(column), others @ ..] = &routine.arguments[..] {
            let plain = routine.shape.aggregates.iter().all(|aggregate| Plain::serves(*aggregate));
            if !plain || !others.iter().all(|other| other.is_column(*column)) {
                return None;
            }
            if test.is_none_or(|(tested, ..)| tested != *column) {
                let [Step::Observe(first, index), rest @ ..] = observed else { return None };
                (argument, observed) = ((first == column).then_some(*index), rest);
                argument?;
            }
        } else if !routine.arguments.is_empty() {
            return None;
        }
        Some(Straight {
            test: test.map(|(_, index, range)| (index, range)),
            argument,
            folds: !routine.arguments.is_empty(),
            keys: Keys::of(&routine.keys, observed, tracepoint)?,
            shape: Arc::clone(&routine.shape),
            address: address(&routine.shape),
        })
    }

    /// Runs it over one event.
    #[inline(always)]
    pub(crate) fn run(&self, fields: Fields<'_>, cells: &mut Cells, local: &mut Local) {
        let mut argument = Cell::NULL;
        if let Some((index, range)) = &self.test {
            argument = fields(*index, cells);
            if !range.lets_pass(argument, cells, &mut local.errors) {
                return;
            }
        }
        if let Some(index) = self.argument {
            argument = fields(index, cells);
        }
        let mut ask = |key: &Key| match key {
            Key::Exported(index) => fields(*index, cells),
            key => key.ask(cells),
        };
        match &self.keys {
            Keys::One(only) => {
                let key = [ask(only)];
                self.add(key, argument, cells, local);
            }
            Keys::Two(first, second) => {
                let key = [ask(first), ask(second)];
                self.add(key, argument, cells, local);
            }
        }
    }

    #[inline(always)]
    fn add<const N: usize>(&self, key: [Cell; N], argument: Cell, cells: &mut Cells, local: &mut Local) {
        let is_added = match local.rows.plain(&key) {
            Some(plain) if self.folds => plain.add(argument),
            Some(plain) => plain.count(),
            None => false,
        };
        if !is_added {
            self.add_anew(key, argument, cells, local);
        }
    }

    /// Adds to a group that is not there yet or whose key lies elsewhere, or what is no whole number.
    #[cold]
    #[inline(never)]
    fn add_anew<const N: usize>(
        &self,
        mut key: [Cell; N],
        argument: Cell,
        cells: &mut Cells,
        local: &mut Local,
    ) {
        let Local { part, rows, errors } = local;
        part.emitted = part.emitted.wrapping_add(1);
        let group = rows.group_of(&mut key, argument, cells).unwrap_or_else(|| other(&self.shape, part));
        *group.n = group.n.wrapping_add(1);
        for state in group.states {
            add_cell(state, argument, 1, cells, errors);
        }
        cells.end();
    }
}

impl Keys {
    /// None if something else is observed than the keys in their order.
    fn of(keys: &[usize], observed: &[Step], tracepoint: &'static str) -> Option<Keys> {
        let key = |column: usize, step: &Step| match step {
            Step::Observe(observed, index) => (*observed == column).then_some(Key::Exported(*index)),
            Step::Default(observed, field) => {
                (*observed == column).then_some(Key::Default(*field, tracepoint))
            }
            _ => None,
        };
        match (keys, observed) {
            ([], []) => Some(Keys::One(Key::None)),
            ([only], [step]) => Some(Keys::One(key(*only, step)?)),
            ([first, second], [one, two]) => Some(Keys::Two(key(*first, one)?, key(*second, two)?)),
            _ => None,
        }
    }
}

impl Key {
    #[inline(never)]
    fn ask(&self, cells: &mut Cells) -> Cell {
        match self {
            Key::Default(field, tracepoint) => default_cell(*field, tracepoint, cells),
            Key::Exported(_) | Key::None => Cell::NULL,
        }
    }
}
