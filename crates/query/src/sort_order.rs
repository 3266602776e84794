//! The order of ORDER BY, which is PostgreSQL's: null counts as the largest value unless the query says where it goes.

use pivot_advice::Value;
use std::cmp::Ordering;
use std::fmt;

/// How one expression of ORDER BY sorts rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortOrder {
    /// The direction in which its values sort.
    pub direction: SortDirection,
    /// The end at which rows stand where it is null.
    pub nulls: NullPlace,
}

/// A direction in which values sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortDirection {
    /// Small values come first.
    #[default]
    Ascending,
    /// Large values come first.
    Descending,
}

/// The end of a sorted result at which null stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullPlace {
    /// Before all values.
    First,
    /// Behind all values.
    Last,
}

impl SortOrder {
    /// Compares two values as their rows come.
    pub fn compare(self, a: &Value, b: &Value) -> Ordering {
        if a.is_null() || b.is_null() {
            let order = a.is_null().cmp(&b.is_null());
            return if self.nulls == NullPlace::First { order.reverse() } else { order };
        }
        match self.direction {
            SortDirection::Ascending => a.group_cmp(b),
            SortDirection::Descending => b.group_cmp(a),
        }
    }
}

impl SortDirection {
    /// Returns the order of this direction in which null counts as the largest value.
    pub fn order(self) -> SortOrder {
        let nulls = match self {
            SortDirection::Ascending => NullPlace::Last,
            SortDirection::Descending => NullPlace::First,
        };
        SortOrder { direction: self, nulls }
    }
}

impl fmt::Display for SortOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.direction {
            SortDirection::Ascending => "",
            SortDirection::Descending => " descending",
        })?;
        match self.nulls {
            _ if *self == self.direction.order() => Ok(()),
            NullPlace::First => f.write_str(", nulls first"),
            NullPlace::Last => f.write_str(", nulls last"),
        }
    }
}
