//! Mergeable summaries of bounded size, each with its stated error.

mod distinct;
mod histogram;
mod moments;
mod tally;
mod top;

pub use distinct::Distinct;
pub(crate) use distinct::REGISTERS;
pub use histogram::{Bucket, Buckets, Histogram, MAX_BUCKETS};
pub use moments::Moments;
pub use tally::Tally;
pub use top::{Counter, Top};
