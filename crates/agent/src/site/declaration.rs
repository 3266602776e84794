//! What a call site says of itself: its name, the fields that it exports, and where it stands.

use crate::site::default_field::DefaultField;
use crate::weave::name_linker::FieldSource;
use pivot_advice::{Exports, FieldDescriptor, Type, Value};
use std::fmt;

/// Name and type of an exported field.
pub type ExportedField = (&'static str, Type);

/// Gives the value of an exported field if it is always the same.
pub(crate) type Constants = &'static (dyn Fn(&str) -> Option<Value> + Send + Sync);

/// The part of a tracepoint that never changes.
pub(crate) struct Declaration {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [ExportedField],
    /// Gives the exported fields that have one value here whatever happens.
    pub(crate) constants: Option<Constants>,
    pub(crate) location: SourceLocation,
    /// Whether call sites of the same name with other fields may become known.
    pub(crate) is_one_of_several: bool,
}

/// Where a call site stands in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceLocation {
    /// Module path.
    pub module: &'static str,
    /// FieldSource file.
    pub file: &'static str,
    /// FieldSource line, from 1.
    pub line: u32,
}

impl Declaration {
    /// Returns what the catalogue says of this call site.
    pub(crate) fn exports(&self) -> Exports {
        let field = |(name, ty): &ExportedField| FieldDescriptor { name: (*name).into(), ty: *ty };
        Exports {
            tracepoint: self.name.into(),
            fields: self.fields.iter().map(field).collect(),
            file: self.location.file.into(),
            line: self.location.line,
            module: self.location.module.into(),
        }
    }

    /// Returns an observed value that is always the same here, or `None` if it depends on the event.
    pub(crate) fn constant(&self, source: FieldSource) -> Option<Value> {
        match source {
            FieldSource::Exported(index) => self.constants?(self.fields.get(index)?.0),
            FieldSource::Default(DefaultField::Tracepoint) => Some(Value::str(self.name)),
            FieldSource::Default(_) => None,
            FieldSource::Missing => Some(Value::Null),
        }
    }
}

impl fmt::Debug for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declaration").field("name", &self.name).field("location", &self.location).finish()
    }
}

/// Returns whether no two fields have the same name. In a constant, where no iterators are to be had.
pub(crate) const fn are_different(fields: &[ExportedField]) -> bool {
    let mut i = 0;
    while i < fields.len() {
        let mut j = 0;
        while j < i {
            if are_equal(fields[i].0.as_bytes(), fields[j].0.as_bytes()) {
                return false;
            }
            j += 1;
        }
        i += 1;
    }
    true
}

const fn are_equal(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}
