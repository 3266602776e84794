//! Names that SELECT gives, used in clauses that come before it: LET gives a name to a value for all of them.
//!
//! ```text
//! FROM e IN E GROUP BY kind SELECT lower(e.k) AS kind, COUNT
//! FROM e IN E LET kind = lower(e.k) GROUP BY kind SELECT kind, COUNT
//! ```

use super::fix::{NOT_GROUPED, QuickFix};
use super::written_query::{WrittenClause, WrittenQuery};
use crate::diagnostic::TextEdit;
use crate::lexical::{ClauseKind, TokenKind, aggregate_function};
use std::ops::Range;

/// A column of SELECT with a name.
struct NamedColumn {
    item: Range<usize>,
    expression: Range<usize>,
    name: usize,
}

/// Adds the fixes for names of SELECT that a clause before it uses.
pub(super) fn of_query(query: &WrittenQuery<'_>, clauses: &[WrittenClause], found: &mut Vec<QuickFix>) {
    let Some(select) = clauses.iter().find(|clause| clause.kind == ClauseKind::Select) else { return };
    let columns: Vec<NamedColumn> =
        query.items(select.body()).into_iter().filter_map(|item| named_column(query, item)).collect();

    for clause in
        clauses.iter().filter(|clause| matches!(clause.kind, ClauseKind::GroupBy | ClauseKind::Where))
    {
        for at in clause.body() {
            let is_member =
                query.tokens[at - 1].is_name_separator() || query.is(at + 1, ".") || query.is(at + 1, "(");
            let used = columns.iter().find(|column| is_name(query, column.name, at));
            let Some(column) = used.filter(|_| !is_member) else { continue };
            let fix = match is_aggregate(query, column.expression.clone()) {
                true => with_having(query, clauses, clause, column, at),
                false => with_let(query, clauses, column, at),
            };
            // The value is then no key either, which follows from the same mistake.
            found.extend(fix.as_ref().map(|fix| {
                let span = query.span(column.item.clone());
                QuickFix {
                    about: NOT_GROUPED,
                    ..QuickFix::of_edits(span, fix.hint.clone(), fix.edits.clone())
                }
            }));
            found.extend(fix);
        }
    }
}

/// Reads `expression AS name`.
fn named_column(query: &WrittenQuery<'_>, item: Range<usize>) -> Option<NamedColumn> {
    let name = item.end.checked_sub(1)?;
    let is_named = item.len() > 2 && query.is_word(name - 1, "AS");
    is_named.then(|| NamedColumn { expression: item.start..name - 1, name, item })
}

fn is_name(query: &WrittenQuery<'_>, name: usize, at: usize) -> bool {
    match (&query.tokens[name].kind, &query.tokens[at].kind) {
        (TokenKind::Word(name), TokenKind::Word(word)) => name == word,
        (TokenKind::QuotedName(name), TokenKind::QuotedName(word)) => name == word,
        _ => false,
    }
}

fn is_aggregate(query: &WrittenQuery<'_>, mut expression: Range<usize>) -> bool {
    expression.any(|at| query.name(at).is_some_and(|word| aggregate_function(word).is_some()))
}

/// The value gets its name in a LET behind the sources, which all clauses see.
fn with_let(
    query: &WrittenQuery<'_>,
    clauses: &[WrittenClause],
    column: &NamedColumn,
    at: usize,
) -> Option<QuickFix> {
    let sources = clauses.iter().rfind(|clause| clause.kind.has_source())?;
    let name = query.source(column.name..column.name + 1);
    let assignment = format!("LET {name} = {}", query.source(column.expression.clone()));

    let place = query.end_before(sources.tokens.end);
    let hint = format!("SELECT comes last, so its names are not known yet: {assignment}");
    let edits = vec![
        TextEdit::new(place..place, format!(" {assignment}")),
        TextEdit::new(query.span(column.item.clone()), name),
    ];
    Some(QuickFix::of_edits(query.span(at..at + 1), hint, edits))
}

/// A condition on an aggregate decides about groups, so it is HAVING.
fn with_having(
    query: &WrittenQuery<'_>,
    clauses: &[WrittenClause],
    clause: &WrittenClause,
    column: &NamedColumn,
    at: usize,
) -> Option<QuickFix> {
    let select = clauses.iter().find(|clause| clause.kind == ClauseKind::Select)?;
    let name = query.source(column.name..column.name + 1);
    let hint = format!("a condition on an aggregate decides about groups: HAVING {name} ..");
    let span = query.span(at..at + 1);
    let has_having = clauses.iter().any(|clause| clause.kind == ClauseKind::Having);
    if clause.kind != ClauseKind::Where || has_having {
        return Some(QuickFix::of_edits(span, hint, vec![]));
    }

    // In front of the clauses that come behind HAVING, wherever SELECT stands.
    let from =
        clauses.iter().rfind(|clause| clause.kind.has_source() || clause.kind == ClauseKind::GroupBy)?;
    let end = if select.tokens.start > from.tokens.start { select.tokens.end } else { from.tokens.end };
    let place = query.end_before(end);
    let having = format!(" HAVING {}", query.source(clause.body()));
    let edits = vec![
        TextEdit::new(query.end_before(clause.tokens.start)..query.end_before(clause.tokens.end), ""),
        TextEdit::new(place..place, having),
    ];
    Some(QuickFix::of_edits(span, hint, edits))
}
