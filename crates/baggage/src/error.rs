//! Why encoded baggage was refused. A refusal is counted and never fails the request, which goes on without.

use pivot_advice::DecodeError;
use std::fmt;

/// A reason to refuse encoded baggage.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BaggageError {
    /// The baggage is longer than [`MAX_BYTES`](crate::MAX_BYTES).
    TooLong {
        /// The length.
        bytes: usize,
    },
    /// The baggage is of a version that this build cannot read.
    Version {
        /// The version.
        version: u64,
    },
    /// A field is missing, out of bounds or of the wrong type.
    Field {
        /// The defect, as it is shown.
        what: &'static str,
    },
    /// The bytes of an item cannot be read.
    Item(DecodeError),
}

/// Returns the error of a field that is malformed.
pub(crate) fn malformed(what: &'static str) -> BaggageError {
    BaggageError::Field { what }
}

impl fmt::Display for BaggageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(f, "baggage of {bytes} bytes is too long"),
            Self::Version { version } => write!(f, "baggage is of unknown version {version}"),
            Self::Field { what } => write!(f, "baggage is malformed: {what}"),
            Self::Item(error) => write!(f, "baggage is malformed: {error}"),
        }
    }
}

impl std::error::Error for BaggageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Item(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DecodeError> for BaggageError {
    fn from(error: DecodeError) -> BaggageError {
        BaggageError::Item(error)
    }
}
