//! Which advice runs without a column, and what is left of it then.

use crate::report::group_table::address;
use crate::run::cell_expr::Range;
use crate::run::ir::{End, Join, Routine, Shape, Step, Takes};
use crate::site::default_field::DefaultField;
use pivot_advice::{Aggregate, BagKey};
use std::sync::Arc;

/// A routine without a column.
#[derive(Debug)]
pub(crate) struct Straight {
    pub(super) quick: Quick,
    /// The event is rejected unless this field is in this range.
    pub(super) test: Option<(usize, Range)>,
    /// What all aggregates are of: this field, or else that which was tested, or that of an unpacked row.
    pub(super) argument: Option<usize>,
    pub(super) takes: Takes,
    pub(super) keys: Keys,
    pub(super) joined: Option<Box<Joined>>,
    pub(crate) shape: Arc<Shape>,
    /// The address of the shape.
    pub(crate) address: usize,
}

/// The same once more if it is one of the forms that are compiled apart: all keys are exported fields.
#[derive(Debug)]
pub(super) struct Quick {
    pub(super) form: Form,
    pub(super) test: (usize, Range),
    pub(super) argument: usize,
    pub(super) keys: [usize; 2],
}

/// What is done, to be asked once and not part by part: whether there is a test, what is taken in, and how many
/// keys there are.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Form {
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

#[derive(Debug)]
pub(super) enum Keys {
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

/// The join of a straight routine.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(super) bag: BagKey,
    pub(super) width: usize,
    pub(super) aggregates: Vec<Aggregate>,
    /// The column of the bag that the aggregates are of.
    pub(super) argument: Option<usize>,
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
}

impl Joined {
    /// None of a join that asks more of its rows.
    pub(crate) fn of(join: &Join, takes: Takes) -> Option<Joined> {
        let argument = match takes {
            Takes::Plainly(column) | Takes::Column(column) => join.column(column),
            Takes::Nothing | Takes::More => None,
        };
        let (bag, width, aggregates) = (join.bag, join.width, join.aggregates.clone());
        (join.on.is_none() && join.steps.is_empty()).then_some(Joined { bag, width, aggregates, argument })
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
}

impl Join {
    /// Which of the bag's columns this is.
    pub(crate) fn column(&self, column: usize) -> Option<usize> {
        column.checked_sub(self.first).filter(|column| *column < self.width)
    }
}
