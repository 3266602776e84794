//! The frames of one query that are kept for clients. Rows are made of them when a client asks, and once.
//!
//! Only the newest frame has the result since install: what comes later is added to the same groups. So a
//! reader that is behind gets windows alone, and catches up.

use crate::select::{ResultTable, SelectEngine, columns, other, wire_rows};
use crate::window_groups::WindowGroups;
use datafusion::error::DataFusionError;
use pivot_protocol::wire::results_request::Wanted;
use pivot_protocol::{to_wire, wire};
use pivot_query::OutputSchema;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{OnceCell, watch};

/// The most groups, about, in the frames that are kept of one query.
const MAX_KEPT_GROUPS: usize = 3_000_000;

/// The most groups in the windows before the newest that are given to who wants the newest.
const MAX_HISTORY_GROUPS: usize = 10_000;

/// Groups of some time, and the rows that were made of them.
#[derive(Debug)]
pub(crate) struct LazyResult {
    tally: Arc<WindowGroups>,
    length_ns: i64,
    /// Whether an agent is missing.
    partial: bool,
    rows: OnceCell<ResultTable>,
}

impl LazyResult {
    /// Groups that nobody has asked for yet.
    pub(crate) fn new(tally: Arc<WindowGroups>, length_ns: i64, partial: bool) -> Arc<LazyResult> {
        Arc::new(LazyResult { tally, length_ns, partial, rows: OnceCell::new() })
    }

    fn seconds(&self) -> f64 {
        self.length_ns as f64 / 1e9
    }

    /// Returns the rows, which the first caller computes. An error is not kept: the next caller tries again.
    async fn rows(
        &self,
        engine: &SelectEngine,
        output: &OutputSchema,
    ) -> Result<&ResultTable, DataFusionError> {
        self.rows.get_or_try_init(|| engine.select(&self.tally, output, self.seconds())).await
    }

    fn completeness(&self, rows: &ResultTable, (reporting, expected): (u32, u32)) -> wire::Completeness {
        let others = self.tally.others();
        wire::Completeness {
            emitted: self.tally.emitted,
            loss: Some(to_wire::loss(&rows.loss)),
            agents_reporting: reporting,
            agents_expected: expected,
            partial: self.partial || !rows.loss.is_zero() || others > 0,
            other: others,
        }
    }
}

/// What happened in a window, or a revision of it.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) query: u32,
    pub(crate) sequence: u64,
    /// Start and end, in nanoseconds since the epoch.
    pub(crate) window_ns: (i64, i64),
    pub(crate) revision: u32,
    pub(crate) output: Arc<OutputSchema>,
    /// Reporting and expected.
    pub(crate) agents: (u32, u32),
    pub(crate) last: bool,
    pub(crate) window: Arc<LazyResult>,
    /// All windows so far; none where a later frame has them.
    pub(crate) cumulative: Option<Arc<LazyResult>>,
}

impl Frame {
    /// The frame as it is sent.
    pub(crate) async fn compute(self, engine: &SelectEngine) -> Result<wire::Frame, DataFusionError> {
        let output = &*self.output;
        let window = self.window.rows(engine, output).await?;
        let cumulative = match &self.cumulative {
            Some(part) => Some((part, part.rows(engine, output).await?)),
            None => None,
        };
        let parts: Vec<(&WindowGroups, &ResultTable)> = std::iter::once((&self.window, window))
            .chain(cumulative)
            .map(|(part, rows)| (&*part.tally, rows))
            .collect();
        Ok(wire::Frame {
            query: self.query,
            sequence: self.sequence,
            window_start_ns: self.window_ns.0,
            window_end_ns: self.window_ns.1,
            revision: self.revision,
            columns: columns(output, &parts),
            rows: wire_rows(&window.rows),
            cumulative: cumulative.map(|(_, rows)| wire_rows(&rows.rows)).unwrap_or_default(),
            completeness: Some(self.window.completeness(window, self.agents)),
            cumulative_completeness: cumulative.map(|(part, rows)| part.completeness(rows, self.agents)),
            last: self.last,
            other: other(&self.window.tally, output, self.window.seconds()),
            cumulative_other: cumulative.and_then(|(part, _)| other(&part.tally, output, part.seconds())),
            without_cumulative: cumulative.is_none(),
            ordered: !output.order.is_empty(),
        })
    }

    /// About how many groups it holds.
    fn groups(&self) -> usize {
        let sampled = self.window.tally.sampled.groups.as_ref().map_or(0, |groups| groups.len());
        self.window.tally.groups.len() + sampled
    }
}

/// Kept frames, in the order of their sequences.
#[derive(Debug)]
pub(crate) struct FrameQueue {
    kept: VecDeque<Frame>,
    groups: usize,
    sequence: u64,
    changed: watch::Sender<u64>,
}

impl FrameQueue {
    /// No frames yet.
    pub(crate) fn new() -> FrameQueue {
        FrameQueue { kept: VecDeque::new(), groups: 0, sequence: 0, changed: watch::channel(0).0 }
    }

    /// To be called before the result since install changes: the newest frame is the newest no more.
    pub(crate) fn outdate(&mut self) {
        if let Some(newest) = self.kept.back_mut() {
            newest.cumulative = None;
        }
    }

    /// Gives the newest frame the result since install as it is now, up to the end of its window, for who
    /// has not read it yet.
    pub(crate) fn renew(&mut self, total: impl FnOnce(i64) -> Arc<LazyResult>) {
        if let Some(newest) = self.kept.back_mut().filter(|newest| newest.cumulative.is_none()) {
            newest.cumulative = Some(total(newest.window_ns.1));
        }
    }

    /// Keeps a frame under the next sequence, and the newest before it that are not too many.
    pub(crate) fn push(&mut self, frame: Frame, keep: usize) {
        self.outdate();
        self.sequence += 1;
        self.groups += frame.groups();
        self.kept.push_back(Frame { sequence: self.sequence, ..frame });
        while self.kept.len() > keep.max(1) || (self.kept.len() > 1 && self.groups > MAX_KEPT_GROUPS) {
            let oldest = self.kept.pop_front();
            self.groups -= oldest.map_or(0, |oldest| oldest.groups());
        }
    }

    /// Wakes who waits for new frames.
    pub(crate) fn tell(&self) {
        self.changed.send_if_modified(|told| std::mem::replace(told, self.sequence) != self.sequence);
    }

    /// The frame after a sequence that a client wants next, with as much as it wants of it.
    pub(crate) fn after(&self, sequence: u64, wanted: Wanted) -> Option<Frame> {
        let mut place = self.kept.partition_point(|frame| frame.sequence <= sequence);
        if wanted == Wanted::Newest {
            let mut room = MAX_HISTORY_GROUPS;
            let fits = |frame: &&Frame| match room.checked_sub(frame.groups()) {
                Some(left) => {
                    room = left;
                    true
                }
                None => false,
            };
            let history = self.kept.iter().rev().skip(1).take_while(fits).count();
            place = place.max(self.kept.len().saturating_sub(history + 1));
        }
        let mut frame = self.kept.get(place)?.clone();
        if wanted == Wanted::Windows && !frame.last {
            frame.cumulative = None;
        }
        Some(frame)
    }

    /// Tells of new frames.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use pivot_advice::{Groups, Value};
    use pivot_query::{Catalog, compile};

    fn output() -> Arc<OutputSchema> {
        let text = "FROM t IN T GROUP BY t.x SELECT t.x, COUNT";
        Arc::new(compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}")).output)
    }

    fn part(groups: u64) -> Arc<LazyResult> {
        let mut table = Groups::new(1, &[]);
        (0..groups).for_each(|group| table.entry(&[Value::U64(group)]).n = 1);
        let mut tally = WindowGroups::new(&table);
        tally.groups = table;
        LazyResult::new(Arc::new(tally), 1_000_000_000, false)
    }

    fn push(frames: &mut FrameQueue, window: Arc<LazyResult>, keep: usize) {
        let frame = Frame {
            query: 1,
            sequence: 0,
            window_ns: (0, 1),
            revision: 0,
            output: output(),
            agents: (1, 1),
            last: false,
            window,
            cumulative: Some(part(3)),
        };
        frames.push(frame, keep);
    }

    /// Frames of windows with so many groups.
    fn frames(groups: &[u64]) -> FrameQueue {
        let mut frames = FrameQueue::new();
        groups.iter().for_each(|groups| push(&mut frames, part(*groups), 300));
        frames
    }

    /// What a reader of frames gets from the beginning: sequences, and whether with the result since install.
    fn check(frames: &FrameQueue, wanted: Wanted, expected: &[(u64, bool)]) {
        let (mut found, mut read) = (Vec::new(), 0);
        while let Some(frame) = frames.after(read, wanted) {
            read = frame.sequence;
            found.push((read, frame.cumulative.is_some()));
        }
        assert_eq!(found, expected, "{wanted:?}");
    }

    #[tokio::test]
    async fn rows_are_made_when_somebody_asks_and_once() {
        let frames = frames(&[5, 6]);
        let newest = frames.after(1, Wanted::All).unwrap();
        assert!(frames.kept.iter().all(|frame| frame.window.rows.get().is_none()));
        assert!(newest.cumulative.as_ref().unwrap().rows.get().is_none());
        let made = newest.compute(&SelectEngine::new()).await.unwrap();
        assert_eq!((made.rows.len(), made.cumulative.len(), made.without_cumulative), (6, 3, false));
        let made: Vec<bool> = frames.kept.iter().map(|frame| frame.window.rows.get().is_some()).collect();
        assert_eq!(made, [false, true]);
        assert!(frames.kept[1].cumulative.as_ref().unwrap().rows.get().is_some());
    }

    #[test]
    fn who_is_behind_gets_windows_alone_and_who_wants_windows_nothing_else() {
        let mut frames = frames(&[1, 1, 1]);
        check(&frames, Wanted::All, &[(1, false), (2, false), (3, true)]);
        check(&frames, Wanted::Windows, &[(1, false), (2, false), (3, false)]);
        frames.outdate();
        check(&frames, Wanted::All, &[(1, false), (2, false), (3, false)]);
        let last = frames.kept.back_mut().unwrap();
        (last.last, last.cumulative) = (true, Some(part(1)));
        check(&frames, Wanted::Windows, &[(1, false), (2, false), (3, true)]);
    }

    #[test]
    fn who_wants_the_newest_gets_what_is_small_before_it() {
        check(&frames(&[1, 2, 3]), Wanted::Newest, &[(1, false), (2, false), (3, true)]);
        let many = MAX_HISTORY_GROUPS as u64;
        check(&frames(&[1, many, 3]), Wanted::Newest, &[(2, false), (3, true)]);
        check(&frames(&[1, many, 3, 1]), Wanted::Newest, &[(3, false), (4, true)]);
        check(&frames(&[1, 1, many + 1]), Wanted::Newest, &[(1, false), (2, false), (3, true)]);
        check(&frames(&[many + 1, many + 1]), Wanted::Newest, &[(2, true)]);
    }

    #[test]
    fn what_nobody_reads_is_bounded_by_frames_and_by_groups() {
        let mut frames = FrameQueue::new();
        (0..10).for_each(|_| push(&mut frames, part(2), 4));
        assert_eq!((frames.kept.len(), frames.groups, frames.kept[0].sequence), (4, 8, 7));
        let large = part(MAX_KEPT_GROUPS as u64 / 20);
        (0..50).for_each(|_| push(&mut frames, large.clone(), 300));
        assert_eq!((frames.kept.len(), frames.groups), (20, MAX_KEPT_GROUPS));
        assert_eq!((frames.kept[0].sequence, frames.kept[19].sequence), (41, 60));
    }
}
