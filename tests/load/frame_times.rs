//! When the frames of a query came.

use pivot_protocol::wire;
use pivot_tests::now_ns;

/// How long after the end of its window each frame came, and what frames lacked.
#[derive(Debug, Default)]
pub(crate) struct FrameTimes {
    late_ns: Vec<i64>,
    /// Frames that lacked something.
    pub(crate) partial: usize,
    /// Frames of windows that had one before.
    pub(crate) revisions: usize,
}

impl FrameTimes {
    pub(crate) fn add(&mut self, frame: &wire::Frame) {
        self.partial += usize::from(frame.completeness.is_some_and(|found| found.partial));
        if frame.revision > 0 {
            self.revisions += 1;
        } else {
            self.late_ns.push(now_ns() - frame.window_end_ns);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.late_ns.len()
    }

    /// Returns a quantile in milliseconds, or not a number if no frame came.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        let mut sorted = self.late_ns.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1) as f64;
        sorted.get((last * quantile).round() as usize).map_or(f64::NAN, |ns| *ns as f64 / 1e6)
    }
}
