//! The order of rows in flight: by values, one after the other.

use pivot_advice::Value;
use std::cmp::Ordering;

/// The values that a row is sorted by, compared one after the other.
#[derive(PartialEq, Eq)]
pub(crate) struct RowSortKey(pub(crate) Vec<Value>);

impl Ord for RowSortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let differing = self.0.iter().zip(&other.0).map(|(x, y)| x.group_cmp(y)).find(|order| order.is_ne());
        differing.unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for RowSortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
