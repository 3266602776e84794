//! Events that find no request although they have something to pack or to unpack.
//!
//! They are counted, with the place where they ran: the thread, and the span that it was in. Only such events pay for
//! that. A query counts them while it is woven, and its result says so if rows are missing:
//! `160 rows had no request: Log.append in span append, thread raft-core`.

use crate::report::query_report::QueryReport;
use crate::site::declaration::TracepointDeclaration;
use pivot_advice::JoinSide;
use pivot_baggage::leaks;

/// Counts an event at this tracepoint that ran outside any request, and where it ran. Tells the leak detector too,
/// while it is on.
#[cold]
#[inline(never)]
pub(crate) fn note(side: JoinSide, tracepoint: &TracepointDeclaration, report: &mut QueryReport) {
    let counted = match side {
        JoinSide::Packs => &mut report.loss.outside_request,
        JoinSide::Unpacks => &mut report.loss.without_request,
    };
    *counted = counted.saturating_add(1);

    let thread = std::thread::current();
    let (span, thread) = (leaks::current_span().unwrap_or_default(), thread.name().unwrap_or_default());
    report.outside.count(side, tracepoint.name, span, thread, 1);

    if leaks::is_watching() {
        leaks::outside(tracepoint.name, tracepoint.location.file, tracepoint.location.line);
    }
}
