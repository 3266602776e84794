//! Links a verified advice to one tracepoint of this process: names of fields become places to read.

use crate::error::AgentError;
use crate::site::default_field::DefaultField;
use pivot_advice::{Advice, Instruction, default_fields};

/// An advice that can run at one tracepoint.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkedAdvice {
    /// The advice.
    pub advice: Advice,
    /// Where each Observe reads, in their order.
    pub sources: Vec<FieldSource>,
}

/// Where an observed value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldSource {
    /// The exported field of that index.
    Exported(usize),
    /// A default field.
    Default(DefaultField),
    /// Nowhere: other call sites of the same name may export it, and here it is null.
    Missing,
}

impl LinkedAdvice {
    /// Links an advice to a call site that exports these fields. An exported field hides the default
    /// field of the same name, which stays to be had with a `$` before it.
    pub fn link(advice: &Advice, fields: &[&str]) -> Result<LinkedAdvice, AgentError> {
        let missing = |field: &str| missing(advice, field, fields);
        LinkedAdvice::link_or(advice, fields, |field| Err(missing(field)))
    }

    /// Links an advice to one of several call sites of a name: a field that only others export is null here.
    pub fn link_one_of_several(advice: &Advice, fields: &[&str]) -> Result<LinkedAdvice, AgentError> {
        LinkedAdvice::link_or(advice, fields, |_| Ok(FieldSource::Missing))
    }

    fn link_or(
        advice: &Advice,
        fields: &[&str],
        otherwise: impl Fn(&str) -> Result<FieldSource, AgentError>,
    ) -> Result<LinkedAdvice, AgentError> {
        let observed = advice.instructions.iter().filter_map(|step| match step {
            Instruction::Observe { field } => Some(field),
            _ => None,
        });
        let sources = observed.map(|field| source(field, fields).map_or_else(|| otherwise(field), Ok));
        Ok(LinkedAdvice { sources: sources.collect::<Result<_, _>>()?, advice: advice.clone() })
    }
}

fn source(field: &str, fields: &[&str]) -> Option<FieldSource> {
    if let Some(hidden) = field.strip_prefix('$') {
        return default_field(hidden).map(FieldSource::Default);
    }
    let exported = fields.iter().position(|name| *name == field).map(FieldSource::Exported);
    exported.or_else(|| default_field(field).map(FieldSource::Default))
}

fn default_field(name: &str) -> Option<DefaultField> {
    Some(match name {
        "host" => DefaultField::Host,
        "process" => DefaultField::Process,
        "pid" => DefaultField::Pid,
        "thread" => DefaultField::Thread,
        "tracepoint" => DefaultField::Tracepoint,
        "time" => DefaultField::Time,
        "request" => DefaultField::Request,
        _ => return None,
    })
}

fn missing(advice: &Advice, field: &str, fields: &[&str]) -> AgentError {
    let defaults = default_fields().iter().map(|(name, _)| *name);
    let known: Vec<_> = fields.iter().copied().chain(defaults).collect();
    AgentError::NoField {
        tracepoint: advice.tracepoint.clone(),
        field: field.into(),
        known: known.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_field_has_a_source() {
        assert!(default_fields().iter().all(|(name, _)| default_field(name).is_some()));
    }
}
