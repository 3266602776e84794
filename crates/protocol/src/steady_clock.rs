//! A clock that no step of the time of day moves, and that goes on while the machine sleeps.
//!
//! Agents and frontends measure their clocks against each other, and place windows by them; so both read this one.

/// Returns the nanoseconds since some moment before this process began, the same for all calls. Never falls.
///
/// [`Instant`](std::time::Instant) stands still while a laptop or a virtual machine sleeps, and the frontend's time does
/// not: an agent would go on with windows of hours ago.
#[cfg(unix)]
pub fn steady_ns() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the system writes to `now`, which is a whole `timespec`.
    unsafe { libc::clock_gettime(STEADY_CLOCK, &raw mut now) };
    let nanoseconds = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    i64::try_from(nanoseconds).unwrap_or(i64::MAX)
}

/// The clock that counts the time asleep: of Apple's systems `CLOCK_MONOTONIC` does.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STEADY_CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
const STEADY_CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// Returns the nanoseconds since this was called first. Never falls.
#[cfg(not(unix))]
pub fn steady_ns() -> i64 {
    use std::sync::OnceLock;
    use std::time::Instant;

    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let since = BEGIN.get_or_init(Instant::now).elapsed();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn it_goes_on_as_time_does() {
        let (begun, steady) = (Instant::now(), steady_ns());
        std::thread::sleep(Duration::from_millis(20));
        let passed = u64::try_from(steady_ns() - steady).unwrap();
        assert!(Duration::from_nanos(passed) <= begun.elapsed() + Duration::from_millis(1));
        assert!(passed >= 19_000_000, "{passed}");
    }
}
