//! Pipelines, as Splunk and Kusto have them: a source, then steps behind `|`.
//!
//! ```text
//! page kind=get | stats avg(bytes) by host | sort -avg | head 5
//! FROM e IN page WHERE e.kind = 'get' GROUP BY e.host SELECT e.host, AVG(e.bytes)
//! ```
//!
//! What is shown is compiled before; so a step that is misunderstood shows nothing.

use super::written_query::{WrittenQuery, quoted};
use crate::lexical::{TokenKind, is_keyword};
use pivot_advice::Value;
use std::ops::Range;

/// Words before a source that name it elsewhere.
const SOURCE_FIELDS: [&str; 4] = ["sourcetype", "source", "index", "eventtype"];

/// A pipeline as far as it has a meaning here.
#[derive(Default)]
struct Pipeline {
    tracepoint: String,
    lets: Vec<String>,
    conditions: Vec<String>,
    keys: Vec<String>,
    columns: Vec<String>,
    /// The names that columns are given, with their columns.
    names: Vec<(String, String)>,
    order: Option<String>,
    limit: Option<String>,
    every: Option<String>,
}

/// Returns the query that a pipeline means, or `None` if the text is none.
pub(super) fn translated(query: &WrittenQuery<'_>) -> Option<String> {
    let mut steps = Vec::new();
    let mut start = 0;
    for at in (0..query.tokens.len()).filter(|at| query.is_sign(*at, '|')) {
        steps.push(start..at);
        start = at + 1;
    }
    steps.push(start..query.tokens.len());
    if steps.len() < 2 || steps.iter().any(Range::is_empty) {
        return None;
    }

    let mut pipeline = Pipeline::default();
    pipeline.source(query, steps[0].clone())?;
    for step in &steps[1..] {
        pipeline.step(query, step.clone())?;
    }
    Some(pipeline.written())
}

impl Pipeline {
    /// Reads `[search] source field=value ..`.
    fn source(&mut self, query: &WrittenQuery<'_>, tokens: Range<usize>) -> Option<()> {
        let start = if query.is_word(tokens.start, "search") { tokens.start + 1 } else { tokens.start };
        let mut at = start;
        if !query.is(start + 1, "=") {
            let end = name_end(query, start, tokens.end)?;
            self.tracepoint = query.source(start..end).to_owned();
            at = end;
        }

        while at < tokens.end {
            if query.is_word(at, "AND") {
                at += 1;
                continue;
            }
            let field = query.name(at)?;
            let value_end = name_end(query, at + 2, tokens.end).unwrap_or(at + 3);
            if value_end > tokens.end {
                return None;
            }
            if SOURCE_FIELDS.iter().any(|known| known.eq_ignore_ascii_case(field)) {
                // The narrowest of several says most: an index holds sources.
                if self.tracepoint.is_empty() || !field.eq_ignore_ascii_case("index") {
                    self.tracepoint = text_of(query, at + 2..value_end)?;
                }
            } else {
                let operator = query.source(at + 1..at + 2);
                let is_comparison = ["=", "==", "!=", "<", "<=", ">", ">="].contains(&operator);
                let operator = if operator == "==" { "=" } else { operator };
                let value = value_of(query, at + 2..value_end).filter(|_| is_comparison)?;
                self.conditions.push(format!("e.{field} {operator} {value}"));
            }
            at = value_end;
        }
        (!self.tracepoint.is_empty()).then_some(())
    }

    fn step(&mut self, query: &WrittenQuery<'_>, tokens: Range<usize>) -> Option<()> {
        let name = query.word(tokens.start)?.to_lowercase();
        let rest = tokens.start + 1..tokens.end;

        match name.as_str() {
            "where" | "filter" | "search" => self.conditions.push(qualified(query, rest)),
            "stats" | "summarize" | "aggregate" => self.aggregates(query, rest)?,
            "timechart" => {
                let is_span = query.is_word(rest.start, "span") && query.is(rest.start + 1, "=");
                let span = query.literal(rest.start + 2).filter(|_| is_span);
                let Some(Value::Duration(_)) = span else { return None };
                self.every = Some(query.source(rest.start + 2..rest.start + 3).to_owned());
                self.aggregates(query, rest.start + 3..rest.end)?;
            }
            "count" if rest.is_empty() => self.columns.push("COUNT".to_owned()),
            "top" | "rare" => self.most_frequent(query, rest, &name)?,
            "sort" | "order" => self.sort(query, rest)?,
            "head" | "limit" | "take" => self.limit = Some(query.source(rest).to_owned()),
            "eval" | "extend" => self.assignments(query, rest)?,
            "table" | "fields" | "project" => {
                self.columns = query.items(rest).into_iter().map(|item| self.column(query, item)).collect();
            }
            _ => return None,
        }
        Some(())
    }

    /// Reads `count, avg(x) as name by keys`.
    fn aggregates(&mut self, query: &WrittenQuery<'_>, tokens: Range<usize>) -> Option<()> {
        let by = tokens.clone().find(|at| query.is_word(*at, "BY"));
        let end = by.unwrap_or(tokens.end);
        let mut at = tokens.start;
        while at < end {
            if query.is(at, ",") {
                at += 1;
                continue;
            }
            // Kusto puts the name in front, Splunk behind.
            let named_before = query.is(at + 1, "=");
            let call = if named_before { at + 2 } else { at };
            let (column, behind) = aggregate(query, call)?;
            let named_behind = query.is_word(behind, "AS");
            let name = match () {
                () if named_before => Some(query.word(at)?),
                () if named_behind => Some(query.word(behind + 1)?),
                () => None,
            };

            if let Some(name) = name {
                self.names.push((name.to_owned(), column.clone()));
                self.columns.push(format!("{column} AS {}", as_name(name)));
            } else {
                self.names.push((query.source(call..call + 1).to_owned(), column.clone()));
                self.columns.push(column);
            }
            at = if named_behind { behind + 2 } else { behind };
        }

        if let Some(by) = by {
            // Fields stand behind each other, with or without commas.
            let keys = (by + 1..tokens.end).filter(|at| !query.is(*at, ","));
            self.keys = keys.map(|at| self.column(query, at..at + 1)).collect();
        }
        (!self.columns.is_empty()).then_some(())
    }

    /// Reads `top [limit=n] field`.
    fn most_frequent(&mut self, query: &WrittenQuery<'_>, tokens: Range<usize>, name: &str) -> Option<()> {
        let has_limit = query.is_word(tokens.start, "limit") && query.is(tokens.start + 1, "=");
        let number = if has_limit { tokens.start + 2 } else { tokens.start };
        let has_number = matches!(query.literal(number), Some(Value::I64(_)));
        self.limit =
            Some(if has_number { query.source(number..number + 1).to_owned() } else { "10".to_owned() });
        let fields = if has_number { number + 1..tokens.end } else { tokens };
        self.keys = query.items(fields).into_iter().map(|item| self.column(query, item)).collect();

        self.columns = vec!["COUNT".to_owned()];
        self.order = Some(if name == "top" { "COUNT DESC" } else { "COUNT" }.to_owned());
        (!self.keys.is_empty()).then_some(())
    }

    /// Reads `-field`, `field desc` or `by field desc`.
    fn sort(&mut self, query: &WrittenQuery<'_>, tokens: Range<usize>) -> Option<()> {
        let start = if query.is_word(tokens.start, "BY") { tokens.start + 1 } else { tokens.start };
        let number = matches!(query.literal(start), Some(Value::I64(_)));
        let start = if number { start + 1 } else { start };
        let minus = query.is(start, "-");
        let start = if minus || query.is(start, "+") { start + 1 } else { start };
        let name = query.word(start)?;

        let known = self.names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let by = known.map_or_else(|| self.column(query, start..start + 1), |(_, column)| column.clone());
        let descends = minus || query.is_word(start + 1, "desc");
        self.order = Some(if descends { format!("{by} DESC") } else { by });
        Some(())
    }

    /// Reads `name = expression, ..`.
    fn assignments(&mut self, query: &WrittenQuery<'_>, tokens: Range<usize>) -> Option<()> {
        for item in query.items(tokens) {
            let name = query.name(item.start).filter(|_| query.is(item.start + 1, "="))?;
            self.lets.push(format!("LET {name} = {}", self.column(query, item.start + 2..item.end)));
            self.names.push((name.to_owned(), name.to_owned()));
        }
        Some(())
    }

    /// Returns an expression over the fields of the event, and the names that it was given before.
    fn column(&self, query: &WrittenQuery<'_>, tokens: Range<usize>) -> String {
        let word = query.word(tokens.start).filter(|_| tokens.len() == 1);
        match word.filter(|word| self.names.iter().any(|(known, _)| known == word)) {
            Some(word) => word.to_owned(),
            None => qualified(query, tokens),
        }
    }

    /// Returns the query in this language.
    fn written(&self) -> String {
        let mut text = format!("FROM e IN {}", self.tracepoint);
        for clause in &self.lets {
            text.push_str(&format!(" {clause}"));
        }
        if !self.conditions.is_empty() {
            text.push_str(&format!(" WHERE {}", self.conditions.join(" AND ")));
        }
        if !self.keys.is_empty() {
            text.push_str(&format!(" GROUP BY {}", self.keys.join(", ")));
        }

        let columns: Vec<&str> = self.keys.iter().chain(&self.columns).map(String::as_str).collect();
        let columns = if columns.is_empty() { "COUNT".to_owned() } else { columns.join(", ") };
        text.push_str(&format!(" SELECT {columns}"));

        let tail = [("ORDER BY", &self.order), ("LIMIT", &self.limit), ("EVERY", &self.every)];
        for (keyword, value) in tail {
            if let Some(value) = value {
                text.push_str(&format!(" {keyword} {value}"));
            }
        }
        text
    }
}

/// Returns the place behind a name with dots that begins at a place, or `None` if none does.
fn name_end(query: &WrittenQuery<'_>, start: usize, limit: usize) -> Option<usize> {
    query.word(start).filter(|_| start < limit)?;
    let mut end = start + 1;
    while end + 1 < limit
        && query.tokens[end].is_name_separator()
        && query.touches_next(end - 1)
        && query.touches_next(end)
    {
        end += 2;
    }
    Some(end)
}

/// Returns the text of a value, in quotes or not.
fn text_of(query: &WrittenQuery<'_>, tokens: Range<usize>) -> Option<String> {
    match &query.tokens.get(tokens.start)?.kind {
        TokenKind::QuotedName(text) => Some(text.clone()),
        TokenKind::Literal(Value::Str(text)) => Some(text.to_string()),
        TokenKind::Word(_) => Some(query.source(tokens).to_owned()),
        _ => None,
    }
}

/// Returns a value as it is written here: text stands in single quotes.
fn value_of(query: &WrittenQuery<'_>, tokens: Range<usize>) -> Option<String> {
    match &query.tokens.get(tokens.start)?.kind {
        TokenKind::Word(word) if ["true", "false", "null"].contains(&word.to_lowercase().as_str()) => {
            Some((*word).to_owned())
        }
        TokenKind::QuotedName(_) | TokenKind::Word(_) => text_of(query, tokens).map(|text| quoted(&text)),
        TokenKind::Literal(_) => Some(query.source(tokens).to_owned()),
        _ => None,
    }
}

/// Reads one aggregate, and returns it with the place behind it.
fn aggregate(query: &WrittenQuery<'_>, at: usize) -> Option<(String, usize)> {
    let name = query.word(at)?.to_lowercase();
    let arguments = query.arguments(at);
    let end = if query.is(at + 1, "(") { query.closing(at + 1)? + 1 } else { at + 1 };
    let argument = arguments.as_ref().and_then(|arguments| arguments.first()).cloned();
    let value = argument.map(|argument| qualified(query, argument));

    let column = match (name.as_str(), value) {
        ("count" | "c", None) => "COUNT".to_owned(),
        ("count" | "c", Some(value)) => format!("COUNT({value})"),
        ("dc" | "distinct_count" | "dcount", Some(value)) => format!("COUNT(DISTINCT {value})"),
        ("mean", Some(value)) => format!("AVG({value})"),
        ("median", Some(value)) => format!("P50({value})"),
        ("stdev", Some(value)) => format!("STDDEV({value})"),
        ("first" | "last" | "values" | "any", Some(value)) => format!("ANY({value})"),
        ("perc50" | "perc90" | "perc95" | "perc99", Some(value)) => {
            format!("P{}({value})", &name["perc".len()..])
        }
        (_, Some(value)) => format!("{}({value})", name.to_uppercase()),
        (_, None) => return None,
    };
    Some((column, end))
}

/// Returns the name of a column, in double quotes if it is a keyword.
fn as_name(name: &str) -> String {
    if is_keyword(name) { format!("\"{name}\"") } else { name.to_owned() }
}

/// Returns an expression with the fields of the event `e`.
fn qualified(query: &WrittenQuery<'_>, tokens: Range<usize>) -> String {
    let mut out = String::new();
    for at in tokens.clone() {
        let is_member = at > tokens.start && query.tokens[at - 1].is_name_separator();
        match &query.tokens[at].kind {
            TokenKind::Word(word) if !is_member && !is_keyword(word) && !query.is(at + 1, "(") => {
                out.push_str(&format!("e.{word}"));
            }
            TokenKind::QuotedName(text) => out.push_str(&quoted(text)),
            TokenKind::Symbol("==") => out.push('='),
            TokenKind::Symbol("&&") => out.push_str(" AND "),
            _ => out.push_str(query.source(at..at + 1)),
        }

        if at + 1 < tokens.end && !query.touches_next(at) {
            out.push(' ');
        }
    }
    out
}
