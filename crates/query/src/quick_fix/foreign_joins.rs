//! The words before a JOIN: INNER and OUTER say nothing here, others ask for what there is not.
//!
//! ```text
//! FROM e IN E RIGHT JOIN x IN X ON e -> x     every x is kept, and what happened before it is joined:
//! FROM x IN X LEFT JOIN e IN E ON e -> x      so x is FROM
//! FROM e IN E RIGHT JOIN x IN X ON x -> e     every x is kept, also if no e follows: no row waits for that
//! ```

use super::arrows;
use super::fix::QuickFix;
use super::foreign_sources::{JOIN_WORDS, source_of};
use super::written_query::{WrittenClause, WrittenQuery};
use crate::diagnostic::TextEdit;
use crate::lexical::ClauseKind;
use std::ops::Range;

/// Adds the fixes for words before the JOINs of a query.
pub(super) fn of_query(query: &WrittenQuery<'_>, clauses: &[WrittenClause], found: &mut Vec<QuickFix>) {
    for clause in clauses.iter().filter(|clause| clause.kind.has_source()) {
        found.extend(join_words(query, clauses, clause));
    }
}

fn join_words(
    query: &WrittenQuery<'_>,
    clauses: &[WrittenClause],
    clause: &WrittenClause,
) -> Option<QuickFix> {
    let mut start = clause.tokens.start;
    while start > 0 && query.is_one_of(start - 1, &JOIN_WORDS) {
        start -= 1;
    }
    if clause.kind == ClauseKind::From || start == clause.tokens.start {
        return None;
    }

    let words = start..clause.body;
    let written: Vec<String> =
        words.clone().filter_map(|at| query.word(at)).map(str::to_ascii_uppercase).collect();
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    let replacement = match written.as_slice() {
        ["LEFT", "OUTER", "JOIN"] => "LEFT JOIN",
        ["LEFT", "ANTI", "JOIN"] => "ANTI JOIN",
        ["INNER", "JOIN"] => "JOIN",
        ["RIGHT", ..] => return Some(right_join(query, clauses, clause, words)),
        ["FULL", ..] => {
            let hint = "there is no FULL JOIN: LEFT JOIN keeps the events of FROM, what only happened before is another query";
            return Some(QuickFix::only_hint(query, words, hint));
        }
        // A plain join would be another query: it compares nothing.
        ["NATURAL", ..] => {
            let hint = "a NATURAL JOIN compares the fields that have one name: here they are named behind the arrow, as in \
                        JOIN x IN source ON x -> y AND x.id = y.id";
            return Some(QuickFix::only_hint(query, words, hint));
        }
        ["CROSS", ..] => {
            let hint = "events are joined with those of their own request, and an arrow says which came first: write JOIN";
            return Some(QuickFix::new(query, words, "JOIN", hint));
        }
        ["LEFT" | "SEMI", ..] if written.contains(&"SEMI") => {
            let hint = "a row for each match: JOIN First(source), which matches once; ANTI JOIN keeps rows without a match";
            return Some(QuickFix::only_hint(query, words, hint));
        }
        _ => {
            let hint = "joins are JOIN, LEFT JOIN and ANTI JOIN, of events of one request: JOIN x IN source ON x -> y";
            return Some(QuickFix::only_hint(query, words, hint));
        }
    };
    Some(QuickFix::new(query, words, replacement, format!("write {replacement}")))
}

/// `RIGHT JOIN`: the events to be kept are in FROM here, if what is joined to them came first.
fn right_join(
    query: &WrittenQuery<'_>,
    clauses: &[WrittenClause],
    clause: &WrittenClause,
    words: Range<usize>,
) -> QuickFix {
    let from = clauses.iter().find(|clause| clause.kind == ClauseKind::From);
    let joins = clauses.iter().filter(|clause| clause.kind.has_source()).count();
    let turned = from.filter(|_| joins == 2).and_then(|from| turned(query, from, clause));

    let hint = match &turned {
        Some(Ok(_)) => "the events to be kept are in FROM: RIGHT JOIN is LEFT JOIN from the other side".to_owned(),
        Some(Err(alias)) => format!(
            "there is no RIGHT JOIN, and a row is made at the later event: no {alias} waits for one that may never come; \
             JOIN has those with both, and FROM {alias} alone has all"
        ),
        None => "there is no RIGHT JOIN: exchange FROM and JOIN, so that the events to be kept are in FROM, and write \
                 LEFT JOIN"
            .to_owned(),
    };
    let edits = turned.and_then(Result::ok).into_iter().collect();
    QuickFix::of_edits(query.span(words), hint, edits)
}

/// Returns FROM and the RIGHT JOIN turned around, or the alias that is to be kept if it comes first; `None` if
/// the join has no arrow.
fn turned<'t>(
    query: &WrittenQuery<'t>,
    from: &WrittenClause,
    clause: &WrittenClause,
) -> Option<Result<TextEdit, &'t str>> {
    // The words of the join still stand at the end of FROM.
    let from_body = source_of(query, from);
    let kept = WrittenClause { tokens: from.tokens.start..from_body.end, ..from.clone() };
    let (first, _) = arrows::read(query, &kept)?;
    let (joined, join) = arrows::read(query, clause)?;
    let join = join?;
    if join.before != first.alias || join.after != joined.alias {
        return (join.before == joined.alias).then_some(Err(joined.alias));
    }

    let space = if join.condition.is_empty() { "" } else { " " };
    let text = format!(
        "FROM {} IN {} LEFT JOIN {} IN {} ON {} -> {}{space}{}",
        joined.alias, joined.source, first.alias, first.source, join.before, join.after, join.condition
    );
    Some(Ok(TextEdit::new(query.span(from.tokens.start..clause.tokens.end), text)))
}
