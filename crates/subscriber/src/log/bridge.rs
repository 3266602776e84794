//! Records of the `log` crate.
//!
//! A record has no callsite of its own, so all records of one target are one tracepoint,
//! `target::log`, known since the first of them. Records above `log::max_level()` never come here.

use crate::forward::Forward;
use crate::hints::Hint;
use crate::visit::formatted;
use ::log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use pivot_advice::{Type, Value};
use pivot_agent::ExportedField;
use pivot_agent::{Export, Place, Tracepoint};
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
struct Target {
    tracepoint: OnceLock<&'static Tracepoint>,
    hint: Hint,
}

static TARGETS: RwLock<Option<HashMap<String, &'static Target>>> = RwLock::new(None);

/// Makes every record an event and passes on to `L` what it wants.
pub struct Records<L>(pub L);

/// Makes every record an event that comes to this logger of the application, which gets of it what it
/// wants. It is not to be set itself.
pub fn install(own: impl Log + 'static) -> Result<(), SetLoggerError> {
    ::log::set_logger(Box::leak(Box::new(Records(own))))?;
    ::log::set_max_level(LevelFilter::Trace);
    Ok(())
}

/// The same for an application without a logger: its `tracing` subscriber gets what it wants.
pub(crate) fn install_if_none() {
    // Whoever has a logger hands it to `install`.
    let _ = install(Forward);
}

impl<L> fmt::Debug for Records<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Records")
    }
}

fn known(target: &str) -> &'static Target {
    let targets = TARGETS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = targets.as_ref().and_then(|targets| targets.get(target)) {
        return known;
    }
    drop(targets);
    let mut targets = TARGETS.write().unwrap_or_else(PoisonError::into_inner);
    let new = || -> &'static Target {
        Box::leak(Box::new(Target { tracepoint: OnceLock::new(), hint: Hint::about(target) }))
    };
    targets.get_or_insert_default().entry(target.to_owned()).or_insert_with(new)
}

impl Target {
    fn tracepoint(&self, name: &str) -> &'static Tracepoint {
        self.tracepoint.get_or_init(|| {
            let place = Place { module: "", file: "", line: 0 };
            let target = name.to_owned();
            let constants = move |field: &str| (field == "target").then(|| Value::str(&target));
            Tracepoint::register_with(&format!("{name}::log"), &FIELDS, constants, place)
        })
    }
}

impl<L: Log> Log for Records<L> {
    /// What `log_enabled!` asks; records come whatever the answer was.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let known = known(metadata.target());
        let woven = known.tracepoint.get().is_some_and(|tracepoint| tracepoint.is_woven());
        woven || known.hint.answer() || self.0.enabled(metadata)
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
