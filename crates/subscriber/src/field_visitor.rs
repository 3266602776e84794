//! Takes one field's value out of what `tracing` recorded.

use pivot_advice::Value;
use pivot_agent::Export;
use std::fmt::{self, Debug};
use tracing_core::field::{Field, Visit};

/// Looks for the field of one index and ignores the others: a visit cannot be ended early, but what
/// is ignored is not formatted.
#[derive(Debug)]
pub(crate) struct FieldVisitor {
    index: usize,
    found: Value,
}

impl FieldVisitor {
    /// The value of the field of that index, null if it was not recorded.
    pub(crate) fn value_of(index: usize, record: impl FnOnce(&mut FieldVisitor)) -> Value {
        let mut visitor = FieldVisitor { index, found: Value::Null };
        record(&mut visitor);
        visitor.found
    }

    fn take(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        if field.index() == self.index {
            self.found = value();
        }
    }
}

impl Visit for FieldVisitor {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, || value.export());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, || Value::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, || Value::U64(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.take(field, || value.export());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.take(field, || value.export());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, || Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, || Value::str(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.take(field, || Value::Bytes(value.into()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.take(field, || formatted(format_args!("{value}")));
    }

    /// `%x`, `?x` and messages arrive here, as text.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field, || formatted(format_args!("{value:?}")));
    }
}

pub(crate) fn formatted(arguments: fmt::Arguments<'_>) -> Value {
    pivot_agent::site::formatted::formatted(arguments)
}
