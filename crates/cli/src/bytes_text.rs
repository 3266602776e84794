//! Amounts of bytes as people write them: `10GB`, `512MiB`, `4096`.

/// The units of bytes, larger ones first among those with one ending.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads an amount of bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no amount of bytes such as 10GB, 512MiB or 4096");
    let lower = text.to_lowercase();
    let unit = UNITS.into_iter().find(|(unit, _)| lower.ends_with(&unit.to_lowercase()));
    let (unit, factor) = unit.unwrap_or(("", 1));

    let number = lower[..lower.len() - unit.len()].trim().replace('_', "");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

/// Writes an amount of bytes so that it can be read again.
pub(crate) fn write_bytes(bytes: u64) -> String {
    let units = UNITS.into_iter().filter(|(_, factor)| *factor > 1 && bytes > 0);
    let unit = units.filter(|(_, factor)| bytes.is_multiple_of(*factor)).max_by_key(|(_, factor)| *factor);
    match unit {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_their_unit() {
        for (text, bytes) in [
            ("4096", 4_096),
            ("7B", 7),
            ("10GB", 10_000_000_000),
            ("10 gib", 10 << 30),
            ("1_000KiB", 1_024_000),
            ("0", 0),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
            assert_eq!(parse_bytes(&write_bytes(bytes)), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1", "1.5GB", "10XB", "99999999TiB", "ä"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
