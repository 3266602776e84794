//! Functions of other languages, written as they are here.

use super::fix::QuickFix;
use super::operators::{duration_of, interval};
use super::written_query::{WrittenQuery, quoted};
use crate::lexical::TokenKind;
use pivot_advice::Value;
use std::ops::Range;

/// Functions that have the same arguments under another name.
const OTHER_NAMES: [(&[&str], &str); 19] = [
    (&["IFNULL", "NVL", "ISNULL"], "coalesce"),
    (&["IIF", "IFF"], "if"),
    (&["LEN", "STRLEN", "CHAR_LENGTH", "CHARACTER_LENGTH", "OCTET_LENGTH", "SIZEOF"], "length"),
    (&["SUBSTRING", "SUBSTR_UTF8", "MID"], "substr"),
    (&["LCASE", "TOLOWER"], "lower"),
    (&["UCASE", "TOUPPER"], "upper"),
    (&["CEILING"], "ceil"),
    (&["POWER"], "pow"),
    (&["LOG"], "ln"),
    (&["STARTSWITH", "HAS_PREFIX", "HASPREFIX"], "starts_with"),
    (&["STRPOS_CONTAINS", "STR_CONTAINS", "INCLUDES"], "contains"),
    (&["MEAN"], "AVG"),
    (&["MEDIAN"], "P50"),
    (&["STDEV", "STD"], "STDDEV"),
    (&["VAR"], "VARIANCE"),
    (&["ANY_VALUE", "ARBITRARY"], "ANY"),
    (&["HISTOGRAM", "HISTO"], "HIST"),
    (&["REGEXP_SUBSTR", "REGEX_EXTRACT", "REGEXP_MATCH_GROUP"], "regexp_extract"),
    (&["MAXIMUM", "GREATEST_OF"], "MAX"),
];

/// Functions whose arguments are written otherwise, each with how.
const REWRITTEN: [(&[&str], FunctionRewrite); 12] = [
    (
        &[
            "PERCENTILE",
            "PERCENTILE_CONT",
            "PERCENTILE_DISC",
            "PERCENTILE_APPROX",
            "APPROX_PERCENTILE",
            "APPROX_QUANTILE",
            "QUANTILE_CONT",
            "QUANTILE_DISC",
            "QUANTILE",
            "APPROX_QUANTILES",
        ],
        percentile,
    ),
    (&["CONCAT"], concat),
    (&["COUNT"], count_nothing),
    (&["ROUND"], round_to_digits),
    (&["GREATEST"], greatest),
    (&["LEAST"], least),
    (&["CONCAT_WS"], concat_with_separator),
    (&["TIME_BUCKET", "DATE_BIN", "BIN", "TIME_SLICE"], time_bucket),
    (&["DATE_TRUNC", "TRUNC"], date_trunc),
    (
        &[
            "COUNT_DISTINCT",
            "COUNTDISTINCT",
            "APPROX_COUNT_DISTINCT",
            "APPROX_DISTINCT",
            "UNIQ",
            "UNIQEXACT",
            "DCOUNT",
            "NDV",
        ],
        count_distinct,
    ),
    (&["COUNTIF", "COUNT_IF", "SUMIF", "SUM_IF"], count_if),
    (&["REGEXP_MATCHES", "REGEXP_LIKE", "REGEXP_CONTAINS"], regexp_matches),
];

/// Returns what is written in the place of a call.
type FunctionRewrite = fn(&WrittenQuery<'_>, &ForeignCall) -> Option<RewrittenCall>;

/// A call whose function has another name or other arguments here.
struct ForeignCall {
    /// The place of the function's name.
    name: usize,
    arguments: Vec<Range<usize>>,
    /// The place behind the closing parenthesis.
    end: usize,
}

/// A call as it is written here.
struct RewrittenCall {
    text: String,
    /// The place behind what it stands for.
    end: usize,
}

/// Returns the fix for a function of another language at a place, or `None` if there is none.
pub(super) fn at(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let name = query.word(at)?;
    if at > 0 && query.tokens[at - 1].is_name_separator() {
        return None;
    }
    if name.eq_ignore_ascii_case("COUNT") && query.is_word(at + 1, "DISTINCT") {
        return count_distinct_bare(query, at);
    }
    let close = query.closing(at + 1).filter(|_| query.is(at + 1, "("))?;
    let call = ForeignCall { name: at, arguments: query.items(at + 2..close), end: close + 1 };

    if let Some(fix) = filtered(query, &call).or_else(|| many_distinct(query, &call)) {
        return Some(fix);
    }
    let rewrite = REWRITTEN.iter().find(|(names, _)| contains(names, name));
    if let Some(rewritten) = rewrite.and_then(|(_, rewrite)| rewrite(query, &call)) {
        let hint = format!("write {}", rewritten.text);
        let fix = QuickFix::new(query, at..rewritten.end, rewritten.text, hint);
        return Some(QuickFix { span: query.span(at..rewritten.end), ..fix });
    }
    let (_, known) = OTHER_NAMES.iter().find(|(names, _)| contains(names, name))?;
    Some(QuickFix::new(query, at..at + 1, *known, format!("the function is called {known}")))
}

fn contains(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// `COUNT DISTINCT x`
fn count_distinct_bare(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let operand = query.operand_at(at + 2)?;
    let written = format!("COUNT(DISTINCT {})", query.source(operand.clone()));
    let hint = format!("write {written}");
    Some(QuickFix::new(query, at..operand.end, written, hint))
}

/// `COUNT(DISTINCT a, b)`: how many different pairs.
fn many_distinct(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<QuickFix> {
    let is_distinct = query.is_word(call.name, "COUNT") && query.is_word(call.name + 2, "DISTINCT");
    if !is_distinct || call.arguments.len() < 2 {
        return None;
    }
    let written = format!("COUNT(DISTINCT hash({}))", query.source(call.name + 3..call.end - 1));
    let hint = format!("different combinations are counted by their hash: {written}");
    Some(QuickFix::new(query, call.name..call.end, written, hint))
}

/// `COUNT(*) FILTER (WHERE c)`: only the rows count for which c holds.
fn filtered(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<QuickFix> {
    let opens = query.is_word(call.end, "FILTER") && query.is(call.end + 1, "(");
    let close = query.closing(call.end + 1).filter(|_| opens && query.is_word(call.end + 2, "WHERE"))?;
    let condition = query.source(call.end + 3..close);

    let argument = query.source(call.name + 2..call.end - 1);
    let written = match query.is_word(call.name, "COUNT") && matches!(argument, "*" | "" | "1") {
        true => format!("SUM(if({condition}, 1, 0))"),
        false => format!("{}(if({condition}, {argument}, null))", query.source(call.name..call.name + 1)),
    };
    let hint = format!("a condition of one aggregate stands inside of it: {written}");
    Some(QuickFix::new(query, call.name..close + 1, written, hint))
}

/// `percentile(x, 95)`, `PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY x)`
fn percentile(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    let at = call.arguments.iter().position(|argument| quantile_of(query, argument).is_some())?;
    // That is how it is called here, so something else is wrong.
    if at == 1 && query.is_word(call.name, "QUANTILE") {
        return None;
    }
    let q = quantile_of(query, &call.arguments[at])?;
    let others = call.arguments.iter().enumerate().find(|(other, _)| *other != at);

    // The value stands beside the quantile, or in the ORDER BY behind it.
    let (value, end) = match others {
        Some((_, value)) => (value.clone(), call.end),
        None => within_group(query, call.end)?,
    };
    Some(RewrittenCall { text: quantile_call(q, query.source(value)), end })
}

/// Returns the quantile that an argument is, perhaps in percent, or `None` if it is none.
fn quantile_of(query: &WrittenQuery<'_>, argument: &Range<usize>) -> Option<f64> {
    let literal = query.literal(argument.start).filter(|_| argument.len() == 1)?;
    literal.as_f64().filter(|q| (0.0..=100.0).contains(q))
}

/// Returns the value of `WITHIN GROUP (ORDER BY x)` at a place, and the place behind it, or `None` if it is not there.
fn within_group(query: &WrittenQuery<'_>, at: usize) -> Option<(Range<usize>, usize)> {
    let is_there = query.is_word(at, "WITHIN")
        && query.is_word(at + 1, "GROUP")
        && query.is(at + 2, "(")
        && query.is_word(at + 3, "ORDER")
        && query.is_word(at + 4, "BY");
    let close = query.closing(at + 2).filter(|_| is_there)?;
    let end = if query.is_one_of(close - 1, &["ASC", "DESC"]) { close - 1 } else { close };
    Some((at + 5..end, close + 1))
}

/// Returns the call for a quantile, which may be given in percent.
pub(super) fn quantile_call(q: f64, value: &str) -> String {
    let fraction = if q > 1.0 { q / 100.0 } else { q };
    // A percentage of decimal digits is a fraction of decimal digits.
    let text = format!("{fraction:.12}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text.strip_prefix("0.") {
        Some(digits) if (1..=4).contains(&digits.len()) && digits != "0" => {
            format!("P{digits}{}({value})", if digits.len() == 1 { "0" } else { "" })
        }
        _ => format!("QUANTILE({value}, {text})"),
    }
}

/// `concat(a, b)`
fn concat(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    let parts: Vec<String> = call.arguments.iter().map(|part| enclosed(query, part)).collect();
    joined(query, call, &parts, " || ")
}

/// `concat_ws(separator, a, b)`
fn concat_with_separator(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    let (separator, parts) = call.arguments.split_first()?;
    let between = format!(" || {} || ", enclosed(query, separator));
    let parts: Vec<String> = parts.iter().map(|part| enclosed(query, part)).collect();
    joined(query, call, &parts, &between)
}

fn joined(
    query: &WrittenQuery<'_>,
    call: &ForeignCall,
    parts: &[String],
    between: &str,
) -> Option<RewrittenCall> {
    if parts.is_empty() {
        return None;
    }

    // Arithmetic binds stronger than `||`.
    let signs = ["+", "-", "*", "/", "%"];
    let is_operand = signs.iter().any(|sign| {
        query.is(call.end, sign) || call.name.checked_sub(1).is_some_and(|before| query.is(before, sign))
    });
    let text = parts.join(between);
    Some(RewrittenCall { text: if is_operand { format!("({text})") } else { text }, end: call.end })
}

/// Returns an argument as an operand of `||`: in parentheses, unless it is a single operand.
fn enclosed(query: &WrittenQuery<'_>, argument: &Range<usize>) -> String {
    let text = query.source(argument.clone());
    match query.operand_at(argument.start) == Some(argument.clone()) {
        true => text.to_owned(),
        false => format!("({text})"),
    }
}

/// `time_bucket('1 second', e.time)`, `bin(e.time, 5m)`
fn time_bucket(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    let width = call.arguments.iter().find_map(|argument| Some((argument, width_of(query, argument)?)))?;
    let value = call.arguments.iter().find(|argument| *argument != width.0)?;
    let text = format!("bucket({}, {})", query.source(value.clone()), width.1);
    Some(RewrittenCall { text, end: call.end })
}

/// Returns the duration that an argument is, however it is written, or `None` if it is none.
fn width_of(query: &WrittenQuery<'_>, argument: &Range<usize>) -> Option<String> {
    if query.is_word(argument.start, "INTERVAL") {
        return interval(query, argument.start).map(|(_, duration)| duration);
    }
    match &query.tokens[argument.start].kind {
        _ if argument.len() != 1 => None,
        TokenKind::QuotedName(text) => duration_of(text),
        TokenKind::Literal(Value::Str(text)) => duration_of(text),
        TokenKind::Literal(Value::Duration(_)) => Some(query.source(argument.clone()).to_owned()),
        _ => None,
    }
}

/// `date_trunc('minute', e.time)`
fn date_trunc(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    let [first, second] = call.arguments.as_slice() else { return None };
    let (unit, value) = match unit_of(query, first) {
        Some(unit) => (unit, second),
        None => (unit_of(query, second)?, first),
    };
    let text = format!("truncate({}, {})", query.source(value.clone()), quoted(&unit));
    Some(RewrittenCall { text, end: call.end })
}

/// Returns the unit that times can be truncated to and that an argument names, or `None` if it names none.
fn unit_of(query: &WrittenQuery<'_>, argument: &Range<usize>) -> Option<String> {
    let unit = match &query.tokens[argument.start].kind {
        TokenKind::QuotedName(text) => text.to_lowercase(),
        TokenKind::Literal(Value::Str(text)) => text.to_lowercase(),
        TokenKind::Word(word) => word.to_lowercase(),
        _ => return None,
    };
    matches!(unit.as_str(), "second" | "minute" | "hour" | "day" | "week").then_some(unit)
}

/// `COUNT()`
fn count_nothing(_: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    call.arguments.is_empty().then(|| RewrittenCall { text: "COUNT".to_owned(), end: call.end })
}

/// `round(x, 2)`
fn round_to_digits(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    let [value, digits] = call.arguments.as_slice() else { return None };
    let Value::I64(digits @ 1..=9) = query.literal(digits.start)? else { return None };
    let factor = 10_u64.pow(u32::try_from(*digits).ok()?);
    let text = format!("round({} * {factor}.0) / {factor}.0", enclosed(query, value));
    Some(RewrittenCall { text, end: call.end })
}

/// `greatest(a, b)`
fn greatest(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    one_of_two(query, call, ">")
}

/// `least(a, b)`
fn least(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    one_of_two(query, call, "<")
}

fn one_of_two(query: &WrittenQuery<'_>, call: &ForeignCall, sign: &str) -> Option<RewrittenCall> {
    let [a, b] = call.arguments.as_slice() else { return None };
    let (a, b) = (query.source(a.clone()), query.source(b.clone()));
    Some(RewrittenCall { text: format!("if({a} {sign} {b}, {a}, {b})"), end: call.end })
}

fn count_distinct(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    let value = query.source(call.name + 2..call.end - 1);
    let many = call.arguments.len() > 1;
    let text =
        if many { format!("COUNT(DISTINCT hash({value}))") } else { format!("COUNT(DISTINCT {value})") };
    Some(RewrittenCall { text, end: call.end })
}

/// `countIf(c)`, `sumIf(x, c)`
fn count_if(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    let text = match call.arguments.as_slice() {
        [condition] => format!("SUM(if({}, 1, 0))", query.source(condition.clone())),
        [value, condition] => {
            format!("SUM(if({}, {}, 0))", query.source(condition.clone()), query.source(value.clone()))
        }
        _ => return None,
    };
    Some(RewrittenCall { text, end: call.end })
}

fn regexp_matches(query: &WrittenQuery<'_>, call: &ForeignCall) -> Option<RewrittenCall> {
    let [value, regex] = call.arguments.as_slice() else { return None };
    let text = format!("{} ~ {}", enclosed(query, value), query.source(regex.clone()));
    Some(RewrittenCall { text, end: call.end })
}
