//! Durations as programs log them: `1.5ms`, `20 ms`, `2m`, `-1.5us`.

/// Units and their nanoseconds. The two signs for micro look alike: the Greek letter and the old micro sign.
const UNITS: [(&str, i128); 9] = [
    ("ns", 1),
    ("µs", 1_000),
    ("μs", 1_000),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Returns the nanoseconds of a duration, rounded towards zero, or `None` if the text is no duration or if 64
/// bits do not hold it.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-'))?;

    // The unit is all behind the digits.
    let (number, unit) = text.split_at(end);
    let (_, unit_ns) = UNITS.into_iter().find(|(name, _)| *name == unit.trim_start())?;

    let (negative, number) = number.strip_prefix('-').map_or((false, number), |number| (true, number));
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || ![whole, part].iter().all(|digits| all_digits(digits)) {
        return None;
    }

    // What comes after 18 digits is less than a nanosecond of any unit.
    let part = &part[..part.len().min(18)];
    let fraction = if part.is_empty() { 0 } else { part.parse::<i128>().ok()? };
    let fraction_ns = unit_ns.checked_mul(fraction)? / 10_i128.checked_pow(part.len() as u32)?;

    let ns = whole.parse::<i128>().ok()?.checked_mul(unit_ns)?.checked_add(fraction_ns)?;
    i64::try_from(if negative { -ns } else { ns }).ok()
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_rust_prints_of_a_duration_is_read_back() {
        for ns in [0, 1, 999, 1_000, 1_234, 20_000, 1_234_567, 999_999_999, 1_000_000_000, 61_000_000_001] {
            let duration = Duration::from_nanos(ns);
            assert_eq!(parse(&format!("{duration:?}")), Some(ns as i64), "{duration:?}");
        }
    }

    #[test]
    fn other_ways_to_write_one_are_read_and_anything_else_is_none() {
        let read = [
            ("20 ms", 20_000_000),
            (" 2m ", 120_000_000_000),
            ("-1.5us", -1_500),
            ("1d", 86_400_000_000_000),
        ];
        for (text, ns) in read {
            assert_eq!(parse(text), Some(ns), "{text}");
        }
        let digits = format!("0.{}s", "3".repeat(400));
        assert_eq!(parse(&digits), Some(333_333_333));
        let wrong =
            ["", "5", "ms", ".5s", "5.s", "1.2.3s", "--1s", "1-s", "5 parsecs", "1e3s", "9999999999999d"];
        for text in wrong.iter().copied().chain([&*format!("{}s", "9".repeat(60))]) {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
