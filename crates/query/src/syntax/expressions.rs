//! Expressions, one parser for each strength of binding, weakest first.
//!
//! After an operator its operand is required (`cut`), so the caret stands where the operand is missing.

use super::ast::{AstExpr, AstExprKind, Name, Span};
use super::token_stream::{
    ParseFailure, ParseResult, TokenStream, is_reserved, keyword, member, operator, symbol,
};
use crate::lexical::{Token, TokenKind};
use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, opt, value};
use nom::multi::{many0, many0_count, many1};
use nom::sequence::{delimited, pair, preceded};
use pivot_advice::{Binary, Type, Value};

const COMPARISONS: [(&str, Binary); 7] = [
    ("=", Binary::Equal),
    ("!=", Binary::NotEqual),
    ("<>", Binary::NotEqual),
    ("<", Binary::Less),
    ("<=", Binary::LessEqual),
    (">", Binary::Greater),
    (">=", Binary::GreaterEqual),
];
const SUMS: [(&str, Binary); 2] = [("+", Binary::Add), ("-", Binary::Subtract)];
const PRODUCTS: [(&str, Binary); 3] =
    [("*", Binary::Multiply), ("/", Binary::Divide), ("%", Binary::Remainder)];
const CONCATS: [(&str, Binary); 1] = [("||", Binary::Concat)];

/// Parses a whole expression.
pub(crate) fn expression(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    connective(input, Binary::Or, "OR", |input| connective(input, Binary::And, "AND", negation))
}

/// One or more of `item` between commas.
pub(crate) fn comma_list<'a, T>(
    item: impl Fn(TokenStream<'a>) -> ParseResult<'a, T>,
) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, Vec<T>> {
    move |input| {
        let (rest, first) = item(input)?;
        let (rest, mut others) = many0(preceded(symbol(",", "`,`"), cut(&item))).parse(rest)?;
        others.insert(0, first);
        Ok((rest, others))
    }
}

fn connective<'a>(
    input: TokenStream<'a>,
    op: Binary,
    word: &'static str,
    operand: impl Fn(TokenStream<'a>) -> ParseResult<'a, AstExpr>,
) -> ParseResult<'a, AstExpr> {
    let (rest, first) = operand(input)?;
    let (rest, mut others) = many0(preceded(keyword(word), cut(&operand))).parse(rest)?;
    if others.is_empty() {
        return Ok((rest, first));
    }
    others.insert(0, first);
    Ok((rest, spanned(input, rest, AstExprKind::Connective(op, others))))
}

fn spanned(input: TokenStream<'_>, rest: TokenStream<'_>, kind: AstExprKind) -> AstExpr {
    AstExpr { kind, span: input.until(&rest) }
}

/// Of a row of NOTs one or two remain: the meaning is the same, and the depth is bounded.
fn negation(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    let (rest, count) = many0_count(keyword("NOT")).parse(input)?;
    let (rest, operand) = if count > 0 { cut(comparison).parse(rest) } else { comparison(rest) }?;
    Ok((rest, repeat(input, rest, count, operand, AstExprKind::Not)))
}

fn repeat(
    input: TokenStream<'_>,
    rest: TokenStream<'_>,
    count: usize,
    operand: AstExpr,
    make: fn(Box<AstExpr>) -> AstExprKind,
) -> AstExpr {
    let times = if count == 0 { 0 } else { 2 - count % 2 };
    (0..times).fold(operand, |operand, _| spanned(input, rest, make(Box::new(operand))))
}

fn comparison(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    let (rest, left) = chain(input, &CONCATS, "an operator", sum)?;
    let (rest, tail) = opt(comparison_tail).parse(rest)?;
    let Some(tail) = tail else { return Ok((rest, left)) };
    let left = Box::new(left);
    let (negated, kind) = match tail {
        ComparisonEnd::Compare(op, right) => (false, AstExprKind::Compare(op, left, Box::new(right))),
        ComparisonEnd::IsNull(negated) => (negated, AstExprKind::IsNull(left)),
        ComparisonEnd::In(negated, list) => (negated, AstExprKind::In(left, list)),
        ComparisonEnd::Between(negated, low, high) => {
            (negated, AstExprKind::Between(left, Box::new(low), Box::new(high)))
        }
        ComparisonEnd::Like(negated, pattern) => (negated, AstExprKind::Like(left, pattern.text)),
        ComparisonEnd::Regex(negated, pattern) => (negated, AstExprKind::Regex(left, pattern)),
    };
    let found = spanned(input, rest, kind);
    let times = usize::from(negated);
    Ok((rest, repeat(input, rest, times, found, AstExprKind::Not)))
}

/// What may follow the left side of a comparison.
enum ComparisonEnd {
    Compare(Binary, AstExpr),
    IsNull(bool),
    In(bool, Vec<AstExpr>),
    Between(bool, AstExpr, AstExpr),
    Like(bool, Name),
    Regex(bool, Name),
}

fn comparison_tail(input: TokenStream<'_>) -> ParseResult<'_, ComparisonEnd> {
    let operand = |input| chain(input, &CONCATS, "an operator", sum);
    if let Ok((rest, op)) = operator(&COMPARISONS, "a comparison")(input) {
        return map(cut(operand), |right| ComparisonEnd::Compare(op, right)).parse(rest);
    }
    if let Ok((rest, ())) = keyword("IS")(input) {
        let (rest, not) = opt(keyword("NOT")).parse(rest)?;
        return value_of(cut(keyword("NULL")), rest, || ComparisonEnd::IsNull(not.is_some()));
    }
    if let Ok((rest, negated)) =
        alt((value(false, symbol("~", "`~`")), value(true, symbol("!~", "`!~`")))).parse(input)
    {
        return map(cut(text("a regular expression in quotes")), |regex| {
            ComparisonEnd::Regex(negated, regex)
        })
        .parse(rest);
    }
    let (rest, not) = opt(keyword("NOT")).parse(input)?;
    let negated = not.is_some();
    if let Ok((rest, ())) = keyword("IN")(rest) {
        return map(cut(parenthesised_list), |list| ComparisonEnd::In(negated, list)).parse(rest);
    }
    if let Ok((rest, ())) = keyword("LIKE")(rest) {
        return map(cut(text("a pattern in quotes")), |pattern| ComparisonEnd::Like(negated, pattern))
            .parse(rest);
    }
    let (rest, ()) = keyword("BETWEEN")(rest)?;
    let bounds = (cut(operand), preceded(cut(keyword("AND")), cut(operand)));
    map(bounds, |(low, high)| ComparisonEnd::Between(negated, low, high)).parse(rest)
}

fn value_of<'a, T, P>(mut parser: P, input: TokenStream<'a>, make: impl Fn() -> T) -> ParseResult<'a, T>
where
    P: Parser<TokenStream<'a>, Output = (), Error = ParseFailure>,
{
    let (rest, ()) = parser.parse(input)?;
    Ok((rest, make()))
}

fn parenthesised_list(input: TokenStream<'_>) -> ParseResult<'_, Vec<AstExpr>> {
    delimited(symbol("(", "`(`"), comma_list(expression), cut(symbol(")", "`)`"))).parse(input)
}

/// A literal text with its place.
fn text<'a>(what: &'static str) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, Name> {
    move |input| match input.first() {
        Some(Token { kind: TokenKind::Literal(Value::Str(text)), span }) => {
            Ok((input.rest(), Name { text: text.to_string(), span: span.clone() }))
        }
        _ => input.expected(what),
    }
}

fn chain<'a>(
    input: TokenStream<'a>,
    table: &'static [(&'static str, Binary)],
    shown: &'static str,
    operand: impl Fn(TokenStream<'a>) -> ParseResult<'a, AstExpr>,
) -> ParseResult<'a, AstExpr> {
    let (rest, first) = operand(input)?;
    let (rest, others) = many0(pair(operator(table, shown), cut(&operand))).parse(rest)?;
    if others.is_empty() {
        return Ok((rest, first));
    }
    Ok((rest, spanned(input, rest, AstExprKind::Chain(Box::new(first), others))))
}

fn sum(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    chain(input, &SUMS, "an operator", |input| chain(input, &PRODUCTS, "an operator", signed))
}

fn signed(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    let (rest, count) = many0_count(symbol("-", "`-`")).parse(input)?;
    let (rest, operand) = if count > 0 { cut(primary).parse(rest) } else { primary(rest) }?;
    Ok((rest, repeat(input, rest, count, operand, AstExprKind::Negate)))
}

fn primary(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    let Some(token) = input.first() else { return input.expected("an expression") };
    match &token.kind {
        TokenKind::Literal(value) => {
            Ok((input.rest(), spanned(input, input.rest(), AstExprKind::Literal(value.clone()))))
        }
        TokenKind::Symbol("(") => {
            let (rest, inner) =
                delimited(symbol("(", "`(`"), cut(expression), cut(symbol(")", "`)`"))).parse(input)?;
            Ok((rest, AstExpr { span: input.until(&rest), ..inner }))
        }
        TokenKind::Word(word) if word.eq_ignore_ascii_case("CASE") => case(input),
        TokenKind::Word(word) if constant(word).is_some() => {
            let literal = AstExprKind::Literal(constant(word).unwrap_or_default());
            Ok((input.rest(), spanned(input, input.rest(), literal)))
        }
        TokenKind::Word(word) if is_reserved(word) => input.expected("an expression"),
        TokenKind::Word(word) => named(input, word),
        TokenKind::Quoted(name) => path(input, name),
        _ => input.expected("an expression"),
    }
}

fn constant(word: &str) -> Option<Value> {
    let constants = [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)];
    constants.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A value that is known as it is written: a literal, perhaps with a sign, or a constant.
pub(super) fn fixed(input: TokenStream<'_>) -> ParseResult<'_, Value> {
    let (rest, negative) = map(opt(symbol("-", "`-`")), |sign| sign.is_some()).parse(input)?;
    let found = match rest.first().map(|token| &token.kind) {
        Some(TokenKind::Literal(value)) if negative => negated(value),
        Some(TokenKind::Literal(value)) => Some(value.clone()),
        Some(TokenKind::Word(word)) if !negative => constant(word),
        _ => None,
    };
    found.map_or_else(|| rest.expected("a value"), |value| Ok((rest.rest(), value)))
}

fn negated(value: &Value) -> Option<Value> {
    Some(match value {
        Value::I64(n) => Value::I64(n.checked_neg()?),
        // The one that has no positive counterpart.
        Value::U64(n) => Value::I64(0_i64.checked_sub_unsigned(*n)?),
        Value::F64(x) => Value::F64(-x),
        Value::Duration(ns) => Value::Duration(ns.checked_neg()?),
        _ => return None,
    })
}

/// What begins with a word: a call, COUNT alone, or a path.
fn named<'a>(input: TokenStream<'a>, word: &str) -> ParseResult<'a, AstExpr> {
    let rest = input.rest();
    let next_is = |text| rest.first().is_some_and(|token| token.is(text));
    if next_is("(") {
        return if word.eq_ignore_ascii_case("CAST") { cast(input) } else { call(input, word) };
    }
    if word.eq_ignore_ascii_case("COUNT") && !next_is(".") {
        return Ok((rest, spanned(input, rest, AstExprKind::CountRows)));
    }
    path(input, word)
}

fn path<'a>(input: TokenStream<'a>, first: &str) -> ParseResult<'a, AstExpr> {
    let (rest, mut members) = many0(preceded(symbol(".", "`.`"), cut(member))).parse(input.rest())?;
    members.insert(0, first.to_owned());
    Ok((rest, spanned(input, rest, AstExprKind::Path(members))))
}

fn call<'a>(input: TokenStream<'a>, word: &str) -> ParseResult<'a, AstExpr> {
    let open = input.rest().rest();
    if word.eq_ignore_ascii_case("COUNT") && open.first().is_some_and(|token| token.is("*")) {
        let (rest, ()) = cut(symbol(")", "`)`")).parse(open.rest())?;
        return Ok((rest, spanned(input, rest, AstExprKind::CountRows)));
    }
    let name = Name { text: word.to_owned(), span: input.here() };
    if word.eq_ignore_ascii_case("COUNT") && open.first().is_some_and(|token| token.is_word("DISTINCT")) {
        let (rest, argument) = cut(expression).parse(open.rest())?;
        let (rest, ()) = cut(symbol(")", "`)`")).parse(rest)?;
        return Ok((rest, spanned(input, rest, AstExprKind::CountDistinct(name, Box::new(argument)))));
    }
    if word.eq_ignore_ascii_case("RATE") && open.first().is_some_and(|token| token.is("*")) {
        let (rest, ()) = cut(symbol(")", "`)`")).parse(open.rest())?;
        return Ok((rest, spanned(input, rest, AstExprKind::Call(name, vec![]))));
    }
    let (rest, arguments) = match symbol(")", "`)`")(open) {
        Ok((rest, ())) => (rest, vec![]),
        Err(_) => {
            let (rest, arguments) = cut(comma_list(expression)).parse(open)?;
            let (rest, ()) = cut(symbol(")", "`)`")).parse(rest)?;
            (rest, arguments)
        }
    };
    Ok((rest, spanned(input, rest, AstExprKind::Call(name, arguments))))
}

fn cast(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    let inside = (cut(expression), cut(keyword("AS")), cut(scalar_type), cut(symbol(")", "`)`")));
    let (rest, (operand, (), ty, ())) = { inside }.parse(input.rest().rest())?;
    Ok((rest, spanned(input, rest, AstExprKind::Cast(Box::new(operand), ty))))
}

fn scalar_type(input: TokenStream<'_>) -> ParseResult<'_, Type> {
    let known = |token: &Token| Type::SCALARS.into_iter().skip(2).find(|ty| token.is_word(&ty.to_string()));
    match input.first().and_then(known) {
        Some(ty) => Ok((input.rest(), ty)),
        None => input.expected("a type: bool, i64, u64, f64, string, bytes, timestamp or duration"),
    }
}

fn case(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    let (rest, operand) = match keyword("WHEN")(input.rest()) {
        Ok(_) => (input.rest(), None),
        Err(_) => map(cut(expression), |operand| Some(Box::new(operand))).parse(input.rest())?,
    };
    let arm =
        pair(preceded(keyword("WHEN"), cut(expression)), preceded(cut(keyword("THEN")), cut(expression)));
    let (rest, arms) = cut(many1(arm)).parse(rest)?;
    let (rest, otherwise) = opt(preceded(keyword("ELSE"), cut(expression))).parse(rest)?;
    let (rest, ()) = cut(keyword("END")).parse(rest)?;
    let kind = AstExprKind::Case { operand, arms, otherwise: otherwise.map(Box::new) };
    Ok((rest, spanned(input, rest, kind)))
}

/// The first token that nests deeper than the limit. Recursive parsers run only when there is none.
pub(crate) fn deepest(tokens: &[Token], limit: usize) -> Option<Span> {
    let mut depth = 0usize;
    let mut behind_dot = false;
    for token in tokens {
        // Behind a dot CASE and END are names of fields.
        if token.is("(") || (token.is_word("CASE") && !behind_dot) {
            depth += 1;
        } else if token.is(")") || (token.is_word("END") && !behind_dot) {
            depth = depth.saturating_sub(1);
        }
        behind_dot = token.is(".");
        if depth > limit {
            return Some(token.span.clone());
        }
    }
    None
}
