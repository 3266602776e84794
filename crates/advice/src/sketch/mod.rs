//! Mergeable summaries of bounded size, each with its stated error.

mod exponential_histogram;
mod hyperloglog;
mod integer_counts;
mod moments;
pub(crate) mod sketch_text;
mod space_saving;

pub use exponential_histogram::{DenseBuckets, ExponentialHistogram, HistogramBucket, MAX_BUCKETS};
pub use hyperloglog::HyperLogLog;
pub(crate) use hyperloglog::REGISTERS;
pub use integer_counts::IntegerCounts;
pub use moments::Moments;
pub use space_saving::{FrequencyCounter, SpaceSaving};
