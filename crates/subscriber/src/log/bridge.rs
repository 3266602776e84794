//! [`LogBridge`]: the wrapper around the application's logger.
//!
//! A record of `log` has no callsite of its own, so all records of one target are one tracepoint,
//! `target::log`, known since the first of them that got here; `level` says which do, and `targets` how many targets
//! there may be.

use crate::callsite::questions::take_expected;
use crate::field_visitor::formatted;
use crate::log::level;
use crate::log::targets::{LogTarget, MAX_NAMED, OTHER, TargetOrigin};
use crate::log::to_tracing::LogForwarder;
use ::log::{Log, Metadata, Record, SetLoggerError};
use pivot_advice::Value;
use pivot_agent::{Export, Tracepoint};
use std::fmt;
use std::sync::Once;

/// A logger that makes every record an event and passes on to `L` what `L` wants.
pub struct LogBridge<L>(pub L);

/// Wraps the application's logger and makes it the global one, so that every record is an event. The
/// application must not set its logger itself.
///
/// Set the level as with any logger: `log::set_max_level(…)`. Records beyond it then cost nothing while no query
/// wants them. An application that never sets it gets every record.
pub fn install(own: impl Log + 'static) -> Result<(), SetLoggerError> {
    ::log::set_logger(Box::leak(Box::new(LogBridge(own))))?;
    level::begin();
    Ok(())
}

/// Makes every record an event in an application without a logger, and passes on to its `tracing`
/// subscriber what that wants. `subscriber` is the number of its bridge.
pub(crate) fn install_if_none(subscriber: usize, hint: Option<tracing_core::LevelFilter>) {
    // An application that has a logger calls `install` with it.
    if install(LogForwarder).is_ok() {
        level::follow(subscriber);
        level::note_hint(subscriber, hint);
    }
}

impl<L> fmt::Debug for LogBridge<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogBridge")
    }
}

impl<L: Log> LogBridge<L> {
    /// Returns whether the application wants a record. Some loggers leave it to `log` to keep the level.
    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        level::is_within_own(metadata.level()) && self.0.enabled(metadata)
    }
}

impl<L: Log> Log for LogBridge<L> {
    /// Answers `log_enabled!`. Records arrive whatever the answer was.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if pivot_agent::is_agents_thread() {
            return false;
        }
        // The application does what it wants to do anyway, whatever we answer.
        self.is_wanted(metadata) || {
            let target = LogTarget::of(metadata.target(), TargetOrigin::Made);
            target.check.is_log_enabled(target.known_tracepoint())
        }
    }

    fn log(&self, record: &Record<'_>) {
        if pivot_agent::is_agents_thread() {
            return;
        }

        let is_module = record.module_path_static().is_some_and(|module| module == record.target());
        let origin = if is_module { TargetOrigin::Module } else { TargetOrigin::Made };
        let target = LogTarget::of(record.target(), origin);
        let tracepoint = target.known_tracepoint().unwrap_or_else(|| register(target));
        if tracepoint.is_woven() {
            fire(target, tracepoint, record);
        }

        if self.is_wanted(record.metadata()) {
            self.0.log(record);
        } else if !tracepoint.is_woven() {
            level::note_unwanted();
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Registers the tracepoint of a target at its first record.
#[cold]
fn register(target: &'static LogTarget) -> &'static Tracepoint {
    let tracepoint = target.register();
    // Advice may have waited for it.
    if tracepoint.is_woven() {
        level::raise_if_woven();
    }

    if target.is_other() {
        static WARN: Once = Once::new();
        WARN.call_once(|| {
            ::log::warn!(
                target: "pivot_subscriber",
                "this program makes targets of `log` as it runs: beyond {MAX_NAMED}, their records are \
                 events of `{OTHER}`"
            );
        });
    }
    tracepoint
}

fn fire(target: &LogTarget, tracepoint: &'static Tracepoint, record: &Record<'_>) {
    // In the order of `targets::FIELDS`.
    let field = |index| match index {
        0 => formatted(*record.args()),
        1 => Value::str(record.level().as_str()),
        2 => record.target().export(),
        3 => record.module_path().export(),
        4 => record.file().export(),
        _ => record.line().export(),
    };

    match take_expected(target.check.target(), tracepoint) {
        Some(expected) => tracepoint.fire_expected(expected, &field),
        None => tracepoint.fire(&field),
    }
}
