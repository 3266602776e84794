//! LogBridge of the `log` crate.
//!
//! A record has no callsite of its own, so all records of one target are one tracepoint,
//! `target::log`, known since the first of them. LogBridge above `log::max_level()` never come here.

use crate::callsite::enabled_check::EnabledCheck;
use crate::field_visitor::formatted;
use crate::log::forwarder::LogForwarder;
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

/// What all records of one target are, from the first of them on.
#[derive(Debug)]
struct LogTarget {
    tracepoint: OnceLock<&'static Tracepoint>,
    check: EnabledCheck,
}

static TARGETS: RwLock<Option<HashMap<String, &'static LogTarget>>> = RwLock::new(None);

/// Makes every record an event and passes on to `L` what it wants.
pub struct LogBridge<L>(pub L);

/// Makes every record an event that comes to this logger of the application, which gets of it what it
/// wants. It is not to be set itself.
pub fn install(own: impl Log + 'static) -> Result<(), SetLoggerError> {
    ::log::set_logger(Box::leak(Box::new(LogBridge(own))))?;
    ::log::set_max_level(LevelFilter::Trace);
    Ok(())
}

/// The same for an application without a logger: its `tracing` subscriber gets what it wants.
pub(crate) fn install_if_none() {
    // Whoever has a logger hands it to `install`.
    let _ = install(LogForwarder);
}

impl<L> fmt::Debug for LogBridge<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogBridge")
    }
}

fn known(target: &str) -> &'static LogTarget {
    let targets = TARGETS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = targets.as_ref().and_then(|targets| targets.get(target)) {
        return known;
    }
    drop(targets);
    let mut targets = TARGETS.write().unwrap_or_else(PoisonError::into_inner);
    let new = || -> &'static LogTarget {
        Box::leak(Box::new(LogTarget {
            tracepoint: OnceLock::new(),
            check: EnabledCheck::for_target(target),
        }))
    };
    targets.get_or_insert_default().entry(target.to_owned()).or_insert_with(new)
}

impl LogTarget {
    fn tracepoint(&self, name: &str) -> &'static Tracepoint {
        self.tracepoint.get_or_init(|| {
            let place = SourceLocation { module: "", file: "", line: 0 };
            let target = name.to_owned();
            let constants = move |field: &str| (field == "target").then(|| Value::str(&target));
            Tracepoint::register_with(&format!("{name}::log"), &FIELDS, constants, place)
        })
    }
}

impl<L: Log> Log for LogBridge<L> {
    /// What `log_enabled!` asks; records come whatever the answer was.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let known = known(metadata.target());
        let woven = known.tracepoint.get().is_some_and(|tracepoint| tracepoint.is_woven());
        woven || known.check.is_enabled() || self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let tracepoint = known(record.target()).tracepoint(record.target());
        if tracepoint.is_woven() {
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
