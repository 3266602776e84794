//! Words of a line that is still being typed, for colours and completion.
//!
//! This is no parser: it knows words, quotes and comments, and never finds anything wrong.

use std::ops::Range;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Keyword,
    Function,
    /// A name, with its dots and colons.
    Name,
    Number,
    Quoted,
    Comment,
    Other,
}

/// Words with a meaning of their own; as they are offered for completion.
pub(super) const KEYWORDS: &[&str] = &[
    "FROM",
    "IN",
    "JOIN",
    "LEFT JOIN",
    "ANTI JOIN",
    "ON",
    "WHERE",
    "GROUP BY",
    "SELECT",
    "DISTINCT",
    "AS",
    "AND",
    "OR",
    "NOT",
    "LET",
    "IS",
    "NULL",
    "LIKE",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "HAVING",
    "ORDER BY",
    "DESC",
    "LIMIT",
    "SAMPLE",
    "EVERY",
    "FOR",
    "WITH",
    "TRUE",
    "FALSE",
    "EXPLAIN",
];

/// What is written before a parenthesis, `COUNT` aside, which also stands alone.
pub(super) const FUNCTIONS: &[&str] = &[
    "COUNT",
    "SUM",
    "MIN",
    "MAX",
    "AVERAGE",
    "AVG",
    "STDDEV",
    "VARIANCE",
    "QUANTILE",
    "P50",
    "P90",
    "P95",
    "P99",
    "P999",
    "HIST",
    "LHIST",
    "TOPK",
    "RATE",
    "ANY",
    "CAST",
    "First",
    "MostRecent",
    "UNNEST",
    "coalesce",
    "if",
    "lower",
    "upper",
    "length",
    "substr",
    "split_part",
    "starts_with",
    "contains",
    "regexp_extract",
    "abs",
    "floor",
    "ceil",
    "round",
    "ln",
    "log2",
    "pow",
    "bucket",
    "truncate",
    "hash",
];

/// Second spellings, and single words of clauses.
const MORE: &[&str] =
    &["GROUP", "BY", "GROUPBY", "ORDER", "ORDERBY", "WITHIN", "LEFT", "ANTI", "ASC", "INTO"];

/// All pieces of the text, one after the other.
pub(super) fn scan(text: &str) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (kind, length) = piece(&text[at..]);
        found.push((kind, at..at + length));
        at += length;
    }
    found
}

fn piece(rest: &str) -> (Kind, usize) {
    let until = |end: Option<usize>| end.unwrap_or(rest.len());
    let first = rest.chars().next().unwrap_or(' ');
    match first {
        '-' if rest.starts_with("--") => (Kind::Comment, until(rest.find('\n'))),
        '/' if rest.starts_with("/*") => (Kind::Comment, until(rest[2..].find("*/").map(|end| end + 4))),
        quote @ ('\'' | '"') => (Kind::Quoted, until(rest[1..].find(quote).map(|end| end + 2))),
        c if c.is_ascii_digit() => {
            let digits = |c: char| !(c.is_alphanumeric() || c == '.' || c == '_');
            (Kind::Number, until(rest.find(digits)))
        }
        c if is_name(c) => {
            let length = until(rest.find(|c| !is_name(c)));
            (word(&rest[..length]), length)
        }
        c => (Kind::Other, c.len_utf8()),
    }
}

/// Whether a character may stand in a tracepoint's or field's name.
pub(super) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '@' | '$' | '\\')
}

fn word(word: &str) -> Kind {
    let is = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(word));
    match word {
        _ if is(KEYWORDS) || is(MORE) => Kind::Keyword,
        _ if is(FUNCTIONS) => Kind::Function,
        _ => Kind::Name,
    }
}

/// The aliases of a text with the tracepoint that each stands for: `x` of `x IN T`, `x IN First(T)`.
pub(super) fn aliases(text: &str) -> Vec<(&str, &str)> {
    let words: Vec<&str> = scan(text)
        .into_iter()
        .filter(|(kind, _)| matches!(kind, Kind::Keyword | Kind::Function | Kind::Name))
        .map(|(_, range)| &text[range])
        .collect();
    let mut found = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let source = words[(i + 1).min(words.len())..].iter().find(|word| self::word(word) == Kind::Name);
        if let (true, Some(alias), Some(source)) =
            (word.eq_ignore_ascii_case("IN"), words.get(i.wrapping_sub(1)), source)
        {
            found.push((*alias, *source));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_found_in_unfinished_queries() {
        let text = "FROM e IN DataNode.read JOIN c IN First(Client) ON c -> e WHERE c.";
        assert_eq!(aliases(text), [("e", "DataNode.read"), ("c", "Client")]);
        assert_eq!(aliases("FROM e IN"), []);
    }

    #[test]
    fn every_byte_belongs_to_one_piece() {
        for text in ["", "FROM e IN 'x", "/* open", "-- \n ü\"", "\"a\"b;\t日本 10ms", "/*/"] {
            let pieces: String = scan(text).into_iter().map(|(_, range)| &text[range]).collect();
            assert_eq!(pieces, text);
        }
    }
}
