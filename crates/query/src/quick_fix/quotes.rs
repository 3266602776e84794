//! Text in quotes of another kind: double quotes, backticks, and those of printed text.

use super::fix::QuickFix;
use super::written_query::{WrittenQuery, quoted};
use crate::lexical::{TokenKind, is_reserved};

/// The quotes of printed text, which word processors make of typed ones.
const PRINTED_QUOTES: [char; 8] =
    ['\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}', '\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}'];

/// Returns the fix for quotes at a place, or `None` if there are none that are meant otherwise.
pub(super) fn at(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    match &query.tokens[at].kind {
        TokenKind::QuotedName(text) => double_quotes(query, at, text),
        TokenKind::Other('`') => backticks(query, at),
        TokenKind::Other(sign) if PRINTED_QUOTES.contains(sign) => printed_quotes(query, at),
        _ => None,
    }
}

/// `"text"` in the place of a value, where only `'text'` is one.
fn double_quotes(query: &WrittenQuery<'_>, at: usize, text: &str) -> Option<QuickFix> {
    let before = at.checked_sub(1);
    let is_part = before.is_some_and(|before| query.tokens[before].is_name_separator())
        || query.tokens.get(at + 1).is_some_and(|next| next.is_name_separator());
    // Names stand behind these, and a name may be in double quotes.
    let is_name = before.is_some_and(|before| query.is_one_of(before, &["AS", "FROM", "JOIN", "LET", "IN"]));
    if is_part || is_name {
        return None;
    }

    // What SELECT or LET calls so is no text.
    let is_defined = (1..query.tokens.len()).any(|other| {
        query.is_one_of(other - 1, &["AS", "LET"])
            && matches!(&query.tokens[other].kind, TokenKind::QuotedName(name) if name == text)
    });
    if is_defined {
        return None;
    }

    // In standard SQL `timestamp` and the like stand before their text.
    let written = quoted(text);
    let hint = format!("text stands in single quotes: {written}");
    Some(QuickFix::new(query, at..at + 1, written, hint))
}

/// A name in backticks, as in other databases.
fn backticks(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let close = (at + 1..query.tokens.len()).find(|close| query.is_sign(*close, '`'))?;
    let name = &query.text[query.tokens[at].span.end..query.tokens[close].span.start];

    let is_plain = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '@'));
    let bare = is_plain && !name.is_empty() && !is_reserved(name);
    let written = if bare { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) };
    Some(QuickFix::new(query, at..close + 1, written, "a name stands in double quotes, or in none"))
}

/// A text in the quotes of printed text. The tokens between them are not those that were meant.
fn printed_quotes(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let open = query.tokens[at].span;
    let rest = &query.text[open.end..];
    let length = rest.find(PRINTED_QUOTES)?;
    let end = open.end + length + rest[length..].chars().next().map_or(0, char::len_utf8);

    let written = quoted(&rest[..length]);
    let hint = format!("text stands in single quotes as they are typed: {written}");
    let span = open.start..end;
    let edits = vec![crate::diagnostic::TextEdit::new(span.clone(), written)];
    Some(QuickFix::of_edits(span, hint, edits))
}
