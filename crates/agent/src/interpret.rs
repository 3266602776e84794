//! Runs an advice over one event.
//!
//! A row in flight is a little relation: its columns, how often it counts, and the partial aggregates
//! that came with unpacked groups. Joining it with a group multiplies the counts, and scales the
//! aggregates of each side by the count of the other; that keeps COUNT and SUM right whatever was
//! grouped before.

use crate::link::Linked;
use pivot_advice::{
    Aggregate, BagKey, Errors, Fold, Form, Group, Groups, Input, Instruction, Keep, Loss, State, Unpacked,
    Value,
};
use pivot_baggage::Baggage;

/// The most rows that one event may make in one advice; further ones are dropped and counted.
pub const MAX_ROWS: usize = 4096;

/// What an advice did with its rows.
#[derive(Debug)]
pub enum Effect<'a> {
    /// It packed a tuple, which goes into the baggage after every advice at this event has run.
    Pack(BagKey, Keep, Groups),
    /// It emitted rows.
    Emit(Emission<'a>),
}

/// Rows for the process's part of a result.
#[derive(Debug)]
pub struct Emission<'a> {
    /// The columns that they are grouped by.
    pub keys: &'a [u16],
    /// The aggregates over each group.
    pub folds: &'a [Fold],
    /// Whether groups or rows are the result.
    pub form: Form,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row in flight.
#[derive(Debug, Clone)]
pub struct Row {
    columns: Vec<Value>,
    n: u64,
    states: Vec<State>,
}

/// Runs an advice over the observed values of an event. No effect: the event contributes nothing.
pub fn run<'a>(
    linked: &'a Linked,
    observed: Vec<Value>,
    baggage: Option<&Baggage>,
    loss: &mut Loss,
) -> Option<Effect<'a>> {
    let mut errors = Errors::default();
    let effect = Run { baggage, loss, errors: &mut errors }.steps(linked, observed);
    loss.errors = loss.errors.saturating_add(errors.0);
    effect
}

struct Run<'r> {
    baggage: Option<&'r Baggage>,
    loss: &'r mut Loss,
    errors: &'r mut Errors,
}

impl Run<'_> {
    fn steps<'a>(mut self, linked: &'a Linked, observed: Vec<Value>) -> Option<Effect<'a>> {
        let mut observed = observed.into_iter();
        let mut rows = vec![Row { columns: Vec::new(), n: 1, states: Vec::new() }];
        // A temporal source chooses its tuples before any join below it: once something has been
        // unpacked, a tuple without rows still holds its slot.
        let mut chosen = false;
        for step in &linked.advice.instructions {
            match step {
                Instruction::Observe { .. } => {
                    let value = observed.next().unwrap_or_default();
                    rows.iter_mut().for_each(|row| row.columns.push(value.clone()));
                }
                Instruction::Let { expr, .. } => rows.iter_mut().for_each(|row| {
                    let value = expr.eval(&row.columns, self.errors);
                    row.columns.push(value);
                }),
                Instruction::Filter { expr } => rows.retain(|row| expr.holds(&row.columns, self.errors)),
                Instruction::Unpack { bag, columns, aggregates, rows: unpacked, .. } => {
                    chosen = true;
                    rows = self.join(rows, *bag, columns.len(), aggregates, *unpacked);
                }
                Instruction::Pack { bag, keep, keys, folds } => {
                    let empty = *keep == Keep::All && rows.is_empty();
                    return (!empty).then(|| Effect::Pack(*bag, *keep, self.group(&rows, keys, folds)));
                }
                Instruction::Emit { keys, folds, form } => {
                    let emission = Emission { keys, folds, form: *form, rows };
                    return (!emission.rows.is_empty()).then_some(Effect::Emit(emission));
                }
            }
            if rows.is_empty() && !chosen {
                return None;
            }
        }
        None
    }

    fn group(&mut self, rows: &[Row], keys: &[u16], folds: &[Fold]) -> Groups {
        let mut groups = table(keys, folds);
        rows.iter().for_each(|row| row.add_to(groups.entry(&row.key(keys)), folds, self.errors));
        groups
    }

    /// The happened-before join of rows with a bag.
    fn join(
        &mut self,
        rows: Vec<Row>,
        bag: BagKey,
        columns: usize,
        aggregates: &[Aggregate],
        unpacked: Unpacked,
    ) -> Vec<Row> {
        let Some(baggage) = self.baggage else { return Vec::new() };
        if baggage.is_partial() {
            self.loss.truncated += 1;
        }
        let Some(groups) = baggage.unpack(bag) else { return Vec::new() };
        let keys = match unpacked {
            Unpacked::Rows => columns,
            Unpacked::Groups => columns - aggregates.len() - 1,
        };
        if groups.keys() != keys || groups.aggregates() != aggregates {
            self.errors.0 += 1;
            return Vec::new();
        }
        let pairs = rows.iter().flat_map(|row| groups.iter().map(move |group| (row, group)));
        let joined: Vec<Row> =
            pairs.take(MAX_ROWS).map(|(row, group)| row.join(group, unpacked, self.errors)).collect();
        let dropped = rows.len().saturating_mul(groups.len()) - joined.len();
        self.loss.dropped = self.loss.dropped.saturating_add(dropped as u64);
        joined
    }
}

/// An empty table for the rows of a Pack or Emit.
pub(crate) fn table(keys: &[u16], folds: &[Fold]) -> Groups {
    let aggregates: Vec<Aggregate> = folds.iter().map(|fold| fold.aggregate).collect();
    Groups::new(keys.len(), &aggregates)
}

impl Row {
    /// How often the row counts.
    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    pub(crate) fn key(&self, keys: &[u16]) -> Vec<Value> {
        keys.iter().map(|key| self.columns.get(usize::from(*key)).cloned().unwrap_or_default()).collect()
    }

    pub(crate) fn add_to(&self, group: &mut Group, folds: &[Fold], errors: &mut Errors) {
        group.n = group.n.saturating_add(self.n);
        for (state, fold) in group.states.iter_mut().zip(folds) {
            match &fold.input {
                Input::Expr(expr) => state.update(&expr.eval(&self.columns, errors), self.n, errors),
                Input::State(index) => {
                    if let Some(mine) = self.states.get(usize::from(*index)) {
                        state.merge(mine);
                    }
                }
            }
        }
    }

    fn join(&self, group: &Group, unpacked: Unpacked, errors: &mut Errors) -> Row {
        let mut row = self.clone();
        row.columns.extend_from_slice(&group.key);
        match unpacked {
            Unpacked::Groups => {
                row.columns.push(Value::U64(group.n));
                row.columns.extend(group.states.iter().map(|state| state.finish(errors)));
            }
            Unpacked::Rows => {
                row.states.iter_mut().for_each(|state| state.scale(group.n));
                row.states.extend(group.states.iter().cloned().map(|mut state| {
                    state.scale(self.n);
                    state
                }));
                row.n = self.n.saturating_mul(group.n);
            }
        }
        row
    }
}
