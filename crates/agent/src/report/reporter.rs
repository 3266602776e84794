//! Reports: numbered, immutable once sent, kept until acknowledged.
//!
//! A state machine without clock or connection. `cut` is called at every window boundary and at every
//! flush, `unsent` when there is a connection, `acknowledge` when the frontend has merged, and
//! `disconnected` when what was sent may not have arrived. While a frontend is away its reports grow
//! coarser instead of more: those that nobody has seen are merged into longer windows.

use crate::report::query_report::{QueryReport, QueryReports};
use std::collections::VecDeque;

/// The most reports that are kept. Beyond, two become one.
pub const MAX_REPORTS: usize = 600;

/// The most bytes, about, that kept reports take. Beyond, two become one.
pub const MAX_KEPT_BYTES: usize = 32 << 20;

/// The most reports that are on their way at once: later ones may still be merged.
pub const MAX_IN_FLIGHT: usize = 32;

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
    pub parts: QueryReports,
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
}

impl Report {
    /// Covers the windows of both.
    fn absorb(&mut self, later: Report) {
        self.window_start_ns = self.window_start_ns.min(later.window_start_ns);
        self.window_end_ns = self.window_end_ns.max(later.window_end_ns);
        self.watermark_ns = self.watermark_ns.max(later.watermark_ns);
        self.delay_ns = self.delay_ns.max(later.delay_ns);
        for (query, part) in later.parts {
            self.parts.entry(query).or_insert_with(QueryReport::empty).merge(part);
        }
    }
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
        }
    }

    /// Changes the length of windows from now on. To be called behind a cut, when nothing waits that
    /// belongs to the window so far.
    pub fn set_window(&mut self, window_ns: i64, now_ns: i64) {
        if window_ns > 0 && window_ns != self.window_ns {
            self.window_ns = window_ns;
            self.current_ns = now_ns - now_ns.rem_euclid(window_ns);
        }
    }

    /// When the current window ends.
    pub fn boundary_ns(&self) -> i64 {
        self.current_ns.saturating_add(self.window_ns)
    }

    /// Makes a report of what was drained just now. It belongs to the current window, which is over if
    /// its end has come.
    pub fn cut(&mut self, now_ns: i64, drained: QueryReports) {
        let (start, end) = (self.current_ns, self.boundary_ns());
        let over = now_ns >= end;
        if over {
            self.current_ns = now_ns - now_ns.rem_euclid(self.window_ns);
        }
        // A clock that was set back must not make a watermark fall behind what was promised.
        let promised = self.kept.back().map_or(i64::MIN, |report| report.watermark_ns);
        self.keep(Report {
            sequence: self.next_sequence,
            window_start_ns: start,
            window_end_ns: end,
            watermark_ns: if over { self.current_ns } else { start }.max(promised),
            delay_ns: (now_ns - end).max(0),
            parts: drained,
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
        while (self.kept.len() > MAX_REPORTS || self.bytes() > MAX_KEPT_BYTES) && self.merge_two() {}
    }

    fn bytes(&self) -> usize {
        self.kept.iter().flat_map(|report| report.parts.values()).map(QueryReport::bytes).sum()
    }

    /// Merges the two neighbours that together cover the shortest time, of those that nobody has seen.
    /// Later ones take over the numbers, so no gap is left. False if there are no two.
    fn merge_two(&mut self) -> bool {
        let fixed = self.fixed();
        let covers = |first: usize| self.kept[first + 1].window_end_ns - self.kept[first].window_start_ns;
        let Some(first) = (fixed..self.kept.len().saturating_sub(1)).min_by_key(|first| covers(*first))
        else {
            return false;
        };
        let Some(later) = self.kept.remove(first + 1) else { return false };
        if let Some(earlier) = self.kept.get_mut(first) {
            earlier.absorb(later);
        }
        self.kept.iter_mut().skip(first + 1).for_each(|report| report.sequence -= 1);
        self.next_sequence -= 1;
        true
    }

    /// The reports to send now. They count as sent, and stay until they are acknowledged; call again
    /// when some have been.
    pub fn unsent(&mut self) -> impl Iterator<Item = &Report> {
        let until = self.kept.len().min(MAX_IN_FLIGHT).max(self.sent);
        let from = std::mem::replace(&mut self.sent, until);
        self.kept.iter().skip(from).take(until - from)
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

    fn emitted(rows: u64) -> QueryReports {
        let mut part = QueryReport::empty();
        part.emitted = rows;
        QueryReports::from([(QUERY, part)])
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
        (1..=50).for_each(|i| reporter.cut(i * 10, QueryReports::new()));
        assert_eq!(reporter.unsent().map(|r| (r.sequence, r.watermark_ns)).collect::<Vec<_>>(), [(1, 500)]);
    }

    #[test]
    fn a_report_that_was_sent_is_never_changed() {
        let mut reporter = Reporter::new(10, 0);
        reporter.cut(10, QueryReports::new());
        let sent: Vec<Report> = reporter.unsent().cloned().collect();
        reporter.disconnected();
        reporter.cut(20, QueryReports::new());
        let again: Vec<Report> = reporter.unsent().cloned().collect();
        assert_eq!(again[0], sent[0]);
        assert_eq!(again.len(), 2);
    }

    /// Cuts so many windows of ten nanoseconds with one row each.
    fn windows(reporter: &mut Reporter, count: i64) {
        let from = reporter.current_ns / 10;
        (1..=count).for_each(|i| reporter.cut((from + i) * 10, emitted(1)));
    }

    fn rows<'a>(reports: impl IntoIterator<Item = &'a Report>) -> u64 {
        reports.into_iter().flat_map(|report| report.parts.values()).map(|part| part.emitted).sum()
    }

    #[test]
    fn while_the_frontend_is_away_windows_grow_longer_and_no_row_is_lost() {
        let mut reporter = Reporter::new(10, 0);
        let count = 3 * MAX_REPORTS as i64;
        windows(&mut reporter, count);
        assert_eq!((reporter.kept.len(), rows(&reporter.kept)), (MAX_REPORTS, count as u64));
        let mut end = 0;
        for (i, report) in reporter.kept.iter().enumerate() {
            assert_eq!((report.sequence, report.window_start_ns), (i as u64 + 1, end));
            assert!(report.window_end_ns - report.window_start_ns <= 60);
            end = report.window_end_ns;
        }
        assert_eq!(end, count * 10);
    }

    #[test]
    fn reports_that_were_sent_are_left_alone_when_others_are_merged() {
        let mut reporter = Reporter::new(10, 0);
        windows(&mut reporter, 5);
        let sent: Vec<Report> = reporter.unsent().cloned().collect();
        reporter.disconnected();
        windows(&mut reporter, 2 * MAX_REPORTS as i64);
        let again: Vec<Report> = reporter.unsent().cloned().collect();
        assert_eq!(again[..5], sent);
        assert_eq!(rows(&reporter.kept), 5 + 2 * MAX_REPORTS as u64);
    }

    #[test]
    fn few_reports_are_on_their_way_at_once() {
        let mut reporter = Reporter::new(10, 0);
        windows(&mut reporter, 3 * MAX_IN_FLIGHT as i64);
        assert_eq!(sequences(&mut reporter).len(), MAX_IN_FLIGHT);
        assert_eq!(sequences(&mut reporter).len(), 0);
        reporter.acknowledge(10);
        let next = MAX_IN_FLIGHT as u64;
        assert_eq!(sequences(&mut reporter), (next + 1..=next + 10).collect::<Vec<_>>());
    }

    #[test]
    fn reports_take_a_bounded_amount_of_memory() {
        let mut reporter = Reporter::new(10, 0);
        let large = |from: u64| {
            let mut groups = pivot_advice::Groups::new(1, &[]);
            let text = |i: u64| pivot_advice::Value::str(format!("{i:01000}"));
            (from..from + 500).for_each(|i| groups.entry(&[text(i)]).n = 1);
            let mut part = QueryReport::empty();
            let mut held = QueryReport::empty();
            (held.groups, held.emitted) = (Some(groups), 500);
            part.merge(held);
            QueryReports::from([(QUERY, part)])
        };
        (0..80).for_each(|i| reporter.cut((i + 1) * 10, large(i as u64 * 500)));
        assert!(reporter.bytes() <= MAX_KEPT_BYTES, "{}", reporter.bytes());
        assert!(reporter.kept.len() > 1);
        assert_eq!(rows(&reporter.kept), 80 * 500);
        let parts = reporter.kept.iter().flat_map(|report| report.parts.values());
        let held = parts.flat_map(|part| part.groups.iter().chain(&part.other)).flatten().map(|g| g.n);
        assert_eq!(held.sum::<u64>(), 80 * 500);
    }
}
