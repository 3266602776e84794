//! The commonest routines once more, in the form that takes the fewest steps: one condition on an integer,
//! groups by at most two fields, and aggregates of one field. No column is written down: each
//! field is asked for where it is needed, and put away with the event.
//!
//! Such a routine may have a happened-before join too, of whose rows no more is asked than that; see
//! [`joined`](crate::joined).

use crate::cells::{Cell, Cells};
use crate::code::Range;
use crate::compile::{End, Join, Routine, Shape, Step, Takes};
use crate::fire::default_cell;
use crate::joined::{Event, Joined};
use crate::link::DefaultField;
use crate::routine::{Fields, Local, add_cell, other};
use crate::rows::{Group, Plain, address};
use pivot_advice::Errors;
use std::sync::Arc;

/// A routine without a column.
#[derive(Debug)]
pub(crate) struct Straight {
    /// The event is rejected unless this field is in this range.
    test: Option<(usize, Range)>,
    /// What all aggregates are of: this field, or else that which was tested, or that of an unpacked row.
    argument: Option<usize>,
    takes: Takes,
    keys: Keys,
    joined: Option<Box<Joined>>,
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
pub(crate) enum Key {
    Exported(usize),
    Default(DefaultField, &'static str),
    /// A column of the unpacked row.
    Unpacked(usize),
    /// There is no such key.
    None,
}

impl Straight {
    /// None of a routine that needs columns.
    pub(crate) fn of(routine: &Routine, tracepoint: &'static str) -> Option<Straight> {
        let (End::Emit, join) = (&routine.end, &routine.join) else { return None };
        let joined = match join {
            Some(join) => Some(Box::new(Joined::of(join, routine.takes)?)),
            None => None,
        };
        let unpacked = |column: usize| join.as_ref().and_then(|join| join.column(column));
        let (test, mut observed) = match &routine.steps[..] {
            [Step::Test(column, index, range), rest @ ..] => (Some((*column, *index, *range)), rest),
            all => (None, all),
        };
        let mut argument = None;
        match routine.takes {
            Takes::More => return None,
            Takes::Plainly(column) | Takes::Column(column) => {
                let is_tested = test.is_some_and(|(tested, ..)| tested == column);
                if !is_tested && unpacked(column).is_none() {
                    let [Step::Observe(first, index), rest @ ..] = observed else { return None };
                    (argument, observed) = ((*first == column).then_some(*index), rest);
                    argument?;
                }
            }
            Takes::Nothing => {}
        }
        let mut key = |column: usize| {
            if let Some(column) = unpacked(column) {
                return Some(Key::Unpacked(column));
            }
            let (first, rest) = observed.split_first()?;
            observed = rest;
            Key::of(column, first, tracepoint)
        };
        let keys = match routine.keys[..] {
            [] => Keys::One(Key::None),
            [only] => Keys::One(key(only)?),
            [first, second] => Keys::Two(key(first)?, key(second)?),
            _ => return None,
        };
        observed.is_empty().then(|| Straight {
            test: test.map(|(_, index, range)| (index, range)),
            argument,
            takes: routine.takes,
            keys,
            joined,
            shape: Arc::clone(&routine.shape),
            address: address(&routine.shape),
        })
    }

    /// Runs it over one event. False, and nothing was done, if it has a join and the request is one of a sample.
    #[inline(always)]
    pub(crate) fn run(&self, fields: Fields<'_>, cells: &mut Cells, local: &mut Local) -> bool {
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
            Keys::One(only) => {
                let key = [only.ask(fields, cells)];
                self.ends([only], key, argument, cells, local)
            }
            Keys::Two(first, second) => {
                let key = [first.ask(fields, cells), second.ask(fields, cells)];
                self.ends([first, second], key, argument, cells, local)
            }
        }
    }

    #[inline(always)]
    fn ends<const N: usize>(
        &self,
        keys: [&Key; N],
        key: [Cell; N],
        argument: Cell,
        cells: &mut Cells,
        local: &mut Local,
    ) -> bool {
        if let Some(joined) = &self.joined {
            return joined.run(Event { straight: self, keys, key, argument, cells, local });
        }
        if !self.add(key, argument, 1, cells, local) {
            cells.end();
        }
        true
    }

    /// Adds a row that counts so many times. False if it may have left something elsewhere.
    #[inline(always)]
    pub(crate) fn add<const N: usize>(
        &self,
        key: [Cell; N],
        argument: Cell,
        n: u64,
        cells: &Cells,
        local: &mut Local,
    ) -> bool {
        let is_added = match local.rows.find(&key) {
            Some(place) => match self.takes {
                Takes::Plainly(_) if n == 1 => {
                    local.rows.plain(place).is_some_and(|plain| plain.add(argument))
                }
                Takes::Nothing if n == 1 => local.rows.plain(place).is_some_and(Plain::count),
                Takes::Column(_) => return self.add_at(place, argument, n, cells, local),
                _ => false,
            },
            None => false,
        };
        if !is_added {
            self.add_anew(key, argument, n, cells, local);
        }
        is_added
    }

    /// Adds to the states of a group.
    #[inline(never)]
    fn add_at(&self, place: usize, argument: Cell, n: u64, cells: &Cells, local: &mut Local) -> bool {
        let Local { part, rows, errors, .. } = local;
        if let Some(group) = rows.at(place) {
            part.emitted = part.emitted.wrapping_add(n);
            add_to(group, argument, n, cells, errors);
        }
        // The argument may lie elsewhere.
        !argument.is_elsewhere()
    }

    /// Adds to a group that is not there yet or whose key lies elsewhere, or what is no whole number.
    #[cold]
    #[inline(never)]
    fn add_anew<const N: usize>(
        &self,
        mut key: [Cell; N],
        argument: Cell,
        n: u64,
        cells: &Cells,
        local: &mut Local,
    ) {
        let Local { part, rows, errors, .. } = local;
        part.emitted = part.emitted.wrapping_add(n);
        let like = if let Takes::Plainly(_) = self.takes { argument } else { Cell::NULL };
        let group = rows.group_of(&mut key, like, cells).unwrap_or_else(|| other(&self.shape, part));
        add_to(group, argument, n, cells, errors);
    }
}

fn add_to(group: Group<'_>, argument: Cell, n: u64, cells: &Cells, errors: &mut Errors) {
    *group.n = group.n.wrapping_add(n);
    for state in group.states {
        add_cell(state, argument, n, cells, errors);
    }
}

impl Key {
    /// None if the step does not observe the column.
    fn of(column: usize, step: &Step, tracepoint: &'static str) -> Option<Key> {
        let (observed, key) = match step {
            Step::Observe(observed, index) => (*observed, Key::Exported(*index)),
            Step::Default(observed, field) => (*observed, Key::Default(*field, tracepoint)),
            _ => return None,
        };
        (observed == column).then_some(key)
    }

    #[inline(always)]
    pub(crate) fn ask(&self, fields: Fields<'_>, cells: &mut Cells) -> Cell {
        match self {
            Key::Exported(index) => fields(*index, cells),
            key => key.ask_elsewhere(cells),
        }
    }

    #[inline(never)]
    fn ask_elsewhere(&self, cells: &mut Cells) -> Cell {
        match self {
            Key::Default(field, tracepoint) => default_cell(*field, tracepoint, cells),
            Key::Exported(_) | Key::Unpacked(_) | Key::None => Cell::NULL,
        }
    }
}

impl Join {
    /// Which of the bag's columns this is.
    pub(crate) fn column(&self, column: usize) -> Option<usize> {
        column.checked_sub(self.first).filter(|column| *column < self.width)
    }
}
