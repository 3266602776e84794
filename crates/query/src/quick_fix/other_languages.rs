//! Whole queries of other languages: one-liners of bpftrace, and selectors of PromQL.
//!
//! ```text
//! DataNode.page /pid == 7/ { @[host] = count(); }     FROM e IN DataNode.page WHERE e.pid = 7 GROUP BY e.host SELECT e.host, COUNT
//! sum by (host) (rate(page[5m]))                      FROM e IN page GROUP BY e.host SELECT e.host, RATE(COUNT) EVERY 5m
//! ```

use super::fix::QuickFix;
use super::foreign_functions::quantile_call;
use super::pipelines;
use super::written_query::{WrittenQuery, quoted};
use crate::lexical::{ClauseKind, TokenKind, is_keyword};
use crate::syntax::misspelt_clause;
use pivot_advice::Value;
use std::ops::Range;

/// The hint for a text that is no query of this language.
const SHAPE: &str = "a query is FROM e IN tracepoint WHERE condition GROUP BY e.field SELECT e.field, COUNT";

/// Returns the fix that writes a query of another language in this one, or `None` if the text is none.
pub(super) fn translated(query: &WrittenQuery<'_>) -> Option<QuickFix> {
    let first = query.tokens.first()?;
    let begins_here = matches!(first.kind, TokenKind::Word(word) if is_keyword(word));
    if begins_here {
        return None;
    }

    let all = 0..query.tokens.len();
    let promql = PromqlQuery::read(query);
    if let Some(selector) = promql.as_ref().filter(|selector| selector.lacks_field) {
        let hint = format!("an event has several fields, so say which is meant: {}", selector.written());
        return Some(QuickFix::only_hint(query, all, hint));
    }
    let text = bpftrace(query).or_else(|| promql.map(|selector| selector.written()));
    let text = text.or_else(|| pipelines::translated(query));
    match text {
        Some(text) => Some(QuickFix::new(query, all, text, format!("here {SHAPE}"))),
        None if is_foreign(query) => Some(QuickFix::only_hint(query, all, SHAPE)),
        None => None,
    }
}

/// Returns whether the text is in another language: signs stand in it that others have, or no word of any query.
fn is_foreign(query: &WrittenQuery<'_>) -> bool {
    query.tokens.iter().any(|token| token.is("{") || token.is("@"))
        || !(0..query.tokens.len()).any(|at| {
            query.is_one_of(at, &["FROM", "SELECT", "IN", "WITH"])
                || misspelt_clause(&query.tokens[at..]).is_some_and(|kind| kind != ClauseKind::Limit)
        })
}

/// Reads `probe /filter/ { @[keys] = function(value); }`.
fn bpftrace(query: &WrittenQuery<'_>) -> Option<String> {
    let open = (0..query.tokens.len()).find(|at| query.is(*at, "{"))?;
    let slashes: Vec<usize> = (0..open).filter(|at| query.is(*at, "/")).collect();
    let (probe_end, filter) = match slashes.as_slice() {
        [] => (open, None),
        [first, .., last] => (*first, Some(first + 1..*last)),
        [_] => return None,
    };

    // The provider of a probe stands in front of its name.
    let colon = (0..probe_end).rev().find(|at| query.is_sign(*at, ':'));
    let probe = query.source(colon.map_or(0, |colon| colon + 1)..probe_end);

    let map = (open..query.tokens.len()).find(|at| query.is(*at, "@"))?;
    let equals = (map..query.tokens.len()).find(|at| query.is(*at, "="))?;
    let bracket = (map..equals).find(|at| query.is(*at, "["));
    let keys = bracket.map(|bracket| bracket + 1..equals - 1).filter(|keys| !keys.is_empty());
    let value = aggregate(query, equals + 1)?;

    let filter = filter.map_or(String::new(), |filter| format!(" WHERE {}", qualified(query, filter)));
    Some(match keys.map(|keys| qualified(query, keys)) {
        Some(keys) => format!("FROM e IN {probe}{filter} GROUP BY {keys} SELECT {keys}, {value}"),
        None => format!("FROM e IN {probe}{filter} SELECT {value}"),
    })
}

/// Returns a function of bpftrace's maps as an aggregate.
fn aggregate(query: &WrittenQuery<'_>, at: usize) -> Option<String> {
    let arguments = query.arguments(at)?;
    let all = arguments.first().zip(arguments.last()).map(|(first, last)| first.start..last.end);
    let value = all.map(|all| qualified(query, all)).unwrap_or_default();
    Some(match query.word(at)? {
        "count" => "COUNT".into(),
        "stats" => format!("COUNT, AVG({value}), SUM({value})"),
        name @ ("sum" | "avg" | "min" | "max" | "hist" | "lhist") => {
            format!("{}({value})", name.to_uppercase())
        }
        _ => return None,
    })
}

/// Returns an expression of bpftrace, with the fields of the event `e`.
fn qualified(query: &WrittenQuery<'_>, tokens: Range<usize>) -> String {
    let mut out = String::new();
    let mut at = tokens.start;
    while at < tokens.end {
        let start = at;
        let is_member = at > 0 && (query.is(at - 1, ".") || query.is(at - 1, "->"));
        match &query.tokens[at].kind {
            TokenKind::Word("args") if query.is(at + 1, "->") || query.is(at + 1, ".") => {
                out.push_str("e.");
                at += 1;
            }
            TokenKind::Word(word) if !is_member && !is_keyword(word) && !query.is(at + 1, "(") => {
                out.push_str("e.");
                out.push_str(match *word {
                    "comm" => "process",
                    "tid" => "thread",
                    "probe" | "func" => "tracepoint",
                    "nsecs" => "time",
                    other => other,
                });
            }
            TokenKind::QuotedName(text) => out.push_str(&quoted(text)),
            TokenKind::Symbol("==") => out.push('='),
            TokenKind::Symbol("&&") => out.push_str("AND"),
            TokenKind::Symbol("||") => out.push_str("OR"),
            _ => out.push_str(query.source(at..at + 1)),
        }

        at += 1;
        // Blanks stay where they were.
        if at < tokens.end && !query.touches_next(at - 1) && at > start {
            out.push(' ');
        }
    }
    out
}

/// A query of PromQL as far as it has a meaning here.
#[derive(Default)]
struct PromqlQuery {
    tracepoint: String,
    labels: Vec<String>,
    conditions: Vec<String>,
    value: Option<String>,
    every: Option<String>,
    limit: Option<String>,
    /// A comparison of the value with a number.
    having: Option<String>,
    /// Whether it is not said which field of an event is meant.
    lacks_field: bool,
}

impl PromqlQuery {
    /// Reads functions around a selector, outermost first.
    fn read(query: &WrittenQuery<'_>) -> Option<PromqlQuery> {
        let mut found = PromqlQuery::default();
        let mut tokens = 0..query.tokens.len();
        let mut functions = 0;

        while let Some(inner) = found.function(query, tokens.clone()) {
            tokens = inner;
            functions += 1;
        }
        found.selector(query, tokens)?;
        (functions > 0 || found.every.is_some() || !found.conditions.is_empty()).then_some(found)
    }

    /// Reads one function, and returns the tokens of its argument; `None` if there is no function.
    fn function(&mut self, query: &WrittenQuery<'_>, tokens: Range<usize>) -> Option<Range<usize>> {
        let name = query.word(tokens.start)?.to_lowercase();
        let mut open = tokens.start + 1;
        if query.is_word(open, "by") {
            open = self.by(query, open)?;
        }
        let close = query.closing(open).filter(|_| query.is(open, "("))?;
        if query.is_word(close + 1, "by") {
            self.by(query, close + 1)?;
        }

        // What stands behind the outermost function is a comparison with a number, or has no meaning here.
        let behind = if query.is_word(close + 1, "by") { query.closing(close + 2)? + 1 } else { close + 1 };
        if behind < tokens.end {
            let is_comparison = [">", "<", ">=", "<=", "==", "!="].iter().any(|sign| query.is(behind, sign));
            let number = query.literal(behind + 1).and_then(Value::as_f64);
            number.filter(|_| is_comparison && behind + 2 == tokens.end && self.having.is_none())?;
            let having = query.source(behind..behind + 2);
            self.having = Some(having.replacen("==", "=", 1));
        }

        let arguments = query.items(open + 1..close);
        let number =
            arguments.first().filter(|_| arguments.len() == 2).map(|first| query.source(first.clone()));
        match name.as_str() {
            "rate" | "irate" if self.value.as_deref().is_none_or(|value| value == "COUNT") => {
                self.value = Some("RATE(COUNT)".into());
            }
            "rate" | "irate" => {}
            "increase" | "count_over_time" | "sum" | "count" | "absent" | "absent_over_time" => {
                self.value.get_or_insert_with(|| "COUNT".into());
            }
            // A sample of a metric is one number, an event has several.
            "avg" | "max" | "min" | "stddev" | "avg_over_time" | "max_over_time" | "min_over_time"
            | "sum_over_time" | "stddev_over_time" => {
                let function = name.trim_end_matches("_over_time").to_uppercase();
                self.lacks_field |= self.value.is_none();
                self.value.get_or_insert_with(|| format!("{function}(e.field)"));
            }
            "quantile" | "quantile_over_time" => {
                self.lacks_field |= self.value.is_none();
                self.value = Some(quantile_call(number?.parse().ok()?, "e.field"));
            }
            "topk" => self.limit = number.map(str::to_owned),
            "histogram_quantile" => self.value = Some(quantile_call(number?.parse().ok()?, "e.elapsed")),
            _ => return None,
        }
        let quantile = self.value.as_ref().is_some_and(|value| value.contains("elapsed"));
        if quantile {
            self.labels.retain(|label| label != "le");
        }
        arguments.last().cloned()
    }

    /// Reads `by (labels)`, and returns the place behind it.
    fn by(&mut self, query: &WrittenQuery<'_>, at: usize) -> Option<usize> {
        let close = query.closing(at + 1).filter(|_| query.is(at + 1, "("))?;
        let labels = query.items(at + 2..close).into_iter().map(|label| query.source(label).to_owned());
        self.labels.extend(labels.filter(|label| label != "le"));
        Some(close + 1)
    }

    /// Reads `name{label="value"}[5m]`.
    fn selector(&mut self, query: &WrittenQuery<'_>, tokens: Range<usize>) -> Option<()> {
        let end = tokens.clone().find(|at| query.is(*at, "{") || query.is(*at, "[")).unwrap_or(tokens.end);
        query.name(tokens.start).filter(|_| end > tokens.start)?;
        self.tracepoint = query.source(tokens.start..end).to_owned();

        let mut at = end;
        if query.is(at, "{") {
            let close = tokens.clone().find(|at| query.is(*at, "}"))?;
            for matcher in query.items(at + 1..close) {
                self.conditions.push(condition(query, matcher)?);
            }
            at = close + 1;
        }
        if query.is(at, "[") {
            let Value::Duration(_) = query.literal(at + 1)? else { return None };
            self.every = Some(query.source(at + 1..at + 2).to_owned());
            at += 3;
        }
        (at == tokens.end).then_some(())
    }

    /// Returns the query in this language.
    fn written(&self) -> String {
        let keys: Vec<String> = self.labels.iter().map(|label| format!("e.{label}")).collect();
        let mut text = format!("FROM e IN {}", self.tracepoint);
        if !self.conditions.is_empty() {
            text.push_str(&format!(" WHERE {}", self.conditions.join(" AND ")));
        }
        let value = self.value.as_deref().unwrap_or("COUNT");
        match keys.is_empty() {
            true => text.push_str(&format!(" SELECT {value}")),
            false => {
                let keys = keys.join(", ");
                text.push_str(&format!(" GROUP BY {keys} SELECT {keys}, {value}"));
            }
        }

        if let Some(having) = &self.having {
            text.push_str(&format!(" HAVING {value} {having}"));
        }
        if let Some(limit) = &self.limit {
            text.push_str(&format!(" ORDER BY {value} DESC LIMIT {limit}"));
        }
        if let Some(every) = &self.every {
            text.push_str(&format!(" EVERY {every}"));
        }
        text
    }
}

/// Reads `label="value"` with the operators of PromQL.
fn condition(query: &WrittenQuery<'_>, matcher: Range<usize>) -> Option<String> {
    let label = query.name(matcher.start)?;
    let last = matcher.end - 1;
    let value = match &query.tokens[last].kind {
        TokenKind::QuotedName(text) => quoted(text),
        TokenKind::Literal(Value::Str(text)) => quoted(text),
        _ => return None,
    };

    let operator = match query.source(matcher.start + 1..last) {
        "=" => "=",
        "!=" => "!=",
        "=~" => "~",
        "!~" => "!~",
        _ => return None,
    };
    Some(format!("e.{label} {operator} {value}"))
}
