//! Queries of which windows are kept (`\\history`).

use crate::frontend_lists::ListedHistoryQuery;
use crate::humanize::{bytes, date_and_clock, elapsed, grouped};
use crate::table::{TableCell, TextTable};
use crate::terminal_text::escaped;

/// Returns queries with the time of which windows are kept, and what they take.
pub(in crate::repl) fn history(found: &[ListedHistoryQuery]) -> TextTable {
    let mut table = TextTable::with_headings(&[
        "!n", "!name", "!from", "!to", "!every", "!state", ">files", ">bytes", "!keep", "text",
    ]);

    for query in found {
        let time = |ns: Option<i64>| ns.map_or_else(|| "-".to_owned(), date_and_clock);
        let state = if query.is_installed { "installed".into() } else { TableCell::quiet("ended") };
        table.push(vec![
            query.number.to_string().into(),
            escaped(&query.name).into(),
            time(query.first_ns).into(),
            time(query.last_ns).into(),
            TableCell::quiet(elapsed(query.every)),
            state,
            grouped(&query.files.to_string()).into(),
            bytes(query.bytes as f64).into(),
            TableCell::quiet(query.keep.map(elapsed).unwrap_or_default()),
            TableCell::quiet(escaped(&query.text.split_whitespace().collect::<Vec<_>>().join(" "))),
        ]);
    }
    table
}
