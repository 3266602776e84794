//! What SQL does with queries inside queries, and with rows beside a row: here events are joined, and groups ranked.

use super::fix::QuickFix;
use super::written_query::WrittenQuery;

/// Functions that have no counterpart, each with what answers the question that they are used for.
const NO_COUNTERPARTS: [(&[&str], &str); 5] = [
    (
        &["ROW_NUMBER", "RANK", "DENSE_RANK", "NTILE", "PERCENT_RANK", "CUME_DIST"],
        "rows are not numbered: ORDER BY and LIMIT keep the first groups, TOPK(x, k) the most frequent values",
    ),
    (
        &["LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE", "NTH_VALUE", "DELTA", "STREAMSTATS"],
        "a row sees no other row: the event before is joined, JOIN b IN MostRecent(source) ON b -> e",
    ),
    (
        &[
            "STRING_AGG",
            "ARRAY_AGG",
            "GROUP_CONCAT",
            "LISTAGG",
            "COLLECT_LIST",
            "MAKE_SET",
            "MAKE_LIST",
            "JSON_AGG",
            "VALUES",
        ],
        "no list is built: TOPK(x, k) has the most frequent values, COUNT(DISTINCT x) how many there are, ANY(x) one",
    ),
    (&["ROLLUP", "CUBE", "GROUPING"], "a query has one list of keys: GROUP BY each in a query of its own"),
    (
        &["EXTRACT", "DATE_PART", "DATEPART", "TO_CHAR", "DATE_FORMAT", "STRFTIME"],
        "no part of a time is taken out: truncate(t, 'hour') is when its hour began, bucket(t, 5m) when its five minutes did",
    ),
];

/// Returns the fix for what begins at a place, or `None` if nothing of that kind does.
pub(super) fn at(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    query_as_value(query, at)
        .or_else(|| set_operation(query, at))
        .or_else(|| distinct_on(query, at))
        .or_else(|| no_counterpart(query, at))
}

/// `x IN (SELECT ..)`, `NOT EXISTS (SELECT ..)`, `x = (SELECT ..)`.
fn query_as_value(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let is_query = query.is(at, "(") && query.is_one_of(at + 1, &["SELECT", "FROM", "WITH"]);
    let before = at.checked_sub(1).filter(|_| is_query)?;
    let close = query.closing(at)?;

    let is_source = query.is_one_of(before, &["FROM", "JOIN"]) || is_alias_in(query, before);
    let operators = ["=", "==", "!=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/"];
    let is_operand = operators.iter().any(|operator| query.is(before, operator));
    let is_list = query.is_word(before, "IN") && !is_source;
    if !(is_list || is_operand || query.is_one_of(before, &["EXISTS", "ANY", "ALL", "SOME"])) {
        return None;
    }

    let negated = before.checked_sub(1).is_some_and(|not| query.is_word(not, "NOT"));
    let hint = match () {
        () if is_operand => {
            "a query is no value: join what it counts, JOIN x IN (FROM y IN source SELECT COUNT AS n) ON x -> e, and use x.n"
        }
        () if negated => {
            "a query is no list of values: ANTI JOIN x IN source ON x -> e keeps the events without such an event before them"
        }
        () => {
            "a query is no list of values: JOIN x IN First(source) ON x -> e keeps the events with such an event before them"
        }
    };
    Some(QuickFix::only_hint(query, before..close + 1, hint))
}

/// Returns whether IN stands behind an alias, before its source.
fn is_alias_in(query: &WrittenQuery<'_>, at: usize) -> bool {
    at >= 2 && query.is_word(at, "IN") && query.is_one_of(at - 2, &["FROM", "JOIN"])
}

/// `SELECT .. UNION ALL SELECT ..`
fn set_operation(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let is_operation = query.is_one_of(at, &["UNION", "INTERSECT", "EXCEPT", "MINUS"])
        && (query.is_one_of(at + 1, &["SELECT", "FROM", "ALL", "DISTINCT"]) || query.is(at + 1, "("));
    let is_name = at > 0 && query.tokens[at - 1].is_name_separator();
    if !is_operation || is_name || at == 0 {
        return None;
    }

    let hint = match query.is_word(at, "UNION") {
        true => "a union is a list of sources: FROM e IN source, source; each may be a query in parentheses",
        false => {
            "queries are not compared as sets: JOIN keeps events with such an event before them, ANTI JOIN those without"
        }
    };
    // The second query follows from it.
    let fix = QuickFix::only_hint(query, at..query.tokens.len(), hint);
    Some(QuickFix { about: "is repeated", ..fix })
}

/// `SELECT DISTINCT ON (k) ..`
fn distinct_on(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let is_there = query.is_word(at, "DISTINCT") && query.is_word(at + 1, "ON");
    is_there.then(|| {
        let hint = "one row for each key is GROUP BY, with MIN, MAX or ANY of the other columns";
        QuickFix::only_hint(query, at..at + 2, hint)
    })
}

fn no_counterpart(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let name = query.word(at).filter(|_| query.is(at + 1, "("))?;
    let (_, hint) = NO_COUNTERPARTS
        .iter()
        .find(|(names, _)| names.iter().any(|known| known.eq_ignore_ascii_case(name)))?;
    let mut end = query.closing(at + 1)? + 1;
    // What the function looks at is said behind it.
    if query.is_word(end, "OVER") {
        end = query.closing(end + 1)? + 1;
    }
    Some(QuickFix::only_hint(query, at..end, *hint))
}
