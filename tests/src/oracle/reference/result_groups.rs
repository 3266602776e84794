//! The rows of a result: what SELECT, HAVING and ORDER BY make of rows, or of groups of them.

use crate::oracle::language::query::{AggregateFunction, BinaryOp, Query, QueryExpr, SelectItem};
use crate::oracle::reference::aggregates::{self, ExpectedCell, SampleFraction};
use crate::oracle::reference::expressions::{NameValues, value};
use crate::oracle::reference::ungrouped_rows::{RowScope, UngroupedRow};
use crate::oracle::reference::values::{binary, double, order, same_all};
use crate::oracle::run::event_dag::EventDag;
use pivot_advice::Value;
use std::cell::Cell;
use std::cmp::Ordering;

/// What all groups of an evaluation share.
pub(crate) struct GroupsContext<'q> {
    pub dag: &'q EventDag<'q>,
    /// The length of the window.
    pub seconds: f64,
    /// Whether a sketch has more values than it counts exactly.
    beyond: Cell<bool>,
}

impl<'q> GroupsContext<'q> {
    pub(crate) fn new(dag: &'q EventDag<'q>, seconds: f64) -> Self {
        Self { dag, seconds, beyond: Cell::new(false) }
    }

    /// Returns the names of a row.
    pub(crate) fn names<'r>(&'r self, row: &'r UngroupedRow<'q>) -> RowScope<'r, 'q> {
        RowScope { dag: self.dag, row }
    }

    /// Notes that something has no one value, so that the result cannot be compared.
    fn give_up(&self) {
        self.beyond.set(true);
    }

    /// Returns whether something had no one value.
    pub(crate) fn is_beyond(&self) -> bool {
        self.beyond.get()
    }
}

/// Keeps one of all groups that show equal values.
pub(crate) fn distinct<'r, 'q>(outputs: Vec<ResultGroup<'r, 'q>>) -> Vec<ResultGroup<'r, 'q>> {
    let mut distinct: Vec<ResultGroup<'r, 'q>> = Vec::new();
    for output in outputs {
        if !distinct.iter().any(|known| same_all(&known.values(), &output.values())) {
            distinct.push(output);
        }
    }
    distinct
}

/// One row of a result: one row, or a group of them. All rows of a group agree on what is no aggregate.
pub(crate) struct ResultGroup<'r, 'q> {
    pub context: &'r GroupsContext<'q>,
    pub query: &'q Query,
    pub group: Vec<&'r UngroupedRow<'q>>,
    /// Of a sample, the fraction by which counts and sums are scaled.
    pub fraction: Option<f64>,
}

/// Whether an aggregate of a sample is scaled.
fn is_scaled(aggregate: &AggregateFunction) -> bool {
    matches!(aggregate, AggregateFunction::Count | AggregateFunction::Sum)
}

impl<'r, 'q> ResultGroup<'r, 'q> {
    /// Returns a row that stands for all where they agree; there is none if nothing matched.
    fn first(&self) -> Option<&'r UngroupedRow<'q>> {
        self.group.first().copied()
    }
}

impl ResultGroup<'_, '_> {
    pub(crate) fn values(&self) -> Vec<Value> {
        self.query.select.iter().map(|item| value(&item.expr, self)).collect()
    }

    pub(crate) fn cells(&self) -> Vec<ExpectedCell> {
        self.query.select.iter().map(|item| self.cell(item)).collect()
    }

    fn cell(&self, item: &SelectItem) -> ExpectedCell {
        match &item.expr {
            QueryExpr::Aggregate(aggregate, argument) if !is_scaled(aggregate) => {
                aggregates::cell(aggregate, &self.checked(aggregate, argument), SampleFraction(self.fraction))
            }
            expr => ExpectedCell::Value(value(expr, self)),
        }
    }

    fn arguments(&self, argument: &QueryExpr) -> Vec<Value> {
        self.group.iter().map(|row| value(argument, &self.context.names(row))).collect()
    }

    /// Returns the arguments of all rows, and gives up where the aggregate is a sketch that is not exact for so many.
    fn checked(&self, aggregate: &AggregateFunction, argument: &QueryExpr) -> Vec<Value> {
        let values = self.arguments(argument);
        if aggregates::is_beyond(aggregate, &values) {
            self.context.give_up();
        }
        values
    }

    /// Of a sample, what COUNT or SUM of all requests would be.
    fn scaled(&self, value: Value) -> Value {
        let Some(fraction) = self.fraction else { return value };
        let whole = |x: f64| (x / fraction).round();
        match value {
            Value::U64(x) => Value::U64(whole(x as f64) as u64),
            Value::I64(x) => Value::I64(whole(x as f64) as i64),
            Value::Duration(x) => Value::Duration(whole(x as f64) as i64),
            other => double(&other).map_or(other, |x| Value::F64(x / fraction)),
        }
    }

    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let keys = self.query.order.iter().map(|key| {
            let (mine, others) = (value(&key.expr, self), value(&key.expr, other));
            // True is after false.
            if mine == Value::Null || others == Value::Null {
                let nulls_first = key.nulls_first.unwrap_or(key.descending);
                let order = (mine == Value::Null).cmp(&(others == Value::Null));
                return if nulls_first { order.reverse() } else { order };
            }
            let order = order(&mine, &others);
            if key.descending { order.reverse() } else { order }
        });
        keys.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl NameValues for ResultGroup<'_, '_> {
    fn column(&self, alias: &str, field: &str) -> Value {
        self.first().map_or(Value::Null, |row| self.context.names(row).column(alias, field))
    }

    fn name(&self, name: &str) -> Value {
        let first = self.first();
        let assigned = first.is_some_and(|row| row.lets.iter().any(|(known, _)| *known == name));
        let selected = self.query.select.iter().find(|item| item.name.as_deref() == Some(name));
        match selected {
            Some(item) if !assigned => value(&item.expr, self),
            _ => first.map_or(Value::Null, |row| self.context.names(row).name(name)),
        }
    }

    fn aggregate(&self, expr: &QueryExpr) -> Value {
        match expr {
            QueryExpr::Aggregate(aggregate, argument) => {
                let fraction = SampleFraction(self.fraction);
                let value = aggregates::value(aggregate, &self.checked(aggregate, argument), fraction);
                if is_scaled(aggregate) { self.scaled(value) } else { value }
            }
            QueryExpr::Rate(of) => {
                // RATE(COUNT) divides an aggregate; of a plain value it takes the sum first.
                let counted = match of {
                    None => self.aggregate(&QueryExpr::CountRows),
                    Some(x) if x.aggregates() => value(x, self),
                    Some(x) => {
                        let summed = self.checked(&AggregateFunction::Sum, x);
                        self.scaled(aggregates::value(&AggregateFunction::Sum, &summed, SampleFraction(None)))
                    }
                };
                binary(BinaryOp::Divide, &counted, &Value::F64(self.context.seconds))
            }

            _ => self.scaled(Value::U64(self.group.len() as u64)),
        }
    }

    fn place(&self, number: usize) -> Value {
        value(&self.query.select[number - 1].expr, self)
    }
}
