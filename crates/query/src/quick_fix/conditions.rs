//! Conditions as other languages write them: `x NOT NULL`, `x IS TRUE`, `x contains 'a'`, `x ~ /a/`, `x = word`.

use super::fix::QuickFix;
use super::written_query::{WrittenClause, WrittenQuery, quoted};
use crate::diagnostic::TextEdit;
use crate::lexical::{ClauseKind, TokenKind, aggregate_function};
use pivot_advice::Value;

/// Functions of a text that other languages write between it and its argument.
const INFIX: [(&[&str], &str); 2] = [
    (&["contains", "has", "includes"], "contains"),
    (&["startswith", "starts_with", "hasprefix"], "starts_with"),
];

/// Returns the fix for a condition at a place, or `None` if there is none of another language.
pub(super) fn at(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    null_test(query, at)
        .or_else(|| truth_test(query, at))
        .or_else(|| infix(query, at))
        .or_else(|| regex_in_slashes(query, at))
        .or_else(|| list_in_brackets(query, at))
        .or_else(|| bare_word(query, at))
}

/// `x NOT NULL`, `x NOTNULL`, `x ISNULL`.
fn null_test(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let follows_operand = query.operand_before(at).is_some();
    let (end, written) = match () {
        () if !follows_operand => return None,
        () if query.is_word(at, "NOT") && query.is_word(at + 1, "NULL") => (at + 2, "IS NOT NULL"),
        () if query.is_word(at, "NOTNULL") => (at + 1, "IS NOT NULL"),
        () if query.is_word(at, "ISNULL") && !query.is(at + 1, "(") => (at + 1, "IS NULL"),
        () => return None,
    };
    Some(QuickFix::new(query, at..end, written, format!("write {written}")))
}

/// `x IS TRUE`, `x IS NOT FALSE`, `x IS 'a'`, and `ok = 1` of a truth value.
fn truth_test(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    if query.is(at, "=") || query.is(at, "==") {
        let Some(Value::I64(number @ (0 | 1))) = query.literal(at + 1) else { return None };
        let operand = query.operand_before(at)?;
        let not = if *number == 0 { "NOT " } else { "" };
        let written = format!("{not}{}", query.source(operand.clone()));
        let fix =
            QuickFix::new(query, operand.start..at + 2, written, "a truth value is a condition by itself");
        return Some(QuickFix { about: "compare bool", ..fix });
    }

    let operand = query.operand_before(at).filter(|_| query.is_word(at, "IS"))?;
    let negated = query.is_word(at + 1, "NOT");
    let place = if negated { at + 2 } else { at + 1 };
    let text = query.source(operand.clone());
    if let Some(Value::Str(_) | Value::I64(_) | Value::F64(_)) = query.literal(place) {
        let sign = if negated { "!=" } else { "=" };
        let hint = format!("IS tests for null, `{sign}` compares");
        let fix = QuickFix::new(query, at..place, sign, hint);
        return Some(QuickFix { span: query.span(at..place + 1), ..fix });
    }

    let is_true = query.is_word(place, "TRUE");
    if !is_true && !query.is_word(place, "FALSE") {
        return None;
    }
    // What is not true may be null.
    let written = match (negated, is_true) {
        (false, true) => text.to_owned(),
        (false, false) => format!("NOT {text}"),
        (true, true) => format!("NOT coalesce({text}, false)"),
        (true, false) => format!("coalesce({text}, true)"),
    };
    let fix =
        QuickFix::new(query, operand.start..place + 1, written, "a truth value is a condition by itself");
    Some(QuickFix { span: query.span(at..place + 1), ..fix })
}

/// `x contains 'a'`.
fn infix(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let word = query.name(at).filter(|_| !query.is(at + 1, "("))?;
    let (_, function) =
        INFIX.iter().find(|(names, _)| names.iter().any(|known| known.eq_ignore_ascii_case(word)))?;

    let argument = query.operand_at(at + 1)?;
    let operand = query.operand_before(at)?;
    let written =
        format!("{function}({}, {})", query.source(operand.clone()), query.source(argument.clone()));
    let hint = format!("write {written}");
    let fix = QuickFix::new(query, operand.start..argument.end, written, hint);
    Some(QuickFix { span: query.span(at..at + 1), ..fix })
}

/// `x ~ /a.*/`, `x matches /a.*/`: a regular expression stands in single quotes.
fn regex_in_slashes(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let is_word = query.is_one_of(at, &["MATCHES", "REGEXP", "RLIKE"]);
    let is_sign = query.is(at, "~") || query.is(at, "!~");
    let open = Some(at + 1).filter(|open| (is_word || is_sign) && query.is(*open, "/"))?;
    let close = (open + 1..query.tokens.len()).find(|close| query.is(*close, "/"))?;

    let text = &query.text[query.tokens[open].span.end..query.tokens[close].span.start];
    let sign = if is_sign { query.source(at..at + 1) } else { "~" };
    let written = format!("{sign} {}", quoted(text));
    let hint = format!("a regular expression stands in single quotes: {written}");
    Some(QuickFix::new(query, at..close + 1, written, hint))
}

/// `x IN ['a', 'b']`.
fn list_in_brackets(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let open = Some(at + 1).filter(|open| query.is_word(at, "IN") && query.is(*open, "["))?;
    let close = (open + 1..query.tokens.len()).find(|close| query.is(*close, "]"))?;

    let written = format!("({})", query.source(open + 1..close));
    let hint = format!("a list stands in parentheses: {written}");
    Some(QuickFix::new(query, open..close + 1, written, hint))
}

/// `x = word`: text stands in single quotes, also if it is one word.
fn bare_word(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let word = query.name(at)?;
    let before = at.checked_sub(1)?;
    let is_compared = query.is(before, "=") || query.is(before, "!=") || query.is(before, "<>");
    let is_part =
        query.is(at + 1, "(") || query.tokens.get(at + 1).is_some_and(|next| next.is_name_separator());
    let is_literal = matches!(query.tokens[at].kind, TokenKind::Word(_));
    if !is_compared || is_part || !is_literal {
        return None;
    }

    let written = quoted(word);
    let hint = format!("text stands in single quotes: {written}");
    Some(QuickFix { about: "unknown name", ..QuickFix::new(query, at..at + 1, written, hint) })
}

/// Adds the fix for aggregates in WHERE: a condition on groups is HAVING.
pub(super) fn of_query(query: &WrittenQuery<'_>, clauses: &[WrittenClause], found: &mut Vec<QuickFix>) {
    let Some(condition) = clauses.iter().find(|clause| clause.kind == ClauseKind::Where) else { return };
    let is_aggregate = |at: usize| query.name(at).is_some_and(|word| aggregate_function(word).is_some());
    let has_and = condition.body().any(|at| query.is_one_of(at, &["AND", "OR"]));
    let has_having = clauses.iter().any(|clause| clause.kind == ClauseKind::Having);
    if !condition.body().any(is_aggregate) {
        return;
    }

    let hint = "a condition on groups is HAVING, behind SELECT";
    let span = query.span(condition.body());
    let last = clauses.iter().rfind(|clause| clause.kind.rank() < ClauseKind::Having.rank());
    let mut edits = Vec::new();
    if let Some(last) = last.filter(|_| !has_and && !has_having) {
        let place = query.end_before(last.tokens.end);
        let whole = query.end_before(condition.tokens.start)..query.end_before(condition.tokens.end);
        edits.push(TextEdit::new(whole, ""));
        edits.push(TextEdit::new(place..place, format!(" HAVING {}", query.source(condition.body()))));
    }
    let fix = QuickFix::of_edits(span, hint, edits);
    found.push(QuickFix { about: "an aggregate is misplaced", ..fix });
}
