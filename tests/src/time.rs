//! The time of day, and how long tests wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Far beyond what anything in a test takes; a test that hangs fails by it and says what it waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A second, as windows count it.
pub const SECOND_NS: i64 = 1_000_000_000;

/// Returns the nanoseconds since 1970.
pub fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_nanos()).expect("it is before 2262")
}
