//! Joins whose arrow leads away from the events of FROM: the query is turned around, so that it means what the
//! arrows say.
//!
//! ```text
//! FROM s IN Start JOIN e IN End ON s -> e     s came first, but rows are made at the latest event:
//! FROM e IN End JOIN s IN Start ON s -> e     so e is FROM, with the same aliases, arrows and conditions
//! ```

use super::fix::QuickFix;
use super::written_query::{WrittenClause, WrittenQuery};
use crate::lexical::ClauseKind;
use std::ops::Range;

/// A JOIN with its arrow.
pub(super) struct WrittenJoin<'t> {
    pub(super) kind: ClauseKind,
    pub(super) before: &'t str,
    pub(super) after: &'t str,
    /// The places of both aliases and the arrow.
    pub(super) arrow: Range<usize>,
    /// The condition behind the arrow, with its AND; may be empty.
    pub(super) condition: &'t str,
}

/// An alias with its source as written.
pub(super) struct WrittenSource<'t> {
    pub(super) alias: &'t str,
    pub(super) source: &'t str,
}

/// Adds the fix for arrows that lead the wrong way.
pub(super) fn of_query(query: &WrittenQuery<'_>, clauses: &[WrittenClause], found: &mut Vec<QuickFix>) {
    let of_sources: Vec<&WrittenClause> = clauses.iter().filter(|clause| clause.kind.has_source()).collect();
    let (mut sources, mut joins) = (Vec::new(), Vec::new());
    for clause in &of_sources {
        let Some((source, join)) = read(query, clause) else { return };
        sources.push(source);
        joins.extend(join);
    }
    let (Some(first), Some(last)) = (of_sources.first(), of_sources.last()) else { return };

    // The joined alias stands in front of its arrow; that it does not is what is wrong.
    let joined = sources.iter().skip(1).map(|source| source.alias);
    let Some(wrong) = joins.iter().zip(joined).find(|(join, alias)| join.before != *alias) else { return };
    let (join, alias) = wrong;
    if join.after != alias || first.kind != ClauseKind::From || joins.len() + 1 != sources.len() {
        return;
    }
    let (before, after) = (join.before, join.after);
    let mut hint = format!("`{before} -> {after}` says that {before} came first");

    let turned = turned(&sources, &joins).filter(|_| join.kind != ClauseKind::AntiJoin);
    match (&turned, join.kind) {
        (_, ClauseKind::AntiJoin) => hint.push_str(&format!(
            ", and what comes later cannot be missed: only {after} can be asked for what did not happen before it"
        )),
        (Some(_), ClauseKind::LeftJoin) => hint.push_str(&format!(
            ": then {after} is in FROM, and each {after} is kept, also one without a {before}; no row waits for a \
             later event"
        )),
        (Some(_), _) => hint.push_str(&format!(": then {after}, the later one, is in FROM")),
        (None, _) => hint.push_str(", but one event has to come after all the others: that one is in FROM"),
    }
    let span = query.span(join.arrow.clone());
    let place = query.span(first.tokens.start..last.tokens.end);
    let edits = turned.map(|text| crate::diagnostic::TextEdit::new(place, text));
    found.push(QuickFix::of_edits(span, hint, edits.into_iter().collect()));
}

/// Reads `FROM x IN source` or `JOIN x IN source ON y -> z AND ..`; returns `None` if it is written otherwise.
pub(super) fn read<'t>(
    query: &WrittenQuery<'t>,
    clause: &WrittenClause,
) -> Option<(WrittenSource<'t>, Option<WrittenJoin<'t>>)> {
    let body = clause.body();
    let alias = query.name(body.start).filter(|_| query.is_word(body.start + 1, "IN"))?;
    if clause.kind == ClauseKind::From {
        return Some((WrittenSource { alias, source: query.source(body.start + 2..body.end) }, None));
    }

    // The last arrow of the clause: a source may be a query with joins of its own.
    let arrow = body.clone().rev().find(|at| query.is(*at, "->"))?;
    let on = arrow.checked_sub(2).filter(|on| query.is_word(*on, "ON"))?;
    let join = WrittenJoin {
        kind: clause.kind,
        before: query.name(arrow - 1)?,
        after: query.name(arrow + 1)?,
        arrow: arrow - 1..arrow + 2,
        condition: query.source(arrow + 2..body.end),
    };
    Some((WrittenSource { alias, source: query.source(body.start + 2..on) }, Some(join)))
}

/// Returns FROM and joins in an order in which every arrow leads to an alias before it, or `None` if there is none.
pub(super) fn turned(sources: &[WrittenSource<'_>], joins: &[WrittenJoin<'_>]) -> Option<String> {
    // All but one event come before another one, each before exactly one.
    let mut last = sources.iter().filter(|source| joins.iter().all(|join| join.before != source.alias));
    let (root, None) = (last.next()?, last.next()) else { return None };

    let mut text = format!("FROM {} IN {}", root.alias, root.source);
    let mut known = vec![root.alias];
    let mut left: Vec<&WrittenJoin<'_>> = joins.iter().collect();
    while !left.is_empty() {
        let next = left.iter().position(|join| known.contains(&join.after))?;
        let join = left.remove(next);
        let source = sources.iter().find(|source| source.alias == join.before)?;
        let (keyword, condition) = (join.kind.keyword(), join.condition);
        let space = if condition.is_empty() { "" } else { " " };
        let WrittenJoin { before, after, .. } = join;
        text.push_str(&format!(
            " {keyword} {before} IN {} ON {before} -> {after}{space}{condition}",
            source.source
        ));
        known.push(before);
    }
    (known.len() == sources.len()).then_some(text)
}
