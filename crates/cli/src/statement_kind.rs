//! Whether a statement is SQL or a query of Pivot.
//!
//! ```text
//! SELECT e.host, COUNT FROM e IN DataNode.read GROUP BY e.host     a query: its FROM says `e IN`
//! SELECT host, count(*) FROM q7 GROUP BY host                      SQL, of which no FROM is followed by `x IN`
//! ```

use pivot_query::{TokenClass, classify};

/// The words that statements of SQL begin with.
const SQL_BEGINS: [&str; 6] = ["select", "with", "values", "show", "describe", "desc"];

/// The language of a statement, and why it is taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatementKind {
    /// SQL: of which no FROM says `alias IN`.
    Sql,
    /// A query whose FROM says `alias IN`.
    QueryByFrom,
    /// A query, since it begins with no word that SQL begins with.
    QueryByBeginning,
}

impl StatementKind {
    /// Says what a statement was taken for, and why.
    fn reason(self) -> &'static str {
        match self {
            StatementKind::Sql => {
                "taken for SQL, since its FROM does not say `alias IN tracepoint` as that of a query does"
            }
            StatementKind::QueryByFrom => "taken for a query of tracepoints, since its FROM says `alias IN`",
            StatementKind::QueryByBeginning => {
                "taken for a query of tracepoints: SQL begins with SELECT, WITH, VALUES, SHOW or DESCRIBE"
            }
        }
    }
}

/// Returns what to say about a statement that is wrong, where it could have been meant as the other: what it was taken for.
pub(crate) fn doubt(text: &str) -> Option<&'static str> {
    let kind = kind(text);
    let is_plain = words(text).first().is_some_and(|word| word.eq_ignore_ascii_case("from"));
    let is_doubtful = kind != StatementKind::QueryByFrom || !is_plain;
    is_doubtful.then(|| kind.reason())
}

/// Whether a statement is SQL.
pub(crate) fn is_sql(text: &str) -> bool {
    kind(text) == StatementKind::Sql
}

/// Returns what a statement is. EXPLAIN, ANALYZE and VERBOSE before it do not count.
fn kind(text: &str) -> StatementKind {
    let words = words(text);
    let mut words = words.as_slice();
    if is_any(words.first(), &["explain"]) {
        let begin = words.iter().position(|word| !is_any(Some(word), &["explain", "analyze", "verbose"]));
        words = &words[begin.unwrap_or(words.len())..];
    }

    if from_names_an_alias(words) {
        return StatementKind::QueryByFrom;
    }
    match words.first() {
        // A statement may stand in parentheses, as in `(SELECT 1) UNION (SELECT 2)`.
        Some(first) if *first == "(" || is_any(Some(first), &SQL_BEGINS) => StatementKind::Sql,
        _ => StatementKind::QueryByBeginning,
    }
}

/// Whether a word is one of several.
fn is_any(word: Option<&&str>, several: &[&str]) -> bool {
    word.is_some_and(|word| several.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

/// Returns the words and signs of a text.
fn words(text: &str) -> Vec<&str> {
    let mut tokens = classify(text);
    tokens.retain(|token| !matches!(token.class, TokenClass::Whitespace | TokenClass::Comment));
    tokens.into_iter().map(|token| &text[token.span]).collect()
}

/// Whether a FROM is followed by `alias IN`, also in parentheses, of which one may be missing.
fn from_names_an_alias(words: &[&str]) -> bool {
    words.windows(3).any(|three| three[0].eq_ignore_ascii_case("from") && three[2].eq_ignore_ascii_case("in"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use StatementKind::{QueryByBeginning, QueryByFrom, Sql};

    #[test]
    fn a_query_that_could_have_been_meant_as_sql_says_what_it_was_taken_for() {
        assert_eq!(doubt("FROM e IN T SELECT e.x"), None);
        assert_eq!(doubt("SELECT e.x FROM e IN T"), Some(QueryByFrom.reason()));
        assert_eq!(doubt("TABLE q7"), Some(QueryByBeginning.reason()));
    }

    #[test]
    fn a_from_with_an_alias_makes_a_query() {
        let check = |text: &str, expected: StatementKind| assert_eq!(kind(text), expected, "{text}");
        check("FROM e IN T SELECT COUNT", QueryByFrom);
        check("SELECT COUNT FROM e IN T", QueryByFrom);
        check("-- why\nselect COUNT from e in T", QueryByFrom);
        check("EXPLAIN ANALYZE SELECT COUNT FROM e IN T", QueryByFrom);
        check("SELECT COUNT( FROM e IN T", QueryByFrom);
        check("SELECT COUNT FROM q7", Sql);
        check("select * from \"q7$states\" where x in (1, 2)", Sql);
        check("WITH a AS (SELECT 1) SELECT * FROM a", Sql);
        check("SELECT extract(day FROM x) FROM q7", Sql);
        check("SELECT * FROM q7 WHERE n IN (SELECT n FROM q8 WHERE n IN (1))", Sql);
        check("EXPLAIN SELECT 1", Sql);
        check("explain verbose select 1", Sql);
        check("(SELECT 1) UNION (SELECT 2)", Sql);
        check("SHOW TABLES", Sql);
        check("DESCRIBE q7", Sql);
        check("SELECT", Sql);
        check("SHWO TABLES", QueryByBeginning);
        check("GROUP BY e.host SELECT COUNT", QueryByBeginning);
    }
}
