//! Tokens as nom's input, and the parsers of single tokens.

use super::ast::{AstQuery, NameAt, TextSpan};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lexical::{Token, TokenKind, is_reserved};
use nom::error::{ErrorKind, ParseError};
use nom::{Err, IResult, Needed};
use pivot_advice::Value;
use std::cell::RefCell;
use std::iter::{Cloned, Enumerate};
use std::slice::Iter;

/// The tokens that are left, and what their parsers share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenStream<'a> {
    pub(crate) list: &'a [Token<'a>],
    /// The byte after the last token's clause: where something is missing, the caret stands here.
    pub(crate) end: usize,
    /// Where queries inside this one report what is wrong in them: to the query around them they parsed.
    pub(crate) diagnostics: &'a RefCell<Diagnostics>,
    /// How a query inside this one is parsed. A query has sources and a source may be a query: with this
    /// function the parsers of sources need not know those of queries.
    pub(crate) parse_query: fn(TokenStream<'a>) -> AstQuery,
}

/// Why a parser failed: the furthest place that it came to, and what could have stood there.
#[derive(Debug, Clone)]
pub(crate) struct ParseFailure {
    /// How many tokens were left.
    pub(crate) left: usize,
    pub(crate) expected: Vec<&'static str>,
}

pub(crate) type ParseResult<'a, T> = IResult<TokenStream<'a>, T, ParseFailure>;

impl<'a> TokenStream<'a> {
    /// Returns the next token, or `None` at the end.
    pub(crate) fn first(&self) -> Option<&'a Token<'a>> {
        self.list.first()
    }

    /// Returns all but the next token.
    pub(crate) fn rest(&self) -> TokenStream<'a> {
        self.skip(1)
    }

    /// Returns all but the next few tokens.
    pub(crate) fn skip(&self, count: usize) -> TokenStream<'a> {
        TokenStream { list: self.list.get(count..).unwrap_or(&[]), ..*self }
    }

    /// Returns the span of the next token, or the end of the clause.
    pub(crate) fn here(&self) -> TextSpan {
        self.first().map_or(TextSpan::new(self.end, self.end), |token| token.span)
    }

    /// Returns the span from the next token to the last one before `after`.
    pub(crate) fn until(&self, after: &TokenStream<'_>) -> TextSpan {
        let taken = self.list.len().saturating_sub(after.list.len());
        let start = self.here().start;
        let end = taken.checked_sub(1).map_or(start, |last| self.list[last].span.end);
        TextSpan::new(start, end.max(start))
    }

    /// Returns the failure of something expected here.
    pub(crate) fn expected<T>(&self, what: &'static str) -> ParseResult<'a, T> {
        Err(Err::Error(ParseFailure { left: self.list.len(), expected: vec![what] }))
    }

    /// Reports what is wrong without failing.
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.diagnostics.borrow_mut().push(diagnostic);
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
                for what in other.expected {
                    if !self.expected.contains(&what) {
                        self.expected.push(what);
                    }
                }
                self
            }
        }
    }
}

impl<'a> nom::Input for TokenStream<'a> {
    type Item = Token<'a>;
    type Iter = Cloned<Iter<'a, Token<'a>>>;
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

/// Parses a symbol. `quoted` is the symbol in backticks, for messages.
pub(crate) fn symbol<'a>(
    text: &'static str,
    quoted: &'static str,
) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, ()> {
    move |input| match input.first() {
        Some(token) if token.is(text) => Ok((input.rest(), ())),
        _ => input.expected(quoted),
    }
}

/// Parses a keyword in any case.
pub(crate) fn keyword<'a>(word: &'static str) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, ()> {
    move |input| match input.first() {
        Some(token) if token.is_word(word) => Ok((input.rest(), ())),
        _ => input.expected(word),
    }
}

/// Parses one of several symbols, and gives what the table says that it means.
pub(crate) fn operator<'a, T: Copy>(
    table: &'static [(&'static str, T)],
    expected: &'static str,
) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, T> {
    move |input| {
        let found = input.first().and_then(|token| table.iter().find(|(symbol, _)| token.is(symbol)));
        match found {
            Some((_, result)) => Ok((input.rest(), *result)),
            None => input.expected(expected),
        }
    }
}

/// Parses a name: a word that is not reserved, or a quoted name.
pub(crate) fn name<'a>(what: &'static str) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, NameAt> {
    move |input| {
        let Some(token) = input.first() else { return input.expected(what) };
        let text = match &token.kind {
            TokenKind::Word(word) if !is_reserved(word) => (*word).to_owned(),
            TokenKind::QuotedName(text) => text.clone(),
            _ => return input.expected(what),
        };
        Ok((input.rest(), NameAt { text, span: token.span }))
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
        Some(TokenKind::Word(word)) => Ok((input.rest(), (*word).to_owned())),
        Some(TokenKind::QuotedName(text)) => Ok((input.rest(), text.clone())),
        _ => input.expected("a name"),
    }
}
