//! The plan of the output: the columns of a result, and how the frontend computes them from merged groups.
//!
//! ```text
//! GROUP BY e.k SELECT e.k, AVG(e.v) AS mean        keys k, states Average(v)
//! group     k    n    avg  seconds                 a row: keys, n, finished states, length of the window
//!           #0   #1   #2   #3
//! columns   k = #0, mean = #2                      expressions over the row
//! ```

use crate::plan::{PlanColumn, expr_text, map_columns, narrow};
use crate::resolve::{ResolvedGroups, ResolvedQuery, ResolvedResult, RowValue, SECONDS, SortKey};
use crate::sort_order::SortOrder;
use pivot_advice::{
    AggregateKind, AggregateState, EmitMode, EvalErrors, Expr, FinalColumn, Groups, Type, Value,
};

/// How the frontend computes a query's result from merged groups: its columns, HAVING, ORDER BY, LIMIT.
///
/// A merged group has the keys, then the multiplicity n (COUNT, [`Type::U64`]), then the finished
/// aggregates, then the length of the window in seconds; columns are expressions over these.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputPlan {
    /// Groups, or the rows themselves.
    pub form: EmitMode,
    /// The key columns of a group.
    pub keys: Vec<OutputKey>,
    /// The states of a group.
    pub states: Vec<AggregateKind>,
    /// The values that are wanted of the states.
    pub finished: Vec<OutputAggregate>,
    /// The columns that the user sees.
    pub columns: Vec<OutputColumn>,
    /// The condition of the groups that are shown.
    pub having: Option<Expr>,
    /// Whether equal rows are shown once.
    pub distinct: bool,
    /// The expressions that rows are sorted by, each with its order.
    pub order: Vec<(Expr, SortOrder)>,
    /// The most rows that are shown.
    pub limit: Option<u64>,
    /// The fraction of requests that take part. Groups then have one more key, from 0 to 15: the stratum of
    /// the requests that they are from.
    pub sample: Option<f64>,
}

/// A key of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputKey {
    /// Its name, as selected or as written.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// A value of a group's states.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputAggregate {
    /// Its name.
    pub name: String,
    /// The state, and the value that is wanted of it.
    pub finished: FinalColumn,
    /// Its type.
    pub ty: Type,
}

/// A column of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputColumn {
    /// Its name, unique in the result.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Its value over keys, n, finished aggregates and seconds.
    pub expr: Expr,
}

impl OutputPlan {
    pub(crate) fn of(resolved: &ResolvedQuery) -> OutputPlan {
        let shape = &resolved.shape;
        let mut output = match &resolved.result {
            ResolvedResult::Groups(grouped) => OutputPlan::groups(grouped),
            ResolvedResult::Rows { values, shown } => OutputPlan::rows(values, *shown),
        };
        output.distinct = shape.distinct;
        output.limit = shape.limit;
        output.sample = shape.sample;

        // The order of groups is over the group, that of rows over the columns.
        if output.form == EmitMode::Rows || output.order.is_empty() {
            output.order.extend(shape.order.iter().map(|key| (key.expr.clone(), key.order)));
        }
        output
    }

    /// Returns whether the values of a column are lists of buckets, as HIST and LHIST make them.
    pub fn has_buckets(&self, column: &OutputColumn) -> bool {
        let Expr::Column(place) = column.expr else { return false };
        // A group's row begins with its keys and the count.
        let aggregate = usize::from(place).checked_sub(self.keys.len() + 1);
        let finished = aggregate.filter(|_| self.form == EmitMode::Groups).and_then(|i| self.finished.get(i));
        finished.is_some_and(|value| {
            let FinalColumn { state, finish } = value.finished;
            self.states.get(usize::from(state)).is_some_and(|state| finish.makes_buckets(*state))
        })
    }

    /// Returns the plan of a form without any column.
    pub(super) fn empty(form: EmitMode) -> OutputPlan {
        OutputPlan {
            form,
            keys: vec![],
            states: vec![],
            finished: vec![],
            columns: vec![],
            having: None,
            distinct: false,
            order: vec![],
            limit: None,
            sample: None,
        }
    }

    fn groups(grouped: &ResolvedGroups) -> OutputPlan {
        // The length of the window comes behind everything else, wherever that is.
        let seconds = narrow(grouped.keys.len() + 1 + grouped.finished.len());
        let over_row = |expr: &Expr| {
            let mut expr = expr.clone();
            map_columns(&mut expr, &mut |i| Expr::Column(if i == SECONDS { seconds } else { i }));
            expr
        };

        let keys = grouped.keys.iter().map(|key| OutputKey { name: key.name.clone(), ty: key.ty });
        let finished = grouped.finished.iter().map(|value| OutputAggregate {
            name: value.name.clone(),
            finished: FinalColumn { state: narrow(value.fold), finish: value.finish },
            ty: value.ty,
        });
        let columns = grouped.columns.iter().map(|column| OutputColumn {
            name: column.name.clone(),
            ty: column.ty,
            expr: over_row(&column.expr),
        });
        let order = grouped.order.iter().map(|SortKey { expr, order }| (over_row(expr), *order));
        OutputPlan {
            keys: keys.collect(),
            states: grouped.folds.iter().map(|(aggregate, _)| *aggregate).collect(),
            finished: finished.collect(),
            columns: columns.collect(),
            having: grouped.having.as_ref().map(over_row),
            order: order.collect(),
            ..OutputPlan::empty(EmitMode::Groups)
        }
    }

    fn rows(values: &[RowValue], shown: usize) -> OutputPlan {
        let keys = values.iter().map(|value| OutputKey { name: value.name.clone(), ty: value.ty });
        let columns = values.iter().take(shown).enumerate().map(|(i, value)| OutputColumn {
            name: value.name.clone(),
            ty: value.ty,
            expr: Expr::Column(narrow(i)),
        });
        OutputPlan { keys: keys.collect(), columns: columns.collect(), ..OutputPlan::empty(EmitMode::Rows) }
    }

    /// Returns an empty table of the groups that agents report.
    pub fn table(&self) -> Groups {
        Groups::new(self.keys.len() + usize::from(self.is_scaled()), &self.states)
    }

    /// Returns whether the result is exactly one row before HAVING, also where nothing matched: the query
    /// aggregates, and has no GROUP BY.
    pub fn has_one_row(&self) -> bool {
        self.form == EmitMode::Groups && self.keys.is_empty()
    }

    /// Returns the row of a group that nothing is in: COUNT is 0, and SUM and its like are null.
    pub fn row_of_nothing(&self, seconds: f64, errors: &mut EvalErrors) -> Vec<Value> {
        let states: Vec<AggregateState> = self.states.iter().map(|aggregate| aggregate.empty()).collect();
        let keys = vec![Value::Null; self.keys.len()];
        self.row(&keys, 0, &states, seconds, errors)
    }

    /// Returns whether groups are from a sample of the requests, by strata, and are to be scaled.
    pub fn is_scaled(&self) -> bool {
        self.sample.is_some() && self.form == EmitMode::Groups
    }

    /// Returns the row of a group that columns, HAVING and ORDER BY are over.
    pub fn row(
        &self,
        key: &[Value],
        n: u64,
        states: &[AggregateState],
        seconds: f64,
        errors: &mut EvalErrors,
    ) -> Vec<Value> {
        let values = self.finished.iter().map(|value| {
            let state = states.get(usize::from(value.finished.state));
            state.map_or(Value::Null, |state| state.finish(value.finished.finish, errors))
        });
        let keys = key.iter().take(self.keys.len()).cloned();
        keys.chain([Value::U64(n)]).chain(values).chain([Value::F64(seconds)]).collect()
    }

    /// Returns the columns as text: name, type, and the expression over keys, n and aggregates; then what
    /// shapes the rows.
    pub fn describe(&self) -> String {
        let keys = self.keys.iter().map(|key| key.name.clone());
        let values = self.finished.iter().map(|value| value.name.clone());
        let names = keys.chain(["COUNT".to_owned()]).chain(values).chain(["seconds".to_owned()]);
        let columns: Vec<PlanColumn> =
            names.map(|name| PlanColumn { alias: String::new(), name, ty: Type::Any }).collect();

        let mut out = String::new();
        for column in &self.columns {
            let text = expr_text(&column.expr, &columns);
            out.push_str(&format!("{}: {} = {text}\n", column.name, column.ty));
        }

        // Then what happens to the rows, in the order in which it happens.
        if let Some(having) = &self.having {
            out.push_str(&format!("having {}\n", expr_text(having, &columns)));
        }
        if self.distinct {
            out.push_str("distinct\n");
        }
        for (expr, order) in &self.order {
            out.push_str(&format!("order by {}{order}\n", expr_text(expr, &columns)));
        }
        if let Some(limit) = self.limit {
            out.push_str(&format!("limit {limit}\n"));
        }
        out
    }
}
