//! Takes what all threads have gathered, and merges it into one report per query.

use crate::report::query_report::{QueryReport, QueryReports};
use crate::report::thread_slot;

/// Takes everything that was emitted since the last drain, in all threads.
///
/// A drain after unweaving leaves nothing behind that saw the advice: [`weave`](fn@crate::weave) and `drain` both
/// wait for events on their way. An event whose field expressions take longer than two seconds is not waited for;
/// its rows come with the drain after its end.
pub fn drain() -> QueryReports {
    let mut reports = QueryReports::new();
    thread_slot::drain_tables(|table| {
        for (query, report) in table.into_reports() {
            reports.entry(query).or_insert_with(|| QueryReport::of_query(query)).merge(report);
        }
    });

    // Messages that travelled without their baggage are counted by the baggage, for the queries that lack rows.
    for (query, messages) in pivot_baggage::withheld_counts::take_withheld_by_query() {
        let loss = &mut reports.entry(query).or_insert_with(|| QueryReport::of_query(query)).loss;
        loss.held_back = loss.held_back.saturating_add(messages);
    }

    // Replies that left with tuples, and tuples that came too late for theirs, are counted by the baggage as well.
    for (query, sent_back) in pivot_baggage::reply_ledger::take_sent_back() {
        let report = reports.entry(query).or_insert_with(|| QueryReport::of_query(query));
        report.left = sent_back.left;
        report.loss.late = report.loss.late.saturating_add(sent_back.late);
    }
    reports
}
