//! A compiled query: its advice under any id, and what the frontend makes of the merged groups.

use crate::diagnostic::Diagnostics;
use crate::lower::lower;
use crate::plan::{End, Plan, expr_text};
use crate::resolve::{Finish, Resolved};
use pivot_advice::{Advice, Aggregate, Expr, Form, Keep, QueryId, Type};
use std::fmt::Write;

/// A query that can be installed.
#[derive(Debug, Clone)]
pub struct Program {
    /// The text it was compiled from.
    pub text: String,
    /// What the result looks like.
    pub output: Output,
    /// What may not be as it was meant.
    pub warnings: Diagnostics,
    /// The full names of all tracepoints that it weaves advice into.
    pub tracepoints: Vec<String>,
    /// Those of them that nobody exports yet.
    pub pending: Vec<String>,
    pub(crate) naive: Plan,
    pub(crate) plan: Plan,
    pub(crate) fired: Vec<&'static str>,
}

/// The result of a query. A merged group has the keys, then the multiplicity n (COUNT, [`Type::U64`]),
/// then the finished aggregates; columns are expressions over these.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Groups, or the rows themselves.
    pub form: Form,
    /// The key columns of a group.
    pub keys: Vec<OutputKey>,
    /// The aggregates of a group, without COUNT of rows.
    pub aggregates: Vec<OutputAggregate>,
    /// What the user sees.
    pub columns: Vec<OutputColumn>,
}

/// A key of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputKey {
    /// Its name, as selected or as written.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// An aggregate of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputAggregate {
    /// The aggregate.
    pub aggregate: Aggregate,
    /// The type of the finished value.
    pub ty: Type,
}

/// A column of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputColumn {
    /// Its name, unique in the result.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Its value over keys, n and aggregates.
    pub expr: Expr,
}

impl Output {
    pub(crate) fn of(resolved: &Resolved) -> Output {
        let key = |name: &str, ty: Type| OutputKey { name: name.to_owned(), ty };
        match resolved.blocks.first().map(|block| &block.finish) {
            Some(Finish::Groups { keys, aggregates, columns, .. }) => Output {
                form: Form::Groups,
                keys: keys.iter().map(|(name, _, ty)| key(name, *ty)).collect(),
                aggregates: aggregates
                    .iter()
                    .map(|(aggregate, _, ty)| OutputAggregate { aggregate: *aggregate, ty: *ty })
                    .collect(),
                columns: columns
                    .iter()
                    .map(|(name, expr, ty)| OutputColumn { name: name.clone(), ty: *ty, expr: expr.clone() })
                    .collect(),
            },
            Some(Finish::Rows { values }) => {
                let columns = values.iter().zip(0..).map(|((name, _, ty), i)| OutputColumn {
                    name: name.clone(),
                    ty: *ty,
                    expr: Expr::Column(i),
                });
                let keys = values.iter().map(|(name, _, ty)| key(name, *ty)).collect();
                Output { form: Form::Rows, keys, aggregates: vec![], columns: columns.collect() }
            }
            None => Output { form: Form::Rows, keys: vec![], aggregates: vec![], columns: vec![] },
        }
    }

    /// The columns as text: name, type, and the expression over keys, n and aggregates.
    pub fn describe(&self) -> String {
        let keys = self.keys.iter().map(|key| key.name.clone());
        let aggregates =
            self.aggregates.iter().enumerate().map(|(i, found)| format!("{}#{i}", found.aggregate));
        let names: Vec<String> = keys.chain(["COUNT".to_owned()]).chain(aggregates).collect();
        let columns: Vec<_> = names
            .into_iter()
            .map(|name| crate::resolve::Column { alias: String::new(), name, ty: Type::Any })
            .collect();
        let lines = self.columns.iter();
        lines
            .map(|column| format!("{}: {} = {}\n", column.name, column.ty, expr_text(&column.expr, &columns)))
            .collect()
    }
}

impl Program {
    /// The advice of this query under an id. Where two weave into one tracepoint they must run in this
    /// order: an event never joins with itself.
    pub fn advice(&self, id: QueryId) -> Vec<Advice> {
        lower(&self.plan, id)
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
        out
    }

    fn bags(&self) -> String {
        let packing = self.plan.stages.iter().enumerate().filter(|(i, stage)| *i > 0 && stage.bag == *i);
        let lines = packing.map(|(i, stage)| {
            let keys: Vec<String> =
                stage.end.keys().iter().map(|key| self.plan.columns[usize::from(*key)].shown()).collect();
            let bytes: usize = stage.end.keys().iter().map(|key| self.bytes_of(*key)).sum();
            let bytes = bytes + 2 + 8 * stage.end.folds().len();
            let bound = match (&stage.end, stage.keep) {
                (_, Keep::First(n) | Keep::MostRecent(n)) => format!("{n} tuples"),
                (End::Rows { .. }, _) if keys.is_empty() => "1 group".into(),
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
