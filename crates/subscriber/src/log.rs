//! Records of the `log` crate.
//!
//! A record has no callsite of its own, so all records of one target are one tracepoint,
//! `target::log`, known since the first of them. Records above `log::max_level()` never come here.

use crate::visit::formatted;
use ::log::{Log, Metadata, Record};
use pivot_advice::{Type, Value};
use pivot_agent::tracepoint::ExportedField;
use pivot_agent::{Export, Place, Tracepoint};
use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

const FIELDS: [ExportedField; 5] = [
    ("message", Type::String),
    ("level", Type::String),
    ("module", Type::String),
    ("file", Type::String),
    ("line", Type::U64),
];

static TARGETS: RwLock<Option<HashMap<String, &'static Tracepoint>>> = RwLock::new(None);

/// Makes every record an event and passes on to `L` what it wants.
pub struct PivotLog<L>(pub L);

impl<L> fmt::Debug for PivotLog<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PivotLog")
    }
}

fn tracepoint(target: &str) -> &'static Tracepoint {
    let targets = TARGETS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = targets.as_ref().and_then(|targets| targets.get(target)) {
        return known;
    }
    drop(targets);
    let mut targets = TARGETS.write().unwrap_or_else(PoisonError::into_inner);
    let targets = targets.get_or_insert_default();
    targets.entry(target.to_owned()).or_insert_with(|| {
        let place = Place { module: "", file: "", line: 0 };
        Tracepoint::register(&format!("{target}::log"), &FIELDS, place)
    })
}

impl<L: Log> Log for PivotLog<L> {
    /// Every record, so that every target becomes known: `L` is asked for each.
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let tracepoint = tracepoint(record.target());
        if tracepoint.is_woven() {
            tracepoint.fire(&|index| match index {
                0 => formatted(*record.args()),
                1 => Value::str(record.level().as_str()),
                2 => record.module_path().export(),
                3 => record.file().export(),
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
