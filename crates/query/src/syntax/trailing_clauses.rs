//! The clauses behind SELECT: ORDER BY, LIMIT, SAMPLE, EVERY, FOR, WITHIN, KEEP, INTO.

use super::ast::{BudgetItem, OrderItem, SinkClause};
use super::expressions::{comma_list, expression};
use super::token_stream::{ParseResult, TokenStream, keyword, literal, name, symbol};
use crate::lexical::TokenKind;
use crate::sort_order::{NullPlace, SortDirection, SortOrder};
use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, opt, value};
use nom::sequence::{delimited, preceded};
use pivot_advice::Value;

/// `expr [ASC | DESC] [NULLS FIRST | NULLS LAST] {, ..}`
pub(super) fn order(input: TokenStream<'_>) -> ParseResult<'_, Vec<OrderItem>> {
    comma_list(order_item)(input)
}

fn order_item(input: TokenStream<'_>) -> ParseResult<'_, OrderItem> {
    let (rest, expr) = expression(input)?;
    let ascending = value(SortDirection::Ascending, keyword("ASC"));
    let descending = value(SortDirection::Descending, keyword("DESC"));
    let (rest, direction) = opt(alt((ascending, descending))).parse(rest)?;
    let (rest, nulls) = opt(preceded(keyword("NULLS"), cut(null_place))).parse(rest)?;

    let order = direction.unwrap_or_default().order();
    Ok((rest, OrderItem { expr, order: SortOrder { nulls: nulls.unwrap_or(order.nulls), ..order } }))
}

fn null_place(input: TokenStream<'_>) -> ParseResult<'_, NullPlace> {
    let first = value(NullPlace::First, keyword("FIRST"));
    alt((first, value(NullPlace::Last, keyword("LAST")))).parse(input)
}

/// A number of rows.
pub(super) fn limit(input: TokenStream<'_>) -> ParseResult<'_, u64> {
    let rows = match input.first().map(|token| &token.kind) {
        Some(TokenKind::Literal(value)) => value.as_integer().and_then(|n| u64::try_from(n).ok()),
        _ => None,
    };
    rows.map_or_else(|| input.expected("a number of rows"), |n| Ok((input.rest(), n)))
}

/// `0.1` or `10 %`, above 0 and at most all.
pub(super) fn sample(input: TokenStream<'_>) -> ParseResult<'_, f64> {
    let (rest, amount) = amount(input)?;
    let fraction = if amount.percent { amount.number / 100.0 } else { amount.number };
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
    comma_list(budget_item)(input)
}

fn budget_item(input: TokenStream<'_>) -> ParseResult<'_, BudgetItem> {
    let (rest, name) = name("bytes, groups or cpu")(input)?;
    let (rest, amount) = cut(amount).parse(rest)?;
    Ok((rest, BudgetItem { name, amount: amount.number, percent: amount.percent }))
}

/// A number, and whether a `%` follows it.
#[derive(Clone, Copy)]
struct NumberOrPercent {
    number: f64,
    percent: bool,
}

fn amount(input: TokenStream<'_>) -> ParseResult<'_, NumberOrPercent> {
    let number = match input.first().map(|token| &token.kind) {
        Some(TokenKind::Literal(value)) => value.as_f64(),
        _ => None,
    };
    let Some(number) = number else { return input.expected("a number") };
    let (rest, percent) = opt(symbol("%", "`%`")).parse(input.rest())?;
    Ok((rest, NumberOrPercent { number, percent: percent.is_some() }))
}

/// `name [(key = value, ..)]`
pub(super) fn sink(input: TokenStream<'_>) -> ParseResult<'_, SinkClause> {
    let (rest, name) = name("prometheus")(input)?;
    let inside = delimited(symbol("(", "`(`"), opt(comma_list(sink_option)), cut(symbol(")", "`)`")));
    let (rest, options) = opt(inside).parse(rest)?;
    Ok((rest, SinkClause { name, options: options.flatten().unwrap_or_default() }))
}

fn sink_option(input: TokenStream<'_>) -> ParseResult<'_, (super::ast::NameAt, Value)> {
    let (rest, (key, ())) = (name("an option"), symbol("=", "`=`")).parse(input)?;
    let (rest, value) = cut(literal("a value")).parse(rest)?;
    Ok((rest, (key, value)))
}
