//! Names of tracepoints, and patterns of them.

use super::ast::{AstSourceKind, Name, NamePattern};
use super::expressions::{comma_list, fixed};
use super::token_stream::{ParseResult, TokenStream, member, name, symbol};
use crate::lexical::{Token, TokenKind};
use nom::Parser;
use nom::combinator::{cut, map, opt};
use nom::sequence::delimited;
use pivot_advice::Value;

/// A tracepoint, a named query, or a pattern with what fields must equal.
pub(super) fn named(input: TokenStream<'_>) -> ParseResult<'_, AstSourceKind> {
    let (rest, (text, kind)) = match input.first().map(|token| &token.kind) {
        Some(TokenKind::Regex(source)) => (input.rest(), (source.clone(), PatternKind::Regex)),
        _ => match run(input) {
            0 => map(tracepoint, |text| (text, PatternKind::Name)).parse(input)?,
            length => glob(input, length)?,
        },
    };
    let (rest, fields) = opt(fields).parse(rest)?;
    match (kind, fields) {
        (PatternKind::Name, None) => Ok((rest, AstSourceKind::Named(text))),
        (kind, fields) => {
            let is_regex = kind == PatternKind::Regex;
            Ok((
                rest,
                AstSourceKind::Pattern(NamePattern { text, is_regex, fields: fields.unwrap_or_default() }),
            ))
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PatternKind {
    Name,
    Glob,
    Regex,
}

/// How many tokens that touch each other form a name with a `*` in it; 0 if there is none.
fn run(input: TokenStream<'_>) -> usize {
    let mut end = input.here().start;
    let touching = input.list.iter().take_while(|token| {
        let touches = token.span.start == end;
        end = token.span.end;
        let part = matches!(
            &token.kind,
            TokenKind::Word(_) | TokenKind::Quoted(_) | TokenKind::Symbol("." | "::" | "*")
        );
        touches && part
    });
    let run: Vec<&Token> = touching.collect();
    if run.iter().any(|token| token.is("*")) { run.len() } else { 0 }
}

fn glob(input: TokenStream<'_>, length: usize) -> ParseResult<'_, (String, PatternKind)> {
    let text: String = input.list[..length].iter().map(written).collect();
    let rest = TokenStream { list: &input.list[length..], ..input };
    let (rest, location) = at(rest)?;
    Ok((rest, (text + &location, PatternKind::Glob)))
}

fn written(token: &Token) -> &str {
    match &token.kind {
        TokenKind::Word(text) | TokenKind::Quoted(text) => text,
        TokenKind::Symbol(symbol) => symbol,
        _ => "",
    }
}

/// `[field = value, ..]`
fn fields(input: TokenStream<'_>) -> ParseResult<'_, Vec<(Name, Value)>> {
    let field = |input| {
        let (rest, (name, ())) = (name("a field"), symbol("=", "`=`")).parse(input)?;
        map(cut(fixed), |value| (name.clone(), value)).parse(rest)
    };
    delimited(symbol("[", "`[`"), cut(comma_list(field)), cut(symbol("]", "`]`"))).parse(input)
}

/// Segments between `.` and `::`, then perhaps a location.
fn tracepoint(input: TokenStream<'_>) -> ParseResult<'_, String> {
    let (mut rest, Name { mut text, .. }) = name("a tracepoint")(input)?;
    while let Some(separator @ ("." | "::")) = symbol_of(rest.first()) {
        let (after, segment) = cut(member).parse(rest.rest())?;
        text.push_str(separator);
        text.push_str(&segment);
        rest = after;
    }
    let (rest, location) = at(rest)?;
    Ok((rest, text + &location))
}

/// `@location`, if there is one.
fn at(input: TokenStream<'_>) -> ParseResult<'_, String> {
    if symbol_of(input.first()) != Some("@") {
        return Ok((input, String::new()));
    }
    map(cut(location), |location| format!("@{location}")).parse(input.rest())
}

fn symbol_of(token: Option<&Token>) -> Option<&'static str> {
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
