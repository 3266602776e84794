//! Parameters as other languages write them: `?`, `:name`, `@name`, `${name}`, `{{name}}`, `$1`.

use super::fix::QuickFix;
use super::written_query::WrittenQuery;
use crate::lexical::TokenKind;
use pivot_advice::Value;
use std::ops::Range;

/// Returns the fix for a parameter at a place, or `None` if none of another language stands there.
pub(super) fn at(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let (tokens, name) = foreign(query, at)?;
    let hint = format!(
        "a parameter is written ${name}, and its value is given by `--param {name}=..` or `\\set {name} ..`"
    );
    Some(QuickFix::new(query, tokens, format!("${name}"), hint))
}

/// Returns the tokens of a parameter of another language, and what it would be called here.
fn foreign(query: &WrittenQuery<'_>, at: usize) -> Option<(Range<usize>, String)> {
    let touches = query.touches_next(at);

    match &query.tokens[at].kind {
        TokenKind::Other('?') => Some((at..at + 1, "value".to_owned())),
        TokenKind::Other(':') | TokenKind::Symbol("@") if touches && stands_alone(query, at) => {
            Some((at..at + 2, query.word(at + 1)?.to_owned()))
        }
        TokenKind::Other('$') if touches && query.is(at + 1, "{") && query.is(at + 3, "}") => {
            Some((at..at + 4, query.word(at + 2)?.to_owned()))
        }
        TokenKind::Other('$') if touches => match query.literal(at + 1) {
            Some(Value::I64(n)) => Some((at..at + 2, format!("p{n}"))),
            _ => None,
        },
        TokenKind::Symbol("{") if touches && query.is(at + 1, "{") && query.is(at + 4, "}") => {
            Some((at..at + 5, query.word(at + 2).or_else(|| query.word(at + 3))?.to_owned()))
        }
        _ => None,
    }
}

/// Returns whether a sign before a word is not part of a name, such as `f@exit`.
fn stands_alone(query: &WrittenQuery<'_>, at: usize) -> bool {
    at > 0 && !query.touches_next(at - 1)
}
