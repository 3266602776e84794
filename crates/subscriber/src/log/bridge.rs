//! [`LogBridge`]: the wrapper around the application's logger.
//!
//! A record of `log` has no callsite of its own, so all records of one target are one tracepoint,
//! `target::log`, known since the first of them. Records above `log::max_level()` never get here.

use crate::callsite::enabled_check::EnabledCheck;
use crate::field_visitor::formatted;
use crate::log::to_tracing::LogForwarder;
use ::log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use pivot_advice::{Type, Value};
use pivot_agent::ExportedField;
use pivot_agent::{Export, SourceLocation, Tracepoint};
use std::collections::HashMap;
use std::fmt;
use std::sync::{OnceLock, PoisonError, RwLock};

const FIELDS: [ExportedField; 6] = [
    ("message", Type::String),
    ("level", Type::String),
    ("target", Type::String),
    ("module", Type::String),
    ("file", Type::String),
    ("line", Type::U64),
];

/// A target of the `log` crate that was met.
#[derive(Debug)]
struct LogTarget {
    /// Registered at the first record: a check alone does not prove that there are any.
    tracepoint: OnceLock<&'static Tracepoint>,
    check: EnabledCheck,
}

static TARGETS: RwLock<Option<HashMap<String, &'static LogTarget>>> = RwLock::new(None);

/// A logger that makes every record an event and passes on to `L` what `L` wants.
pub struct LogBridge<L>(pub L);

/// Wraps the application's logger and makes it the global one, so that every record is an event. The
/// application must not set its logger itself.
pub fn install(own: impl Log + 'static) -> Result<(), SetLoggerError> {
    ::log::set_logger(Box::leak(Box::new(LogBridge(own))))?;
    ::log::set_max_level(LevelFilter::Trace);
    Ok(())
}

/// Makes every record an event in an application without a logger, and passes on to its `tracing`
/// subscriber what that wants.
pub(crate) fn install_if_none() {
    // An application that has a logger calls `install` with it.
    let _ = install(LogForwarder);
}

impl<L> fmt::Debug for LogBridge<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogBridge")
    }
}

impl LogTarget {
    /// Returns a target, which becomes known if it is new.
    fn get_or_insert(target: &str) -> &'static LogTarget {
        let targets = TARGETS.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = targets.as_ref().and_then(|targets| targets.get(target)) {
            return known;
        }
        drop(targets);

        let mut targets = TARGETS.write().unwrap_or_else(PoisonError::into_inner);
        targets.get_or_insert_default().entry(target.to_owned()).or_insert_with(|| {
            let check = EnabledCheck::for_target(target);
            Box::leak(Box::new(LogTarget { tracepoint: OnceLock::new(), check }))
        })
    }

    fn tracepoint(&self, target: &str) -> &'static Tracepoint {
        self.tracepoint.get_or_init(|| {
            let name = format!("{target}::log");
            let location = SourceLocation { module: "", file: "", line: 0 };
            let target = target.to_owned();
            let constants = move |field: &str| (field == "target").then(|| Value::str(&target));
            Tracepoint::register_with(&name, &FIELDS, constants, location)
        })
    }
}

impl<L: Log> Log for LogBridge<L> {
    /// Answers `log_enabled!`. Records arrive whatever the answer was.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = LogTarget::get_or_insert(metadata.target());
        let is_woven = target.tracepoint.get().is_some_and(|tracepoint| tracepoint.is_woven());
        is_woven || target.check.is_enabled() || self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let tracepoint = LogTarget::get_or_insert(record.target()).tracepoint(record.target());
        if tracepoint.is_woven() {
            // In the order of `FIELDS`.
            tracepoint.fire(&|index| match index {
                0 => formatted(*record.args()),
                1 => Value::str(record.level().as_str()),
                2 => record.target().export(),
                3 => record.module_path().export(),
                4 => record.file().export(),
                _ => record.line().export(),
            });
        }

        if self.0.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}
