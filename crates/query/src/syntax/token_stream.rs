//! Tokens as nom's input, and the parsers of single tokens.

use super::ast::{Name, Span};
use crate::diagnostic::Diagnostics;
use crate::lexical::{Token, TokenKind};
use nom::error::{ErrorKind, ParseError};
use nom::{Err, IResult, Needed};
use pivot_advice::Value;
use std::cell::RefCell;
use std::iter::{Cloned, Enumerate};
use std::slice::Iter;

/// The tokens that are left, where they end, and where nested queries report to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenStream<'a> {
    pub(crate) list: &'a [Token],
    /// The byte after the last token's clause.
    pub(crate) end: usize,
    pub(crate) diagnostics: &'a RefCell<Diagnostics>,
}

/// The furthest place that parsing came to, and what could have stood there.
#[derive(Debug, Clone)]
pub(crate) struct ParseFailure {
    /// How many tokens were left.
    pub(crate) left: usize,
    pub(crate) expected: Vec<&'static str>,
}

pub(crate) type ParseResult<'a, T> = IResult<TokenStream<'a>, T, ParseFailure>;

/// Words that cannot be names where an expression or a name is expected.
const RESERVED: [&str; 38] = [
    "WITH", "FROM", "JOIN", "LEFT", "ANTI", "ON", "LET", "WHERE", "GROUP", "GROUPBY", "BY", "SELECT",
    "DISTINCT", "HAVING", "ORDER", "ORDERBY", "LIMIT", "SAMPLE", "EVERY", "FOR", "WITHIN", "INTO", "AS",
    "IN", "AND", "OR", "NOT", "BETWEEN", "LIKE", "IS", "NULL", "TRUE", "FALSE", "CASE", "WHEN", "THEN",
    "ELSE", "END",
];

impl<'a> TokenStream<'a> {
    /// The next token.
    pub(crate) fn first(&self) -> Option<&'a Token> {
        self.list.first()
    }

    /// All but the next token.
    pub(crate) fn rest(&self) -> TokenStream<'a> {
        TokenStream { list: self.list.get(1..).unwrap_or(&[]), ..*self }
    }

    /// The span of the next token, or the end of the clause.
    pub(crate) fn here(&self) -> Span {
        self.first().map_or(self.end..self.end, |token| token.span.clone())
    }

    /// From the start of these tokens to where `after` begins.
    pub(crate) fn until(&self, after: &TokenStream<'_>) -> Span {
        let taken = self.list.len().saturating_sub(after.list.len());
        let start = self.here().start;
        let end = taken.checked_sub(1).map_or(start, |last| self.list[last].span.end);
        start..end.max(start)
    }

    /// The failure of something expected here.
    pub(crate) fn expected<T>(&self, what: &'static str) -> ParseResult<'a, T> {
        Err(Err::Error(ParseFailure { left: self.list.len(), expected: vec![what] }))
    }
}

impl<'a> ParseError<TokenStream<'a>> for ParseFailure {
    fn from_error_kind(input: TokenStream<'a>, _: ErrorKind) -> ParseFailure {
        ParseFailure { left: input.list.len(), expected: vec![] }
    }

    fn append(_: TokenStream<'a>, _: ErrorKind, other: ParseFailure) -> ParseFailure {
        other
    }

    /// The alternative that came further explains more; at one place, both do.
    fn or(mut self, other: ParseFailure) -> ParseFailure {
        match self.left.cmp(&other.left) {
            std::cmp::Ordering::Less => self,
            std::cmp::Ordering::Greater => other,
            std::cmp::Ordering::Equal => {
                let new = other.expected.into_iter().filter(|what| !self.expected.contains(what));
                let new: Vec<_> = new.collect();
                self.expected.extend(new);
                self
            }
        }
    }
}

impl<'a> nom::Input for TokenStream<'a> {
    type Item = Token;
    type Iter = Cloned<Iter<'a, Token>>;
    type IterIndices = Enumerate<Self::Iter>;

    fn input_len(&self) -> usize {
        self.list.len()
    }

    fn take(&self, index: usize) -> Self {
        TokenStream { list: &self.list[..index], ..*self }
    }

    fn take_from(&self, index: usize) -> Self {
        TokenStream { list: &self.list[index..], ..*self }
    }

    fn take_split(&self, index: usize) -> (Self, Self) {
        (self.take_from(index), self.take(index))
    }

    fn position<P: Fn(Self::Item) -> bool>(&self, predicate: P) -> Option<usize> {
        self.list.iter().position(|token| predicate(token.clone()))
    }

    fn iter_elements(&self) -> Self::Iter {
        self.list.iter().cloned()
    }

    fn iter_indices(&self) -> Self::IterIndices {
        self.iter_elements().enumerate()
    }

    fn slice_index(&self, count: usize) -> Result<usize, Needed> {
        if count <= self.list.len() { Ok(count) } else { Err(Needed::new(count - self.list.len())) }
    }
}

/// Parses a symbol; `shown` is it in quotes, for messages.
pub(crate) fn symbol<'a>(
    text: &'static str,
    shown: &'static str,
) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, ()> {
    move |input| match input.first() {
        Some(token) if token.is(text) => Ok((input.rest(), ())),
        _ => input.expected(shown),
    }
}

/// Parses a keyword in any case.
pub(crate) fn keyword<'a>(word: &'static str) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, ()> {
    move |input| match input.first() {
        Some(token) if token.is_word(word) => Ok((input.rest(), ())),
        _ => input.expected(word),
    }
}

/// Parses one of several symbols.
pub(crate) fn operator<'a, T: Copy>(
    table: &'static [(&'static str, T)],
    shown: &'static str,
) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, T> {
    move |input| {
        let found = input.first().and_then(|token| table.iter().find(|(symbol, _)| token.is(symbol)));
        match found {
            Some((_, result)) => Ok((input.rest(), *result)),
            None => input.expected(shown),
        }
    }
}

/// Parses a name: a word that is not reserved, or a quoted name.
pub(crate) fn name<'a>(what: &'static str) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, Name> {
    move |input| match input.first() {
        Some(Token { kind: TokenKind::Word(word), span }) if !is_reserved(word) => {
            Ok((input.rest(), Name { text: word.clone(), span: span.clone() }))
        }
        Some(Token { kind: TokenKind::Quoted(text), span }) => {
            Ok((input.rest(), Name { text: text.clone(), span: span.clone() }))
        }
        _ => input.expected(what),
    }
}

/// Parses a literal.
pub(crate) fn literal<'a>(what: &'static str) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, Value> {
    move |input| match input.first().map(|token| &token.kind) {
        Some(TokenKind::Literal(value)) => Ok((input.rest(), value.clone())),
        _ => input.expected(what),
    }
}

/// Parses any word or quoted name; behind a dot nothing is reserved.
pub(crate) fn member<'a>(input: TokenStream<'a>) -> ParseResult<'a, String> {
    match input.first().map(|token| &token.kind) {
        Some(TokenKind::Word(word)) => Ok((input.rest(), word.clone())),
        Some(TokenKind::Quoted(text)) => Ok((input.rest(), text.clone())),
        _ => input.expected("a name"),
    }
}

pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}
