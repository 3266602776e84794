//! The rows that the interpreter works on, and how they are joined with groups, grouped and aggregated.

use pivot_advice::{
    AggregateCall, AggregateKind, AggregateState, CallArgument, EvalErrors, Expr, FinalColumn, Group, Groups,
    JoinKind, Value,
};
use std::borrow::Cow;

/// A row in flight.
#[derive(Debug, Clone)]
pub struct InterpretedRow {
    pub(super) columns: Vec<Value>,
    pub(super) n: u64,
    pub(super) states: Vec<AggregateState>,
    /// The index of the tuple of a temporal source that it belongs to.
    pub(super) slot: usize,
}

/// How rows are joined with the groups of a bag.
pub(super) struct JoinSpec<'j> {
    pub(super) matching: JoinKind,
    pub(super) on: Option<&'j Expr>,
    /// Expressions in which the groups that a row matches must differ.
    pub(super) distinct: &'j [Expr],
    pub(super) columns: usize,
    pub(super) aggregates: &'j [AggregateKind],
}

/// Returns the rows of an aggregating subquery over what a bag holds: keys, count, and finished aggregates.
pub(super) fn regrouped(
    bag: &Groups,
    keys: &[u16],
    folds: &[AggregateCall],
    finished: &[FinalColumn],
    errors: &mut EvalErrors,
) -> Vec<Vec<Value>> {
    let mut groups = table(keys.len(), folds);

    for group in bag {
        let row = InterpretedRow {
            columns: group.key.to_vec(),
            n: group.n,
            states: group.states.to_vec(),
            slot: 0,
        };
        row.add_to(groups.entry(&row.key(keys)), folds, errors);
    }

    let rows = groups.iter().map(|group| {
        let values = finished.iter().map(|finished| match group.states.get(usize::from(finished.state)) {
            Some(state) => state.finish(finished.finish, errors),
            None => Value::Null,
        });
        group.key.iter().cloned().chain([Value::U64(group.n)]).chain(values).collect()
    });
    rows.collect()
}

/// Returns an empty table for the rows of a Pack or Emit.
pub(crate) fn table(keys: usize, folds: &[AggregateCall]) -> Groups {
    let aggregates: Vec<AggregateKind> = folds.iter().map(|fold| fold.aggregate).collect();
    Groups::new(keys, &aggregates)
}

impl InterpretedRow {
    /// Returns how often the row counts.
    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    /// Returns the row as one that counts `weight` times as much.
    pub(crate) fn weighted(&self, weight: u64) -> Cow<'_, InterpretedRow> {
        if weight == 1 {
            return Cow::Borrowed(self);
        }
        let mut row = self.clone();
        row.n = row.n.saturating_mul(weight);
        row.states.iter_mut().for_each(|state| state.scale(weight));
        Cow::Owned(row)
    }

    pub(crate) fn key(&self, keys: &[u16]) -> Vec<Value> {
        keys.iter().map(|key| self.columns.get(usize::from(*key)).cloned().unwrap_or_default()).collect()
    }

    pub(crate) fn add_to(&self, group: &mut Group, folds: &[AggregateCall], errors: &mut EvalErrors) {
        group.n = group.n.saturating_add(self.n);
        for (state, fold) in group.states.iter_mut().zip(folds) {
            match &fold.input {
                CallArgument::Expr(expr) => state.update(&expr.eval(&self.columns, errors), self.n, errors),
                CallArgument::State(index) => {
                    if let Some(mine) = self.states.get(usize::from(*index)) {
                        state.merge(mine);
                    }
                }
            }
        }
    }

    /// Returns the row with the columns of a subquery's result after its own.
    pub(super) fn with(&self, columns: &[Value]) -> InterpretedRow {
        let mut row = self.clone();
        row.columns.extend_from_slice(columns);
        row
    }

    /// Returns the row joined with all rows of a group: counts are multiplied, and the states of each side are scaled by
    /// the count of the other.
    pub(super) fn times(&self, group: &Group) -> InterpretedRow {
        let mut row = self.with(&group.key);
        row.states.iter_mut().for_each(|state| state.scale(group.n));
        row.states.extend(group.states.iter().cloned().map(|mut state| {
            state.scale(self.n);
            state
        }));
        row.n = self.n.saturating_mul(group.n);
        row
    }

    /// Returns the row that goes on when nothing matched it: of a LEFT join with nulls and empty states in place of
    /// the bag's, of an ANTI join as it is.
    pub(super) fn unmatched(mut self, joining: &JoinSpec<'_>) -> InterpretedRow {
        if joining.matching == JoinKind::Left {
            self.columns.extend(std::iter::repeat_n(Value::Null, joining.columns));
            self.states.extend(joining.aggregates.iter().map(|aggregate| aggregate.empty()));
        }
        self
    }
}
