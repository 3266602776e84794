//! Reports: numbered, immutable once sent, kept until acknowledged.
//!
//! A state machine without clock or connection. `cut` is called at every window boundary and at every
//! flush, `unsent` when there is a connection, `acknowledge` when the frontend has merged, and
//! `disconnected` when what was sent may not have arrived.

use crate::emit::{Part, Parts};
use pivot_advice::Loss;
use std::collections::VecDeque;

/// Reports kept for a frontend that is away. Beyond, the oldest goes, and its rows count as dropped.
pub const MAX_REPORTS: usize = 600;

/// What happened in this process in one window, or a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// From 1, without gaps.
    pub sequence: u64,
    /// Start of the window, in nanoseconds since the epoch.
    pub window_start_ns: i64,
    /// End of the window.
    pub window_end_ns: i64,
    /// No later report has rows of a window that ends here or before.
    pub watermark_ns: i64,
    /// How long after the window's end it was cut; 0 if before.
    pub delay_ns: i64,
    /// The queries' parts.
    pub parts: Parts,
}

/// Turns what is drained into reports.
#[derive(Debug)]
pub struct Reporter {
    window_ns: i64,
    /// Start of the window that is current.
    current_ns: i64,
    next_sequence: u64,
    kept: VecDeque<Report>,
    /// How many of the kept reports, from the front, were sent on this connection.
    sent: usize,
    /// How many of them, from the front, were sent on any connection: these never change.
    resend_until: usize,
    /// What reports that had to go take with them, by query.
    lost: Parts,
}

impl Reporter {
    /// A reporter of windows of that length, beginning with the window that is current now.
    pub fn new(window_ns: i64, now_ns: i64) -> Reporter {
        let window_ns = window_ns.max(1);
        Reporter {
            window_ns,
            current_ns: now_ns - now_ns.rem_euclid(window_ns),
            next_sequence: 1,
            kept: VecDeque::new(),
            sent: 0,
            resend_until: 0,
            lost: Parts::new(),
        }
    }

    /// When the current window ends.
    pub fn boundary_ns(&self) -> i64 {
        self.current_ns.saturating_add(self.window_ns)
    }

    /// Makes a report of what was drained just now. It belongs to the current window, which is over if
    /// its end has come.
    pub fn cut(&mut self, now_ns: i64, drained: Parts) {
        let (start, end) = (self.current_ns, self.boundary_ns());
        let over = now_ns >= end;
        if over {
            self.current_ns = now_ns - now_ns.rem_euclid(self.window_ns);
        }
        let mut parts = std::mem::take(&mut self.lost);
        for (query, part) in drained {
            parts.entry(query).or_insert_with(Part::empty).merge(part);
        }
        // A clock that was set back must not make a watermark fall behind what was promised.
        let promised = self.kept.back().map_or(i64::MIN, |report| report.watermark_ns);
        self.keep(Report {
            sequence: self.next_sequence,
            window_start_ns: start,
            window_end_ns: end,
            watermark_ns: if over { self.current_ns } else { start }.max(promised),
            delay_ns: (now_ns - end).max(0),
            parts,
        });
    }

    /// How many reports, from the front, a frontend may have seen.
    fn fixed(&self) -> usize {
        self.sent.max(self.resend_until)
    }

    fn keep(&mut self, report: Report) {
        let never_sent = self.kept.len() > self.fixed();
        match self.kept.back_mut() {
            // Nothing to tell since the last one, which nobody has seen: only time has passed.
            Some(last) if never_sent && last.parts.is_empty() => {
                let sequence = last.sequence;
                *last = Report { sequence, ..report };
            }
            _ => {
                self.next_sequence += 1;
                self.kept.push_back(report);
            }
        }
        if self.kept.len() > MAX_REPORTS {
            self.drop_oldest_unsent();
        }
    }

    /// Gives up the oldest report that the frontend cannot have seen, without leaving a gap: the later
    /// ones, never sent either, take over the numbers.
    fn drop_oldest_unsent(&mut self) {
        let Some(report) = self.kept.remove(self.fixed()) else { return };
        for (query, part) in report.parts {
            let dropped = Loss { dropped: part.emitted.saturating_sub(part.loss.dropped), ..Loss::default() };
            let lost = self.lost.entry(query).or_insert_with(Part::empty);
            lost.loss.merge(&part.loss);
            lost.loss.merge(&dropped);
            lost.emitted = lost.emitted.saturating_add(part.emitted);
        }
        let fixed = self.fixed();
        self.kept.iter_mut().skip(fixed).for_each(|report| report.sequence -= 1);
        self.next_sequence -= 1;
    }

    /// The reports to send now. They count as sent, and stay until they are acknowledged.
    pub fn unsent(&mut self) -> impl Iterator<Item = &Report> {
        let from = std::mem::replace(&mut self.sent, self.kept.len());
        self.kept.iter().skip(from)
    }

    /// The frontend has merged all reports up to this sequence.
    pub fn acknowledge(&mut self, sequence: u64) {
        while self.kept.front().is_some_and(|report| report.sequence <= sequence) {
            self.kept.pop_front();
            self.sent = self.sent.saturating_sub(1);
            self.resend_until = self.resend_until.saturating_sub(1);
        }
    }

    /// Whether every report has been acknowledged.
    pub fn is_settled(&self) -> bool {
        self.kept.is_empty()
    }

    /// The connection is gone: what was not acknowledged is sent again, the same, on the next one.
    pub fn disconnected(&mut self) {
        self.resend_until = self.resend_until.max(self.sent);
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::QueryId;

    const QUERY: QueryId = QueryId { frontend: 1, number: 1 };

    fn emitted(rows: u64) -> Parts {
        Parts::from([(QUERY, Part { emitted: rows, ..Part::empty() })])
    }

    fn sequences(reporter: &mut Reporter) -> Vec<u64> {
        reporter.unsent().map(|report| report.sequence).collect()
    }

    #[test]
    fn windows_are_aligned_and_follow_each_other() {
        let mut reporter = Reporter::new(10, 13);
        assert_eq!(reporter.boundary_ns(), 20);
        reporter.cut(21, emitted(1));
        reporter.cut(25, emitted(2));
        reporter.cut(30, emitted(3));
        let windows: Vec<_> =
            reporter.unsent().map(|r| (r.window_start_ns, r.watermark_ns, r.delay_ns)).collect();
        assert_eq!(windows, [(10, 20, 1), (20, 20, 0), (20, 30, 0)]);
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again_the_same() {
        let mut reporter = Reporter::new(10, 0);
        (1..=3).for_each(|i| reporter.cut(i * 10, emitted(1)));
        let first: Vec<Report> = reporter.unsent().cloned().collect();
        reporter.acknowledge(1);
        reporter.disconnected();
        reporter.cut(40, emitted(7));
        let again: Vec<Report> = reporter.unsent().cloned().collect();
        assert_eq!(again[..2], first[1..]);
        assert_eq!(again[2].sequence, 4);
        reporter.acknowledge(4);
        assert!(reporter.is_settled());
    }

    #[test]
    fn empty_windows_that_nobody_saw_become_one() {
        let mut reporter = Reporter::new(10, 0);
        (1..=50).for_each(|i| reporter.cut(i * 10, Parts::new()));
        assert_eq!(reporter.unsent().map(|r| (r.sequence, r.watermark_ns)).collect::<Vec<_>>(), [(1, 500)]);
    }

    #[test]
    fn a_report_that_was_sent_is_never_changed() {
        let mut reporter = Reporter::new(10, 0);
        reporter.cut(10, Parts::new());
        let sent: Vec<Report> = reporter.unsent().cloned().collect();
        reporter.disconnected();
        reporter.cut(20, Parts::new());
        let again: Vec<Report> = reporter.unsent().cloned().collect();
        assert_eq!(again[0], sent[0]);
        assert_eq!(again.len(), 2);
    }

    #[test]
    fn rows_of_reports_that_had_to_go_are_counted_as_dropped() {
        let mut reporter = Reporter::new(10, 0);
        let cuts = MAX_REPORTS as i64 + 5;
        (1..=cuts).for_each(|i| reporter.cut(i * 10, emitted(1)));
        reporter.cut((cuts + 1) * 10, emitted(1));
        let reports: Vec<Report> = reporter.unsent().cloned().collect();
        let (mut rows, mut dropped) = (0, 0);
        for part in reports.iter().flat_map(|report| report.parts.values()) {
            rows += part.emitted;
            dropped += part.loss.dropped;
        }
        let pending: u64 = reporter.lost.values().map(|part| part.loss.dropped).sum();
        assert_eq!(reports.len(), MAX_REPORTS);
        assert_eq!(
            rows - dropped + dropped + reporter.lost.values().map(|p| p.emitted).sum::<u64>(),
            cuts as u64 + 1
        );
        assert_eq!(dropped + pending, 6);
        assert_eq!(sequences(&mut reporter), Vec::<u64>::new());
    }
}
