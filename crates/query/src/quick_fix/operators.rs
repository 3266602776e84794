//! Operators and tests of other languages.

use super::fix::QuickFix;
use super::written_query::{WrittenQuery, quoted};
use crate::diagnostic::TextEdit;
use crate::lexical::TokenKind;
use pivot_advice::Value;

/// Returns the fix for an operator at a place, or `None` if there is none of another language.
pub(super) fn at(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let token = &query.tokens[at];

    match &token.kind {
        TokenKind::Symbol("=" | "==" | "!=" | "<>") if query.is_word(at + 1, "NULL") => null_test(query, at),
        TokenKind::Symbol("=") if query.is(at + 1, "~") && query.touches_next(at) => {
            Some(QuickFix::new(query, at..at + 2, "~", "a regular expression is matched with `~`"))
        }
        TokenKind::Symbol("==") => Some(QuickFix::new(query, at..at + 1, "=", "equality is `=`")),
        TokenKind::Symbol("&&") => {
            Some(QuickFix::new(query, at..at + 1, spaced(query, at, "AND"), "write AND"))
        }
        TokenKind::Symbol("~" | "!~") if query.is(at + 1, "*") => case_insensitive_regex(query, at),
        TokenKind::Other('!') => Some(QuickFix::new(query, at..at + 1, "NOT ", "negation is NOT")),
        TokenKind::Symbol("::") => cast(query, at),
        TokenKind::Word(word) => word_test(query, at, word),
        _ => None,
    }
}

/// Returns fixes for operators that have another meaning here: `||` joins text.
pub(super) fn guesses(query: &WrittenQuery<'_>) -> Vec<QuickFix> {
    let signs = (0..query.tokens.len()).filter(|at| query.is(*at, "||"));
    let mut edits = Vec::new();
    for at in signs {
        edits.push(TextEdit::new(query.span(at..at + 1), spaced(query, at, "OR")));
    }
    if edits.is_empty() {
        return vec![];
    }

    // Where the mistake is seen depends on how far the text could be read.
    let span = 0..query.text.len();
    vec![QuickFix::of_edits(span, "a choice of conditions is OR; `||` joins text", edits)]
}

/// Returns a word for a sign, with the blanks that a word needs.
fn spaced(query: &WrittenQuery<'_>, at: usize, word: &str) -> String {
    let before = at.checked_sub(1).is_some_and(|before| query.touches_next(before));
    let after = query.touches_next(at);
    format!("{}{word}{}", if before { " " } else { "" }, if after { " " } else { "" })
}

/// `x = NULL`, which is never true.
fn null_test(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let negated = query.is(at, "!=") || query.is(at, "<>");
    let test = if negated { "IS NOT NULL" } else { "IS NULL" };
    let before = at.checked_sub(1).is_some_and(|before| query.touches_next(before));
    let written = format!("{}{test}", if before { " " } else { "" });
    Some(QuickFix::new(query, at..at + 2, written, format!("write {test}: nothing equals null")))
}

/// `x ~* 'a'`, as in PostgreSQL.
fn case_insensitive_regex(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let regex = query.literal_text(at + 2)?;
    let operator = query.source(at..at + 1);
    let written = format!("{operator} {}", quoted(&format!("(?i){regex}")));
    Some(QuickFix::new(query, at..at + 3, written, "`(?i)` makes a regular expression ignore case"))
}

/// `x::int`, as in PostgreSQL.
fn cast(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let ty = type_name(query.word(at + 1)?)?;
    let operand = query.operand_before(at)?;
    let written = format!("CAST({} AS {ty})", query.source(operand.clone()));
    let fix = QuickFix::new(query, operand.start..at + 2, written, "a cast is CAST(x AS type)");
    Some(QuickFix { span: query.span(at..at + 2), ..fix })
}

/// Returns the type here that another language calls so, or `None` if none is.
fn type_name(word: &str) -> Option<&'static str> {
    const TYPES: [(&str, &[&str]); 6] = [
        ("i64", &["INT", "INTEGER", "BIGINT", "INT8", "INT64", "LONG", "I64", "SIGNED"]),
        ("u64", &["UINT64", "UBIGINT", "UNSIGNED", "U64"]),
        ("f64", &["FLOAT", "FLOAT8", "FLOAT64", "DOUBLE", "REAL", "NUMERIC", "DECIMAL", "F64"]),
        ("string", &["TEXT", "VARCHAR", "CHAR", "STRING", "STR"]),
        ("bool", &["BOOLEAN", "BOOL"]),
        ("duration", &["INTERVAL", "DURATION"]),
    ];
    TYPES
        .into_iter()
        .find(|(_, words)| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
        .map(|ty| ty.0)
}

/// Tests that are words: ILIKE, REGEXP; the type of a CAST; INTERVAL before a text.
fn word_test(query: &WrittenQuery<'_>, at: usize, word: &str) -> Option<QuickFix> {
    match word.to_ascii_uppercase().as_str() {
        "ILIKE" => ilike(query, at),
        "REGEXP" | "RLIKE" | "MATCHES" if at > 0 && query.literal_text(at + 1).is_some() => {
            let negated = query.is_word(at - 1, "NOT");
            let (start, operator) = if negated { (at - 1, "!~") } else { (at, "~") };
            Some(QuickFix::new(query, start..at + 1, operator, "a regular expression is matched with `~`"))
        }

        "INTERVAL" => {
            let (end, duration) = interval(query, at)?;
            Some(QuickFix::new(query, at..end, duration.clone(), format!("a duration is written {duration}")))
        }
        "AS" => {
            let ty = type_name(query.word(at + 1)?).filter(|ty| !query.is_word(at + 1, ty))?;
            Some(QuickFix::new(query, at + 1..at + 2, ty, format!("the type is called {ty}")))
                .filter(|_| query.is(at + 2, ")"))
        }
        "TIMESTAMP" => None,
        _ => None,
    }
}

/// `x ILIKE 'A%'`: LIKE of both in small letters.
fn ilike(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let negated = at > 0 && query.is_word(at - 1, "NOT");
    let operand = query.operand_before(if negated { at - 1 } else { at });
    let hint = "LIKE tells large from small letters: compare in small ones, lower(x) LIKE 'a%'";
    let pattern = match &query.tokens.get(at + 1).map(|token| &token.kind) {
        Some(TokenKind::Literal(Value::Str(text))) => text.to_lowercase(),
        Some(TokenKind::QuotedName(text)) => text.to_lowercase(),
        _ => return Some(QuickFix::only_hint(query, at..at + 1, hint)),
    };

    let Some(operand) = operand else { return Some(QuickFix::only_hint(query, at..at + 1, hint)) };
    let written = format!(
        "lower({}) {}LIKE {}",
        query.source(operand.clone()),
        if negated { "NOT " } else { "" },
        quoted(&pattern)
    );
    let fix = QuickFix::new(query, operand.start..at + 2, written, hint);
    let start = if negated { at - 1 } else { at };
    Some(QuickFix { span: query.span(start..at + 1), ..fix })
}

/// Returns the duration of `INTERVAL '5 seconds'` at a place and the place behind it, or `None` if it is none.
pub(super) fn interval(query: &WrittenQuery<'_>, at: usize) -> Option<(usize, String)> {
    let (number, mut end) = match &query.tokens.get(at + 1)?.kind {
        TokenKind::Literal(Value::Str(text)) => (text.to_string(), at + 2),
        TokenKind::QuotedName(text) => (text.clone(), at + 2),
        TokenKind::Literal(_) => (query.source(at + 1..at + 2).to_owned(), at + 2),
        _ => return None,
    };
    if let Some(duration) = duration_of(&number) {
        return Some((end, duration));
    }
    let duration = duration_of(&format!("{number} {}", query.word(end)?))?;
    end += 1;
    Some((end, duration))
}

/// Returns a duration in words, `5 seconds`, as it is written here, or `None` if it is none.
pub(super) fn duration_of(text: &str) -> Option<String> {
    const UNITS: [(&str, &[&str]); 7] = [
        ("ns", &["ns", "nanosecond", "nanoseconds"]),
        ("us", &["us", "microsecond", "microseconds"]),
        ("ms", &["ms", "millisecond", "milliseconds", "msec"]),
        ("s", &["s", "sec", "secs", "second", "seconds"]),
        ("m", &["m", "min", "mins", "minute", "minutes"]),
        ("h", &["h", "hour", "hours"]),
        ("d", &["d", "day", "days"]),
    ];

    let text = text.trim().to_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.into_iter().find(|(_, words)| words.contains(&unit.trim()))?.0;
    (!number.is_empty()).then(|| format!("{number}{unit}"))
}
