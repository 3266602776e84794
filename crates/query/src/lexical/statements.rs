//! Splits a text into its statements, and tells whether a line of input ends one. Works on any text.

use super::lexer::{BYTE_ORDER_MARK, tokens};
use super::token::TokenKind;

/// The text of one statement, cut out of a larger text such as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementText {
    /// The statement with its comments, without the `;` and blanks around it.
    pub text: String,
    /// Where it begins in the larger text, in bytes.
    pub offset: usize,
    /// Its first line, if that is a comment: what the statement is for.
    pub purpose: Option<String>,
}

/// Splits a text at `;` outside of strings, quoted names, patterns and comments; leaves out empty statements.
pub fn statements(text: &str) -> Vec<StatementText> {
    let mut found = Vec::new();
    let mut start = 0;

    for part in tokens(text).split_inclusive(|token| token.is(";")) {
        // The last part ends with the text.
        let end = match part.last() {
            Some(last) if last.is(";") => last.span.start,
            _ => text.len(),
        };
        if part.iter().any(|token| !token.is_trivia() && !token.is(";")) {
            found.push(statement(&text[start..end], start));
        }
        start = (end + 1).min(text.len());
    }
    found
}

/// Returns whether a text is finished: it ends in `;` outside of strings, quoted names, patterns and
/// comments, and none of these is left open.
pub fn is_complete(text: &str) -> bool {
    let tokens = tokens(text);

    // An unclosed pattern ends with its line: no further line would close it.
    let is_open =
        tokens.iter().any(|token| matches!(token.kind, TokenKind::Malformed(wrong) if wrong.is_open_ended()));
    let last = tokens.iter().rfind(|token| !token.is_trivia());
    !is_open && last.is_some_and(|token| token.is(";"))
}

fn statement(text: &str, start: usize) -> StatementText {
    let trimmed = text.trim_start_matches(|c: char| c.is_whitespace() || c == BYTE_ORDER_MARK);
    let first_line = trimmed.lines().next().unwrap_or_default();
    let purpose = first_line.strip_prefix("--").map(|comment| comment.trim().to_owned());
    StatementText {
        text: trimmed.trim_end().to_owned(),
        offset: start + text.len() - trimmed.len(),
        purpose: purpose.filter(|text| !text.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes() {
        let text = "-- bytes\nFROM a; ;\n SELECT ';' /* ; */ -- ;\n; x";
        let found = statements(text);
        let texts: Vec<&str> = found.iter().map(|statement| statement.text.as_str()).collect();
        assert_eq!(texts, ["-- bytes\nFROM a", "SELECT ';' /* ; */ -- ;", "x"]);
        assert_eq!(found[0].purpose.as_deref(), Some("bytes"));
        assert_eq!(found[1].purpose, None);
        assert!(found.iter().all(|statement| text[statement.offset..].starts_with(&statement.text)));
    }

    #[test]
    fn a_byte_order_mark_belongs_to_no_statement() {
        let found = statements("\u{feff}-- bytes\nFROM a; b");
        assert_eq!((found[0].text.as_str(), found[0].offset), ("-- bytes\nFROM a", 3));
        assert_eq!(found[0].purpose.as_deref(), Some("bytes"));
        assert!(statements("\u{feff}").is_empty());
    }

    #[test]
    fn a_regular_expression_opens_no_quotes() {
        let text = r#"FROM e IN /^'a;\/\"/; FROM e IN A, /;'/ SELECT − 1 / 2; SELECT a / ';'"#;
        let found = statements(text);
        let texts: Vec<&str> = found.iter().map(|statement| statement.text.as_str()).collect();
        let regexes = [r#"FROM e IN /^'a;\/\"/"#, "FROM e IN A, /;'/ SELECT − 1 / 2", "SELECT a / ';'"];
        assert_eq!(texts, regexes);
        assert!(is_complete(r"FROM e IN /it's/ SELECT COUNT;"));
        assert!(is_complete("FROM e IN /never closed;\nSELECT 1;"));
        assert!(is_complete("FROM e IN; / begins no source;"));
    }

    #[test]
    fn a_text_is_complete_when_its_last_statement_ends() {
        let check = |text, expected| assert_eq!(is_complete(text), expected, "{text}");
        check("SELECT 1;", true);
        check("SELECT 1; -- done\n", true);
        check("SELECT ';", false);
        check("SELECT 1 -- ;", false);
        check("SELECT 1; SELECT", false);
        check("/* ;", false);
        check("", false);
    }
}
