//! What follows SELECT and does not depend on its rows: how the query runs, and how many rows are shown.

use super::resolved_query::ResultClauses;
use super::resolver::Resolver;
use crate::compiled::RunSettings;
use crate::diagnostic::Diagnostic;
use crate::suggest::nearest;
use crate::syntax::ast::{AstQuery, BudgetItem, PlacedClause, TextSpan};
use pivot_advice::QueryBudget;

/// The shortest window; longer ones are multiples of it.
const SHORTEST_NS: i64 = 100_000_000;
/// The longest window.
const LONGEST_NS: i64 = 86_400_000_000_000;

impl Resolver<'_> {
    /// Returns the shape of the result as far as it does not depend on the rows.
    pub(super) fn shape(&mut self, query: &AstQuery) -> ResultClauses {
        let result = &query.result;

        let settings = RunSettings {
            every_ns: match &result.every {
                Some(every) => self.every(every),
                None => RunSettings::default().every_ns,
            },
            duration_ns: result.duration.as_ref().map(|duration| duration.body),
            budget: match &result.within {
                Some(within) => self.budget(&within.body),
                None => QueryBudget::default(),
            },
            keep_ns: result.keep.as_ref().map(|keep| keep.body),
            sink: result.into.as_ref().and_then(|into| self.sink(query, &into.body)),
        };

        // DISTINCT and ORDER BY depend on whether the query aggregates.
        ResultClauses {
            limit: result.limit.as_ref().map(|limit| limit.body),
            // A sample of all requests is none.
            sample: result.sample.as_ref().map(|sample| sample.body).filter(|fraction| *fraction < 1.0),
            settings,
            ..ResultClauses::default()
        }
    }

    fn every(&mut self, every: &PlacedClause<i64>) -> i64 {
        let ns = every.body;
        if ns % SHORTEST_NS != 0 || !(SHORTEST_NS..=LONGEST_NS).contains(&ns) {
            let wrong = Diagnostic::error(every.span, "a window cannot have this length");
            self.report(wrong.detail("EVERY takes multiples of 100ms, up to a day"));
        }
        ns
    }

    fn budget(&mut self, items: &[BudgetItem]) -> QueryBudget {
        let mut budget = QueryBudget::default();
        for item in items {
            let name = item.name.text.to_ascii_lowercase();
            let is_count = !item.percent && item.amount.fract() == 0.0 && (1.0..1e15).contains(&item.amount);
            let is_share = item.percent && item.amount > 0.0 && item.amount <= 100.0;

            // The last one wins, as it does not matter: a repeated budget is an error.
            let repeated = match name.as_str() {
                "bytes" if is_count => budget.bytes.replace(item.amount as u64).is_some(),
                "groups" if is_count => budget.groups.replace(item.amount as u64).is_some(),
                "cpu" if is_share => budget.cpu.replace(item.amount / 100.0).is_some(),
                _ => {
                    self.wrong_budget(item, &name);
                    false
                }
            };
            if repeated {
                let wrong = format!("the budget `{name}` is repeated");
                self.report(Diagnostic::error(item.name.span, wrong));
            }
        }
        budget
    }

    fn wrong_budget(&mut self, item: &BudgetItem, name: &str) {
        let span = item.name.span;

        let expected = match name {
            "bytes" => "a size such as 1KiB",
            "groups" => "a number such as 1000",
            "cpu" => "a part of a core such as 0.5%",
            _ => {
                let wrong = Diagnostic::error(span, format!("unknown budget `{}`", item.name.text));
                let found = nearest(name, ["bytes", "groups", "cpu"]);
                self.report(wrong.detail("budgets are bytes, groups and cpu").suggest(found));
                return;
            }
        };

        self.report(Diagnostic::error(span, format!("the budget `{name}` is {expected}")));
    }

    /// Reports clauses that only the query of a statement may have.
    pub(super) fn refuse_result_clauses(&mut self, query: &AstQuery) {
        let result = &query.result;

        // A source is read for one event at a time: it has no windows, no order and no life of its own.
        let clauses = [
            (keyword_span(&result.order), "ORDER BY"),
            (keyword_span(&result.limit), "LIMIT"),
            (keyword_span(&result.sample), "SAMPLE"),
            (keyword_span(&result.every), "EVERY"),
            (keyword_span(&result.duration), "FOR"),
            (keyword_span(&result.within), "WITHIN"),
            (keyword_span(&result.keep), "KEEP"),
            (keyword_span(&result.into), "INTO"),
        ];

        for (span, name) in clauses {
            let Some(span) = span else { continue };
            let wrong = Diagnostic::error(span, format!("{name} is misplaced"));
            let wrong = wrong.detail("this query is a source of another");
            self.report(wrong.hint("put it at the end of the outer query"));
        }
    }
}

fn keyword_span<T>(clause: &Option<PlacedClause<T>>) -> Option<TextSpan> {
    clause.as_ref().map(|clause| clause.span)
}
