//! The spans that carry a request because somebody has named them at the frontend (`\carriers`).
//!
//! ```text
//! carrier                agents  spans
//! ─────────────────────  ──────  ──────────────────────
//! app::*::http_request      2/2  app::web::http_request
//! append                    1/2  none was reached yet
//! ```

use crate::frontend_lists::ListedCarriers;
use crate::table::{TableCell, TextTable};
use crate::terminal_text::escaped;

/// Returns the globs, each with the connected agents in which it holds and the spans that it matches there.
pub(in crate::repl) fn carriers(found: &ListedCarriers) -> TextTable {
    let mut table = TextTable::with_headings(&["!carrier", ">agents", "spans"]);

    for carrier in &found.carriers {
        let spans: Vec<String> = carrier.spans.iter().map(|span| escaped(span)).collect();
        let spans = match spans.is_empty() {
            true => TableCell::quiet("none was reached yet"),
            false => spans.join(", ").into(),
        };
        // An agent that is too old to know carriers stays behind.
        let agents = format!("{}/{}", carrier.agents, found.agents);
        table.push([escaped(&carrier.glob).into(), agents.into(), spans]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend_lists::ListedCarrier;
    use crate::table::StyleMode;

    #[test]
    fn each_carrier_says_where_it_holds_and_which_spans_it_is() {
        let carrier = |glob: &str, agents, spans: &[&str]| ListedCarrier {
            glob: glob.into(),
            agents,
            spans: spans.iter().map(|span| (*span).to_owned()).collect(),
        };
        let found = ListedCarriers {
            carriers: vec![carrier("app::*", 2, &["app::a", "app::b"]), carrier("append", 1, &[])],
            agents: 2,
        };
        let lines = carriers(&found).render(80, StyleMode::Plain);
        let expected = [
            "carrier  agents  spans",
            "app::*      2/2  app::a, app::b",
            "append      1/2  none was reached yet",
        ];
        assert_eq!([&lines[0], &lines[2], &lines[3]], expected);
    }
}
