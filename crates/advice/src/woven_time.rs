//! The time in which a query ran in one process, by the clock of that process.

/// From when, and until when, a process answers a query: its events since then are in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WovenTime {
    /// When the query had been woven, in nanoseconds since the epoch.
    pub since_ns: i64,
    /// When it had been unwoven; `None` while it is woven.
    pub until_ns: Option<i64>,
}

impl WovenTime {
    /// Takes over what a later report says of the same query in the same process.
    pub fn update(&mut self, later: WovenTime) {
        self.since_ns = self.since_ns.min(later.since_ns);
        self.until_ns = later.until_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_report_knows_the_end_and_the_earliest_the_begin() {
        let mut known = WovenTime { since_ns: 5, until_ns: None };
        known.update(WovenTime { since_ns: 5, until_ns: Some(9) });
        assert_eq!(known, WovenTime { since_ns: 5, until_ns: Some(9) });
        known.update(WovenTime { since_ns: 12, until_ns: None });
        assert_eq!(known, WovenTime { since_ns: 5, until_ns: None });
    }
}
