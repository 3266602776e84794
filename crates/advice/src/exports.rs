//! What a tracepoint exports: the fields that queries can use, and where it is in the source.

use crate::Type;

/// The name and type of one exported field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldDescriptor {
    /// The name queries use.
    pub name: String,
    /// The type of its values; [`Type::Any`] where the call site does not say.
    pub ty: Type,
}

/// One tracepoint of one process: an entry of the catalogue that agents send to their frontend.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Exports {
    /// Full name, with `@enter`, `@exit` or `@error` for function tracepoints.
    pub tracepoint: String,
    /// The exported fields, without the default fields.
    pub fields: Vec<FieldDescriptor>,
    /// Source file.
    pub file: String,
    /// Source line, from 1.
    pub line: u32,
    /// Module path.
    pub module: String,
}

/// Returns the fields that every tracepoint exports, whatever its call site says.
pub fn default_fields() -> &'static [(&'static str, Type)] {
    &[
        ("host", Type::String),
        ("process", Type::String),
        ("pid", Type::I64),
        ("thread", Type::String),
        ("tracepoint", Type::String),
        ("time", Type::Timestamp),
        ("request", Type::String),
    ]
}

/// Returns the default field that a spelling of the original system (SOSP 2015) means, or the name itself.
pub fn canonical_field(name: &str) -> &str {
    match name {
        "procName" => "process",
        "procId" => "pid",
        "threadId" => "thread",
        "timestamp" => "time",
        other => other,
    }
}
