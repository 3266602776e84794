//! Keywords that are used as names: a tracepoint `Order.placed`, an alias `order`.

use super::fix::QuickFix;
use super::foreign_sources::source_of;
use super::written_query::{WrittenClause, WrittenQuery};
use crate::diagnostic::TextEdit;
use crate::lexical::{TokenKind, is_reserved};

/// Adds the fixes for keywords in the sources of a query.
pub(super) fn of_query(query: &WrittenQuery<'_>, clauses: &[WrittenClause], found: &mut Vec<QuickFix>) {
    for clause in clauses.iter().filter(|clause| clause.kind.has_source()) {
        found.extend(alias(query, clauses, clause));
        let on = clause.body().find(|at| query.is_word(*at, "ON"));
        let end = on.unwrap_or(clause.tokens.end);
        found.extend((clause.body..end).filter_map(|at| tracepoint(query, at)));
    }
}

/// `Within.hit`: a tracepoint whose first segment is a keyword stands in double quotes.
fn tracepoint(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let first = query.word(at).filter(|word| is_reserved(word))?;
    let is_member = at > 0 && query.tokens[at - 1].is_name_separator();
    if is_member || !query.touches_next(at) || !query.tokens.get(at + 1)?.is_name_separator() {
        return None;
    }

    let mut end = at + 1;
    while end < query.tokens.len() && query.touches_next(end - 1) && is_name_part(query, end) {
        end += 1;
    }
    // In a pattern the stars must stay outside of the quotes.
    let is_pattern = (at..end).any(|part| query.is(part, "*"));
    let quoted = if is_pattern { at..at + 1 } else { at..end };
    let written = format!("\"{}\"", query.source(quoted.clone()).replace('"', ""));

    let hint =
        format!("{} is a keyword, so the name stands in double quotes: {written}", first.to_uppercase());
    let fix = QuickFix::new(query, quoted, written, hint);
    Some(QuickFix { span: query.span(at..end), ..fix })
}

/// Returns whether a token may continue the name of a tracepoint.
fn is_name_part(query: &WrittenQuery<'_>, at: usize) -> bool {
    matches!(query.tokens[at].kind, TokenKind::Word(_) | TokenKind::QuotedName(_))
        || [".", "::", "*"].iter().any(|symbol| query.is(at, symbol))
}

/// `FROM order IN ..`: another alias, wherever this one is used.
fn alias(query: &WrittenQuery<'_>, clauses: &[WrittenClause], clause: &WrittenClause) -> Vec<QuickFix> {
    let Some(alias) = query.word(clause.body).filter(|word| is_reserved(word)) else { return vec![] };
    if !query.is_word(clause.body + 1, "IN") {
        return vec![];
    }
    let is_taken = |name: &str| (0..query.tokens.len()).any(|at| query.is_word(at, name));
    let initial: String = alias.chars().take(1).flat_map(char::to_lowercase).collect();
    let mut names = std::iter::once(initial.clone()).chain((2..).map(|n| format!("{initial}{n}")));
    let Some(new) = names.find(|name| !is_taken(name)) else { return vec![] };

    // The first segment of a tracepoint may be the word as well.
    let in_source = |at: usize| {
        let mut sources = clauses.iter().filter(|clause| clause.kind.has_source());
        sources.any(|clause| at > clause.body && source_of(query, clause).contains(&at))
    };
    let is_use = |at: &usize| {
        let is_member = *at > 0 && query.tokens[*at - 1].is_name_separator();
        let is_arrow = query.is(at + 1, "->") || (*at > 0 && query.is(at - 1, "->"));
        let is_used = *at == clause.body || query.is(at + 1, ".") || is_arrow;
        query.word(*at) == Some(alias) && !is_member && is_used && !in_source(*at)
    };
    let uses: Vec<usize> = (0..query.tokens.len()).filter(is_use).collect();

    // Each use is reported by itself, and all are mended at once.
    let edits: Vec<TextEdit> =
        uses.iter().map(|at| TextEdit::new(query.span(*at..at + 1), new.clone())).collect();
    let hint = format!("{} is a keyword: choose another alias, say {new}", alias.to_uppercase());
    uses.iter().map(|at| QuickFix::of_edits(query.span(*at..at + 1), hint.clone(), edits.clone())).collect()
}
