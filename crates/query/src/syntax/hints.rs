//! What to do about a token that cannot stand where it stands.

use super::clauses::ClauseKind;
use crate::lexical::{Token, TokenKind};
use crate::suggest::nearest;

/// Words that begin something in other languages, each with what says it here.
const ELSEWHERE: [(&[&str], &str); 8] = [
    (&["WHEN", "FILTER", "QUALIFY"], "a condition on rows is WHERE"),
    (&["UNION", "INTERSECT", "EXCEPT"], "several sources are a union: FROM alias IN source, source"),
    (
        &["INNER", "CROSS", "RIGHT", "FULL", "OUTER", "NATURAL", "SEMI"],
        "joins are JOIN, LEFT JOIN and ANTI JOIN: JOIN x IN source ON x -> y",
    ),
    (&["USING"], "a join says what happened before what: ON x -> y"),
    (&["FLATTEN", "EXPLODE", "LATERAL"], "one tuple for each element of a list: IN UNNEST(source, field)"),
    (&["OFFSET", "FETCH", "TOP"], "LIMIT n keeps the first n rows of an ORDER BY"),
    (&["WINDOW", "OVER", "PARTITION"], "the length of a window is EVERY duration; rows fall into GROUP BY"),
    (&["SET", "DEFINE"], "LET name = expression"),
];

/// Functions that are no sources, each with the source that is meant.
const SOURCES: [(&[&str], &str); 3] = [
    (&["LAST", "LATEST", "RECENT", "NEWEST"], "MostRecent"),
    (&["EARLIEST", "OLDEST"], "First"),
    (&["FLATTEN", "EXPLODE", "EACH"], "UNNEST"),
];

/// What to do about a token behind another one, in a clause.
pub(super) fn hint_for(token: &Token, before: Option<&Token>, clause: Option<ClauseKind>) -> Option<String> {
    let hint = match &token.kind {
        TokenKind::Symbol("(") if clause.is_some_and(ClauseKind::has_source) => return source(before?),
        TokenKind::Symbol("->") => "happened-before belongs to a join: JOIN x IN source ON x -> y",
        TokenKind::Symbol("==") => "equality is `=`",
        TokenKind::Symbol("&&") => "write AND",
        TokenKind::Symbol("=" | "!=" | "<>" | "<" | "<=" | ">" | ">=") => {
            "comparisons do not chain; connect them with AND"
        }
        TokenKind::Symbol("*") if clause == Some(ClauseKind::Select) => {
            "name the columns; `*` stands in COUNT(*) only"
        }
        TokenKind::Symbol(";") => "one statement at a time",
        TokenKind::Word(word) => match elsewhere(word) {
            Some(hint) => hint,
            None if clause == Some(ClauseKind::Select) => {
                return Some(format!("a column is named with AS: `AS {word}`"));
            }
            None => return None,
        },
        _ => return None,
    };
    Some(hint.into())
}

fn elsewhere(word: &str) -> Option<&'static str> {
    let is = |words: &[&str]| words.iter().any(|other| other.eq_ignore_ascii_case(word));
    ELSEWHERE.iter().find(|(words, _)| is(words)).map(|(_, hint)| *hint)
}

/// The source that a name before a parenthesis means.
fn source(name: &Token) -> Option<String> {
    let TokenKind::Word(word) = &name.kind else { return None };
    let known = SOURCES.iter().find(|(words, _)| words.iter().any(|other| other.eq_ignore_ascii_case(word)));
    let meant = known.map(|(_, source)| (*source).to_owned());
    let meant = meant.or_else(|| nearest(word, ["First", "MostRecent", "FirstN", "MostRecentN", "UNNEST"]));
    meant.map(|source| format!("did you mean {source}?"))
}
