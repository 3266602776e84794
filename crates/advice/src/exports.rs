//! What a tracepoint exports.

use crate::Type;

/// One exported field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldDescriptor {
    /// The name queries use.
    pub name: String,
    /// Its type; [`Type::Any`] where the call site does not say.
    pub ty: Type,
}

/// One tracepoint of one process: its name, fields and place in the source.
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

/// The fields every tracepoint exports (query language, §1).
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

/// The default field that a spelling of the original system means, or the name itself.
pub fn canonical_field(name: &str) -> &str {
    match name {
        "procName" => "process",
        "procId" => "pid",
        "threadId" => "thread",
        "timestamp" => "time",
        other => other,
    }
}
