//! Durations as people write them: a number with a unit, as in query text.

use std::time::Duration;

/// Reads a duration. The error is a sentence for the user.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    read(text).ok_or_else(|| format!("`{text}` is not a duration like 500ms, 10s, 2m, 1h or 7d"))
}

fn read(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.')?);
    let seconds_per_unit = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds_per_unit).ok()
}

/// Writes a duration so that it can be read again.
pub(crate) fn write_duration(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 if duration.as_secs() >= 3_600 && duration.as_secs().is_multiple_of(3_600) => {
            format!("{}h", duration.as_secs() / 3_600)
        }
        0 => format!("{}s", duration.as_secs()),
        nanoseconds if nanoseconds % 1_000_000 == 0 => format!("{}ms", duration.as_millis()),
        _ => format!("{}ms", duration.as_secs_f64() * 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_that_is_known() {
        let read = |text| parse_duration(text).ok();
        assert_eq!(read("2m"), Some(Duration::from_secs(120)));
        assert_eq!(read("250ms"), Some(Duration::from_millis(250)));
        for wrong in ["", "10", "s", "-1s", "3 days", "1e400s", "١s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for microseconds in [0, 1, 500, 1_000, 1_500_000, 60_000_000, 60_000_250, 86_400_000_000] {
            let duration = Duration::from_micros(microseconds);
            assert_eq!(parse_duration(&write_duration(duration)), Ok(duration));
        }
    }
}
