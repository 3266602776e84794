//! Sketches: mergeable summaries of bounded size, each with its stated error.
//!
//! ```text
//! moments                mean, variance           Chan, Golub, LeVeque (1983)      25 bytes
//! hyperloglog            different values         HyperLogLog, Ertl's estimator    at most 4 KiB
//! exponential_histogram  quantiles, distribution  OpenTelemetry, base 2            at most 320 counters
//! bucket_counts         buckets of the user      plain counting                   at most 1,000 counters
//! space_saving           most frequent values     Space-Saving (Metwally, 2005)    256 counters
//! ```
//!
//! Errors: of moments, rounding. HyperLogLog is exact up to 256 values, then has a standard error of 1.6 %. A
//! quantile is off by a fraction of itself that depends on the spread of the numbers. The counts of
//! `bucket_counts` are exact, and numbers without a counter are counted together. Space-Saving knows the
//! error of each count, at most a 256th of all rows.
//!
//! "Mergeable" means that merging the sketches of two sets of rows gives the sketch of both together,
//! whatever the order (Agarwal et al., 2012): that lets every process summarise its own rows. `finished_sketches`
//! makes lists of text of finished sketches.

mod bucket_counts;
mod bucket_label;
mod exponential_histogram;
pub(crate) mod finished_sketches;
mod hyperloglog;
mod moments;
mod space_saving;

pub use bucket_counts::BucketCounts;
pub use bucket_label::{LabelledBucket, labelled_bucket};
pub use exponential_histogram::{DenseBuckets, ExponentialHistogram, HistogramBucket, MAX_BUCKETS};
pub use hyperloglog::HyperLogLog;
pub(crate) use hyperloglog::REGISTERS;
pub use moments::Moments;
pub use space_saving::{SpaceSaving, ValueCounter};
