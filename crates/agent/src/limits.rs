//! How much one query may take in this process, and one event in one advice.
//!
//! Nothing fails at a limit: rows of further groups are merged into one group, and rows of an event beyond
//! the limit are dropped and counted.

/// The most groups of one query in this process between two reports, unless the query asks for another number with
/// `WITHIN`. The rows of further groups go into [`QueryReport::other`](crate::QueryReport::other).
pub const MAX_GROUPS: usize = 1_000;

/// The most bytes that the groups of one query take, about, in one thread between two reports.
pub const MAX_BYTES: usize = 4 << 20;

/// The most rows that one event may make in one advice, by joins. Further rows are dropped and counted.
pub const MAX_ROWS: usize = 4096;
