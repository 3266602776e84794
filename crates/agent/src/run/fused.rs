//! The commonest routines once more, in the form that takes the fewest steps: one condition on an integer,
//! groups by at most two fields, and aggregates of one field. No column is written down: each field is asked
//! for where it is needed, and put away with the event.
//!
//! Such a routine may have a happened-before join too, of whose rows no more is asked than that; see
//! [`joined`](crate::run::fused_join).

use crate::report::group_table::{Group, Plain, address};
use crate::run::advice_compiler::{End, Join, Routine, Shape, Step, Takes};
use crate::run::cell_expr::Range;
use crate::run::cells::{Cell, Cells};
use crate::run::compiled::{Fields, Local, add_cell, other};
use crate::run::event::default_cell;
use crate::run::fused_join::{Event, Joined};
use crate::weave::name_linker::DefaultField;
use pivot_advice::Errors;
use std::sync::Arc;

/// A routine without a column.
#[derive(Debug)]
pub(crate) struct Straight {
    quick: Quick,
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

/// The same once more if it is one of the forms that are compiled apart: all keys are exported fields.
#[derive(Debug)]
struct Quick {
    form: Form,
    test: (usize, Range),
    argument: usize,
    keys: [usize; 2],
}

/// What is done, to be asked once and not part by part: whether there is a test, what is taken in, and how many
/// keys there are.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Form {
    Counts1,
    Counts2,
    Adds1,
    Adds2,
    TestsAndCounts1,
    TestsAndCounts2,
    TestsAndAdds1,
    TestsAndAdds2,
    /// What was tested.
    TestsAndAddsIt1,
    TestsAndAddsIt2,
    Other,
}

/// What a form takes in.
const NOTHING: u8 = 0;
const FIELD: u8 = 1;
const TESTED: u8 = 2;

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
        let takes = if joined.is_some() { Takes::More } else { routine.takes };
        let quick = Quick::of(test, argument, takes, &keys);
        observed.is_empty().then(|| Straight {
            quick,
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
        match self.quick.form {
            Form::Counts1 => self.run_as::<false, NOTHING, 1>(fields, cells, local),
            Form::Counts2 => self.run_as::<false, NOTHING, 2>(fields, cells, local),
            Form::Adds1 => self.run_as::<false, FIELD, 1>(fields, cells, local),
            Form::Adds2 => self.run_as::<false, FIELD, 2>(fields, cells, local),
            Form::TestsAndCounts1 => self.run_as::<true, NOTHING, 1>(fields, cells, local),
            Form::TestsAndCounts2 => self.run_as::<true, NOTHING, 2>(fields, cells, local),
            Form::TestsAndAdds1 => self.run_as::<true, FIELD, 1>(fields, cells, local),
            Form::TestsAndAdds2 => self.run_as::<true, FIELD, 2>(fields, cells, local),
            Form::TestsAndAddsIt1 => self.run_as::<true, TESTED, 1>(fields, cells, local),
            Form::TestsAndAddsIt2 => self.run_as::<true, TESTED, 2>(fields, cells, local),
            Form::Other => return self.run_otherwise(fields, cells, local),
        }
        true
    }

    #[inline(always)]
    fn run_as<const TESTS: bool, const TAKES: u8, const N: usize>(
        &self,
        fields: Fields<'_>,
        cells: &mut Cells,
        local: &mut Local,
    ) {
        let Quick { test: (index, range), argument, keys, .. } = &self.quick;
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
        let plain = local.rows.find(&key).and_then(|place| local.rows.plain(place));
        if !plain.is_some_and(|plain| if TAKES == NOTHING { plain.count() } else { plain.add(taken) }) {
            self.add_anew(key, taken, 1, cells, local);
            cells.end();
        }
    }

    #[inline(always)]
    fn run_otherwise(&self, fields: Fields<'_>, cells: &mut Cells, local: &mut Local) -> bool {
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
            part.emitted = part.emitted.saturating_add(n);
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
        part.emitted = part.emitted.saturating_add(n);
        let like = if let Takes::Plainly(_) = self.takes { argument } else { Cell::NULL };
        let group = rows.group_of(&mut key, like, cells).unwrap_or_else(|| other(&self.shape, part));
        add_to(group, argument, n, cells, errors);
    }
}

fn add_to(group: Group<'_>, argument: Cell, n: u64, cells: &Cells, errors: &mut Errors) {
    *group.n = group.n.saturating_add(n);
    for state in group.states {
        add_cell(state, argument, n, cells, errors);
    }
}

impl Quick {
    fn of(test: Option<(usize, usize, Range)>, argument: Option<usize>, takes: Takes, keys: &Keys) -> Quick {
        let (form, keys) = match keys {
            Keys::One(Key::Exported(only)) => (Form::of(test.is_some(), argument, takes, 1), [*only, 0]),
            Keys::Two(Key::Exported(first), Key::Exported(second)) => {
                (Form::of(test.is_some(), argument, takes, 2), [*first, *second])
            }
            _ => (Form::Other, [0; 2]),
        };
        let test = test.map_or((0, Range::NONE), |(_, index, range)| (index, range));
        Quick { form, test, argument: argument.unwrap_or_default(), keys }
    }
}

impl Form {
    fn of(tests: bool, argument: Option<usize>, takes: Takes, keys: usize) -> Form {
        let [one, two] = match (tests, takes, argument) {
            (false, Takes::Nothing, _) => [Form::Counts1, Form::Counts2],
            (false, Takes::Plainly(_), Some(_)) => [Form::Adds1, Form::Adds2],
            (true, Takes::Nothing, _) => [Form::TestsAndCounts1, Form::TestsAndCounts2],
            (true, Takes::Plainly(_), Some(_)) => [Form::TestsAndAdds1, Form::TestsAndAdds2],
            (true, Takes::Plainly(_), None) => [Form::TestsAndAddsIt1, Form::TestsAndAddsIt2],
            _ => return Form::Other,
        };
        if keys == 1 { one } else { two }
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
            Key::Default(field, tracepoint) => default_cell(*field, tracepoint, cells),
            Key::Unpacked(_) | Key::None => Cell::NULL,
        }
    }
}

impl Join {
    /// Which of the bag's columns this is.
    pub(crate) fn column(&self, column: usize) -> Option<usize> {
        column.checked_sub(self.first).filter(|column| *column < self.width)
    }
}
