//! The kept frames of one query: its newest results, window by window, for all its readers.
//!
//! ```text
//! sequence     1     2     3     4     5        kept: at most `keep_frames`, and MAX_KEPT_GROUPS groups
//!            ┌─────┬─────┬─────┬─────┬─────┐
//! window     │ w1  │ w2  │ w2' │ w3  │ w4  │    w2': window 2 again, revised by late data
//! cumulative │     │     │     │     │  C  │    C: everything since install
//!            └─────┴─────┴─────┴─────┴─────┘
//!                     ▲                 ▲
//!                slow reader       fast reader
//! ```
//!
//! A frame holds merged groups and not rows. Rows are computed when the first reader asks for them, once
//! for all readers, and outside every lock ([`ResultOnDemand`]).
//!
//! Only the newest frame has the cumulative result, which is one table to which later windows are added: for
//! each older frame it would be a copy. A reader that is behind gets windows alone, and catches up.
//!
//! Readers pull frames by sequence. So a slow reader costs a number and not a buffer, and when the frames
//! it has not read are discarded, it sees the sequence leap.

use crate::agent_coverage::{AgentCoverage, AllAgentsReported};
use crate::estimate::{column_estimate, is_sampled};
use crate::query_end::QueryEnd;
use crate::range_coverage::RangeCoverage;
use crate::select::{ResultColumn, ResultTable, SelectEngine};
use crate::time_range::TimeRange;
use crate::window_groups::WindowGroups;
use datafusion::error::DataFusionError;
use pivot_query::OutputPlan;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{OnceCell, watch};

/// The most groups, about, in the kept frames of one query.
const MAX_KEPT_GROUPS: usize = 3_000_000;

/// The most groups in the windows that a [`FrameSelection::Newest`] reader gets before the newest.
const MAX_HISTORY_GROUPS: usize = 10_000;

/// The frames that a reader wants, and how much of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameSelection {
    /// Every window; the newest comes with the cumulative result.
    All,
    /// Every window, and the cumulative result in the last frame alone.
    Windows,
    /// The newest window with the cumulative result. Windows before it are left out if they are large.
    Newest,
}

/// What a result is about, and what it is known to lack apart from rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResultScope {
    pub(crate) time: RangeCoverage,
    /// Whether all agents reported the window; of a result since install, see `incomplete_windows`.
    pub(crate) heard: AllAgentsReported,
    /// Since install, windows that not all agents have reported.
    pub(crate) incomplete_windows: u64,
}

/// Merged groups of some time, and the rows that SELECT makes of them once somebody asks.
#[derive(Debug)]
pub(crate) struct ResultOnDemand {
    pub(crate) groups: Arc<WindowGroups>,
    pub(crate) scope: ResultScope,
    table: OnceCell<ResultTable>,
}

impl ResultOnDemand {
    /// Makes a result that nobody has asked for yet.
    pub(crate) fn new(groups: Arc<WindowGroups>, scope: ResultScope) -> Arc<ResultOnDemand> {
        Arc::new(ResultOnDemand { groups, scope, table: OnceCell::new() })
    }

    /// Returns the length of the time that the result covers, in seconds: what rates are per second of.
    pub(crate) fn seconds(&self) -> f64 {
        self.scope.time.covered_ns as f64 / 1e9
    }

    /// Whether anything is missing from the result: agents, rows, or groups of their own for some rows.
    pub(crate) fn is_partial(&self, table: &ResultTable) -> bool {
        self.scope.heard == AllAgentsReported::SomeMissing
            || self.scope.incomplete_windows > 0
            || self.scope.time.agents_late > 0
            || !table.loss.is_zero()
            || self.groups.rows_in_other() > 0
    }

    /// Returns the rows, which the first caller computes. An error is not kept: the next caller tries again.
    async fn table(
        &self,
        engine: &SelectEngine,
        output: &OutputPlan,
    ) -> Result<&ResultTable, DataFusionError> {
        self.table.get_or_try_init(|| engine.select(&self.groups, output, self.seconds())).await
    }
}

/// The result of a window, or a revision of it.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// The number of the query.
    pub(crate) query: u32,
    /// One more for every frame of the query, from 1.
    pub(crate) sequence: u64,
    pub(crate) window: TimeRange,
    /// 0, then one more for each revision because of late data.
    pub(crate) revision: u32,
    pub(crate) output: Arc<OutputPlan>,
    pub(crate) coverage: AgentCoverage,
    /// Why no frame follows; `None` if one does.
    pub(crate) end: Option<QueryEnd>,
    /// The groups of the window.
    pub(crate) result: Arc<ResultOnDemand>,
    /// The groups since install; `None` if a later frame has them, or the reader does not want them.
    pub(crate) cumulative: Option<Arc<ResultOnDemand>>,
}

/// A frame whose rows are computed.
#[derive(Debug)]
pub(crate) struct ComputedFrame<'f> {
    pub(crate) frame: &'f Frame,
    pub(crate) window: ResultWithTable<'f>,
    pub(crate) cumulative: Option<ResultWithTable<'f>>,
}

/// Groups together with the rows that were made of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResultWithTable<'f> {
    pub(crate) result: &'f ResultOnDemand,
    pub(crate) table: &'f ResultTable,
}

impl Frame {
    /// Computes the rows of the frame, or waits for another reader that computes them.
    pub(crate) async fn compute(&self, engine: &SelectEngine) -> Result<ComputedFrame<'_>, DataFusionError> {
        let table = self.result.table(engine, &self.output).await?;
        let window = ResultWithTable { result: &self.result, table };

        let cumulative = match &self.cumulative {
            Some(result) => {
                let table = result.table(engine, &self.output).await?;
                Some(ResultWithTable { result, table })
            }
            None => None,
        };
        Ok(ComputedFrame { frame: self, window, cumulative })
    }

    /// Returns about how many groups the frame alone keeps in memory; the cumulative result is not
    /// counted, since the query holds it anyway.
    fn size_in_groups(&self) -> usize {
        self.result.groups.size_in_groups()
    }
}

impl ComputedFrame<'_> {
    /// Returns the columns of the frame. For each the larger error of its parts is given, and what it says of
    /// all requests if any of it comes from a sample.
    pub(crate) fn columns(&self) -> Vec<ResultColumn> {
        let output = &*self.frame.output;
        let parts: Vec<ResultWithTable<'_>> = [self.window].into_iter().chain(self.cumulative).collect();
        let is_sampled = parts.iter().any(|part| is_sampled(&part.result.groups, output));

        let mut columns = Vec::with_capacity(output.columns.len());
        for (i, declared) in output.columns.iter().enumerate() {
            let mut column = ResultColumn::declared(declared, output);
            let errors = parts.iter().filter_map(|part| part.table.relative_errors.get(i).copied());
            column.relative_error = errors.fold(0.0, f64::max);
            // Without a sample every value is exact, whatever its expression.
            if is_sampled {
                column.estimate = column_estimate(&declared.expr, output);
            }
            columns.push(column);
        }
        columns
    }
}

/// The frames of one query that are kept for all its readers, in the order of their sequences.
#[derive(Debug)]
pub(crate) struct KeptFrames {
    kept: VecDeque<Frame>,
    /// The sum of the sizes of the kept frames.
    groups: usize,
    /// The sequence of the newest frame.
    sequence: u64,
    /// The sequence of the newest frame that readers may see: what those before it show is durable.
    published: u64,
    /// The sequence that waiting readers have been woken for.
    changed: watch::Sender<u64>,
}

impl KeptFrames {
    /// Makes an empty collection of frames.
    pub(crate) fn new() -> KeptFrames {
        KeptFrames {
            kept: VecDeque::new(),
            groups: 0,
            sequence: 0,
            published: 0,
            changed: watch::channel(0).0,
        }
    }

    /// Takes the cumulative result out of the newest frame. To be called before the cumulative result
    /// changes: the frame must not show groups that its window does not cover, and what nobody shares
    /// need not be copied.
    pub(crate) fn drop_cumulative(&mut self) {
        if let Some(newest) = self.kept.back_mut() {
            newest.cumulative = None;
        }
    }

    /// Returns the end of the newest frame's window if that frame lacks the cumulative result.
    pub(crate) fn end_without_cumulative(&self) -> Option<i64> {
        let newest = self.kept.back().filter(|newest| newest.cumulative.is_none())?;
        Some(newest.window.end_ns)
    }

    /// Gives the newest frame the cumulative result as it is now, for readers that have not read it yet.
    pub(crate) fn set_cumulative(&mut self, cumulative: Arc<ResultOnDemand>) {
        if let Some(newest) = self.kept.back_mut() {
            newest.cumulative = Some(cumulative);
        }
    }

    /// Keeps a frame under the next sequence, which it returns, and discards the oldest frames beyond the limits.
    /// Readers see it when it is published.
    pub(crate) fn push(&mut self, frame: Frame, keep_frames: usize) -> u64 {
        let sequence = self.sequence + 1;
        self.restore(sequence, frame, keep_frames);
        sequence
    }

    /// Keeps a frame under the sequence that it had before the frontend was started again.
    pub(crate) fn restore(&mut self, sequence: u64, frame: Frame, keep_frames: usize) {
        self.drop_cumulative();
        self.sequence = sequence;
        self.groups += frame.size_in_groups();
        self.kept.push_back(Frame { sequence, ..frame });

        // The newest frame stays however large it is.
        while self.kept.len() > keep_frames.max(1) || (self.kept.len() > 1 && self.groups > MAX_KEPT_GROUPS) {
            let oldest = self.kept.pop_front();
            self.groups -= oldest.map_or(0, |oldest| oldest.size_in_groups());
        }
    }

    /// Returns the sequence of the newest frame, 0 before the first.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Goes on behind a sequence, that of a frame which is no longer kept.
    pub(crate) fn continue_after(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
    }

    /// Lets readers see the frames up to a sequence, and wakes those that wait for one.
    pub(crate) fn publish(&mut self, sequence: u64) {
        self.published = self.published.max(sequence);
        self.changed.send_if_modified(|woken| std::mem::replace(woken, sequence) != sequence);
    }

    /// Whether readers may see every frame.
    pub(crate) fn is_all_published(&self) -> bool {
        self.published >= self.sequence
    }

    /// Returns a signal that changes when there are new frames.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Returns the frame that a reader wants next after a sequence, with as much as it wants of it.
    pub(crate) fn next_after(&self, sequence: u64, selection: FrameSelection) -> Option<Frame> {
        let mut index = self.kept.partition_point(|frame| frame.sequence <= sequence);
        if selection == FrameSelection::Newest {
            index = index.max(self.start_of_small_history());
        }

        let mut frame = self.kept.get(index).filter(|frame| frame.sequence <= self.published)?.clone();
        if selection == FrameSelection::Windows && frame.end.is_none() {
            frame.cumulative = None;
        }
        Some(frame)
    }

    /// Returns the frames that readers may see, the oldest first.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Frame> {
        self.kept.iter().filter(|frame| frame.sequence <= self.published)
    }

    /// Returns how many frames are kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Returns the index of the first frame from which on those before the newest that readers may see hold at most
    /// [`MAX_HISTORY_GROUPS`] together.
    fn start_of_small_history(&self) -> usize {
        let seen = self.kept.partition_point(|frame| frame.sequence <= self.published);
        let Some(newest) = seen.checked_sub(1) else { return 0 };

        let mut room = MAX_HISTORY_GROUPS;
        let mut start = newest;
        for frame in self.kept.iter().take(newest).rev() {
            let Some(left) = room.checked_sub(frame.size_in_groups()) else { break };
            room = left;
            start -= 1;
        }
        start
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use pivot_advice::{Groups, Value};
    use pivot_query::{Catalog, compile};

    fn output() -> Arc<OutputPlan> {
        let text = "FROM t IN T GROUP BY t.x SELECT t.x, COUNT";
        Arc::new(compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output)
    }

    fn part(groups: u64) -> Arc<ResultOnDemand> {
        let mut table = Groups::new(1, &[]);
        (0..groups).for_each(|group| table.entry(&[Value::U64(group)]).n = 1);
        let window = WindowGroups::from(&table);
        let time = RangeCoverage::default();
        let scope = ResultScope { time, heard: AllAgentsReported::All, incomplete_windows: 0 };
        ResultOnDemand::new(Arc::new(window), scope)
    }

    fn push(frames: &mut KeptFrames, window: Arc<ResultOnDemand>, keep: usize) {
        let frame = Frame {
            query: 1,
            sequence: 0,
            window: TimeRange { start_ns: 0, end_ns: 1 },
            revision: 0,
            output: output(),
            coverage: AgentCoverage { reporting: 1, expected: 1, lost: 0 },
            end: None,
            result: window,
            cumulative: Some(part(3)),
        };

        let sequence = frames.push(frame, keep);
        frames.publish(sequence);
    }

    /// Frames of windows with so many groups.
    fn frames(groups: &[u64]) -> KeptFrames {
        let mut frames = KeptFrames::new();
        groups.iter().for_each(|groups| push(&mut frames, part(*groups), 300));
        frames
    }

    /// What a reader of frames gets from the beginning: sequences, and whether with the result since install.
    fn check(frames: &KeptFrames, selection: FrameSelection, expected: &[(u64, bool)]) {
        let (mut found, mut read) = (Vec::new(), 0);
        while let Some(frame) = frames.next_after(read, selection) {
            read = frame.sequence;
            found.push((read, frame.cumulative.is_some()));
        }
        assert_eq!(found, expected, "{selection:?}");
    }

    #[tokio::test]
    async fn rows_are_made_when_somebody_asks_and_once() {
        let frames = frames(&[5, 6]);
        let newest = frames.next_after(1, FrameSelection::All).unwrap();
        assert!(frames.kept.iter().all(|frame| frame.result.table.get().is_none()));
        assert!(newest.cumulative.as_ref().unwrap().table.get().is_none());

        let engine = SelectEngine::new();
        let made = newest.compute(&engine).await.unwrap();
        let cumulative = made.cumulative.map(|cumulative| cumulative.table.rows.len());
        assert_eq!((made.window.table.rows.len(), cumulative), (6, Some(3)));

        let made: Vec<bool> = frames.kept.iter().map(|frame| frame.result.table.get().is_some()).collect();
        assert_eq!(made, [false, true]);
        assert!(frames.kept[1].cumulative.as_ref().unwrap().table.get().is_some());
    }

    #[test]
    fn who_is_behind_gets_windows_alone_and_who_wants_windows_nothing_else() {
        let mut frames = frames(&[1, 1, 1]);
        check(&frames, FrameSelection::All, &[(1, false), (2, false), (3, true)]);
        check(&frames, FrameSelection::Windows, &[(1, false), (2, false), (3, false)]);
        frames.drop_cumulative();
        check(&frames, FrameSelection::All, &[(1, false), (2, false), (3, false)]);
        let last = frames.kept.back_mut().unwrap();
        (last.end, last.cumulative) = (Some(QueryEnd::Uninstalled), Some(part(1)));
        check(&frames, FrameSelection::Windows, &[(1, false), (2, false), (3, true)]);
    }

    #[test]
    fn who_wants_the_newest_gets_what_is_small_before_it() {
        check(&frames(&[1, 2, 3]), FrameSelection::Newest, &[(1, false), (2, false), (3, true)]);
        let many = MAX_HISTORY_GROUPS as u64;
        check(&frames(&[1, many, 3]), FrameSelection::Newest, &[(2, false), (3, true)]);
        check(&frames(&[1, many, 3, 1]), FrameSelection::Newest, &[(3, false), (4, true)]);
        check(&frames(&[1, 1, many + 1]), FrameSelection::Newest, &[(1, false), (2, false), (3, true)]);
        check(&frames(&[many + 1, many + 1]), FrameSelection::Newest, &[(2, true)]);
    }

    #[test]
    fn what_nobody_reads_is_bounded_by_frames_and_by_groups() {
        let mut frames = KeptFrames::new();
        (0..10).for_each(|_| push(&mut frames, part(2), 4));
        assert_eq!((frames.kept.len(), frames.groups, frames.kept[0].sequence), (4, 8, 7));
        let large = part(MAX_KEPT_GROUPS as u64 / 20);
        (0..50).for_each(|_| push(&mut frames, large.clone(), 300));
        assert_eq!((frames.kept.len(), frames.groups), (20, MAX_KEPT_GROUPS));
        assert_eq!((frames.kept[0].sequence, frames.kept[19].sequence), (41, 60));
    }
}
