//! Takes what all threads have gathered.

use crate::report::query_report::{QueryReport, QueryReports};
use crate::report::thread_slot;

/// Takes everything that was emitted since the last drain, in all threads.
///
/// After unweaving, a drain leaves nothing behind that saw the advice: [`weave`](fn@crate::weave::weaver) and
/// this both wait for the events that are on their way. One whose field expressions take longer than two
/// seconds is not waited for; its rows come with the drain after it.
pub fn drain() -> QueryReports {
    let mut all = QueryReports::new();
    thread_slot::drain_tables(|table| {
        for (query, part) in table.into_parts() {
            all.entry(query).or_insert_with(QueryReport::empty).merge(part);
        }
    });
    for (query, messages) in pivot_baggage::withheld::take_withheld_by_query() {
        let loss = &mut all.entry(query).or_insert_with(QueryReport::empty).loss;
        loss.held_back = loss.held_back.saturating_add(messages);
    }
    all
}
