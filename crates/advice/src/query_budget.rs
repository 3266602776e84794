//! What a query may take in one process: asked for with `WITHIN`, granted by the process.
//!
//! ```text
//! WITHIN bytes 4KiB, groups 500            asked by the query
//! default 1KiB, 1000 groups, 0.5%          of the process, for queries that do not ask
//! ceiling 2KiB                             of the process (PIVOT_WITHIN_MAX); the default where it does not say
//! ─────────────────────────────────────
//! granted bytes 2KiB, groups 500           the smaller of asked and ceiling; nothing for what was not asked
//! ```

use std::fmt;
use std::str::FromStr;

/// Limits on what one query may take in one process. `None` where nothing is said of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueryBudget {
    /// Bytes that its bags take in the baggage of one request.
    pub bytes: Option<u64>,
    /// Groups between two reports; rows of further groups are merged into one.
    pub groups: Option<u64>,
    /// The fraction of one core that its advice uses.
    pub cpu: Option<f64>,
}

impl QueryBudget {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == QueryBudget::default()
    }

    /// Returns what a process with this ceiling grants a query that asks for `self`. The ceiling of what it does
    /// not mention is the process's default.
    pub fn granted(&self, ceiling: &QueryBudget, default: &QueryBudget) -> QueryBudget {
        fn least<T: PartialOrd + Copy>(
            asked: Option<T>,
            ceiling: Option<T>,
            default: Option<T>,
        ) -> Option<T> {
            let ceiling = ceiling.or(default);
            asked.map(|asked| ceiling.filter(|ceiling| *ceiling < asked).unwrap_or(asked))
        }

        QueryBudget {
            bytes: least(self.bytes, ceiling.bytes, default.bytes),
            groups: least(self.groups, ceiling.groups, default.groups),
            cpu: least(self.cpu, ceiling.cpu, default.cpu),
        }
    }
}

/// As in a query: `bytes 1KiB, groups 1000, cpu 0.5%`; empty if nothing is limited.
impl fmt::Display for QueryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match self.bytes {
            Some(bytes) if bytes % 1024 == 0 => parts.push(format!("bytes {}KiB", bytes / 1024)),
            Some(bytes) => parts.push(format!("bytes {bytes}B")),
            None => {}
        }
        parts.extend(self.groups.map(|groups| format!("groups {groups}")));
        // Rounded, so that a percentage comes back as it was written and not as 0.30000000000000004.
        parts.extend(self.cpu.map(|cpu| format!("cpu {}%", (cpu * 1e8).round() / 1e6)));
        f.write_str(&parts.join(", "))
    }
}

/// Reads `bytes 1KiB, groups 1000, cpu 0.5%`, in any order and number. The error says what is wrong.
impl FromStr for QueryBudget {
    type Err = String;

    fn from_str(text: &str) -> Result<QueryBudget, String> {
        let mut budget = QueryBudget::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((name, amount)) = part.split_once(char::is_whitespace) else {
                return Err(format!("`{part}` is not a name and an amount, as in `groups 1000`"));
            };
            let amount = amount.trim();

            let is_repeated = match name {
                "bytes" => budget.bytes.replace(size(amount)?).is_some(),
                "groups" => budget.groups.replace(count(amount)?).is_some(),
                "cpu" => budget.cpu.replace(share(amount)?).is_some(),
                _ => return Err(format!("unknown budget `{name}`: budgets are bytes, groups and cpu")),
            };
            if is_repeated {
                return Err(format!("`{name}` is repeated"));
            }
        }
        Ok(budget)
    }
}

fn count(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("`{text}` is not a number such as 1000"))
}

/// Reads bytes, with the units of the query language.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 5] =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("kB", 1_000), ("MB", 1_000_000), ("B", 1)];
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (number, scale) = unit.map_or((text, 1), |(unit, scale)| (&text[..text.len() - unit.len()], *scale));

    let bytes = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| format!("`{text}` is not a size such as 4KiB"))
}

/// Reads a percentage of a core as a fraction.
fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let percent = percent.filter(|percent| *percent > 0.0 && percent.is_finite());
    percent
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("`{text}` is not a part of a core such as 0.5%"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_read_as_it_is_written() {
        for text in
            ["", "bytes 4KiB", "bytes 100B, groups 7", "cpu 0.3%", "bytes 1KiB, groups 1000, cpu 12.5%"]
        {
            assert_eq!(text.parse::<QueryBudget>().unwrap().to_string(), text);
        }
        assert_eq!("cpu 5%,bytes 2kB".parse::<QueryBudget>().unwrap().to_string(), "bytes 2000B, cpu 5%");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = |text: &str| text.parse::<QueryBudget>().unwrap_err();
        assert!(error("bites 4").contains("unknown budget `bites`"));
        assert!(error("groups").contains("`groups` is not a name and an amount"));
        assert!(error("groups 0").contains("not a number"));
        assert!(error("groups 1, groups 2").contains("repeated"));
        assert!(error("bytes 18446744073709551615KiB").contains("not a size"));
        assert!(error("cpu 5").contains("not a part of a core"));
        assert!(error("cpu NaN%").contains("not a part of a core"));
    }

    #[test]
    fn the_ceiling_limits_and_stands_for_the_default_where_it_is_silent() {
        let budget = |text: &str| text.parse::<QueryBudget>().unwrap();
        let default = budget("bytes 1KiB, groups 1000, cpu 0.5%");
        let granted =
            |asked: &str, ceiling: &str| budget(asked).granted(&budget(ceiling), &default).to_string();

        assert_eq!(granted("groups 10", ""), "groups 10");
        assert_eq!(granted("groups 5000, cpu 3%", ""), "groups 1000, cpu 0.5%");
        assert_eq!(granted("bytes 4KiB, groups 5000", "bytes 2KiB, groups 9000"), "bytes 2KiB, groups 5000");
        assert_eq!(granted("", "bytes 2KiB"), "");
        assert_eq!(granted("groups 500", "groups 100"), "groups 100");
    }
}
