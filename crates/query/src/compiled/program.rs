//! A compiled query: its advice under any id, and what the frontend makes of the merged groups.

use super::untyped_fields::untyped;
use crate::diagnostic::Diagnostics;
use crate::lower::{lower, lower_measured};
use crate::plan::{Plan, PlanColumn, StageEnd, expr_text, renamed};
use crate::resolve::{ResolvedGroups, ResolvedQuery, ResolvedResult, SECONDS};
use pivot_advice::{
    Advice, Aggregate, Errors, Expr, Finish, Finished, Form, Groups, Keep, QueryId, State, Type, Value,
};
use std::fmt::Write;

/// A query that can be installed.
#[derive(Debug, Clone)]
pub struct Program {
    /// The text it was compiled from.
    pub text: String,
    /// What the result looks like.
    pub output: OutputSchema,
    /// On which terms it runs.
    pub settings: RunSettings,
    /// What may not be as it was meant.
    pub warnings: Diagnostics,
    /// The full names of all tracepoints that it weaves advice into.
    pub tracepoints: Vec<String>,
    /// Those of them that nobody exports yet.
    pub pending: Vec<String>,
    pub(crate) naive: Plan,
    pub(crate) plan: Plan,
    pub(crate) fired: Vec<&'static str>,
    /// Whether it measures itself instead of giving its result.
    pub(crate) measured: bool,
}

/// On which terms a query runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSettings {
    /// The length of a result window in nanoseconds, a multiple of 100 ms.
    pub every_ns: i64,
    /// After how long it uninstalls itself, in nanoseconds.
    pub duration_ns: Option<i64>,
    /// What it may cost.
    pub budget: QueryBudget,
    /// Where its results go, besides the clients that ask for them.
    pub sink: Option<ResultSink>,
}

/// What a query may cost. What is not said is the agent's default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueryBudget {
    /// Bytes of baggage per request.
    pub bytes: Option<u64>,
    /// Groups per process.
    pub groups: Option<u64>,
    /// The part of a core per process.
    pub cpu: Option<f64>,
}

/// Where results go.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultSink {
    /// `prometheus`, `otlp` or `parquet`.
    pub name: String,
    /// Its options, as they were written.
    pub options: Vec<(String, Value)>,
}

impl Default for RunSettings {
    fn default() -> RunSettings {
        RunSettings { every_ns: 1_000_000_000, duration_ns: None, budget: QueryBudget::default(), sink: None }
    }
}

/// The result of a query. A merged group has the keys, then the multiplicity n (COUNT, [`Type::U64`]),
/// then the finished aggregates, then the length of the window in seconds; columns are expressions over
/// these.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputSchema {
    /// Groups, or the rows themselves.
    pub form: Form,
    /// The key columns of a group.
    pub keys: Vec<OutputKey>,
    /// The states of a group.
    pub states: Vec<Aggregate>,
    /// The values that are wanted of the states.
    pub finished: Vec<OutputAggregate>,
    /// What the user sees.
    pub columns: Vec<OutputColumn>,
    /// Which groups are shown.
    pub having: Option<Expr>,
    /// Whether equal rows are shown once.
    pub distinct: bool,
    /// By which expressions rows are sorted, and whether each descends.
    pub order: Vec<(Expr, bool)>,
    /// How many rows are shown.
    pub limit: Option<u64>,
    /// The fraction of requests that take part. Groups then have one more key, from 0 to 15: which
    /// part of the requests they are from.
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
    /// Which state, and which value of it.
    pub finished: Finished,
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

impl OutputSchema {
    pub(crate) fn of(resolved: &ResolvedQuery) -> OutputSchema {
        let shape = &resolved.shape;
        let mut output = match &resolved.result {
            ResolvedResult::Groups(grouped) => OutputSchema::groups(grouped),
            ResolvedResult::Rows { values, shown } => OutputSchema::rows(values, *shown),
        };
        output.distinct = shape.distinct;
        output.limit = shape.limit;
        output.sample = shape.sample;
        if output.form == Form::Rows || output.order.is_empty() {
            output.order.extend(shape.order.iter().cloned());
        }
        output
    }

    fn groups(grouped: &ResolvedGroups) -> OutputSchema {
        let seconds = grouped.keys.len() + 1 + grouped.finished.len();
        let over = |expr: &Expr| {
            renamed(expr, &mut |index| Expr::Column(if index == SECONDS { narrow(seconds) } else { index }))
        };
        let finished = grouped.finished.iter().map(|wanted| OutputAggregate {
            name: wanted.name.clone(),
            finished: Finished { state: narrow(wanted.fold), finish: wanted.finish },
            ty: wanted.ty,
        });
        let columns = grouped.columns.iter().map(|(name, expr, ty)| OutputColumn {
            name: name.clone(),
            ty: *ty,
            expr: over(expr),
        });
        OutputSchema {
            form: Form::Groups,
            keys: grouped
                .keys
                .iter()
                .map(|(name, _, ty)| OutputKey { name: name.clone(), ty: *ty })
                .collect(),
            states: grouped.folds.iter().map(|(aggregate, _)| *aggregate).collect(),
            finished: finished.collect(),
            columns: columns.collect(),
            having: grouped.having.as_ref().map(over),
            order: grouped.order.iter().map(|(expr, descending)| (over(expr), *descending)).collect(),
            distinct: false,
            limit: None,
            sample: None,
        }
    }

    fn rows(values: &[(String, u16, Type)], shown: usize) -> OutputSchema {
        let columns = values.iter().take(shown).enumerate().map(|(i, (name, _, ty))| OutputColumn {
            name: name.clone(),
            ty: *ty,
            expr: Expr::Column(narrow(i)),
        });
        OutputSchema {
            form: Form::Rows,
            keys: values.iter().map(|(name, _, ty)| OutputKey { name: name.clone(), ty: *ty }).collect(),
            states: vec![],
            finished: vec![],
            columns: columns.collect(),
            having: None,
            order: vec![],
            distinct: false,
            limit: None,
            sample: None,
        }
    }

    /// An empty table of the groups that agents report.
    pub fn table(&self) -> Groups {
        Groups::new(self.keys.len() + usize::from(self.is_scaled()), &self.states)
    }

    /// Whether groups are from parts of the requests, and are to be scaled.
    pub fn is_scaled(&self) -> bool {
        self.sample.is_some() && self.form == Form::Groups
    }

    /// The row of a group that columns, HAVING and ORDER BY are over.
    pub fn row(
        &self,
        key: &[Value],
        n: u64,
        states: &[State],
        seconds: f64,
        errors: &mut Errors,
    ) -> Vec<Value> {
        let values = self.finished.iter().map(|value| {
            let state = states.get(usize::from(value.finished.state));
            state.map_or(Value::Null, |state| state.finish(value.finished.finish, errors))
        });
        let keys = key.iter().take(self.keys.len()).cloned();
        keys.chain([Value::U64(n)]).chain(values).chain([Value::F64(seconds)]).collect()
    }

    /// The columns as text: name, type, and the expression over keys, n and aggregates; then what shapes
    /// the rows.
    pub fn describe(&self) -> String {
        let keys = self.keys.iter().map(|key| key.name.clone());
        let values = self.finished.iter().map(|value| value.name.clone());
        let names: Vec<String> =
            keys.chain(["COUNT".to_owned()]).chain(values).chain(["seconds".to_owned()]).collect();
        let columns: Vec<PlanColumn> =
            names.into_iter().map(|name| PlanColumn { alias: String::new(), name, ty: Type::Any }).collect();
        let shown = self.columns.iter().map(|column| {
            format!("{}: {} = {}\n", column.name, column.ty, expr_text(&column.expr, &columns))
        });
        let mut out: String = shown.collect();
        if let Some(having) = &self.having {
            out.push_str(&format!("having {}\n", expr_text(having, &columns)));
        }
        if self.distinct {
            out.push_str("distinct\n");
        }
        for (expr, descending) in &self.order {
            let direction = if *descending { " descending" } else { "" };
            out.push_str(&format!("order by {}{direction}\n", expr_text(expr, &columns)));
        }
        if let Some(limit) = self.limit {
            out.push_str(&format!("limit {limit}\n"));
        }
        out
    }
}

fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

impl Program {
    /// The advice of this query under an id. Where two weave into one tracepoint they must run in this
    /// order: an event never joins with itself.
    pub fn advice(&self, id: QueryId) -> Vec<Advice> {
        if self.measured { lower_measured(&self.plan, id) } else { lower(&self.plan, id) }
    }

    /// The same query, over a fraction of all requests, with what its stages cost as the result: their
    /// number, how many tuples and bytes they packed or emitted, and in how many requests.
    /// It uninstalls itself after `duration_ns`.
    pub fn measured(&self, fraction: f64, duration_ns: i64) -> Program {
        let mut plan = self.plan.clone();
        plan.sample = (fraction < 1.0).then_some(fraction);
        let value = |name: &str, state, ty| OutputAggregate {
            name: name.into(),
            finished: Finished { state, finish: Finish::Plain },
            ty,
        };
        let column = |(name, place): (&str, u16)| OutputColumn {
            name: name.into(),
            ty: Type::U64,
            expr: Expr::Column(place),
        };
        let output = OutputSchema {
            form: Form::Groups,
            keys: vec![OutputKey { name: "stage".into(), ty: Type::U64 }],
            states: vec![Aggregate::Sum, Aggregate::Distinct],
            finished: vec![value("bytes", 0, Type::I64), value("requests", 1, Type::U64)],
            columns: ["stage", "tuples", "bytes", "requests"].into_iter().zip(0..).map(column).collect(),
            having: None,
            distinct: false,
            order: vec![],
            limit: None,
            sample: None,
        };
        let duration_ns = Some(duration_ns);
        let settings = RunSettings { duration_ns, budget: self.settings.budget, ..RunSettings::default() };
        Program { plan, output, settings, measured: true, ..self.clone() }
    }

    /// Whether it measures itself.
    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// What the stages of a measured query cost, by row of its result, in so many seconds: for each
    /// request, and for each second as if all requests had been looked at.
    pub fn explain_measured(&self, rows: &[Vec<Value>], seconds: f64) -> String {
        let fraction = self.plan.sample.unwrap_or(1.0);
        let mut out = format!("measured in {seconds:.1} s over {} % of all requests\n", fraction * 100.0);
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "{:24} {:>9} {:>14} {:>13} {:>10} {:>10}",
            "stage", "requests", "tuples/request", "bytes/request", "tuples/s", "bytes/s"
        );
        for (i, stage) in self.plan.stages.iter().enumerate().filter(|(i, stage)| stage.bag == *i) {
            let row = rows.iter().find(|row| row.first().and_then(Value::as_integer) == Some(i as i128));
            let at = |place: usize| row.and_then(|row| row.get(place)).and_then(Value::as_f64).unwrap_or(0.0);
            let (tuples, bytes, requests) = (at(1), at(2), at(3));
            let each = |x: f64| if requests > 0.0 { x / requests } else { 0.0 };
            let rate = |x: f64| x / fraction / seconds.max(1e-9);
            let name = format!("{i} {} {}", if stage.end.is_emit() { "emit" } else { "pack" }, stage.alias);
            let _ = writeln!(
                out,
                "{name:24} {requests:>9.0} {:>14.2} {:>13.1} {:>10.1} {:>10.0}",
                each(tuples),
                each(bytes),
                rate(tuples),
                rate(bytes)
            );
        }
        out
    }

    /// The names of the optimiser rules that changed something, in the order in which they ran.
    pub fn fired(&self) -> &[&'static str] {
        &self.fired
    }

    /// The plan as it runs.
    pub fn plan(&self) -> String {
        self.plan.to_string()
    }

    /// The plan before and after the rules, the rules that fired, the advice, and the bound of each bag.
    pub fn explain(&self) -> String {
        let mut out = String::new();
        let fired = if self.fired.is_empty() { "none".to_owned() } else { self.fired.join(", ") };
        // Writing to a String does not fail.
        let _ =
            writeln!(out, "plan before\n{}\nrules fired: {fired}\n\nplan after\n{}", self.naive, self.plan);
        for advice in self.advice(QueryId::default()).iter().rev() {
            let _ = writeln!(out, "{advice}");
        }
        let _ = write!(out, "\nbags\n{}\nresult\n{}", self.bags(), self.output.describe());
        let untyped = untyped(&self.naive);
        if !untyped.is_empty() {
            let _ = write!(
                out,
                "\ntypes\n  not known before they are seen: {}\n  what a program logs with `?` or `%` is text, of \
                 which SUM and the like are null: CAST it, AS duration or AS f64\n",
                untyped.join(", ")
            );
        }
        out
    }

    fn bags(&self) -> String {
        let packing = self.plan.stages.iter().enumerate().filter(|(i, stage)| *i > 0 && stage.bag == *i);
        let lines = packing.map(|(i, stage)| {
            let packed = match &stage.end {
                StageEnd::Groups(groups) => groups.packed(),
                other => other.keys().to_vec(),
            };
            let states = stage.end.folds().iter().filter(|fold| !fold.aggregate.is_sketch()).count();
            let keys: Vec<String> =
                packed.iter().map(|key| self.plan.columns[usize::from(*key)].shown()).collect();
            let bytes: usize = packed.iter().map(|key| self.bytes_of(*key)).sum();
            let bytes = bytes + 2 + 8 * states;
            let bound = match stage.keep {
                Keep::First(n) | Keep::MostRecent(n) => format!("{n} tuples"),
                _ if keys.is_empty() => "1 group".into(),
                _ => "one group for each key".into(),
            };
            format!("  bag {i} ({}): {bound}, about {bytes} bytes each\n", keys.join(", "))
        });
        lines.collect()
    }

    /// A rough size in baggage.
    fn bytes_of(&self, column: u16) -> usize {
        match self.plan.columns[usize::from(column)].ty {
            Type::Null | Type::Bool => 1,
            Type::I64 | Type::U64 => 5,
            Type::F64 | Type::Timestamp | Type::Duration => 9,
            Type::String | Type::Bytes | Type::Any => 18,
            Type::List(_) => 50,
        }
    }
}
