//! Several sources with aliases in one FROM, as in SQL: all but one are joined here.
//!
//! ```text
//! FROM e IN E, x IN X WHERE x -> e AND x.n > 1      FROM E e, X x WHERE x.n = e.n
//! FROM e IN E JOIN x IN X ON x -> e WHERE x.n > 1   FROM e IN E JOIN x IN X ON x -> e WHERE x.n = e.n
//! ```

use super::arrows::{WrittenJoin, WrittenSource, turned};
use super::fix::QuickFix;
use super::foreign_sources::{arrow_hint, is_request, name_end};
use super::written_query::{WrittenClause, WrittenQuery};
use crate::diagnostic::TextEdit;
use crate::lexical::ClauseKind;
use std::ops::Range;

/// Adds the fix for a FROM with several aliases.
pub(super) fn of_query(query: &WrittenQuery<'_>, clauses: &[WrittenClause], found: &mut Vec<QuickFix>) {
    let Some(from) = clauses.iter().find(|clause| clause.kind == ClauseKind::From) else { return };
    let Some(sources) = sources(query, from) else {
        found.extend(without_aliases(query, from));
        return;
    };

    let conditions = clauses.iter().find(|clause| clause.kind == ClauseKind::Where);
    let conjuncts = conditions.map_or(vec![], |conditions| conjuncts(query, conditions.body()));
    let mut joins: Vec<WrittenJoin<'_>> =
        conjuncts.iter().filter_map(|conjunct| arrow(query, conjunct)).collect();

    // What no arrow leads away from comes before the first source, unless it is the last event itself.
    let is_before = |joins: &[WrittenJoin<'_>], alias: &str| joins.iter().any(|join| join.before == alias);
    let root =
        sources.iter().find(|source| !is_before(&joins, source.alias)).map_or("", |source| source.alias);
    for source in &sources {
        if source.alias != root && !is_before(&joins, source.alias) {
            joins.push(join(source.alias, root, 0..0));
        }
    }
    let Some(joined) = joins.first() else { return };
    let hint = format!(
        "one source has the alias, the others are joined; {}",
        arrow_hint(joined.before, joined.after)
    );

    let mut edits = Vec::new();
    if let Some(text) = turned(&sources, &joins) {
        edits.push(TextEdit::new(query.span(from.tokens.clone()), text));
        let is_arrow =
            |conjunct: &&Range<usize>| arrow(query, conjunct).is_some() || is_request_pair(query, conjunct);
        if let Some(conditions) = conditions.filter(|_| conjuncts.iter().any(|conjunct| is_arrow(&conjunct)))
        {
            let left = conjuncts.iter().filter(|conjunct| !is_arrow(conjunct));
            let left: Vec<&str> = left.map(|conjunct| query.source(conjunct.clone())).collect();
            let text = if left.is_empty() { String::new() } else { format!(" WHERE {}", left.join(" AND ")) };
            let place = query.end_before(conditions.tokens.start)..query.end_before(conditions.tokens.end);
            edits.push(TextEdit::new(place, text));
        }
    }

    // The condition may be wrong as well, by its arrows: then it follows from the same mistake.
    let behind = conditions.filter(|_| conjuncts.iter().any(|conjunct| arrow(query, conjunct).is_some()));
    let end = behind.map_or(from.tokens.end, |conditions| conditions.tokens.end);
    found.push(QuickFix::of_edits(query.span(from.body..end), hint, edits));
}

/// Adds the fixes for First and MostRecent of several sources, in the joins of a query.
pub(super) fn of_choices(query: &WrittenQuery<'_>, clauses: &[WrittenClause], found: &mut Vec<QuickFix>) {
    for clause in clauses.iter().filter(|clause| clause.kind.has_source()) {
        let alias = query.name(clause.body).filter(|_| query.is_word(clause.body + 1, "IN"));
        let Some(alias) = alias else { continue };
        found.extend(clause.body().filter_map(|at| choice_of_several(query, at, alias)));
    }
}

/// `First(A, B)`: a choice is made from one source, which may be a query over several.
fn choice_of_several(query: &WrittenQuery<'_>, at: usize, alias: &str) -> Option<QuickFix> {
    let open = if query.is(at + 1, "(") { at + 1 } else { at + 2 };
    let close = query.closing(open).filter(|_| query.is_one_of(at, &["First", "MostRecent"]))?;
    if query.is(open + 1, "(") || query.items(open + 1..close).len() < 2 {
        return None;
    }

    // The query inside has the columns that the query around it uses.
    let mut columns: Vec<&str> = Vec::new();
    let is_field = |at: &usize| query.word(*at) == Some(alias) && query.is(at + 1, ".");
    for field in (0..query.tokens.len()).filter(is_field).filter_map(|at| query.word(at + 2)) {
        if !columns.contains(&field) {
            columns.push(field);
        }
    }
    if columns.is_empty() {
        columns.push("time");
    }
    let columns: Vec<String> = columns.into_iter().map(|column| format!("{alias}.{column}")).collect();

    let sources = query.source(open + 1..close);
    let written = format!("(FROM {alias} IN {sources} SELECT {})", columns.join(", "));
    let hint = format!("a choice is made from one source, which may be a query over several: {written}");
    let fix = QuickFix::new(query, open + 1..close, written, hint);
    Some(QuickFix { span: query.span(at..close + 1), ..fix })
}

/// Returns the sources of a clause if there are several, each with an alias.
fn sources<'t>(query: &WrittenQuery<'t>, from: &WrittenClause) -> Option<Vec<WrittenSource<'t>>> {
    let items = query.items(from.body());
    let sources: Option<Vec<WrittenSource<'_>>> = items.iter().map(|item| aliased(query, item)).collect();
    sources.filter(|sources| sources.len() > 1)
}

/// `FROM A, B`: whether a join is meant or a union is not said.
fn without_aliases(query: &WrittenQuery<'_>, from: &WrittenClause) -> Option<QuickFix> {
    let items = query.items(from.body());
    let first = items.first().filter(|first| items.len() > 1 && !query.is_word(first.start + 1, "IN"))?;
    let source = query.source(first.start..name_end(query, first.start)?);
    let last = source.rsplit(['.', ':', '@']).next().unwrap_or(source);
    let alias = last.chars().find(|c| c.is_alphabetic()).map_or('e', |c| c.to_ascii_lowercase());

    let hint = format!(
        "one source has the alias: FROM {alias} IN {source}; others are joined: JOIN x IN .. ON x -> {alias}, or are a \
         union: FROM {alias} IN {source}, .."
    );
    Some(QuickFix::only_hint(query, from.body..first.end + 1, hint))
}

/// Reads `x IN source`, `source x` or `source AS x`; returns `None` if there is no alias.
fn aliased<'t>(query: &WrittenQuery<'t>, item: &Range<usize>) -> Option<WrittenSource<'t>> {
    if query.is_word(item.start + 1, "IN") {
        return Some(WrittenSource {
            alias: query.name(item.start)?,
            source: query.source(item.start + 2..item.end),
        });
    }
    let end = name_end(query, item.start)?;
    let alias = if query.is_word(end, "AS") { end + 1 } else { end };
    let source = query.source(item.start..end);
    (alias + 1 == item.end).then_some(WrittenSource { alias: query.name(alias)?, source })
}

/// Returns the parts of a condition that AND connects; all of it if it has an OR.
fn conjuncts(query: &WrittenQuery<'_>, tokens: Range<usize>) -> Vec<Range<usize>> {
    if tokens.clone().any(|at| query.is_one_of(at, &["OR", "BETWEEN"])) {
        return vec![tokens];
    }

    let (mut parts, mut start, mut depth) = (Vec::new(), tokens.start, 0usize);
    for at in tokens.clone() {
        if query.is(at, "(") {
            depth += 1;
        } else if query.is(at, ")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && query.is_word(at, "AND") {
            parts.push(start..at);
            start = at + 1;
        }
    }

    parts.push(start..tokens.end);
    parts
}

/// Reads `x -> y` as a join of x.
fn arrow<'t>(query: &WrittenQuery<'t>, tokens: &Range<usize>) -> Option<WrittenJoin<'t>> {
    let at = tokens.start + 1;
    let is_arrow = tokens.len() == 3 && query.is(at, "->");
    is_arrow.then_some(join(query.name(at - 1)?, query.name(at + 1)?, tokens.clone()))
}

fn join<'t>(before: &'t str, after: &'t str, arrow: Range<usize>) -> WrittenJoin<'t> {
    WrittenJoin { kind: ClauseKind::Join, before, after, arrow, condition: "" }
}

/// Returns whether a condition says that two events belong to one request, which all joins here say.
fn is_request_pair(query: &WrittenQuery<'_>, tokens: &Range<usize>) -> bool {
    let Some(left) = query.operand_at(tokens.start) else { return false };
    let right = query.operand_at(left.end + 1).filter(|right| right.end == tokens.end);
    let is_request = |operand: Range<usize>| is_request(query.source(operand));
    query.is(left.end, "=") && right.is_some_and(is_request) && is_request(left)
}
