//! How much one statement of SQL may take.

use std::time::Duration;

/// How much statements of SQL may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// How long a statement may take, with the time in which its client reads the answer.
    pub time: Duration,
    /// The most bytes of memory that all statements that run may take together for what they sort, join and group.
    pub memory: u64,
    /// The most rows of an answer; what is beyond is left out, and the answer says so.
    pub rows: u64,
}

impl Default for SqlLimits {
    fn default() -> SqlLimits {
        SqlLimits { time: Duration::from_secs(30), memory: 512 << 20, rows: 100_000 }
    }
}
