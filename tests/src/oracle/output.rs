//! The rows of a result: what SELECT, HAVING and ORDER BY make of rows, or of groups of them.

use super::aggregate::{self, ExpectedCell, Fraction};
use super::evaluate::{Evaluator, JoinedRow};
use super::expression::{NameScope, value};
use super::query::{AggregateFunction, Item, Op, Query, QueryExpr};
use super::value::{binary, double, order, same_all};
use pivot_advice::Value;
use std::cmp::Ordering;

/// One of all that show the same values.
pub(super) fn distinct<'r, 'q>(outputs: Vec<ResultGroup<'r, 'q>>) -> Vec<ResultGroup<'r, 'q>> {
    let mut distinct: Vec<ResultGroup<'r, 'q>> = Vec::new();
    for output in outputs {
        if !distinct.iter().any(|known| same_all(&known.values(), &output.values())) {
            distinct.push(output);
        }
    }
    distinct
}

/// One row of a result: one row, or a group of them. All rows of a group agree on what is no aggregate.
pub(super) struct ResultGroup<'r, 'q> {
    pub evaluator: &'r Evaluator<'q>,
    pub query: &'q Query,
    pub group: Vec<&'r JoinedRow<'q>>,
    /// Of a sample, the fraction by which counts and sums are scaled.
    pub fraction: Option<f64>,
}

/// Whether an aggregate of a sample is scaled.
fn is_scaled(aggregate: &AggregateFunction) -> bool {
    matches!(aggregate, AggregateFunction::Count | AggregateFunction::Sum)
}

impl ResultGroup<'_, '_> {
    pub(super) fn values(&self) -> Vec<Value> {
        self.query.select.iter().map(|item| value(&item.expr, self)).collect()
    }

    pub(super) fn cells(&self) -> Vec<ExpectedCell> {
        self.query.select.iter().map(|item| self.cell(item)).collect()
    }

    fn cell(&self, item: &Item) -> ExpectedCell {
        match &item.expr {
            QueryExpr::Aggregate(aggregate, argument) if !is_scaled(aggregate) => {
                aggregate::cell(aggregate, &self.checked(aggregate, argument), Fraction(self.fraction))
            }
            expr => ExpectedCell::Value(value(expr, self)),
        }
    }

    fn arguments(&self, argument: &QueryExpr) -> Vec<Value> {
        self.group.iter().map(|row| value(argument, &self.evaluator.names(row))).collect()
    }

    /// The same, unless the aggregate knows no more of so many.
    fn checked(&self, aggregate: &AggregateFunction, argument: &QueryExpr) -> Vec<Value> {
        let values = self.arguments(argument);
        if aggregate::is_beyond(aggregate, &values) {
            self.evaluator.give_up();
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

    pub(super) fn order(&self, other: &Self) -> Ordering {
        let keys = self.query.order.iter().map(|key| {
            let order = order(&value(&key.expr, self), &value(&key.expr, other));
            if key.descending { order.reverse() } else { order }
        });
        keys.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl NameScope for ResultGroup<'_, '_> {
    fn column(&self, alias: &str, field: &str) -> Value {
        self.evaluator.names(self.group[0]).column(alias, field)
    }

    fn name(&self, name: &str) -> Value {
        let row = self.evaluator.names(self.group[0]);
        let assigned = self.group[0].lets.iter().any(|(known, _)| *known == name);
        let selected = self.query.select.iter().find(|item| item.name.as_deref() == Some(name));
        match selected {
            Some(item) if !assigned => value(&item.expr, self),
            _ => row.name(name),
        }
    }

    fn aggregate(&self, expr: &QueryExpr) -> Value {
        match expr {
            QueryExpr::Aggregate(aggregate, argument) => {
                let fraction = Fraction(self.fraction);
                let value = aggregate::value(aggregate, &self.checked(aggregate, argument), fraction);
                if is_scaled(aggregate) { self.scaled(value) } else { value }
            }
            QueryExpr::Rate(of) => {
                let counted = match of {
                    None => self.aggregate(&QueryExpr::CountRows),
                    Some(x) if x.aggregates() => value(x, self),
                    Some(x) => {
                        let summed = self.checked(&AggregateFunction::Sum, x);
                        self.scaled(aggregate::value(&AggregateFunction::Sum, &summed, Fraction(None)))
                    }
                };
                binary(Op::Divide, &counted, &Value::F64(self.evaluator.seconds()))
            }
            _ => self.scaled(Value::U64(self.group.len() as u64)),
        }
    }

    fn place(&self, number: usize) -> Value {
        value(&self.query.select[number - 1].expr, self)
    }
}
