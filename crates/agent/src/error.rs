//! Why an advice is not woven: reported to the frontend that sent it, never to the application.

use std::fmt;

/// A defect of an advice, either by itself or together with the tracepoints of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentError {
    /// The advice has no instructions, or too many, or they do not end in the one Pack or Emit.
    Malformed(&'static str),
    /// The advice reads a column or state that no earlier instruction appends.
    Unbound {
        /// The kind of operand: `column` or `state`.
        what: &'static str,
        /// The number of the column or state.
        index: u16,
    },
    /// The advice has more of something than is allowed.
    Limit {
        /// The things that are limited, in the plural.
        what: &'static str,
        /// The most that are allowed.
        limit: usize,
    },
    /// The advice packs or unpacks a bag of another query.
    ForeignBag,
    /// An unpacked state is folded by another aggregate than its own.
    AggregateMismatch,
    /// The tracepoint has no such field in this process.
    NoField {
        /// The name of the tracepoint.
        tracepoint: String,
        /// The name of the field.
        field: String,
        /// The names of the fields that the tracepoint has.
        known: String,
    },
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "advice is malformed: {what}"),
            Self::Unbound { what, index } => write!(f, "advice reads {what} {index} before it is bound"),
            Self::Limit { what, limit } => write!(f, "advice has more than {limit} {what}"),
            Self::ForeignBag => write!(f, "advice touches a bag of another query"),
            Self::AggregateMismatch => write!(f, "advice folds a state with another aggregate"),
            Self::NoField { tracepoint, field, known } => {
                write!(f, "`{tracepoint}` exports no field `{field}` here, only {known}")
            }
        }
    }
}

impl std::error::Error for AgentError {}
