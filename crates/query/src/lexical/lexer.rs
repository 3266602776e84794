//! The one lexer of query text. It never fails: what cannot be read is a token that says so.
//!
//! ```text
//! FROM e IN /^rpc/ WHERE e.n > 5ms -- slow
//! Word     FROM e IN          WHERE e n           blanks and the comment are
//! Symbol                               . >        tokens too, so that the spans
//! Regex              ^rpc                         cover every byte
//! Literal                                  5ms
//! ```
//!
//! The parser leaves blanks and comments out; the formatter keeps comments; statements are split at the
//! symbol `;`; a line editor colours all of them, also in a line that is not finished. One pass, one
//! character of lookahead, and one bit of context: whether a slash begins a regular expression.

use super::number::number;
use super::token::{LexicalError, TextSpan, Token, TokenKind};
use pivot_advice::Value;

/// Longer symbols come first, so that the first match is the longest.
const SYMBOLS: [&str; 29] = [
    "->", "::", "<=", ">=", "!=", "<>", "||", "==", "&&", "!~", "+", "-", "*", "/", "%", "=", "<", ">", "(",
    ")", ",", ".", "@", "~", ";", "[", "]", "{", "}",
];

/// The mark that some editors write at the beginning of a file.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// The minus sign of printed text, which is read as `-`.
const PRINTED_MINUS: char = '\u{2212}';

/// Returns all tokens of a text. Their spans follow one another and cover the text.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found: Vec<Token<'_>> = Vec::new();
    let mut slash = SlashMeaning::Divides;
    // The last token that is no layout.
    let mut before: Option<usize> = None;
    let mut at = 0;

    while let Some(first) = text[at..].chars().next() {
        // Some editors begin a file with a mark that only says how it is encoded.
        let (kind, length) = match (at, first) {
            (0, BYTE_ORDER_MARK) => (TokenKind::Whitespace, first.len_utf8()),
            _ => token(&text[at..], first, slash),
        };
        let token = Token { kind, span: TextSpan::new(at, at + length) };
        at += length;

        // What a slash means is decided by the token before it, whatever layout stands between them.
        if !token.is_trivia() {
            slash = slash_behind(&token, before.map(|before| &found[before]));
            before = Some(found.len());
        }
        found.push(token);
    }
    found
}

/// The meaning of a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlashMeaning {
    /// An operator.
    Divides,
    /// A source may stand here, and no operator can.
    BeginsRegex,
}

/// Returns what a slash means behind a token that has another one before it. Sources stand behind IN, an
/// open parenthesis or a comma; behind a name separator IN is the name of a field.
fn slash_behind(token: &Token<'_>, before: Option<&Token<'_>>) -> SlashMeaning {
    let is_in = token.is_word("IN") && !before.is_some_and(Token::is_name_separator);
    if is_in || token.is("(") || token.is(",") { SlashMeaning::BeginsRegex } else { SlashMeaning::Divides }
}

/// Reads the token that a text begins with; returns it with its length in bytes.
fn token(rest: &str, first: char, slash: SlashMeaning) -> (TokenKind<'_>, usize) {
    match first {
        // Layout comes first: a comment begins like an operator, or like a pattern.
        c if c.is_whitespace() => (TokenKind::Whitespace, length_while(rest, char::is_whitespace)),
        '-' if rest.starts_with("--") => (TokenKind::Comment, line_length(rest)),
        '/' if rest.starts_with("/*") => block_comment(rest),

        '/' if slash == SlashMeaning::BeginsRegex => regex(rest),
        '\'' => enclosed(rest, '\'', LexicalError::UnclosedText, |text| TokenKind::Literal(Value::str(text))),
        '"' => enclosed(rest, '"', LexicalError::UnclosedName, TokenKind::QuotedName),

        c if c.is_ascii_digit() => number(rest),
        c if begins_word(c) => {
            let length = length_while(rest, continues_word);
            (TokenKind::Word(&rest[..length]), length)
        }
        '$' if rest[1..].starts_with(begins_word) => {
            let length = 1 + length_while(&rest[1..], continues_word);
            (TokenKind::Parameter(&rest[1..length]), length)
        }

        PRINTED_MINUS => (TokenKind::Symbol("-"), first.len_utf8()),
        other => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => (TokenKind::Symbol(symbol), symbol.len()),
            None => (TokenKind::Other(other), other.len_utf8()),
        },
    }
}

fn begins_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn continues_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns how many bytes at the beginning of a text are characters of a kind.
fn length_while(text: &str, is_kind: fn(char) -> bool) -> usize {
    text.find(|c| !is_kind(c)).unwrap_or(text.len())
}

/// Returns the length of the first line, without its end.
fn line_length(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

fn block_comment(rest: &str) -> (TokenKind<'_>, usize) {
    match rest[2..].find("*/") {
        Some(length) => (TokenKind::Comment, length + 4),
        None => (TokenKind::Malformed(LexicalError::UnclosedComment), rest.len()),
    }
}

/// Reads `/../`; a slash inside is written `\/`.
fn regex(rest: &str) -> (TokenKind<'_>, usize) {
    let mut source = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();

    while let Some((at, character)) = characters.next() {
        match character {
            '/' => return (TokenKind::Regex(source), at + 1),
            '\\' if characters.next_if(|(_, next)| *next == '/').is_some() => source.push('/'),
            '\n' => break,
            other => source.push(other),
        }
    }
    (TokenKind::Malformed(LexicalError::UnclosedRegex), line_length(rest))
}

/// Reads text between quotes, where a doubled quote stands for one.
fn enclosed<'t>(
    rest: &'t str,
    quote: char,
    unclosed: LexicalError,
    make: impl FnOnce(String) -> TokenKind<'t>,
) -> (TokenKind<'t>, usize) {
    let mut content = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();

    while let Some((at, character)) = characters.next() {
        if character != quote || characters.next_if(|(_, next)| *next == quote).is_some() {
            content.push(character);
        } else {
            return (make(content), at + quote.len_utf8());
        }
    }
    // The line is given up, not the whole rest: one missing quote must not hide the other clauses.
    (TokenKind::Malformed(unclosed), line_length(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blanks and comments aside.
    fn check(text: &str, expected: &[TokenKind<'_>]) {
        let significant = tokens(text).into_iter().filter(|token| !token.is_trivia());
        let found: Vec<TokenKind<'_>> = significant.map(|token| token.kind).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn units_scale_to_nanoseconds_and_bytes() {
        use Value::{Duration, F64, I64, U64};
        let literals = |values: &[Value]| values.iter().cloned().map(TokenKind::Literal).collect::<Vec<_>>();
        check(
            "5us 100ms 1.5s 1m",
            &literals(&[5_000, 100_000_000, 1_500_000_000, 60_000_000_000].map(Duration)),
        );
        check("64KiB 10MB 1.5KiB", &literals(&[65_536, 10_000_000, 1_536].map(I64)));
        check("1e3 2.5 18446744073709551615", &literals(&[F64(1000.0), F64(2.5), U64(u64::MAX)]));
    }

    #[test]
    fn layout_and_comments_are_trivia() {
        check("a -- b\n/* c */ d", &[TokenKind::Word("a"), TokenKind::Word("d")]);
        let quoted = TokenKind::QuotedName("a b".into());
        check("'it''s' \"a b\"", &[TokenKind::Literal(Value::str("it's")), quoted]);
    }

    #[test]
    fn the_printed_minus_is_a_minus() {
        check("a \u{2212} b", &[TokenKind::Word("a"), TokenKind::Symbol("-"), TokenKind::Word("b")]);
    }

    #[test]
    fn a_slash_begins_a_regex_only_where_a_source_may_stand() {
        let regexes = |text| {
            let tokens = tokens(text);
            tokens.iter().filter(|token| matches!(token.kind, TokenKind::Regex(_))).count()
        };
        assert_eq!(regexes("FROM e IN /* c */ /a\\/b/, /c/ JOIN f IN First(/d/)"), 3);
        assert_eq!(regexes("SELECT a / b / c, e.in / e.out / 2"), 0);
    }

    #[test]
    fn every_byte_belongs_to_one_token() {
        for text in [
            "",
            "FROM e IN 'x",
            "/* open",
            "-- \n ü\"",
            "\"a\"b;\t日本 10ms",
            "/*/",
            "$",
            "$p 5q 1e",
            "IN /x",
        ] {
            let pieces: String = tokens(text).into_iter().map(|token| &text[token.span.range()]).collect();
            assert_eq!(pieces, text);
        }
    }

    #[test]
    fn an_unclosed_quote_costs_its_line_only() {
        let unclosed = TokenKind::Malformed(LexicalError::UnclosedText);
        check("'a\nb", &[unclosed, TokenKind::Word("b")]);
    }
}
