//! Points in time as other languages write them: `now`, `timestamp "2026-11-30"`, a text, seconds since the epoch.

use super::fix::QuickFix;
use super::written_query::{WrittenQuery, quoted};
use crate::lexical::TokenKind;
use pivot_advice::{Value, parse_timestamp};

/// Words and functions of other languages for the present time.
const NOW: [&str; 12] = [
    "NOW",
    "CURRENT_TIMESTAMP",
    "CURRENT_TIME",
    "CURRENT_DATE",
    "LOCALTIMESTAMP",
    "SYSDATE",
    "SYSTIMESTAMP",
    "GETDATE",
    "GETUTCDATE",
    "UTC_TIMESTAMP",
    "CLOCK_TIMESTAMP",
    "UNIX_TIMESTAMP",
];

/// Words before a text, and functions around it, that make a point in time of it.
const CONVERSIONS: [&str; 9] = [
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "DATETIME",
    "DATE",
    "TO_TIMESTAMP",
    "TO_DATE",
    "TODATETIME",
    "PARSE_DATETIME",
    "STRPTIME",
];

/// Digits of a number of seconds, milliseconds, microseconds and nanoseconds since the epoch, in this century.
const EPOCHS: [(usize, &str); 4] = [(10, "000000000"), (13, "000000"), (16, "000"), (19, "")];

/// Adds the fixes for points in time at a place.
pub(super) fn at(query: &WrittenQuery<'_>, at: usize, found: &mut Vec<QuickFix>) {
    found.extend(now(query, at).or_else(|| converted(query, at)));
    found.extend(text(query, at));
    found.extend(epoch(query, at));
}

/// `now`, `CURRENT_TIMESTAMP`, `GETDATE()`.
fn now(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let word = query.name(at).filter(|word| NOW.iter().any(|known| known.eq_ignore_ascii_case(word)))?;
    let is_part = (at > 0 && query.tokens[at - 1].is_name_separator())
        || query.tokens.get(at + 1).is_some_and(|next| next.is_name_separator());
    let is_call = query.is(at + 1, "(") && query.is(at + 2, ")");
    if is_part || (is_call && word.eq_ignore_ascii_case("NOW")) || (query.is(at + 1, "(") && !is_call) {
        return None;
    }
    let end = if is_call { at + 3 } else { at + 1 };
    Some(QuickFix::new(query, at..end, "now()", "the time of the install is now()"))
}

/// `timestamp "2026-11-30"`, `DATE '2026-11-30'`, `to_timestamp('2026-11-30')`.
fn converted(query: &WrittenQuery<'_>, at: usize) -> Option<QuickFix> {
    let word =
        query.name(at).filter(|word| CONVERSIONS.iter().any(|known| known.eq_ignore_ascii_case(word)))?;
    let is_call = query.is(at + 1, "(");
    let place = if is_call { at + 2 } else { at + 1 };
    let is_ours = !is_call && word.eq_ignore_ascii_case("TIMESTAMP");
    let text = match &query.tokens.get(place)?.kind {
        TokenKind::QuotedName(text) => text.as_str(),
        TokenKind::Literal(Value::Str(text)) if !is_ours => text,
        _ => return None,
    };

    // A second argument is a pattern for the first, which has one form here.
    let end = if is_call { query.closing(at + 1)? + 1 } else { place + 1 };
    let written = literal(text);
    let hint = format!("a point in time is written {written}");
    Some(QuickFix::new(query, at..end, written, hint))
}

/// Returns a text as the literal of a point in time.
fn literal(text: &str) -> String {
    format!("timestamp {}", quoted(text))
}

/// `e.time > '2026-11-30'`: a text where a point in time is wanted.
fn text(query: &WrittenQuery<'_>, at: usize) -> Vec<QuickFix> {
    let Some(text) = query.literal_text(at).filter(|text| parse_timestamp(text).is_ok()) else {
        return vec![];
    };
    let written = literal(text);
    let hint = format!("a point in time is written {written}");
    ["compare timestamp and string", "compare string and timestamp", "must be a timestamp"]
        .into_iter()
        .map(|about| QuickFix { about, ..QuickFix::new(query, at..at + 1, written.clone(), hint.clone()) })
        .collect()
}

/// `e.time > 1764500000`: a number of seconds or less since the epoch.
fn epoch(query: &WrittenQuery<'_>, at: usize) -> Vec<QuickFix> {
    let Some(Value::I64(number)) = query.literal(at) else { return vec![] };
    let number = number.to_string();
    let Some((_, zeros)) = EPOCHS.into_iter().find(|(digits, _)| *digits == number.len()) else {
        return vec![];
    };

    let written = format!("CAST({number}{zeros} AS timestamp)");
    let hint = "nanoseconds since the epoch become a point in time by a CAST; or write timestamp '2026-11-30T12:00:00Z'";
    ["compare timestamp and i64", "compare i64 and timestamp"]
        .into_iter()
        .map(|about| QuickFix { about, ..QuickFix::new(query, at..at + 1, written.clone(), hint) })
        .collect()
}
