//! Tells whoever reads the application's log of callsites that were compiled out.

use std::fmt::Display;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};

/// A warning, if `tracing` or `log` were compiled without some levels.
pub(crate) fn warn_of_missing() {
    let of_tracing = missing("tracing", STATIC_MAX_LEVEL, LevelFilter::TRACE);
    let of_log = missing("log", ::log::STATIC_MAX_LEVEL, ::log::LevelFilter::Trace);
    for warning in of_tracing.into_iter().chain(of_log) {
        tracing::warn!(target: "pivot_subscriber", "{warning}");
    }
}

fn missing<L: PartialOrd + Display>(library: &str, most: L, all: L) -> Option<String> {
    (most < all).then(|| {
        format!(
            "no query sees callsites of `{library}` beyond level {most}: a feature such as \
             `release_max_level_{most}` has taken them out of this program"
        )
        .to_lowercase()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_were_compiled_out_are_told_of() {
        assert_eq!(missing("tracing", LevelFilter::TRACE, LevelFilter::TRACE), None);
        let told = missing("tracing", LevelFilter::INFO, LevelFilter::TRACE);
        assert!(told.is_some_and(|told| told.contains("`release_max_level_info`")));
        let told = missing("log", ::log::LevelFilter::Off, ::log::LevelFilter::Trace);
        assert!(told.is_some_and(|told| told.contains("`log` beyond level off")));
    }
}
