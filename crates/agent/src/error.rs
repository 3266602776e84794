//! Why an advice is not woven.

use std::fmt;

/// What is wrong with an advice, on its own or in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentError {
    /// It has no instructions, too many, or they do not end in the one Pack or Emit.
    Malformed(&'static str),
    /// It reads a column or state that no earlier instruction appends.
    Unbound {
        /// `column` or `state`.
        what: &'static str,
        /// Its number.
        index: u16,
    },
    /// A number is beyond its limit.
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// It touches a bag of another query.
    ForeignBag,
    /// A state is folded by another aggregate than its own.
    AggregateMismatch,
    /// The tracepoint in this process has no such field.
    NoField {
        /// The tracepoint.
        tracepoint: String,
        /// The field.
        field: String,
        /// The fields that it has.
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
