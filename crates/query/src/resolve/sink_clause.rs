//! INTO: where results go, and how they are shown there.

use super::resolver::Resolver;
use crate::compiled::{PrometheusSink, ResultSink};
use crate::diagnostic::Diagnostic;
use crate::suggest::nearest;
use crate::syntax::ast::{AstQuery, NameAt, SinkClause};
use pivot_advice::Value;

/// Where results can go.
const SINKS: [&str; 1] = ["prometheus"];

/// Where results will go in a later version.
const LATER_SINKS: [&str; 3] = ["otlp", "parquet", "webhook"];

/// The options of `prometheus`.
const PROMETHEUS_OPTIONS: [&str; 2] = ["name", "series"];

/// The most series of a query that does not say it.
const DEFAULT_SERIES: usize = 1_000;

/// The most series that a query may ask for.
const MOST_SERIES: u64 = 100_000;

impl Resolver<'_> {
    /// Returns the place that the results of a query go to, or `None` if something is wrong with the clause.
    pub(super) fn sink(&mut self, query: &AstQuery, into: &SinkClause) -> Option<ResultSink> {
        let name = into.name.text.to_ascii_lowercase();
        if LATER_SINKS.contains(&name.as_str()) {
            let wrong = format!("there is no sink `{name}` yet");
            self.report(Diagnostic::error(into.name.span, wrong).detail("results go to prometheus"));
            return None;
        }
        if !SINKS.contains(&name.as_str()) {
            let wrong = Diagnostic::error(into.name.span, format!("unknown sink `{}`", into.name.text));
            self.report(wrong.detail("results go to prometheus").suggest(nearest(&name, SINKS)));
            return None;
        }

        if !query.is_aggregating {
            let wrong = Diagnostic::error(into.name.span, "single rows are no metrics");
            let wrong = wrong.detail("this query has neither GROUP BY nor an aggregate");
            self.report(wrong.hint("select a COUNT, a SUM, a quantile or a histogram"));
            return None;
        }
        Some(ResultSink::Prometheus(self.prometheus(&into.options)))
    }

    fn prometheus(&mut self, options: &[(NameAt, Value)]) -> PrometheusSink {
        let mut sink = PrometheusSink { prefix: None, series: DEFAULT_SERIES };
        let mut seen = Vec::new();

        for (option, value) in options {
            let name = option.text.to_ascii_lowercase();
            if seen.contains(&name) {
                self.report(Diagnostic::error(option.span, format!("the option `{name}` is repeated")));
            }
            let count = value.as_integer().and_then(|number| u64::try_from(number).ok());
            match (name.as_str(), value, count) {
                ("name", Value::Str(prefix), _) if is_metric_name(prefix) => {
                    sink.prefix = Some((**prefix).into())
                }
                ("series", _, Some(count)) if (1..=MOST_SERIES).contains(&count) => {
                    sink.series = count as usize
                }
                _ => self.wrong_option(option, &name),
            }
            seen.push(name);
        }
        sink
    }

    fn wrong_option(&mut self, option: &NameAt, name: &str) {
        let expected = match name {
            "name" => "the beginning of metrics' names, such as 'shop_orders'",
            "series" => "a number from 1 to 100000",
            _ => {
                let wrong = Diagnostic::error(option.span, format!("unknown option `{}`", option.text));
                let wrong = wrong.detail("options of prometheus are name and series");
                self.report(wrong.suggest(nearest(name, PROMETHEUS_OPTIONS)));
                return;
            }
        };
        self.report(Diagnostic::error(option.span, format!("the option `{name}` is {expected}")));
    }
}

/// Whether a text may be the beginning of a metric's name.
fn is_metric_name(text: &str) -> bool {
    let begins_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins_well && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}
