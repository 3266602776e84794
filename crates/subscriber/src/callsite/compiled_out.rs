//! Warns of callsites that were compiled out: no query can see them, and nothing else would say so.

use std::fmt::Display;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};

/// Logs a warning for each of `tracing` and `log` that was compiled without some levels.
pub(crate) fn warn_of_missing_levels() {
    let of_tracing = warning("tracing", STATIC_MAX_LEVEL, LevelFilter::TRACE);
    let of_log = warning("log", ::log::STATIC_MAX_LEVEL, ::log::LevelFilter::Trace);
    for warning in of_tracing.into_iter().chain(of_log) {
        tracing::warn!(target: "pivot_subscriber", "{warning}");
    }
}

/// Returns the warning if `compiled`, the most verbose level in this program, is less than `all`.
fn warning<L: PartialOrd + Display>(library: &str, compiled: L, all: L) -> Option<String> {
    if compiled >= all {
        return None;
    }
    let text = format!(
        "no query sees callsites of `{library}` beyond level {compiled}: a feature such as \
         `release_max_level_{compiled}` has taken them out of this program"
    );
    Some(text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_were_compiled_out_are_warned_of() {
        assert_eq!(warning("tracing", LevelFilter::TRACE, LevelFilter::TRACE), None);
        let text = warning("tracing", LevelFilter::INFO, LevelFilter::TRACE);
        assert!(text.is_some_and(|text| text.contains("`release_max_level_info`")));
        let text = warning("log", ::log::LevelFilter::Off, ::log::LevelFilter::Trace);
        assert!(text.is_some_and(|text| text.contains("`log` beyond level off")));
    }
}
