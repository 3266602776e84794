//! A range of windows as one result: what one query over that range would have answered.

use super::kept_query::KeptQuery;
use super::reader::KeptWindow;
use crate::agent_coverage::{AgentCoverage, AllAgentsReported};
use crate::kept_frames::{Frame, ResultOnDemand, ResultScope};
use crate::range_coverage::RangeCoverage;
use crate::time_range::TimeRange;
use crate::window_groups::WindowGroups;
use pivot_merge::MergedGroups;
use std::sync::Arc;

/// The sum of some windows of a query.
#[derive(Debug)]
pub(crate) struct RangeSum {
    /// From the start of the first window to the end of the last.
    range: TimeRange,
    groups: WindowGroups,
    time: RangeCoverage,
    /// Of the last window.
    coverage: AgentCoverage,
    incomplete_windows: u64,
    /// Of the only window; 0 if there are several.
    revision: u32,
}

impl RangeSum {
    /// Begins the sum with a window.
    pub(crate) fn new(first: &KeptWindow, shape: &MergedGroups) -> RangeSum {
        let mut sum = RangeSum {
            range: first.time_range,
            groups: WindowGroups::new(shape),
            time: RangeCoverage::default(),
            coverage: AgentCoverage::default(),
            incomplete_windows: 0,
            revision: 0,
        };

        sum.add(first);
        sum.revision = first.revision;
        sum
    }

    /// Adds a window behind all others.
    pub(crate) fn add(&mut self, window: &KeptWindow) {
        self.revision = 0;
        self.range.end_ns = self.range.end_ns.max(window.time_range.end_ns);
        self.groups.merge(&window.groups);
        self.time.covered_ns = self.time.covered_ns.saturating_add(window.time.covered_ns);
        self.time.length_ns = self.time.length_ns.saturating_add(window.time.length_ns);
        self.time.agents_late = self.time.agents_late.max(window.time.agents_late);
        self.coverage = window.coverage;
        self.incomplete_windows += u64::from(window.misses_agents);
    }

    /// Returns the start of the first window.
    pub(crate) fn start_ns(&self) -> i64 {
        self.range.start_ns
    }

    /// Returns the frame of the result, whose rows are not computed yet.
    pub(crate) fn frame(self, query: &KeptQuery, sequence: u64) -> Frame {
        let RangeSum { range, groups, time, coverage, incomplete_windows, revision } = self;
        let heard = match incomplete_windows {
            0 => AllAgentsReported::All,
            _ => AllAgentsReported::SomeMissing,
        };
        let scope = ResultScope { time, heard, incomplete_windows };

        Frame {
            query: query.number,
            sequence,
            window: range,
            revision,
            output: query.output.clone(),
            coverage,
            end: None,
            result: ResultOnDemand::new(Arc::new(groups), scope),
            cumulative: None,
        }
    }
}
