//! Points in time as text, by counting years and months one after the other.

use std::ops::Range;

/// Nanoseconds of a day.
const DAY_NS: i128 = 86_400_000_000_000;

/// Writes a point in time with all nine digits of its fraction.
pub(crate) fn written(ns: i64) -> String {
    let (mut days, of_day) = (i128::from(ns).div_euclid(DAY_NS), i128::from(ns).rem_euclid(DAY_NS));
    let (mut year, mut month) = (1970, 1);
    while days < 0 {
        year -= 1;
        days += year_length(year);
    }
    while days >= year_length(year) {
        days -= year_length(year);
        year += 1;
    }
    while days >= month_length(year, month) {
        days -= month_length(year, month);
        month += 1;
    }

    let (seconds, fraction) = (of_day / 1_000_000_000, of_day % 1_000_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z", days + 1)
}

/// Reads what [`written`] writes; nothing else is a point in time here.
pub(crate) fn read(text: &str) -> Option<i64> {
    let (year, month, day) = (number(text, 0..4)?, number(text, 5..7)?, number(text, 8..10)?);
    let (hour, minute, second) = (number(text, 11..13)?, number(text, 14..16)?, number(text, 17..19)?);
    let fraction = number(text, 20..29)?;

    let years = (1970..year).map(year_length).sum::<i128>() - (year..1970).map(year_length).sum::<i128>();
    let days = years + (1..month).map(|month| month_length(year, month)).sum::<i128>() + day - 1;
    let seconds = hour * 3_600 + minute * 60 + second;
    i64::try_from(days * DAY_NS + seconds * 1_000_000_000 + fraction).ok()
}

/// Returns the number that is written at a place of a text, or `None` if it is none.
fn number(text: &str, place: Range<usize>) -> Option<i128> {
    text.get(place)?.parse().ok()
}

fn is_leap(year: i128) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn year_length(year: i128) -> i128 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_length(year: i128, month: i128) -> i128 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
