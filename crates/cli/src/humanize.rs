//! Values, times and counts as people read them.
//!
//! Text that comes from instrumented processes may hold anything: control characters are escaped,
//! so that no value can move the cursor or colour the terminal.

use chrono::{DateTime, SecondsFormat};
use pivot_advice::Value;
use std::time::Duration;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A value in a table: numbers with thousands separators, durations with three digits and a unit.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::I64(x) => grouped(&x.to_string()),
        Value::U64(x) => grouped(&x.to_string()),
        Value::F64(x) => double(*x),
        Value::Str(x) => escaped(x),
        Value::Timestamp(ns) => timestamp(*ns).replace('T', " ").replace('Z', ""),
        Value::Duration(ns) => duration(*ns),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(self::value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Bool(_) | Value::Bytes(_) => value.to_string(),
    }
}

/// RFC 3339 in UTC with nine digits after the point.
pub(crate) fn timestamp(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// The time of day in UTC, in milliseconds if it is not a whole second.
pub(crate) fn clock(ns: i64) -> String {
    let whole = ns.rem_euclid(1_000_000_000) == 0;
    let form = if whole { "%H:%M:%S" } else { "%H:%M:%S%.3f" };
    DateTime::from_timestamp_nanos(ns).format(form).to_string()
}

/// Three digits in the largest unit that leaves one before the point.
pub(crate) fn duration(ns: i64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    let magnitude = ns.unsigned_abs() as f64;
    // Half a digit less than the unit already rounds up to it.
    let unit = UNITS.iter().find(|(unit, _)| magnitude >= unit * 0.999_5);
    match unit {
        None => format!("{ns} ns"),
        Some((unit, name)) => {
            let number = ns as f64 / unit;
            let number = if number.abs() < 1.0 { number.signum() } else { number };
            format!("{} {name}", digits(number))
        }
    }
}

/// So many bytes, in the largest binary unit that leaves one digit before the point.
pub(crate) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut number, mut unit) = (bytes.max(0.0), 0);
    // Half a digit less than the next unit already rounds up to it.
    while number >= 1023.5 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{number:.0} B"),
        _ => format!("{} {}", digits(number.max(1.0)), UNITS[unit]),
    }
}

/// An age or a running time: `4 s`, `2 min 5 s`, `3 h 20 min`.
pub(crate) fn elapsed(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// How long ago something was, in nanoseconds since the epoch.
pub(crate) fn age(since_ns: i64) -> String {
    let now_ns = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let since = Duration::from_nanos(u64::try_from(since_ns).unwrap_or(0));
    elapsed(now_ns.saturating_sub(since))
}

/// A number and its noun: `1 agent`, `1,024 rows`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(&number.to_string()))
}

/// The digits of an integer in groups of three.
pub(crate) fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn double(x: f64) -> String {
    let magnitude = x.abs();
    if !x.is_finite() || x == 0.0 {
        return if x == 0.0 { "0".to_owned() } else { x.to_string() };
    }
    if !(1e-4..1e15).contains(&magnitude) {
        return format!("{x:.3e}");
    }
    if magnitude < 1.0 {
        return digits(x);
    }
    let fixed = format!("{x:.3}");
    let (whole, fraction) = fixed.split_once('.').unwrap_or((&fixed, ""));
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}", grouped(whole))
}

/// A number with three significant digits, or all those before its point.
fn digits(x: f64) -> String {
    let magnitude = x.abs().log10().floor() as i32;
    let decimals = usize::try_from(2 - magnitude).unwrap_or(0);
    let fixed = format!("{x:.decimals$}");
    let (whole, fraction) = fixed.split_once('.').unwrap_or((&fixed, ""));
    // Rounding up to the next power of ten brought one digit too many.
    let keep = 3_usize.saturating_sub(whole.trim_start_matches(['-', '0']).len());
    let fraction = if x.abs() >= 1.0 { &fraction[..keep.min(fraction.len())] } else { fraction };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}", grouped(whole))
}

/// The text with control characters escaped.
pub(crate) fn escaped(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if harmless(c) {
            out.push(c)
        } else {
            out.extend(c.escape_default())
        }
        out
    })
}

/// How many columns of a terminal the text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most so many columns, with `…` where it was cut.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    match columns {
        0 => String::new(),
        columns => format!("{}…", head(text, columns - 1)),
    }
}

/// The text in lines of at most so many columns, broken at blanks where there are any.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = escaped(word);
        if !line.is_empty() && width(&line) + 1 + width(&word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        // A word that is wider than a line is broken.
        while width(&word) > columns.max(2) {
            let head = head(&word, columns.max(2)).to_owned();
            word.drain(..head.len());
            lines.push(head);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// As much of the text's beginning as fits.
fn head(text: &str, columns: usize) -> &str {
    let mut left = columns;
    let fits = |c: &char| {
        let wide = c.width().unwrap_or(0);
        left.checked_sub(wide).inspect(|rest| left = *rest).is_some()
    };
    &text[..text.chars().take_while(fits).map(char::len_utf8).sum()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        let check = |ns, shown: &str| assert_eq!(duration(ns), shown);
        check(0, "0 ns");
        check(999, "999 ns");
        check(1_230_000, "1.23 ms");
        check(12_345_678, "12.3 ms");
        check(-1_500, "-1.50 µs");
        check(999_999, "1.00 ms");
        check(9_999_999, "10.0 ms");
        check(59_400_000_000, "59.4 s");
        check(4_000_000_000_000, "4,000 s");
    }

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        let check = |number, shown: &str| assert_eq!(bytes(number), shown);
        check(0.0, "0 B");
        check(1_023.0, "1023 B");
        check(1_024.0, "1.00 KiB");
        check(37_800.0, "36.9 KiB");
        check(5e9, "4.66 GiB");
    }

    #[test]
    fn numbers_have_thousands_separators() {
        let check = |number: Value, shown: &str| assert_eq!(value(&number), shown);
        check(Value::U64(u64::MAX), "18,446,744,073,709,551,615");
        check(Value::I64(-1_000), "-1,000");
        check(Value::I64(i64::MIN), "-9,223,372,036,854,775,808");
        check(Value::F64(1_234.5), "1,234.5");
        check(Value::F64(3.0), "3");
        check(Value::F64(0.012_345), "0.0123");
        check(Value::F64(0.0), "0");
        check(Value::F64(f64::NAN), "NaN");
        check(Value::F64(1e30), "1.000e30");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(escaped("a\n\x1b[31mb"), "a\\n\\u{1b}[31mb");
        assert_eq!(value(&Value::str("grün 日本")), "grün 日本");
    }

    #[test]
    fn a_cut_text_fits_also_with_wide_characters() {
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("abcd", 0), "");
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrap("use a number, or COUNT", 12), ["use a", "number, or", "COUNT"]);
        assert_eq!(wrap("a 0123456789", 5), ["a", "01234", "56789"]);
        assert_eq!(wrap("日本語", 3), ["日", "本", "語"]);
        assert!(wrap(" ", 3).is_empty());
    }

    #[test]
    fn times_are_utc_with_nanoseconds() {
        assert_eq!(timestamp(1_500_000_000_000_000_001), "2017-07-14T02:40:00.000000001Z");
        assert_eq!(clock(1_500_000_000_500_000_000), "02:40:00.500");
    }
}
