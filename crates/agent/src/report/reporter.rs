//! Reports: numbered from 1, immutable once sent, kept until the frontend acknowledges them.
//!
//! ```text
//!                  fixed: may have been seen            nobody has seen these
//!            ┌──────────────────┴──────────────────┐┌────────────┴─────────────┐
//!   kept       report 5    report 6    report 7      report 8    report 9        ◀─ cut (each window or flush)
//!            └─────────┬──────────┘
//!             sent on this connection
//!
//!   unsent         hands out reports behind those sent, at most 32 on their way at once
//!   acknowledge 5  removes report 5 from the front
//!   disconnected   all are unsent again, but the same reports stay fixed
//! ```
//!
//! This is a state machine without clock or connection; `uplink` drives it. It gives **at-least-once delivery**:
//! what was not acknowledged is sent again on the next connection. A frontend that has merged a report already
//! knows so by its sequence number, because a report that was sent once is never changed: the same number always
//! means the same rows. So in effect each report is merged exactly once.
//!
//! While the frontend is away, reports are **coalesced** instead of dropped: beyond a number or a size, the two
//! neighbours that together cover the shortest time become one report of a longer window. No row is lost, only the
//! time resolution of the outage. Only reports that nobody has seen are coalesced; the later ones move up by one
//! number, so that the sequence stays without gaps.
//!
//! A report that is too large for a message is divided when it is sent first, into several with numbers of their own.

use crate::report::query_report::{QueryReport, QueryReports};
use crate::report::report_pieces::{MAX_REPORT_BYTES, divide};
use crate::report::wire_size::part_bytes;
use std::collections::VecDeque;

/// The most reports that are kept: those of the usual lease, and windows of 100 ms. Beyond this number two become one.
pub const MAX_REPORTS: usize = 6_000;

/// The most bytes, about, that kept reports take. Beyond this size two become one.
pub const MAX_KEPT_BYTES: usize = 32 << 20;

/// The most reports that are on their way at once. Later ones stay unseen, and so may still be coalesced.
pub const MAX_IN_FLIGHT: usize = 32;

/// All that this process has to report about one window, or about a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The number of the report: from 1, without gaps.
    pub sequence: u64,
    /// Start of the window, in nanoseconds since the epoch.
    pub window_start_ns: i64,
    /// End of the window.
    pub window_end_ns: i64,
    /// A promise: no later report has rows of a window that ends here or before. Never falls.
    pub watermark_ns: i64,
    /// How long after the window's end the report was cut; 0 if before.
    pub delay_ns: i64,
    /// When the report was cut.
    pub cut_ns: i64,
    /// The parts of all queries.
    pub parts: QueryReports,
}

/// Makes numbered reports of what is drained, and keeps them until they are acknowledged.
#[derive(Debug)]
pub struct Reporter {
    /// The length of windows.
    window_ns: i64,
    /// Start of the window that is current.
    current_ns: i64,
    /// The sequence number of the next new report.
    next_sequence: u64,
    /// Reports that were not acknowledged, in the order of their numbers.
    kept: VecDeque<Report>,
    /// How many of the kept reports, from the front, were sent on this connection.
    sent: usize,
    /// How many of the kept reports, from the front, were sent on an earlier connection and must not change either.
    resend_until: usize,
    /// The highest watermark so far.
    promised_ns: i64,
}

impl Report {
    /// Returns reports that each fit into a message and together say the same, numbered from this number on. Only the
    /// last one promises that no rows follow.
    fn pieces(self) -> Vec<Report> {
        let Report { sequence, window_start_ns, window_end_ns, delay_ns, cut_ns, parts, .. } = self;
        let divided = divide(parts);
        let last = divided.len().saturating_sub(1);

        let numbered = divided.into_iter().zip(0..);
        let pieces = numbered.map(|(parts, number)| Report {
            sequence: sequence + number as u64,
            window_start_ns,
            window_end_ns,
            watermark_ns: match number == last {
                true => self.watermark_ns,
                false => self.watermark_ns.min(window_start_ns),
            },
            delay_ns,
            cut_ns,
            parts,
        });
        pieces.collect()
    }

    /// Merges the next report into this one, which then covers the windows of both.
    fn absorb(&mut self, later: Report) {
        self.window_start_ns = self.window_start_ns.min(later.window_start_ns);
        self.window_end_ns = self.window_end_ns.max(later.window_end_ns);
        self.watermark_ns = self.watermark_ns.max(later.watermark_ns);
        self.delay_ns = self.delay_ns.max(later.delay_ns);
        self.cut_ns = self.cut_ns.max(later.cut_ns);
        for (query, part) in later.parts {
            self.parts.entry(query).or_insert_with(|| QueryReport::of_query(query)).merge(part);
        }
    }
}

impl Reporter {
    /// Returns a reporter for windows of this length, beginning with the window that is current now. Windows are
    /// aligned to multiples of their length since the epoch, so that those of all processes agree.
    pub fn new(window_ns: i64, now_ns: i64) -> Reporter {
        let window_ns = window_ns.max(1);
        Reporter {
            window_ns,
            current_ns: now_ns - now_ns.rem_euclid(window_ns),
            next_sequence: 1,
            kept: VecDeque::new(),
            sent: 0,
            resend_until: 0,
            promised_ns: i64::MIN,
        }
    }

    /// Changes the length of windows from now on. Call it right after a cut, when nothing is waiting that belongs
    /// to the window so far.
    pub fn set_window(&mut self, window_ns: i64, now_ns: i64) {
        if window_ns > 0 && window_ns != self.window_ns {
            self.window_ns = window_ns;
            self.current_ns = now_ns - now_ns.rem_euclid(window_ns);
        }
    }

    /// Returns the length of windows.
    pub fn window_ns(&self) -> i64 {
        self.window_ns
    }

    /// Begins anew at another time, because it was not known before what the time is. What was cut until now belongs to
    /// the window that is current then: nobody has seen a report yet.
    pub fn place_unseen(&mut self, now_ns: i64) {
        debug_assert_eq!(self.fixed(), 0, "a report that was sent does not change");
        self.current_ns = now_ns - now_ns.rem_euclid(self.window_ns);
        self.promised_ns = self.current_ns;

        let unseen = std::mem::take(&mut self.kept).into_iter();
        let together = unseen.reduce(|mut earlier, later| {
            earlier.absorb(later);
            earlier
        });
        self.kept.extend(together.map(|report| Report {
            window_start_ns: self.current_ns,
            window_end_ns: self.boundary_ns(),
            watermark_ns: self.current_ns,
            delay_ns: 0,
            cut_ns: now_ns,
            ..report
        }));
        self.next_sequence = 1 + self.kept.len() as u64;
    }

    /// Returns when the current window ends.
    pub fn boundary_ns(&self) -> i64 {
        self.current_ns.saturating_add(self.window_ns)
    }

    /// Makes a report of what was drained just now. It belongs to the current window, which is over if `now_ns` has
    /// reached its end.
    pub fn cut(&mut self, now_ns: i64, drained: QueryReports) {
        let (start, end) = (self.current_ns, self.boundary_ns());
        let over = now_ns >= end;
        if over {
            self.current_ns = now_ns - now_ns.rem_euclid(self.window_ns);
        }

        let watermark_ns = if over { self.current_ns } else { start };
        self.promised_ns = self.promised_ns.max(watermark_ns);

        self.keep(Report {
            sequence: self.next_sequence,
            window_start_ns: start,
            window_end_ns: end,
            watermark_ns: self.promised_ns,
            delay_ns: now_ns.saturating_sub(end).max(0),
            cut_ns: now_ns,
            parts: drained,
        });
    }

    /// Returns how many reports, from the front, a frontend may have seen. These must not change.
    fn fixed(&self) -> usize {
        self.sent.max(self.resend_until)
    }

    /// Appends a report, and coalesces others if there are too many or they are too large.
    fn keep(&mut self, report: Report) {
        let never_sent = self.kept.len() > self.fixed();
        match self.kept.back_mut() {
            // Nobody has seen the last report, and it has no rows: the new one takes its place and number, and with
            // its watermark says all that the last one said. An idle process keeps one report, not one per window.
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

    /// Returns about how many bytes all kept reports take.
    fn bytes(&self) -> usize {
        let parts = self.kept.iter().flat_map(|report| report.parts.values());
        parts.map(|part| size_of::<QueryReport>() + part.bytes()).sum()
    }

    /// Merges the two neighbours that together cover the shortest time, among the reports that nobody has seen.
    /// Returns false if there are no two of these.
    fn merge_two(&mut self) -> bool {
        // The shortest, so that repeated merging lengthens all windows evenly instead of one without end.
        let pairs = self.fixed()..self.kept.len().saturating_sub(1);
        let shortest =
            pairs.min_by_key(|first| self.kept[first + 1].window_end_ns - self.kept[*first].window_start_ns);
        let Some(first) = shortest else { return false };

        let Some(later) = self.kept.remove(first + 1) else { return false };
        if let Some(earlier) = self.kept.get_mut(first) {
            earlier.absorb(later);
        }

        // Later reports move up, so that no gap is left in the sequence. Nobody has seen their numbers either.
        self.kept.iter_mut().skip(first + 1).for_each(|report| report.sequence -= 1);
        self.next_sequence -= 1;
        true
    }

    /// Returns the reports to send now, and counts them as sent. They are kept until they are acknowledged; call
    /// this again after each acknowledgement.
    pub fn unsent(&mut self) -> impl Iterator<Item = &Report> {
        self.divide_large();
        let until = self.kept.len().min(MAX_IN_FLIGHT).max(self.sent);
        let from = std::mem::replace(&mut self.sent, until);
        self.kept.iter().skip(from).take(until - from)
    }

    /// Divides the reports that are sent next and are too large for a message. Later, when somebody may have seen them,
    /// they cannot be changed any more; earlier they may still grow.
    fn divide_large(&mut self) {
        let mut next = self.fixed();
        while next < self.kept.len().min(MAX_IN_FLIGHT) {
            let bytes: usize = self.kept[next].parts.values().map(part_bytes).sum();
            if bytes <= MAX_REPORT_BYTES {
                next += 1;
                continue;
            }

            let Some(report) = self.kept.remove(next) else { return };
            let pieces = report.pieces();
            let added = pieces.len() as u64 - 1;
            self.kept.iter_mut().skip(next).for_each(|later| later.sequence += added);
            self.next_sequence += added;
            for piece in pieces {
                self.kept.insert(next, piece);
                next += 1;
            }
        }
    }

    /// Removes all reports up to this sequence number: the frontend has merged them.
    pub fn acknowledge(&mut self, sequence: u64) {
        while self.kept.front().is_some_and(|report| report.sequence <= sequence) {
            self.kept.pop_front();
            self.sent = self.sent.saturating_sub(1);
            self.resend_until = self.resend_until.saturating_sub(1);
        }
    }

    /// Returns whether every report is on its way or has been acknowledged.
    pub fn is_all_sent(&self) -> bool {
        self.sent == self.kept.len()
    }

    /// Returns whether every report has been acknowledged.
    pub fn is_settled(&self) -> bool {
        self.kept.is_empty()
    }

    /// Notes that the connection is gone: reports that were not acknowledged are sent again, unchanged, on the next
    /// one.
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

    /// A part with so many groups of a kilobyte each.
    fn kilobytes(groups: u64) -> QueryReport {
        let mut table = pivot_advice::Groups::new(1, &[]);
        let text = |i: u64| pivot_advice::Value::str(format!("{i:01000}"));
        (0..groups).for_each(|i| table.entry(&[text(i)]).n = 1);
        let mut part = QueryReport::empty();
        (part.groups, part.emitted) = (Some(table), groups);
        part
    }

    #[test]
    fn what_is_too_large_for_a_message_is_divided_and_the_last_piece_has_the_watermark() {
        let query = |number| QueryId { frontend: 1, number };
        let mut reporter = Reporter::new(10, 0);
        // Small ones before and behind; one of many queries; and one of a query that is too large alone.
        reporter.cut(10, emitted(1));
        reporter.cut(20, (0..9).map(|number| (query(number), kilobytes(4_000))).collect());
        reporter.cut(30, [(query(1), kilobytes(40_000))].into());
        reporter.cut(40, emitted(2));

        let sent: Vec<Report> = reporter.unsent().cloned().collect();
        let numbers: Vec<u64> = sent.iter().map(|report| report.sequence).collect();
        assert_eq!(numbers, (1..=sent.len() as u64).collect::<Vec<_>>());
        let watermarks: Vec<i64> = sent.iter().map(|report| report.watermark_ns).collect();
        assert_eq!(watermarks, [10, 10, 10, 20, 20, 20, 30, 40]);
        for report in &sent {
            assert!(report.parts.values().map(part_bytes).sum::<usize>() <= MAX_REPORT_BYTES);
        }

        assert_eq!(rows(&sent), 1 + 36_000 + 40_000 + 2);
        let groups =
            sent.iter().flat_map(|report| report.parts.values()).filter_map(|part| part.groups.as_ref());
        assert_eq!(groups.map(|groups| groups.len()).sum::<usize>(), 36_000 + 40_000);

        reporter.disconnected();
        reporter.cut(50, emitted(1));
        assert_eq!(reporter.unsent().take(sent.len()).cloned().collect::<Vec<_>>(), sent);
        reporter.acknowledge(9);
        assert!(reporter.is_settled());
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
