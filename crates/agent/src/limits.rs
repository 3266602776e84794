//! How much one query may take in this process, and one event in one advice. Beyond a limit rows are counted as
//! dropped or merged into one group; nothing fails.

use pivot_advice::SAMPLE_STRATA;

/// The most groups of one query in this process between two reports. The rows of further groups go
/// into [`QueryReport::other`](crate::QueryReport::other).
pub const MAX_GROUPS: usize = 1_000;

/// The most groups of a sample: each may be in every part of the requests.
pub(crate) const MAX_SAMPLED_GROUPS: usize = MAX_GROUPS * SAMPLE_STRATA as usize;

/// The most bytes that the groups of one query take, about, in one thread between two reports.
pub const MAX_BYTES: usize = 4 << 20;

/// The most rows that one event may make in one advice; further ones are dropped and counted.
pub const MAX_ROWS: usize = 4096;

/// Whether one more group fits into a table that has so many of so many bytes.
pub(crate) fn has_room(groups: usize, bytes: usize) -> bool {
    groups < MAX_GROUPS && bytes < MAX_BYTES
}
