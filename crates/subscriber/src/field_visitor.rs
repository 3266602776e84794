//! Reads one field's value out of what `tracing` recorded.
//!
//! `tracing` shows its fields to a visitor, all of them and in their order; a visit cannot be ended early.
//! So the visitor ignores all fields but one, and what it ignores is not formatted: `?x` costs nothing
//! while no advice observes `x`.

use pivot_advice::Value;
use pivot_agent::Export;
use std::error::Error;
use std::fmt::{self, Debug};
use tracing_core::field::{Field, Visit};

/// Keeps the value of the field with one index.
#[derive(Debug)]
pub(crate) struct SingleFieldVisitor {
    index: usize,
    value: Value,
}

impl SingleFieldVisitor {
    /// Returns the value of the field with this index, or null if it was not recorded.
    pub(crate) fn value_of(index: usize, record: impl FnOnce(&mut SingleFieldVisitor)) -> Value {
        let mut visitor = SingleFieldVisitor { index, value: Value::Null };
        record(&mut visitor);
        visitor.value
    }

    /// Keeps the value if the field is the one. It is made only then.
    fn keep(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        if field.index() == self.index {
            self.value = value();
        }
    }
}

impl Visit for SingleFieldVisitor {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, || value.export());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, || Value::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, || Value::U64(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.keep(field, || value.export());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.keep(field, || value.export());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, || Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, || Value::str(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.keep(field, || Value::Bytes(value.into()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.keep(field, || formatted(format_args!("{value}")));
    }

    /// Keeps `%x`, `?x` and messages, which all arrive here, as text.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(field, || formatted(format_args!("{value:?}")));
    }
}

/// Returns what the arguments print, as text of bounded length.
pub(crate) fn formatted(arguments: fmt::Arguments<'_>) -> Value {
    pivot_agent::site::formatted::formatted(arguments)
}
