//! Points in time as people and programs write them: RFC 3339 with an offset, a date alone, a space for the `T`.
//!
//! ```text
//! 2026-11-30T12:00:00.25+01:00     2026-11-30 12:00:00Z     2026-11-30T12:00     2026-11-30
//! ```
//!
//! Without an offset a time is in UTC. Years count as in RFC 3339, and a timestamp holds those from 1677 to 2262.

/// Nanoseconds of a second.
const SECOND_NS: i128 = 1_000_000_000;

/// Returns the nanoseconds since the epoch of a point in time; digits beyond nanoseconds are left out. The error
/// says what is wrong with the text.
pub fn parse_timestamp(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim_start())),
        None => (text, None),
    };

    let days = days_of_date(date)?;
    let ns = match time {
        Some(time) => ns_of_time(time)?,
        None => 0,
    };
    let total = i128::from(days) * 86_400 * SECOND_NS + ns;
    i64::try_from(total).map_err(|_| "a timestamp lies between the years 1677 and 2262".to_owned())
}

/// Returns the days from the epoch to a date such as `2026-11-30`.
fn days_of_date(date: &str) -> Result<i64, String> {
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else {
        return Err("a date is written as 2026-11-30".to_owned());
    };

    let year = number(year, 4, "year")?;
    let month = number(month, 2, "month")?;
    let day = number(day, 2, "day")?;
    if !(1..=12).contains(&month) {
        return Err(format!("there is no month {month}"));
    }
    let last = days_in_month(year, month);
    if !(1..=last).contains(&day) {
        return Err(format!("month {month} of {year} has {last} days, and no day {day}"));
    }
    Ok(days_from_epoch(year, month, day))
}

/// Returns the nanoseconds from midnight in UTC to a time such as `12:00:00.5+01:00`.
fn ns_of_time(time: &str) -> Result<i128, String> {
    // The offset begins behind the digits of the time, all of which are no signs.
    let end = time.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.')).unwrap_or(time.len());
    let (clock, offset) = time.split_at(end);
    let parts: Vec<&str> = clock.split(':').collect();
    let (hour, minute, second) = match parts[..] {
        [hour, minute] => (hour, minute, "00"),
        [hour, minute, second] => (hour, minute, second),
        _ => return Err("a time is written as 12:00:00, with `Z` or an offset such as +01:00".to_owned()),
    };

    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let hour = within(number(hour, 2, "hour")?, 23, "hour")?;
    let minute = within(number(minute, 2, "minute")?, 59, "minute")?;
    let second = within(number(second, 2, "second")?, 59, "second")?;
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a fraction of a second is written in digits".to_owned());
    }

    // Nine digits are nanoseconds.
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let fraction_ns: i128 = digits.parse().map_err(|_| "a fraction of a second is written in digits")?;
    let seconds = i128::from(hour) * 3_600 + i128::from(minute) * 60 + i128::from(second);
    Ok((seconds - i128::from(seconds_of_offset(offset.trim_start())?)) * SECOND_NS + fraction_ns)
}

/// Returns the seconds that a zone is ahead of UTC: `Z`, `+01:00`, or nothing for UTC.
fn seconds_of_offset(offset: &str) -> Result<i64, String> {
    if offset.is_empty() || offset.eq_ignore_ascii_case("z") {
        return Ok(0);
    }

    let (sign, digits) = match (offset.strip_prefix('+'), offset.strip_prefix(['-', '\u{2212}'])) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return Err(wrong_offset(offset)),
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 && digits.is_ascii() => digits.split_at(2),
        None => (digits, "00"),
    };
    let hours = within(number(hours, 2, "hour").map_err(|_| wrong_offset(offset))?, 23, "hour")?;
    let minutes = within(number(minutes, 2, "minute").map_err(|_| wrong_offset(offset))?, 59, "minute")?;
    Ok(sign * (hours * 3_600 + minutes * 60))
}

/// Returns what is said of a text that is no offset.
fn wrong_offset(offset: &str) -> String {
    format!("an offset is written as `Z` or +01:00, not as `{offset}`")
}

/// Reads so many digits.
fn number(digits: &str, length: usize, what: &str) -> Result<i64, String> {
    let is_number = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(number) if is_number => Ok(number),
        _ => {
            Err(format!("the {what} has {length} digits, as in 2026-11-30T12:00:00Z, and here is `{digits}`"))
        }
    }
}

fn within(number: i64, most: i64, what: &str) -> Result<i64, String> {
    if number <= most { Ok(number) } else { Err(format!("there is no {what} {number}")) }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days from the epoch to a date of the Gregorian calendar. A year begins in March here, so that the
/// leap day is its last; 400 years have 146,097 days.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let months = (month + 9) % 12;
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let day_of_year = (153 * months + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: i64) {
        assert_eq!(parse_timestamp(text), Ok(expected), "{text}");
    }

    #[test]
    fn points_in_time_are_read_in_all_their_spellings() {
        const NOON: i64 = 1_796_040_000_000_000_000;
        for text in [
            "2026-11-30T12:00:00Z",
            "2026-11-30t12:00:00z",
            "2026-11-30 12:00:00",
            "2026-11-30 12:00",
            " 2026-11-30T13:00:00+01:00 ",
            "2026-11-30 06:30:00 -0530",
            "2026-11-30T13:00:00.000+01",
        ] {
            check(text, NOON);
        }

        check("2026-11-30T12:00:00.123456789999Z", NOON + 123_456_789);
        check("2026-11-30", NOON - 43_200_000_000_000);
    }

    #[test]
    fn the_calendar_is_gregorian() {
        check("1970-01-01", 0);
        check("1969-12-31T23:59:59.999999999Z", -1);
        check("2000-02-29", 951_782_400_000_000_000);
        check("1677-09-21T00:12:43.145224192Z", i64::MIN);
        check("2262-04-11T23:47:16.854775807Z", i64::MAX);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, wrong) in [
            ("", "a date is written as 2026-11-30"),
            ("yesterday", "a date is written as 2026-11-30"),
            ("2026-13-01", "there is no month 13"),
            ("2026-02-29", "month 2 of 2026 has 28 days, and no day 29"),
            ("2026-11-30T24:00:00Z", "there is no hour 24"),
            ("2026-11-30T12:60Z", "there is no minute 60"),
            ("2026-11-30T12:00:60Z", "there is no second 60"),
            ("26-11-30", "the year has 4 digits"),
            ("2026-11-30T12:00:00 CET", "an offset is written as `Z` or +01:00, not as `CET`"),
            ("2026-11-30T12", "a time is written as 12:00:00"),
            ("2026-11-30T12:00:00.Z", "a fraction of a second is written in digits"),
            ("9999-01-01", "between the years 1677 and 2262"),
        ] {
            let found = parse_timestamp(text).expect_err(text);
            assert!(found.contains(wrong), "{text}: {found}");
        }
    }
}
