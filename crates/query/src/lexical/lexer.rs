//! Text to tokens, with nom over the text. Layout and comments disappear here.
//!
//! No character is an error by itself: what cannot begin a token becomes [`TokenKind::Other`], and the
//! parser says what was expected instead.

use crate::diagnostic::{Diagnostic, Diagnostics};
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::character::complete::{anychar, digit1};
use nom::combinator::{map, opt, recognize, value, verify};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};
use pivot_advice::Value;
use std::ops::Range;

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Range<usize>,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    /// A keyword or a name.
    Word(String),
    /// `"a name"`, without its quotes.
    Quoted(String),
    /// A number, text, duration or size.
    Literal(Value),
    /// `$name`
    Param(String),
    /// `/../`, where a source stands.
    Regex(String),
    /// Punctuation.
    Symbol(&'static str),
    /// A character that means nothing.
    Other(char),
}

/// Longer symbols first.
const SYMBOLS: [&str; 29] = [
    "->", "::", "<=", ">=", "!=", "<>", "||", "==", "&&", "!~", "+", "-", "*", "/", "%", "=", "<", ">", "(",
    ")", ",", ".", "@", "~", ";", "[", "]", "{", "}",
];

impl Token {
    /// How the token is called in a message.
    pub(crate) fn shown(&self) -> String {
        match &self.kind {
            TokenKind::Word(word) => format!("`{}`", shortened(word)),
            TokenKind::Quoted(name) => format!("`\"{}\"`", shortened(name)),
            TokenKind::Literal(Value::Str(text)) => format!("`'{}'`", shortened(text)),
            TokenKind::Literal(literal) => format!("`{literal}`"),
            TokenKind::Param(name) => format!("`${}`", shortened(name)),
            TokenKind::Regex(source) => format!("`/{}/`", shortened(source)),
            TokenKind::Symbol(symbol) => format!("`{symbol}`"),
            TokenKind::Other(character) => format!("`{}`", character.escape_default()),
        }
    }

    /// Whether this is the symbol.
    pub(crate) fn is(&self, symbol: &str) -> bool {
        matches!(&self.kind, TokenKind::Symbol(found) if *found == symbol)
    }

    /// Whether this is the word, in any case.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, TokenKind::Word(found) if found.eq_ignore_ascii_case(word))
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What the lexer finds at one place: a token, or why there is none.
enum Lexed {
    Token(TokenKind),
    Wrong(&'static str, Option<String>),
}

/// All tokens of a text.
pub(crate) fn tokens(text: &str, diagnostics: &mut Diagnostics) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = match layout(rest) {
            Ok((after, open)) => {
                if let Some(open) = open {
                    let at = text.len() - open.len();
                    let wrong = Diagnostic::error(at..at + 2, "comment is never closed");
                    diagnostics.push(wrong.hint("close it with `*/`"));
                }
                after
            }
            Err(_) => rest,
        };
        let start = text.len() - rest.len();
        let lexed = if begins_source(found.last()) { alt((regex, token)).parse(rest) } else { token(rest) };
        let Ok((after, lexed)) = lexed else { return found };
        let span = start..text.len() - after.len();
        match lexed {
            Lexed::Token(kind) => found.push(Token { kind, span }),
            Lexed::Wrong(message, hint) => {
                let wrong = Diagnostic::error(span.clone(), message);
                diagnostics.push(Diagnostic { hint, ..wrong });
                // A stand-in keeps the rest of the clause readable.
                found.push(Token { kind: TokenKind::Literal(Value::Null), span });
            }
        }
        rest = after;
    }
}

/// Skips blanks and comments; gives the rest from an unclosed comment on, if there is one.
fn layout(text: &str) -> IResult<&str, Option<&str>> {
    let mut rest = text;
    loop {
        let (after, _) = take_while(char::is_whitespace)(rest)?;
        if after.starts_with("--") {
            rest = take_till(|c| c == '\n')(after)?.0;
        } else if let Some(comment) = after.strip_prefix("/*") {
            match comment.find("*/") {
                Some(end) => rest = &comment[end + 2..],
                None => return Ok(("", Some(after))),
            }
        } else {
            return Ok((after, None));
        }
    }
}

fn token(text: &str) -> IResult<&str, Lexed> {
    alt((
        map(word, |word: &str| Lexed::Token(TokenKind::Word(word.to_owned()))),
        number,
        |text| enclosed(text, '\'', "text is never closed", |text| TokenKind::Literal(Value::str(text))),
        |text| enclosed(text, '"', "quoted name is never closed", TokenKind::Quoted),
        map(preceded(tag("$"), word), |name: &str| Lexed::Token(TokenKind::Param(name.to_owned()))),
        map(symbol, |symbol| Lexed::Token(TokenKind::Symbol(symbol))),
        map(anychar, |character| Lexed::Token(TokenKind::Other(character))),
    ))
    .parse(text)
}

/// Whether a source may stand behind a token: no division can.
fn begins_source(before: Option<&Token>) -> bool {
    before.is_some_and(|token| token.is_word("IN") || token.is("(") || token.is(","))
}

/// `/../`; a slash inside is written `\/`.
fn regex(text: &str) -> IResult<&str, Lexed> {
    let (body, _) = tag("/")(text)?;
    let mut source = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '/' => return Ok((&body[at + 1..], Lexed::Token(TokenKind::Regex(source)))),
            '\\' if body[at + 1..].starts_with('/') => {
                characters.next();
                source.push('/');
            }
            '\n' => break,
            other => source.push(other),
        }
    }
    let (rest, _) = take_till(|c| c == '\n')(body)?;
    Ok((rest, Lexed::Wrong("regular expression is never closed", Some("close it with `/`".into()))))
}

fn word(text: &str) -> IResult<&str, &str> {
    let first = verify(anychar, |c| c.is_alphabetic() || *c == '_');
    recognize(pair(first, take_while(|c: char| c.is_alphanumeric() || c == '_'))).parse(text)
}

fn symbol(text: &str) -> IResult<&str, &'static str> {
    if let Some(found) = SYMBOLS.iter().find(|symbol| text.starts_with(**symbol)) {
        return Ok((&text[found.len()..], found));
    }
    // The minus sign of printed text.
    value("-", tag("\u{2212}")).parse(text)
}

/// Text between quotes, where a doubled quote stands for one.
fn enclosed<'a>(
    text: &'a str,
    quote: char,
    unclosed: &'static str,
    make: impl Fn(String) -> TokenKind,
) -> IResult<&'a str, Lexed> {
    let (body, _) = nom::character::complete::char(quote)(text)?;
    let mut content = String::new();
    let mut characters = body.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character != quote {
            content.push(character);
        } else if characters.peek().is_some_and(|(_, next)| *next == quote) {
            characters.next();
            content.push(quote);
        } else {
            return Ok((&body[at + 1..], Lexed::Token(make(content))));
        }
    }
    // The line is given up, not the whole rest: one missing quote must not hide the other clauses.
    let (rest, _) = take_till(|c| c == '\n')(body)?;
    Ok((rest, Lexed::Wrong(unclosed, Some(format!("close it with `{quote}`")))))
}

fn number(text: &str) -> IResult<&str, Lexed> {
    let fraction = recognize(pair(tag("."), digit1));
    let exponent = recognize((alt((tag("e"), tag("E"))), opt(alt((tag("+"), tag("-")))), digit1));
    let (rest, (whole, fraction, exponent)) = (digit1, opt(fraction), opt(exponent)).parse(text)?;
    let digits = &text[..text.len() - rest.len()];
    let (after, unit) = opt(take_while1(|c: char| c.is_alphanumeric() || c == '_')).parse(rest)?;
    let integer = fraction.is_none() && exponent.is_none();
    let lexed = match unit {
        None if integer => integer_of(whole),
        None => finite(digits.parse().ok().map(Value::F64)),
        Some(unit) => with_unit(digits, integer, unit),
    };
    Ok((after, lexed))
}

fn integer_of(digits: &str) -> Lexed {
    let signed = digits.parse().map(Value::I64);
    finite(signed.or_else(|_| digits.parse().map(Value::U64)).ok())
}

fn finite(value: Option<Value>) -> Lexed {
    match value {
        Some(Value::F64(x)) if !x.is_finite() => Lexed::Wrong("number is too large", None),
        Some(value) => Lexed::Token(TokenKind::Literal(value)),
        None => Lexed::Wrong("number is too large", None),
    }
}

/// Durations in nanoseconds and sizes in bytes.
fn with_unit(digits: &str, integer: bool, unit: &str) -> Lexed {
    let (factor, make): (i64, fn(i64) -> Value) = match unit {
        "ns" => (1, Value::Duration),
        "us" | "µs" | "μs" => (1_000, Value::Duration),
        "ms" => (1_000_000, Value::Duration),
        "s" => (1_000_000_000, Value::Duration),
        "m" => (60_000_000_000, Value::Duration),
        "h" => (3_600_000_000_000, Value::Duration),
        "d" => (86_400_000_000_000, Value::Duration),
        "B" => (1, Value::I64),
        "KiB" => (1 << 10, Value::I64),
        "MiB" => (1 << 20, Value::I64),
        "GiB" => (1 << 30, Value::I64),
        "TiB" => (1 << 40, Value::I64),
        "kB" | "KB" => (1_000, Value::I64),
        "MB" => (1_000_000, Value::I64),
        "GB" => (1_000_000_000, Value::I64),
        "TB" => (1_000_000_000_000, Value::I64),
        _ => {
            let units = "durations end in ns, us, ms, s, m, h or d; sizes in B, KiB, MiB, GiB, kB, MB or GB";
            return Lexed::Wrong("number has an unknown unit", Some(units.into()));
        }
    };
    let scaled = match integer {
        true => digits.parse::<i64>().ok().and_then(|x| x.checked_mul(factor)),
        false => digits.parse::<f64>().ok().map(|x| (x * factor as f64).round()).and_then(whole),
    };
    finite(scaled.map(make))
}

fn whole(x: f64) -> Option<i64> {
    (x.abs() < 9.0e18).then_some(x as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[TokenKind]) {
        let mut diagnostics = Diagnostics::default();
        let found: Vec<TokenKind> =
            tokens(text, &mut diagnostics).into_iter().map(|token| token.kind).collect();
        assert_eq!(found, expected, "{text}");
        assert!(diagnostics.is_empty(), "{diagnostics}");
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
    fn layout_and_comments_disappear() {
        check("a -- b\n/* c */ d", &[TokenKind::Word("a".into()), TokenKind::Word("d".into())]);
        check("'it''s' \"a b\"", &[TokenKind::Literal(Value::str("it's")), TokenKind::Quoted("a b".into())]);
    }

    #[test]
    fn the_printed_minus_is_a_minus() {
        check(
            "a \u{2212} b",
            &[TokenKind::Word("a".into()), TokenKind::Symbol("-"), TokenKind::Word("b".into())],
        );
    }
}
