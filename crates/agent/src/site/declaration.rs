//! The part of a call site that never changes: its name, its fields, and its location in the source.

use crate::site::default_field::DefaultField;
use crate::site::process_identity::ProcessIdentity;
use crate::weave::name_linker::FieldSource;
use pivot_advice::{Exports, FieldDescriptor, Type, Value};
use std::fmt;

/// Name and type of an exported field.
pub type ExportedField = (&'static str, Type);

/// Returns the value of the exported field of a name if this call site always exports the same, else `None`.
pub(crate) type Constants = &'static (dyn Fn(&str) -> Option<Value> + Send + Sync);

/// The part of a call site that never changes.
pub(crate) struct TracepointDeclaration {
    /// The full name of the tracepoint.
    pub(crate) name: &'static str,
    /// Names and types of the exported fields, by index.
    pub(crate) fields: &'static [ExportedField],
    /// The exported fields whose values are constants here. Advice whose condition they rule out is not woven.
    pub(crate) constants: Option<Constants>,
    /// Where the call site is in the source.
    pub(crate) location: SourceLocation,
    /// Whether call sites of the same name with other fields may be registered: then a field that this one lacks is
    /// null, and otherwise it is an error.
    pub(crate) is_one_of_several: bool,
}

/// Where a call site is in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceLocation {
    /// The path of the module.
    pub module: &'static str,
    /// The path of the file.
    pub file: &'static str,
    /// The line in the file, from 1.
    pub line: u32,
}

impl TracepointDeclaration {
    /// Returns the entry of this call site in the catalogue.
    pub(crate) fn exports(&self) -> Exports {
        let fields = self.fields.iter();
        Exports {
            tracepoint: self.name.into(),
            fields: fields.map(|(name, ty)| FieldDescriptor { name: (*name).into(), ty: *ty }).collect(),
            file: self.location.file.into(),
            line: self.location.line,
            module: self.location.module.into(),
        }
    }

    /// Returns the value of an observed field if it is the same at every event here, else `None`, in a process of
    /// this identity.
    pub(crate) fn constant(&self, source: FieldSource, identity: &ProcessIdentity) -> Option<Value> {
        match source {
            FieldSource::Exported(index) => self.constants?(self.fields.get(index)?.0),
            FieldSource::Missing => Some(Value::Null),
            FieldSource::Default(field) => match field {
                DefaultField::Tracepoint => Some(Value::str(self.name)),
                DefaultField::Host => Some(Value::str(&identity.host)),
                DefaultField::Process => Some(Value::str(&identity.process)),
                DefaultField::Pid => Some(Value::I64(identity.pid.into())),
                DefaultField::Thread | DefaultField::Time | DefaultField::Request => None,
            },
        }
    }
}

impl fmt::Debug for TracepointDeclaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declaration").field("name", &self.name).field("location", &self.location).finish()
    }
}

/// Returns whether no two fields have the same name. It is run by the compiler, in the static of a call site, where
/// there are neither iterators nor comparisons of strings.
pub(crate) const fn are_different(fields: &[ExportedField]) -> bool {
    let mut i = 0;

    while i < fields.len() {
        // Each field against all before it.
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

/// Returns whether two names are equal.
const fn are_equal(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}
