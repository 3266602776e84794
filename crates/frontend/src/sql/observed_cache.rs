//! The types of values that were found in history, so that the next statement looks at newer windows alone.

use super::window_source::ObservedValues;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How far before the newest window that was looked at others may still get late rows.
const LATE_NS: i64 = 3_600_000_000_000;

/// The types of the values of queries, as far as their windows were looked at.
#[derive(Debug, Default)]
pub(crate) struct ObservedCache {
    /// By the number of the query: the start of the newest window that was looked at, and what was found.
    found: Mutex<HashMap<u32, (i64, ObservedValues)>>,
}

impl ObservedCache {
    /// Returns what was found of a query, and the start of the windows to look at now.
    pub(super) fn begin(&self, query: u32) -> (i64, ObservedValues) {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match found.get(&query) {
            Some((newest_ns, values)) => (newest_ns.saturating_sub(LATE_NS), values.clone()),
            None => (i64::MIN, ObservedValues::default()),
        }
    }

    /// Notes what was found of a query down to the window that begins at a time. A statement that ends before it has looked
    /// at all of them leaves what it has found.
    pub(super) fn note(&self, query: u32, start_ns: i64, values: &ObservedValues) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (newest_ns, known) = found.entry(query).or_default();
        *newest_ns = start_ns.max(*newest_ns);
        known.union(values);
    }
}

#[cfg(test)]
mod tests {
    use super::super::column_type::ObservedTypes;
    use super::*;

    #[test]
    fn what_was_found_is_known_and_newer_windows_are_looked_at() {
        let cache = ObservedCache::default();
        assert_eq!(cache.begin(7), (i64::MIN, ObservedValues::default()));
        let values = |bits| ObservedValues { columns: vec![ObservedTypes(bits)], keys: vec![] };
        cache.note(7, 10 * LATE_NS, &values(1));
        cache.note(7, 9 * LATE_NS, &values(2));
        assert_eq!(cache.begin(7), (9 * LATE_NS, values(3)));
        assert_eq!(cache.begin(8).0, i64::MIN);
    }
}
