//! Expressions: recursive descent, one parser for each strength of binding, weakest first.
//!
//! ```text
//! OR  AND  NOT  = < IN LIKE ..  ||  + -  * / %  sign  literal, call, path, ( )
//! ```
//!
//! After an operator its operand is required (`cut`), so the caret stands where the operand is missing.

use super::ast::{AstExpr, AstExprKind, NameAt, TextSpan};
use super::token_stream::{ParseResult, TokenStream, keyword, member, operator, symbol};
use crate::lexical::{Token, TokenKind, is_reserved};
use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, opt, value};
use nom::multi::{many0, many0_count, many1};
use nom::sequence::{delimited, pair, preceded};
use pivot_advice::{BinaryOperator, Type, Value};

const COMPARISONS: [(&str, BinaryOperator); 7] = [
    ("=", BinaryOperator::Equal),
    ("!=", BinaryOperator::NotEqual),
    ("<>", BinaryOperator::NotEqual),
    ("<", BinaryOperator::Less),
    ("<=", BinaryOperator::LessEqual),
    (">", BinaryOperator::Greater),
    (">=", BinaryOperator::GreaterEqual),
];
const SUMS: [(&str, BinaryOperator); 2] = [("+", BinaryOperator::Add), ("-", BinaryOperator::Subtract)];
const PRODUCTS: [(&str, BinaryOperator); 3] =
    [("*", BinaryOperator::Multiply), ("/", BinaryOperator::Divide), ("%", BinaryOperator::Remainder)];
const CONCATS: [(&str, BinaryOperator); 1] = [("||", BinaryOperator::Concat)];

/// Parses a whole expression.
pub(crate) fn expression(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    connective(input, BinaryOperator::Or, "OR", |input| {
        connective(input, BinaryOperator::And, "AND", negation)
    })
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
    op: BinaryOperator,
    word: &'static str,
    operand: impl Fn(TokenStream<'a>) -> ParseResult<'a, AstExpr>,
) -> ParseResult<'a, AstExpr> {
    let (rest, first) = operand(input)?;
    let (rest, mut others) = many0(preceded(keyword(word), cut(&operand))).parse(rest)?;
    if others.is_empty() {
        return Ok((rest, first));
    }

    // A list, so that the length of a condition costs no depth.
    others.insert(0, first);
    Ok((rest, spanned(input, rest, AstExprKind::Connective(op, others))))
}

fn spanned(input: TokenStream<'_>, rest: TokenStream<'_>, kind: AstExprKind) -> AstExpr {
    AstExpr { kind, span: input.until(&rest) }
}

/// Parses NOT. Of a row of NOTs one or two remain: the meaning is the same, and the depth is bounded.
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
    let (rest, left) = concatenation(input)?;
    let (rest, end) = opt(comparison_end).parse(rest)?;
    let Some(ComparisonTail { negated, test }) = end else { return Ok((rest, left)) };

    // NOT IN and the like are the negation of the test, with the span of both.
    let left = Box::new(left);
    let kind = match test {
        ComparisonTest::Compare(op, right) => AstExprKind::Compare(op, left, Box::new(right)),
        ComparisonTest::IsNull => AstExprKind::IsNull(left),
        ComparisonTest::In(list) => AstExprKind::In(left, list),
        ComparisonTest::Between(low, high) => AstExprKind::Between(left, Box::new(low), Box::new(high)),
        ComparisonTest::Like(pattern) => AstExprKind::Like(left, pattern),
        ComparisonTest::Regex(pattern) => AstExprKind::Regex(left, pattern),
    };
    let found = spanned(input, rest, kind);
    Ok((rest, repeat(input, rest, usize::from(negated), found, AstExprKind::Not)))
}

/// The test that may follow the left side of a comparison.
struct ComparisonTail {
    negated: bool,
    test: ComparisonTest,
}

enum ComparisonTest {
    Compare(BinaryOperator, AstExpr),
    IsNull,
    In(Vec<AstExpr>),
    Between(AstExpr, AstExpr),
    Like(NameAt),
    Regex(NameAt),
}

fn comparison_end(input: TokenStream<'_>) -> ParseResult<'_, ComparisonTail> {
    if let Ok((rest, op)) = operator(&COMPARISONS, "a comparison")(input) {
        let (rest, right) = cut(concatenation).parse(rest)?;
        return Ok((rest, ComparisonTail { negated: false, test: ComparisonTest::Compare(op, right) }));
    }

    if let Ok((rest, ())) = keyword("IS")(input) {
        let (rest, not) = opt(keyword("NOT")).parse(rest)?;
        let (rest, ()) = cut(keyword("NULL")).parse(rest)?;
        return Ok((rest, ComparisonTail { negated: not.is_some(), test: ComparisonTest::IsNull }));
    }

    // The operators of regular expressions are signs, and the only ones with a negation of their own.
    let mut tilde = alt((value(false, symbol("~", "`~`")), value(true, symbol("!~", "`!~`"))));
    if let Ok((rest, negated)) = tilde.parse(input) {
        let (rest, regex) = cut(text("a regular expression in quotes")).parse(rest)?;
        return Ok((rest, ComparisonTail { negated, test: ComparisonTest::Regex(regex) }));
    }

    let (rest, not) = opt(keyword("NOT")).parse(input)?;
    let (rest, test) = word_test(rest)?;
    Ok((rest, ComparisonTail { negated: not.is_some(), test }))
}

/// The comparisons that NOT may stand before: IN, LIKE and BETWEEN.
fn word_test(input: TokenStream<'_>) -> ParseResult<'_, ComparisonTest> {
    if let Ok((rest, ())) = keyword("IN")(input) {
        return map(cut(parenthesised_list), ComparisonTest::In).parse(rest);
    }
    if let Ok((rest, ())) = keyword("LIKE")(input) {
        return map(cut(text("a pattern in quotes")), ComparisonTest::Like).parse(rest);
    }

    let (rest, ()) = keyword("BETWEEN")(input)?;
    let bounds = (cut(concatenation), preceded(cut(keyword("AND")), cut(concatenation)));
    map(bounds, |(low, high)| ComparisonTest::Between(low, high)).parse(rest)
}

fn parenthesised_list(input: TokenStream<'_>) -> ParseResult<'_, Vec<AstExpr>> {
    delimited(symbol("(", "`(`"), comma_list(expression), cut(symbol(")", "`)`"))).parse(input)
}

/// A literal text with its place.
fn text<'a>(what: &'static str) -> impl Fn(TokenStream<'a>) -> ParseResult<'a, NameAt> {
    move |input| match input.first() {
        Some(Token { kind: TokenKind::Literal(Value::Str(text)), span }) => {
            Ok((input.rest(), NameAt { text: text.to_string(), span: *span }))
        }
        _ => input.expected(what),
    }
}

fn chain<'a>(
    input: TokenStream<'a>,
    table: &'static [(&'static str, BinaryOperator)],
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

fn concatenation(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    chain(input, &CONCATS, "an operator", sum)
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

        // Constants are reserved words, so they are looked for before names.
        TokenKind::Word(word) if word.eq_ignore_ascii_case("CASE") => case(input),
        TokenKind::Word(word) => match constant(word) {
            Some(value) => Ok((input.rest(), spanned(input, input.rest(), AstExprKind::Literal(value)))),
            None if is_reserved(word) => input.expected("an expression"),
            None => named(input, word),
        },
        TokenKind::QuotedName(name) => path(input, name),

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

/// Parses what begins with a word: a call, COUNT alone, a point in time, or a path.
fn named<'a>(input: TokenStream<'a>, word: &str) -> ParseResult<'a, AstExpr> {
    let rest = input.rest();
    let next = rest.first();
    if next.is_some_and(|token| token.is("(")) {
        return if word.eq_ignore_ascii_case("CAST") { cast(input) } else { call(input, word) };
    }
    // `timestamp '..'`, in which the text is cast.
    if word.eq_ignore_ascii_case("TIMESTAMP")
        && let Some(Token { kind: TokenKind::Literal(written @ Value::Str(_)), .. }) = next
    {
        let text = spanned(rest, rest.rest(), AstExprKind::Literal(written.clone()));
        let kind = AstExprKind::Cast(Box::new(text), Type::Timestamp);
        return Ok((rest.rest(), spanned(input, rest.rest(), kind)));
    }

    let is_path = next.is_some_and(|token| token.is("."));
    if word.eq_ignore_ascii_case("COUNT") && !is_path {
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
    let name = NameAt { text: word.to_owned(), span: input.here() };
    let open = input.skip(2);
    let is_count = word.eq_ignore_ascii_case("COUNT");
    let is_rate = word.eq_ignore_ascii_case("RATE");

    // COUNT(*) and RATE(*) are of rows, COUNT(DISTINCT x) is a grammar of its own.
    if (is_count || is_rate) && open.first().is_some_and(|token| token.is("*")) {
        let (rest, ()) = cut(symbol(")", "`)`")).parse(open.rest())?;
        let kind = if is_count { AstExprKind::CountRows } else { AstExprKind::Call(name, vec![]) };
        return Ok((rest, spanned(input, rest, kind)));
    }
    if is_count && open.first().is_some_and(|token| token.is_word("DISTINCT")) {
        let (rest, argument) = cut(expression).parse(open.rest())?;
        let (rest, ()) = cut(symbol(")", "`)`")).parse(rest)?;
        return Ok((rest, spanned(input, rest, AstExprKind::CountDistinct(name, Box::new(argument)))));
    }

    if let Ok((rest, ())) = symbol(")", "`)`")(open) {
        return Ok((rest, spanned(input, rest, AstExprKind::Call(name, vec![]))));
    }
    let (rest, arguments) = cut(comma_list(expression)).parse(open)?;
    let (rest, ()) = cut(symbol(")", "`)`")).parse(rest)?;
    Ok((rest, spanned(input, rest, AstExprKind::Call(name, arguments))))
}

fn cast(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    let inside = (cut(expression), cut(keyword("AS")), cut(scalar_type), cut(symbol(")", "`)`")));
    let (rest, (operand, (), ty, ())) = { inside }.parse(input.rest().rest())?;
    Ok((rest, spanned(input, rest, AstExprKind::Cast(Box::new(operand), ty))))
}

fn scalar_type(input: TokenStream<'_>) -> ParseResult<'_, Type> {
    // The first two are no types that a value is cast to: any, and null.
    let mut castable = Type::SCALARS.into_iter().skip(2);
    let found = input.first().and_then(|token| castable.find(|ty| token.is_word(&ty.to_string())));
    match found {
        Some(ty) => Ok((input.rest(), ty)),
        None => input.expected("a type: bool, i64, u64, f64, string, bytes, timestamp or duration"),
    }
}

fn case(input: TokenStream<'_>) -> ParseResult<'_, AstExpr> {
    let (rest, operand) = match keyword("WHEN")(input.rest()) {
        Ok(_) => (input.rest(), None),
        Err(_) => map(cut(expression), |operand| Some(Box::new(operand))).parse(input.rest())?,
    };

    // Behind CASE a keyword can only be the first WHEN.
    let arm =
        pair(preceded(keyword("WHEN"), cut(expression)), preceded(cut(keyword("THEN")), cut(expression)));
    let (rest, arms) = cut(many1(arm)).parse(rest)?;
    let (rest, otherwise) = opt(preceded(keyword("ELSE"), cut(expression))).parse(rest)?;
    let (rest, ()) = cut(keyword("END")).parse(rest)?;

    let kind = AstExprKind::Case { operand, arms, otherwise: otherwise.map(Box::new) };
    Ok((rest, spanned(input, rest, kind)))
}

/// Returns the first token that nests deeper than the limit, or `None` if none does. The parsers here
/// recurse, and run only if there is none.
pub(crate) fn deepest(tokens: &[Token<'_>], limit: usize) -> Option<TextSpan> {
    let mut depth = 0usize;
    let mut behind_dot = false;

    for token in tokens {
        // Behind a dot CASE and END are names of fields.
        let opens = token.is("(") || (token.is_word("CASE") && !behind_dot);
        let closes = token.is(")") || (token.is_word("END") && !behind_dot);
        if opens {
            depth += 1;
        } else if closes {
            depth = depth.saturating_sub(1);
        }
        behind_dot = token.is(".");

        if depth > limit {
            return Some(token.span);
        }
    }
    None
}
