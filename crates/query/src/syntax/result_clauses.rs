//! The clauses behind SELECT.

use super::ast::{BudgetItem, OrderItem, SinkClause};
use super::expressions::{comma_list, expression};
use super::token_stream::{ParseResult, TokenStream, keyword, literal, name, symbol};
use crate::lexical::TokenKind;
use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, opt, value};
use nom::sequence::delimited;
use pivot_advice::Value;

/// `expr [ASC | DESC] {, ..}`
pub(super) fn order(input: TokenStream<'_>) -> ParseResult<'_, Vec<OrderItem>> {
    comma_list(|input| {
        let (rest, expr) = expression(input)?;
        let direction = alt((value(false, keyword("ASC")), value(true, keyword("DESC"))));
        map(opt(direction), |found| OrderItem { expr: expr.clone(), descending: found.unwrap_or(false) })
            .parse(rest)
    })(input)
}

/// A number of rows.
pub(super) fn limit(input: TokenStream<'_>) -> ParseResult<'_, u64> {
    match input.first().map(|token| &token.kind) {
        Some(TokenKind::Literal(value)) => match value.as_integer().map(u64::try_from) {
            Some(Ok(n)) => Ok((input.rest(), n)),
            _ => input.expected("a number of rows"),
        },
        _ => input.expected("a number of rows"),
    }
}

/// `0.1` or `10 %`, above 0 and at most all.
pub(super) fn sample(input: TokenStream<'_>) -> ParseResult<'_, f64> {
    let (rest, (amount, percent)) = amount(input)?;
    let fraction = if percent { amount / 100.0 } else { amount };
    match fraction > 0.0 && fraction <= 1.0 {
        true => Ok((rest, fraction)),
        false => input.expected("a fraction above 0 and at most 1, or a percentage"),
    }
}

/// A duration above zero, in nanoseconds.
pub(super) fn duration(input: TokenStream<'_>) -> ParseResult<'_, i64> {
    match input.first().map(|token| &token.kind) {
        Some(TokenKind::Literal(Value::Duration(ns))) if *ns > 0 => Ok((input.rest(), *ns)),
        _ => input.expected("a duration such as 10s"),
    }
}

/// `bytes 1KiB, groups 1000, cpu 0.5%`
pub(super) fn within(input: TokenStream<'_>) -> ParseResult<'_, Vec<BudgetItem>> {
    comma_list(|input| {
        let (rest, name) = name("bytes, groups or cpu")(input)?;
        map(cut(amount), |(amount, percent)| BudgetItem { name: name.clone(), amount, percent }).parse(rest)
    })(input)
}

/// A number, and whether a `%` follows it.
fn amount(input: TokenStream<'_>) -> ParseResult<'_, (f64, bool)> {
    let number = match input.first().map(|token| &token.kind) {
        Some(TokenKind::Literal(value)) => value.as_f64(),
        _ => None,
    };
    let Some(number) = number else { return input.expected("a number") };
    map(opt(symbol("%", "`%`")), |percent| (number, percent.is_some())).parse(input.rest())
}

/// `name [(key = value, ..)]`
pub(super) fn sink(input: TokenStream<'_>) -> ParseResult<'_, SinkClause> {
    let (rest, sink) = name("prometheus, otlp or parquet")(input)?;
    let option = |input| {
        let (rest, (key, ())) = (name("an option"), symbol("=", "`=`")).parse(input)?;
        map(cut(literal("a value")), |value| (key.clone(), value)).parse(rest)
    };
    let inside = delimited(symbol("(", "`(`"), opt(comma_list(option)), cut(symbol(")", "`)`")));
    map(opt(inside), |options| SinkClause {
        name: sink.clone(),
        options: options.flatten().unwrap_or_default(),
    })
    .parse(rest)
}
