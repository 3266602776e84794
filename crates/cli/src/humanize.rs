//! Values, times and counts as people read them.

use crate::terminal_text::escaped;
use chrono::{DateTime, SecondsFormat};
use pivot_advice::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns a value as a table shows it: numbers with thousands separators, durations with three digits and a unit.
/// Text is escaped.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::I64(x) => grouped(&x.to_string()),
        Value::U64(x) => grouped(&x.to_string()),
        Value::F64(x) => double(*x),
        Value::Str(x) => escaped(x),
        Value::Timestamp(ns) => date_and_time(*ns),
        Value::Duration(ns) => duration(*ns),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(self::value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Bool(_) | Value::Bytes(_) => value.to_string(),
    }
}

/// Returns a point in time in UTC, with as many digits behind the point as it needs: none, three, six or nine.
fn date_and_time(ns: i64) -> String {
    let text = DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::AutoSi, true);
    text.replace('T', " ").replace('Z', "")
}

/// Returns a time as RFC 3339 in UTC with nine digits after the point.
pub(crate) fn timestamp(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// Returns the time of day in UTC, with milliseconds if it is no whole second.
pub(crate) fn clock(ns: i64) -> String {
    let is_whole_second = ns.rem_euclid(1_000_000_000) == 0;
    let form = if is_whole_second { "%H:%M:%S" } else { "%H:%M:%S%.3f" };
    DateTime::from_timestamp_nanos(ns).format(form).to_string()
}

/// Returns the date and the time of day in UTC, to the second.
pub(crate) fn date_and_clock(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns a duration with three digits, in the largest unit that leaves one digit before the point.
pub(crate) fn duration(ns: i64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    let magnitude = ns.unsigned_abs() as f64;

    // What is half a digit less than a unit would be shown as 1000 of the smaller one.
    match UNITS.iter().find(|(unit, _)| magnitude >= unit * 0.999_5) {
        None => format!("{ns} ns"),
        Some((unit, name)) => {
            let number = ns as f64 / unit;
            // For the same reason it is shown as 1.00 of the larger one.
            let number = if number.abs() < 1.0 { number.signum() } else { number };
            format!("{} {name}", three_digits(number))
        }
    }
}

/// Returns a number of bytes in the largest binary unit that leaves one digit before the point.
pub(crate) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut number = bytes.max(0.0);
    let mut unit = 0;

    // What is half a byte less than the next unit would be shown as 1024 of this one.
    while number >= 1023.5 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{number:.0} B"),
        _ => format!("{} {}", three_digits(number.max(1.0)), UNITS[unit]),
    }
}

/// Returns an age or a running time in one or two units: `4 s`, `2 min 5 s`, `3 h 20 min`.
pub(crate) fn elapsed(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Returns how long ago a time of the frontend's was when it said what its time is, both in nanoseconds since the epoch. A
/// time to come was just now.
pub(crate) fn time_since(since_ns: i64, now_ns: i64) -> Duration {
    let now_ns = if now_ns > 0 { now_ns } else { local_ns() };
    Duration::from_nanos(u64::try_from(now_ns.saturating_sub(since_ns)).unwrap_or(0))
}

/// Returns the time of this machine, to which that of a frontend comes close which does not say it.
fn local_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Returns a number with its noun: `1 agent`, `1,024 rows`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(&number.to_string()))
}

/// Returns the digits of an integer in groups of three.
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

/// Returns a double with at most three digits after the point, or three significant ones if it is small.
fn double(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if !x.is_finite() {
        return x.to_string();
    }

    let magnitude = x.abs();
    // Outside this range nobody counts the digits before or after the point at a glance.
    if !(1e-4..1e15).contains(&magnitude) {
        return format!("{x:.3e}");
    }
    if magnitude < 1.0 {
        return three_digits(x);
    }

    // An average of integers is often one: `3` and not `3.000`.
    let fixed = format!("{x:.3}");
    let (whole, fraction) = fixed.split_once('.').unwrap_or((&fixed, ""));
    with_fraction(whole, fraction.trim_end_matches('0'))
}

/// Returns a number with three significant digits, or with all digits before its point if those are more.
fn three_digits(x: f64) -> String {
    let magnitude = x.abs().log10().floor() as i32;
    let decimals = usize::try_from(2 - magnitude).unwrap_or(0);
    let fixed = format!("{x:.decimals$}");
    let (whole, fraction) = fixed.split_once('.').unwrap_or((&fixed, ""));

    // Rounding up to the next power of ten, as from 9.999 to 10.00, brings one digit too many.
    let wanted = 3_usize.saturating_sub(whole.trim_start_matches(['-', '0']).len());
    let fraction = if x.abs() >= 1.0 { &fraction[..wanted.min(fraction.len())] } else { fraction };
    with_fraction(whole, fraction)
}

fn with_fraction(whole: &str, fraction: &str) -> String {
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}", grouped(whole))
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
    fn times_are_utc_with_nanoseconds() {
        assert_eq!(timestamp(1_500_000_000_000_000_001), "2017-07-14T02:40:00.000000001Z");
        assert_eq!(clock(1_500_000_000_500_000_000), "02:40:00.500");
    }
}
