//! Sources and joins as SQL writes them: `FROM t AS e INNER JOIN u ON u.id = e.id`.

use super::fix::QuickFix;
use super::written_query::{WrittenClause, WrittenQuery};
use crate::diagnostic::TextEdit;
use crate::lexical::{ClauseKind, TokenKind, is_reserved};
use std::ops::Range;

/// Words before JOIN that another language knows.
pub(super) const JOIN_WORDS: [&str; 10] =
    ["LEFT", "RIGHT", "FULL", "INNER", "OUTER", "CROSS", "NATURAL", "SEMI", "ANTI", "ASOF"];

/// Fields that tell requests apart elsewhere: here the arrow does.
const REQUEST_FIELDS: [&str; 8] =
    ["request", "request_id", "requestid", "trace_id", "traceid", "trace", "span_id", "correlation_id"];

/// Adds the fixes for the sources of a query.
pub(super) fn of_query(query: &WrittenQuery<'_>, clauses: &[WrittenClause], found: &mut Vec<QuickFix>) {
    let names = SourceNames::of(query, clauses);
    for clause in clauses.iter().filter(|clause| clause.kind.has_source()) {
        match foreign_source(query, clause, &names) {
            Some(fix) => found.push(fix),
            None if clause.kind != ClauseKind::From => found.extend(join_condition(query, clause, &names)),
            None => {}
        }
    }
}

/// The aliases of a query, written or made up.
struct SourceNames<'t> {
    /// The alias of FROM.
    from: String,
    /// The names that stand before a dot somewhere.
    prefixes: Vec<&'t str>,
    /// The aliases that stand before IN.
    taken: Vec<&'t str>,
}

impl<'t> SourceNames<'t> {
    fn of(query: &WrittenQuery<'t>, clauses: &[WrittenClause]) -> SourceNames<'t> {
        let all = 0..query.tokens.len();
        let prefixes = all.clone().filter(|at| {
            query.is(at + 1, ".") && begins_path(query, *at) && !is_in_source(query, clauses, *at)
        });
        let taken = all.filter(|at| query.is_word(at + 1, "IN"));
        let mut names = SourceNames {
            from: String::new(),
            prefixes: prefixes.filter_map(|at| query.name(at)).collect(),
            taken: taken.filter_map(|at| query.name(at)).collect(),
        };

        // The alias of FROM is what others are joined to.
        if let Some(from) = clauses.iter().find(|clause| clause.kind == ClauseKind::From) {
            names.from = match query.is_word(from.body + 1, "IN") {
                true => query.source(from.body..from.body + 1).to_owned(),
                false => {
                    sql_source(query, from).map(|source| names.alias(query, &source)).unwrap_or_default()
                }
            };
        }
        names
    }

    /// Returns the alias of a source: what is written, else what the query calls it, else its initial.
    fn alias(&self, query: &WrittenQuery<'_>, source: &SqlSource) -> String {
        if let Some(alias) = source.alias {
            return query.source(alias..alias + 1).to_owned();
        }
        let last = source.name.clone().rev().find_map(|at| query.word(at)).unwrap_or("e");
        let is_prefix = self.prefixes.contains(&last) || uses_path(query, &source.name);
        if is_prefix && !is_reserved(last) {
            return last.to_owned();
        }

        let initial =
            last.chars().find(|c| c.is_alphabetic()).map_or("e".to_owned(), |c| c.to_lowercase().collect());
        match self.taken.contains(&initial.as_str()) {
            true => format!("{initial}2"),
            false => initial,
        }
    }
}

/// Returns whether a token is not the continuation of a name with dots.
fn begins_path(query: &WrittenQuery<'_>, at: usize) -> bool {
    at == 0 || !query.tokens[at - 1].is_name_separator()
}

/// Returns whether a token is part of the source of a clause.
fn is_in_source(query: &WrittenQuery<'_>, clauses: &[WrittenClause], at: usize) -> bool {
    clauses.iter().any(|clause| clause.kind.has_source() && source_of(query, clause).contains(&at))
}

/// Returns whether a field stands behind the whole name of a source somewhere.
fn uses_path(query: &WrittenQuery<'_>, name: &Range<usize>) -> bool {
    paths(query, name).next().is_some()
}

/// Returns the places where the whole name of a source stands before the name of a field.
fn paths<'q>(query: &'q WrittenQuery<'_>, name: &'q Range<usize>) -> impl Iterator<Item = Range<usize>> + 'q {
    let length = name.len();
    let places = (0..query.tokens.len().saturating_sub(length)).map(move |at| at..at + length);
    places.filter(move |place| {
        length > 1
            && *place != *name
            && query.is(place.end, ".")
            && begins_path(query, place.start)
            && query.source(place.clone()) == query.source(name.clone())
    })
}

/// A source without IN: `DataNode.page AS p`.
struct SqlSource {
    /// The tokens of its name, or of a query in parentheses.
    name: Range<usize>,
    /// The place of its alias.
    alias: Option<usize>,
    /// The place behind both.
    end: usize,
}

/// Returns the tokens of a clause in which its source stands: before ON, and before words of the next join.
pub(super) fn source_of(query: &WrittenQuery<'_>, clause: &WrittenClause) -> Range<usize> {
    let body = clause.body();
    let on =
        body.clone().find(|at| query.is_one_of(*at, &["ON", "USING"]) && !query.is(at.wrapping_sub(1), "."));
    let mut end = on.unwrap_or(body.end);
    while end > body.start && query.is_one_of(end - 1, &JOIN_WORDS) {
        end -= 1;
    }
    body.start..end
}

/// Returns the source of a clause if it has none of this language.
fn sql_source(query: &WrittenQuery<'_>, clause: &WrittenClause) -> Option<SqlSource> {
    let source = source_of(query, clause);
    if source.is_empty() || query.is_word(source.start + 1, "IN") {
        return None;
    }

    let name = source.start..name_end(query, source.start)?;
    let mut at = name.end;
    if query.is_word(at, "AS") {
        at += 1;
    }
    let is_alias = at < source.end && (query.name(at).is_some() || is_quoted_name(query, at));
    let alias = is_alias.then_some(at);
    let end = if is_alias { at + 1 } else { name.end };
    (end == source.end || query.is(end, ",")).then_some(SqlSource { name, alias, end })
}

fn is_quoted_name(query: &WrittenQuery<'_>, at: usize) -> bool {
    matches!(query.tokens.get(at).map(|token| &token.kind), Some(TokenKind::QuotedName(_)))
}

/// Returns the place behind the name of a source, or behind its parentheses.
pub(super) fn name_end(query: &WrittenQuery<'_>, start: usize) -> Option<usize> {
    if query.is(start, "(") {
        return Some(query.closing(start)? + 1);
    }
    if query.is(start + 1, "(") {
        return Some(query.closing(start + 1)? + 1);
    }

    if !is_name_part(query, start) {
        return None;
    }
    let mut end = start + 1;
    while is_name_part(query, end) && query.touches_next(end - 1) {
        end += 1;
    }
    Some(end)
}

/// Returns whether a token may be part of the name of a source.
fn is_name_part(query: &WrittenQuery<'_>, at: usize) -> bool {
    let token = query.tokens.get(at).map(|token| &token.kind);
    matches!(token, Some(TokenKind::Word(_) | TokenKind::QuotedName(_)))
        || [".", "::", "@", "*"].iter().any(|symbol| query.is(at, symbol))
}

/// `FROM source`, `FROM source AS x`, `JOIN source x ON ..`: the alias stands first here.
fn foreign_source(
    query: &WrittenQuery<'_>,
    clause: &WrittenClause,
    names: &SourceNames<'_>,
) -> Option<QuickFix> {
    let source = sql_source(query, clause)?;
    let keyword = clause.kind.keyword();
    let alias = names.alias(query, &source);
    let written = format!("{alias} IN {}", query.source(source.name.clone()));

    // Several sources are joined, or a union.
    if query.is(source.end, ",") {
        return None;
    }
    let hint = format!("the alias stands first: {keyword} {written}");
    let mut fix = QuickFix::new(query, source.name.start..source.end, written, hint);

    // A long name before fields is the alias, too.
    let fields = paths(query, &source.name).map(|path| TextEdit::new(query.span(path), alias.clone()));
    fix.edits.extend(fields);
    Some(fix)
}

/// A join says what happened before what: not which columns are equal, nor nothing.
fn join_condition(
    query: &WrittenQuery<'_>,
    clause: &WrittenClause,
    names: &SourceNames<'_>,
) -> Option<QuickFix> {
    if !query.is_word(clause.body + 1, "IN") {
        return None;
    }
    let alias = query.source(clause.body..clause.body + 1);
    let other = names.from.as_str();
    let arrow = format!("{alias} -> {other}");
    let asked = arrow_hint(alias, other);

    let at = source_of(query, clause).end;
    if query.is_word(at, "USING") {
        let open = at + 1;
        let close = query.closing(open).filter(|_| query.is(open, "("))?;
        let columns = query.items(open + 1..close);
        let equal = columns.iter().map(|column| query.source(column.clone()));
        let equal = equal.filter(|column| !is_request(column));
        let conditions: String =
            equal.map(|column| format!(" AND {alias}.{column} = {other}.{column}")).collect();
        return Some(QuickFix::new(query, at..close + 1, format!("ON {arrow}{conditions}"), asked));
    }
    if query.is_word(at, "ON") {
        return equality(query, clause, at, alias, other);
    }

    // Without ON.
    (at == clause.tokens.end && !query.is(at, "ON")).then(|| {
        let place = query.end_before(at);
        let edits = vec![TextEdit::new(place..place, format!(" ON {arrow}"))];
        QuickFix::of_edits(place..place, asked, edits)
    })
}

/// Returns what an arrow means, for those who compare ids.
pub(super) fn arrow_hint(alias: &str, other: &str) -> String {
    format!(
        "a join says which event came first, and needs no ids: {alias} -> {other} joins {other} with each {alias} \
         that happened before it in the same request; if {alias} comes later, exchange FROM and JOIN"
    )
}

pub(super) fn is_request(column: &str) -> bool {
    let name = column.rsplit('.').next().unwrap_or(column);
    REQUEST_FIELDS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// `ON a.id = b.id`: the arrow stands in its place, and columns other than ids of requests stay a condition.
fn equality(
    query: &WrittenQuery<'_>,
    clause: &WrittenClause,
    on: usize,
    alias: &str,
    from: &str,
) -> Option<QuickFix> {
    let mut end = clause.tokens.end;
    while end > on && query.is_one_of(end - 1, &JOIN_WORDS) {
        end -= 1;
    }
    let body = on + 1..end;
    if body.is_empty() || body.clone().any(|at| query.is(at, "->")) {
        return None;
    }

    // The alias on the other side of the first equality is what is joined to.
    let first_words = body.clone().filter(|at| query.is(at + 1, ".")).filter_map(|at| query.name(at));
    let other = first_words.into_iter().find(|word| *word != alias).unwrap_or(from);
    let is_pair = query.operand_at(body.start).is_some_and(|left| {
        let right = query.operand_at(left.end + 1);
        query.is(left.end, "=")
            && right.is_some_and(|right| right.end == body.end || query.is_word(right.end, "AND"))
            && is_request(query.source(left))
    });
    let rest = if is_pair {
        let and = body.clone().find(|at| query.is_word(*at, "AND"));
        and.map_or(String::new(), |and| format!(" {}", query.source(and..body.end)))
    } else {
        let condition = query.source(body.clone());
        let has_or = body.clone().any(|at| query.is_word(at, "OR"));
        if has_or { format!(" AND ({condition})") } else { format!(" AND {condition}") }
    };
    let written = format!("{alias} -> {other}{rest}");
    Some(QuickFix::new(query, body, written, arrow_hint(alias, other)))
}
