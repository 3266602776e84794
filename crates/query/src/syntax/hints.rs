//! What to do about a token that cannot stand where it stands.

use crate::lexical::{ClauseKind, FunctionKind, Token, TokenKind, functions};
use crate::suggest::nearest;

/// Words that begin something in other languages, each with what says it here.
const FOREIGN_WORDS: [(&[&str], &str); 8] = [
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
const FOREIGN_SOURCES: [(&[&str], &str); 3] = [
    (&["LAST", "LATEST", "RECENT", "NEWEST"], "MostRecent"),
    (&["EARLIEST", "OLDEST"], "First"),
    (&["FLATTEN", "EXPLODE", "EACH"], "UNNEST"),
];

/// Returns what to do about a token that stands behind another one in a clause, or `None` if nothing is known.
pub(super) fn hint_for(
    token: &Token<'_>,
    before: Option<&Token<'_>>,
    clause: Option<ClauseKind>,
) -> Option<String> {
    let hint = match &token.kind {
        // Signs of other languages, and signs that stand elsewhere in this one.
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

        // A word behind a column is most often meant as its name.
        TokenKind::Word(word) => match foreign_word(word) {
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

fn foreign_word(word: &str) -> Option<&'static str> {
    FOREIGN_WORDS.iter().find(|(words, _)| contains(words, word)).map(|(_, hint)| *hint)
}

/// Returns the source that a name before a parenthesis means, as a question, or `None` if it is near none.
fn source(name: &Token<'_>) -> Option<String> {
    let TokenKind::Word(word) = name.kind else { return None };
    let known = FOREIGN_SOURCES.iter().find(|(words, _)| contains(words, word));

    let sources = functions()
        .filter(|function| matches!(function.kind, FunctionKind::Source | FunctionKind::SourceAlias))
        .map(|function| function.name);
    let meant = known.map(|(_, source)| (*source).to_owned()).or_else(|| nearest(word, sources));
    meant.map(|source| format!("did you mean {source}?"))
}

fn contains(words: &[&str], word: &str) -> bool {
    words.iter().any(|other| other.eq_ignore_ascii_case(word))
}
