//! Names of tracepoints, and patterns of them.
//!
//! ```text
//! DataNode.read@exit        a name
//! rpc::*[target = 'x']      a glob, with what fields must equal
//! /^hyper/                  a regular expression
//! ```

use super::ast::{NameAt, SourceKind, TracepointPattern};
use super::expressions::{comma_list, fixed};
use super::token_stream::{ParseResult, TokenStream, member, name, symbol};
use crate::lexical::{Token, TokenKind};
use nom::Parser;
use nom::combinator::{cut, map, opt};
use nom::sequence::delimited;
use pivot_advice::Value;

/// A tracepoint, a named query, or a pattern with what fields must equal.
pub(super) fn named(input: TokenStream<'_>) -> ParseResult<'_, SourceKind> {
    let (rest, written) = match input.first().map(|token| &token.kind) {
        Some(TokenKind::Regex(source)) => (input.rest(), WrittenName::Regex(source.clone())),
        _ => match glob_length(input) {
            0 => map(tracepoint, WrittenName::Plain).parse(input)?,
            length => map(|input| glob(input, length), WrittenName::Glob).parse(input)?,
        },
    };

    // A plain name with conditions on its fields is a pattern, too.
    let (rest, fields) = opt(fields).parse(rest)?;
    let (text, is_regex) = match written {
        WrittenName::Plain(text) if fields.is_none() => return Ok((rest, SourceKind::Named(text))),
        WrittenName::Plain(text) | WrittenName::Glob(text) => (text, false),
        WrittenName::Regex(text) => (text, true),
    };
    let pattern = TracepointPattern { text, is_regex, fields: fields.unwrap_or_default() };
    Ok((rest, SourceKind::Pattern(pattern)))
}

/// The ways to write what a source is called.
enum WrittenName {
    Plain(String),
    Glob(String),
    Regex(String),
}

/// Returns how many tokens that touch each other form a name with a `*` in it, or 0 if there is none.
fn glob_length(input: TokenStream<'_>) -> usize {
    let mut length = 0;
    let mut has_star = false;
    let mut end = input.here().start;

    // Blanks end a name: `a * b` is a product.
    for token in input.list {
        let is_part = matches!(&token.kind, TokenKind::Word(_) | TokenKind::QuotedName(_))
            || matches!(&token.kind, TokenKind::Symbol("." | "::" | "*"));
        if token.span.start != end || !is_part {
            break;
        }
        end = token.span.end;
        has_star |= token.is("*");
        length += 1;
    }
    if has_star { length } else { 0 }
}

fn glob(input: TokenStream<'_>, length: usize) -> ParseResult<'_, String> {
    let text: String = input.list[..length].iter().map(glob_part).collect();
    let (rest, location) = at_location(input.skip(length))?;
    Ok((rest, text + &location))
}

fn glob_part<'t>(token: &'t Token<'_>) -> &'t str {
    match &token.kind {
        TokenKind::Word(text) => text,
        TokenKind::QuotedName(text) => text,
        TokenKind::Symbol(symbol) => symbol,
        _ => "",
    }
}

/// `[field = value, ..]`
fn fields(input: TokenStream<'_>) -> ParseResult<'_, Vec<(NameAt, Value)>> {
    delimited(symbol("[", "`[`"), cut(comma_list(field)), cut(symbol("]", "`]`"))).parse(input)
}

fn field(input: TokenStream<'_>) -> ParseResult<'_, (NameAt, Value)> {
    let (rest, (name, ())) = (name("a field"), symbol("=", "`=`")).parse(input)?;
    let (rest, value) = cut(fixed).parse(rest)?;
    Ok((rest, (name, value)))
}

/// Segments between `.` and `::`, then perhaps a location.
fn tracepoint(input: TokenStream<'_>) -> ParseResult<'_, String> {
    let (mut rest, NameAt { mut text, .. }) = name("a tracepoint")(input)?;
    while let Some(separator @ ("." | "::")) = symbol_of(rest.first()) {
        let (after, segment) = cut(member).parse(rest.rest())?;
        text.push_str(separator);
        text.push_str(&segment);
        rest = after;
    }

    let (rest, location) = at_location(rest)?;
    Ok((rest, text + &location))
}

/// `@location`, or an empty text if there is none.
fn at_location(input: TokenStream<'_>) -> ParseResult<'_, String> {
    if symbol_of(input.first()) != Some("@") {
        return Ok((input, String::new()));
    }
    map(cut(location), |location| format!("@{location}")).parse(input.rest())
}

fn symbol_of(token: Option<&Token<'_>>) -> Option<&'static str> {
    match token.map(|token| &token.kind) {
        Some(TokenKind::Symbol(symbol)) => Some(symbol),
        _ => None,
    }
}

fn location(input: TokenStream<'_>) -> ParseResult<'_, &'static str> {
    let locations = ["enter", "exit", "error"];
    let found = input.first().and_then(|token| locations.into_iter().find(|text| token.is_word(text)));
    found.map_or_else(|| input.expected("enter, exit or error"), |text| Ok((input.rest(), text)))
}
