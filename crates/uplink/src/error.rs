//! Why an uplink did not start.

use pivot_protocol::FrontendAddressError;

/// The reason why an uplink did not start. Once started, an uplink does not fail: it only retries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UplinkError {
    /// The frontend cannot be reached at such an address, from the builder or `PIVOT_FRONTEND`.
    #[error("cannot use the frontend's address `{address}`: {reason}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: FrontendAddressError,
    },
    /// The budget of baggage is no number of bytes, or more than [`HARD_LIMIT`](pivot_baggage::HARD_LIMIT).
    #[error(
        "baggage budget `{given}` is not a number of bytes from 0 to {}, as PIVOT_BAGGAGE_BYTES has to be",
        pivot_baggage::HARD_LIMIT
    )]
    BaggageBytes {
        /// The budget, as it was given.
        given: String,
    },
    /// The ceiling of what queries may ask for with `WITHIN` cannot be read.
    #[error(
        "ceiling `{given}` of budgets: {reason}; PIVOT_WITHIN_MAX is written as `bytes 4KiB, groups 10000, cpu 5%`"
    )]
    WithinMax {
        /// The ceiling, as it was given.
        given: String,
        /// The part that cannot be read, and why.
        reason: String,
    },
    /// The names of the spans that carry a request cannot be read.
    #[error("{0}, and PIVOT_CARRIERS is a list of such, separated by commas")]
    Carriers(#[from] pivot_advice::InvalidCarrierGlob),
    /// The process was forked from one that has an agent, and did not execute another program since.
    #[error("a process that was forked from one with an agent cannot have its own: start it after forking")]
    Forked,
    /// The thread or its runtime could not be started.
    #[error("uplink thread did not start: {0}")]
    Thread(#[from] std::io::Error),
}
