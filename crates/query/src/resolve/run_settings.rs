//! What follows SELECT: the shape of the result, and the terms on which the query runs.

use super::resolver::Resolver;
use crate::compiled::{QueryBudget, ResultSink, RunSettings};
use crate::diagnostic::Diagnostic;
use crate::suggest::nearest;
use crate::syntax::ast::{self, AstQuery, Span};
use pivot_advice::Expr;

/// The shortest window; longer ones are multiples of it.
const SHORTEST_NS: i64 = 100_000_000;
/// The longest.
const LONGEST_NS: i64 = 86_400_000_000_000;
/// Where results can go.
const SINKS: [&str; 3] = ["prometheus", "otlp", "parquet"];

/// The shape of a result, and the terms of its query.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResultShape {
    pub(crate) distinct: bool,
    /// Over the columns of a result; whether it is descending.
    pub(crate) order: Vec<(Expr, bool)>,
    pub(crate) limit: Option<u64>,
    pub(crate) sample: Option<f64>,
    pub(crate) settings: RunSettings,
}

impl Resolver<'_> {
    /// What the tail of the whole query says, but for what depends on its rows.
    pub(super) fn shape(&mut self, query: &AstQuery) -> ResultShape {
        let tail = &query.result;
        let settings = RunSettings {
            every_ns: tail.every.as_ref().map_or(RunSettings::default().every_ns, |every| self.every(every)),
            duration_ns: tail.duration.as_ref().map(|duration| duration.body),
            budget: tail
                .within
                .as_ref()
                .map_or_else(QueryBudget::default, |within| self.budget(&within.body)),
            sink: tail.into.as_ref().and_then(|into| self.sink(into)),
        };
        ResultShape {
            limit: tail.limit.as_ref().map(|limit| limit.body),
            sample: tail.sample.as_ref().map(|sample| sample.body).filter(|fraction| *fraction < 1.0),
            settings,
            ..ResultShape::default()
        }
    }

    fn every(&mut self, every: &ast::Spanned<i64>) -> i64 {
        let ns = every.body;
        if ns % SHORTEST_NS != 0 || !(SHORTEST_NS..=LONGEST_NS).contains(&ns) {
            let wrong = Diagnostic::error(every.span.clone(), "a window cannot have this length");
            self.report(wrong.detail("EVERY takes multiples of 100ms, up to a day"));
        }
        ns
    }

    fn budget(&mut self, limits: &[ast::BudgetItem]) -> QueryBudget {
        let mut budget = QueryBudget::default();
        for limit in limits {
            let name = limit.name.text.to_ascii_lowercase();
            let whole = limit.amount.fract() == 0.0 && limit.amount >= 1.0 && limit.amount < 1e15;
            let (repeated, expected) = match name.as_str() {
                "bytes" if whole && !limit.percent => {
                    (budget.bytes.replace(limit.amount as u64).is_some(), None)
                }
                "groups" if whole && !limit.percent => {
                    (budget.groups.replace(limit.amount as u64).is_some(), None)
                }
                "cpu" if limit.percent && limit.amount > 0.0 && limit.amount <= 100.0 => {
                    (budget.cpu.replace(limit.amount / 100.0).is_some(), None)
                }
                "bytes" => (false, Some("a size such as 1KiB")),
                "groups" => (false, Some("a number such as 1000")),
                "cpu" => (false, Some("a part of a core such as 0.5%")),
                _ => {
                    let wrong = format!("unknown budget `{}`", limit.name.text);
                    let wrong = Diagnostic::error(limit.name.span.clone(), wrong);
                    let found = nearest(&name, ["bytes", "groups", "cpu"]);
                    self.report(wrong.detail("budgets are bytes, groups and cpu").suggest(found));
                    (false, None)
                }
            };
            if let Some(expected) = expected {
                let wrong = format!("the budget `{name}` is {expected}");
                self.report(Diagnostic::error(limit.name.span.clone(), wrong));
            }
            if repeated {
                let wrong = format!("the budget `{name}` is repeated");
                self.report(Diagnostic::error(limit.name.span.clone(), wrong));
            }
        }
        budget
    }

    fn sink(&mut self, into: &ast::Spanned<ast::SinkClause>) -> Option<ResultSink> {
        let name = into.body.name.text.to_ascii_lowercase();
        if !SINKS.contains(&name.as_str()) {
            let wrong = format!("unknown sink `{}`", into.body.name.text);
            let wrong = Diagnostic::error(into.body.name.span.clone(), wrong);
            self.report(
                wrong.detail("results go to prometheus, otlp or parquet").suggest(nearest(&name, SINKS)),
            );
            return None;
        }
        let warning = Diagnostic::warning(into.span.clone(), format!("nothing is written to {name} yet"));
        self.report(warning.detail("the query runs, and its results are shown"));
        let options = into.body.options.iter().map(|(key, value)| (key.text.clone(), value.clone()));
        Some(ResultSink { name, options: options.collect() })
    }

    /// Refuses what only a whole query may have.
    pub(super) fn check_tail(&mut self, query: &AstQuery) {
        let tail = &query.result;
        let span = |found: Option<&Span>, name: &'static str| found.map(|span| (span.clone(), name));
        let found = [
            span(tail.order.as_ref().map(|clause| &clause.span), "ORDER BY"),
            span(tail.limit.as_ref().map(|clause| &clause.span), "LIMIT"),
            span(tail.sample.as_ref().map(|clause| &clause.span), "SAMPLE"),
            span(tail.every.as_ref().map(|clause| &clause.span), "EVERY"),
            span(tail.duration.as_ref().map(|clause| &clause.span), "FOR"),
            span(tail.within.as_ref().map(|clause| &clause.span), "WITHIN"),
            span(tail.into.as_ref().map(|clause| &clause.span), "INTO"),
        ];
        for (span, name) in found.into_iter().flatten() {
            let wrong = Diagnostic::error(span, format!("{name} is misplaced"));
            self.report(
                wrong
                    .detail("this query is a source of another")
                    .hint("put it at the end of the outer query"),
            );
        }
    }
}
