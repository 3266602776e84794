//! Why a message was refused.

use pivot_advice::DecodeError;

/// A message that does not say what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A required part is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A number has no meaning, or is out of range.
    #[error("{what} {number} is not known")]
    Unknown {
        /// The kind of thing that was being read.
        what: &'static str,
        /// The number found.
        number: u64,
    },
    /// A name has no meaning.
    #[error("{what} `{name}` is not known")]
    UnknownName {
        /// The kind of thing that was being read.
        what: &'static str,
        /// The name found.
        name: String,
    },
    /// Steps of an expression do not form one value.
    #[error("expression is malformed: {0}")]
    Expression(&'static str),
    /// A pattern does not compile.
    #[error("regular expression `{pattern}` does not compile: {reason}")]
    Pattern {
        /// Its text.
        pattern: String,
        /// The reason that the compiler of patterns gives.
        reason: String,
    },
    /// Encoded groups do not decode.
    #[error("groups do not decode: {0}")]
    Groups(#[from] DecodeError),
}
