//! How long and where history is kept.

use std::time::Duration;

/// How long and where the windows of all queries are kept after they have closed.
#[derive(Debug, Clone)]
pub struct HistoryOptions {
    /// The directory in which files are kept; `None` is a folder of the data directory. Without a data directory there
    /// is no history.
    pub location: Option<String>,
    /// How long windows are kept.
    pub keep: Duration,
    /// The most bytes that all files take; the oldest go first.
    pub keep_bytes: u64,
    /// How long windows stay in the store before they are put into files.
    pub file_after: Duration,
}

impl Default for HistoryOptions {
    fn default() -> HistoryOptions {
        HistoryOptions {
            location: None,
            keep: Duration::from_secs(24 * 3_600),
            keep_bytes: 10 << 30,
            file_after: Duration::from_secs(300),
        }
    }
}
