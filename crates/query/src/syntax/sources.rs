//! Sources, and the bodies of the clauses that name them.
//!
//! ```text
//! FROM e IN A.b, rpc::*                      two sources, a union
//! JOIN x IN First 3 (T WHERE n > 1)          a temporal source around another
//! JOIN y IN (FROM z IN Z SELECT z.k) ON ..   a query
//! ```

use super::ast::{AstQuery, FromClause, JoinClause, NamedSubquery, SourceClause, SourceKind, TemporalChoice};
use super::expressions::{comma_list, expression};
use super::name_pattern::named;
use super::token_stream::{ParseResult, TokenStream, keyword, name, symbol};
use crate::lexical::TokenKind;
use nom::Parser;
use nom::combinator::{cut, map, opt};
use nom::sequence::preceded;
use pivot_advice::{JoinKind, Value};
use std::rc::Rc;

/// `alias IN source {, source}`
pub(super) fn from(input: TokenStream<'_>) -> ParseResult<'_, FromClause> {
    let (rest, alias) = name("an alias")(input)?;
    let (rest, ()) = keyword("IN")(rest)?;
    let (rest, sources) = comma_list(source)(rest)?;
    Ok((rest, FromClause { alias, sources }))
}

/// `alias IN source {, source} ON x -> y [AND condition]`
pub(super) fn join(input: TokenStream<'_>, matching: JoinKind) -> ParseResult<'_, JoinClause> {
    let head = (name("an alias"), keyword("IN"), comma_list(source), keyword("ON"));
    let (rest, (alias, (), sources, ())) = { head }.parse(input)?;

    let arrow = symbol("->", "`->`");
    let (rest, (before, (), after)) = (name("an alias"), arrow, name("an alias")).parse(rest)?;

    let (rest, condition) = opt(preceded(keyword("AND"), cut(expression))).parse(rest)?;
    Ok((rest, JoinClause { matching, alias, sources, before, after, condition }))
}

/// `name AS (query) {, ..}`
pub(super) fn with(input: TokenStream<'_>) -> ParseResult<'_, Vec<NamedSubquery>> {
    comma_list(definition)(input)
}

fn definition(input: TokenStream<'_>) -> ParseResult<'_, NamedSubquery> {
    let (rest, (name, ())) = (name("a name"), keyword("AS")).parse(input)?;
    let (rest, query) = subquery(rest)?;
    Ok((rest, NamedSubquery { name, query: Rc::new(query) }))
}

fn source(input: TokenStream<'_>) -> ParseResult<'_, SourceClause> {
    let (rest, kind) = match input.first().map(|token| &token.kind) {
        Some(TokenKind::Symbol("(")) => {
            map(subquery, |query| SourceKind::Query(Box::new(query))).parse(input)?
        }
        // `First` without a parenthesis or a count is the name of a tracepoint.
        Some(TokenKind::Word(word)) => match temporal_word(word) {
            Some((which, TemporalCountSyntax::Argument)) => counted(input, which)?,
            Some((which, TemporalCountSyntax::Before)) if opens(input) => temporal(input, which)?,
            _ if word.eq_ignore_ascii_case("UNNEST") && opens(input) => unnest(input)?,
            _ => named(input)?,
        },
        Some(TokenKind::QuotedName(_) | TokenKind::Regex(_) | TokenKind::Symbol("*")) => named(input)?,
        _ => return input.expected("a tracepoint, a query name, First(..), MostRecent(..) or `(`"),
    };

    Ok((rest, SourceClause { kind, span: input.until(&rest) }))
}

/// Where a temporal source says how many tuples it keeps.
#[derive(Debug, Clone, Copy)]
enum TemporalCountSyntax {
    /// `First 3 (T)`
    Before,
    /// `FirstN(3, T)`
    Argument,
}

fn temporal_word(word: &str) -> Option<(TemporalChoice, TemporalCountSyntax)> {
    let words = [
        ("First", TemporalChoice::First, TemporalCountSyntax::Before),
        ("MostRecent", TemporalChoice::MostRecent, TemporalCountSyntax::Before),
        ("FirstN", TemporalChoice::First, TemporalCountSyntax::Argument),
        ("MostRecentN", TemporalChoice::MostRecent, TemporalCountSyntax::Argument),
    ];
    let found = words.into_iter().find(|(text, ..)| word.eq_ignore_ascii_case(text));
    found.map(|(_, which, count)| (which, count))
}

/// Returns whether `First` here is a temporal source and not a tracepoint of that name.
fn opens(input: TokenStream<'_>) -> bool {
    let next = input.rest().first();
    next.is_some_and(|token| token.is("(") || matches!(token.kind, TokenKind::Literal(_)))
}

/// `First [n] (source [WHERE condition])`
fn temporal(input: TokenStream<'_>, which: TemporalChoice) -> ParseResult<'_, SourceKind> {
    let rest = input.rest();
    let has_count = rest.first().is_some_and(|token| !token.is("("));
    let (rest, n) = if has_count { cut(count).parse(rest)? } else { (rest, 1) };
    let (rest, ()) = cut(symbol("(", "`(`")).parse(rest)?;
    kept(rest, which, n)
}

/// `FirstN(n, source [WHERE condition])`
fn counted(input: TokenStream<'_>, which: TemporalChoice) -> ParseResult<'_, SourceKind> {
    let head = (symbol("(", "`(`"), count, symbol(",", "`,`"));
    let (rest, ((), n, ())) = cut(head).parse(input.rest())?;
    kept(rest, which, n)
}

fn kept(input: TokenStream<'_>, which: TemporalChoice, n: u32) -> ParseResult<'_, SourceKind> {
    let (rest, source) = cut(source).parse(input)?;
    let (rest, condition) = opt(preceded(keyword("WHERE"), cut(expression))).parse(rest)?;
    let (rest, ()) = cut(symbol(")", "`)`")).parse(rest)?;
    Ok((rest, SourceKind::Temporal { which, n, source: Box::new(source), condition }))
}

fn count(input: TokenStream<'_>) -> ParseResult<'_, u32> {
    let found = match input.first().map(|token| &token.kind) {
        Some(TokenKind::Literal(Value::I64(n))) => u32::try_from(*n).ok().filter(|n| *n > 0),
        _ => None,
    };
    found.map_or_else(|| input.expected("a number from 1"), |n| Ok((input.rest(), n)))
}

/// `UNNEST(source, field)`
fn unnest(input: TokenStream<'_>) -> ParseResult<'_, SourceKind> {
    let (open, ()) = symbol("(", "`(`")(input.rest())?;
    let inside = (cut(source), cut(symbol(",", "`,`")), cut(name("a field")), cut(symbol(")", "`)`")));
    let (rest, (source, (), field, ())) = { inside }.parse(open)?;
    Ok((rest, SourceKind::Unnest(Box::new(source), field)))
}

/// `(query)`; what is wrong inside is reported by the query itself.
fn subquery(input: TokenStream<'_>) -> ParseResult<'_, AstQuery> {
    let (rest, ()) = symbol("(", "`(` with a query")(input)?;
    let Some(close) = closing(rest) else {
        return TokenStream { list: &[], ..rest }.expected("`)`");
    };
    let inside = TokenStream { list: &rest.list[..close], end: rest.list[close].span.start, ..rest };
    Ok((rest.skip(close + 1), (rest.parse_query)(inside)))
}

/// Returns the place of the parenthesis that closes the one before these tokens, or `None` if none does.
fn closing(tokens: TokenStream<'_>) -> Option<usize> {
    let mut depth = 0usize;
    for (i, token) in tokens.list.iter().enumerate() {
        match &token.kind {
            TokenKind::Symbol("(") => depth += 1,
            TokenKind::Symbol(")") if depth == 0 => return Some(i),
            TokenKind::Symbol(")") => depth -= 1,
            _ => {}
        }
    }
    None
}
