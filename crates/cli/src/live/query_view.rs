//! What the live table shows, as lines of text. No terminal is touched here.

use super::measure::{Measure, RowOrder};
use super::trend::{Trend, WINDOWS};
use crate::result_frame::{FrameColumn, FrameRow, ResultFrame};
use crate::table::{GAP, Paint, TableCell, TextStyle, TextTable, expanded, of_rows};
use crate::text::{self, clock, count, cut, elapsed, escaped};
use pivot_protocol::wire;
use std::time::Duration;

/// Which rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowScope {
    SinceInstall,
    LastWindow,
}

/// How rows are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowLayout {
    Table,
    Expanded,
}

impl RowLayout {
    /// The other one.
    pub(crate) fn other(self) -> RowLayout {
        match self {
            RowLayout::Table => RowLayout::Expanded,
            RowLayout::Expanded => RowLayout::Table,
        }
    }
}

/// All that is known about a query that is being watched.
#[derive(Debug, Clone)]
pub(crate) struct QueryView {
    pub(crate) query: u32,
    pub(crate) text: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) columns: Vec<FrameColumn>,
    pub(crate) measure: Option<Measure>,
    pub(crate) shown: RowScope,
    pub(crate) form: RowLayout,
    pub(crate) status: Option<wire::Query>,
    /// The newest frame: the result since install is in it.
    pub(crate) newest: Option<ResultFrame>,
    /// The newest window.
    pub(crate) window: Option<ResultFrame>,
    trend: Trend,
    /// How many windows were left out because they are large and newer ones were there.
    skipped: u64,
}

impl QueryView {
    /// A query of which nothing is known yet.
    pub(crate) fn new(query: u32, text: &str) -> QueryView {
        QueryView {
            query,
            text: text.to_owned(),
            warnings: Vec::new(),
            columns: Vec::new(),
            measure: None,
            shown: RowScope::SinceInstall,
            form: RowLayout::Table,
            status: None,
            newest: None,
            window: None,
            trend: Trend::default(),
            skipped: 0,
        }
    }

    /// Takes in a frame. A revision of an older window only renews the result since install.
    pub(crate) fn take(&mut self, mut frame: ResultFrame) {
        if !frame.columns.is_empty() {
            self.columns.clone_from(&frame.columns);
        }
        if let Some(measure) = self.measure.as_ref().filter(|_| frame.has_window()) {
            self.trend.take(&frame, measure);
        }
        let newer = self.window.as_ref().is_none_or(|window| frame.start_ns >= window.start_ns);
        if frame.has_window() && newer {
            self.window = Some(frame.clone());
        }
        if let Some(before) = self.newest.take() {
            self.skipped += frame.missing_since(before.sequence);
            frame.inherit(before);
        }
        self.newest = Some(frame);
    }

    /// Shows the other rows.
    pub(crate) fn toggle_scope(&mut self) {
        self.shown = match self.shown {
            RowScope::SinceInstall => RowScope::LastWindow,
            RowScope::LastWindow => RowScope::SinceInstall,
        };
    }

    /// A screen full: title, what is wrong, the table, a footer at the end.
    pub(crate) fn screen(&self, running: Duration, columns: usize, rows: usize, paint: Paint) -> Vec<String> {
        let mut lines = self.heading(running, columns, paint);
        let footer = self.footer();
        // A blank line, the footer, and the line for rows that do not fit.
        let left = rows.saturating_sub(lines.len() + 2);
        lines.extend(self.body(columns, left, paint));
        lines.push(String::new());
        lines.push(paint.style(TextStyle::Quiet, &cut(&footer, columns)));
        // On a screen too low for everything, the title and the first rows matter most.
        lines.truncate(rows);
        lines
    }

    /// Title, query, warnings and what is missing, then a blank line.
    pub(crate) fn heading(&self, running: Duration, columns: usize, paint: Paint) -> Vec<String> {
        let title = format!("query {}", self.query);
        let facts =
            cut(&format!("  {}{}", elapsed(running), self.facts()), columns.saturating_sub(title.len()));
        let mut lines = vec![format!("{}{facts}", paint.style(TextStyle::Strong, &title))];
        let text = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.push(paint.style(TextStyle::Quiet, &cut(&escaped(&text), columns)));
        let warning = |text: &str| paint.style(TextStyle::Warning, &cut(&escaped(text), columns));
        lines.extend(self.warnings.iter().map(|text| warning(&format!("warning: {text}"))));
        let problems = self.status.iter().flat_map(|status| &status.problems);
        lines.extend(
            problems.take(3).map(|found| warning(&format!("problem on {}: {}", found.agent, found.message))),
        );
        let missing = self.completeness().map(|found| found.missing()).unwrap_or_default();
        if !missing.is_empty() {
            lines.push(warning(&format!("partial: {missing}")));
        }
        lines.push(String::new());
        lines
    }

    fn facts(&self) -> String {
        let agents = match self.completeness() {
            Some(found) => format!(
                ", {} of {} reporting",
                found.agents_reporting,
                count(found.agents_expected.into(), "agent")
            ),
            None => String::new(),
        };
        let shown = match (self.shown, &self.window) {
            (RowScope::SinceInstall, _) => ", since install".to_owned(),
            (RowScope::LastWindow, Some(window)) => {
                format!(", window {} to {} UTC", clock(window.start_ns), clock(window.end_ns))
            }
            (RowScope::LastWindow, None) => ", last window".to_owned(),
        };
        let skipped = match self.skipped {
            0 => String::new(),
            skipped => format!(", {} skipped", count(skipped, "window")),
        };
        format!("{agents}{shown}{skipped}")
    }

    fn footer(&self) -> String {
        let shown = match self.shown {
            RowScope::SinceInstall => "w last window",
            RowScope::LastWindow => "w since install",
        };
        let form = match self.form {
            RowLayout::Table => "x expanded",
            RowLayout::Expanded => "x table",
        };
        format!("q stop   {shown}   {form}")
    }

    fn completeness(&self) -> Option<crate::result_frame::FrameCompleteness> {
        match self.shown {
            RowScope::SinceInstall => self.newest.as_ref().map(|frame| frame.cumulative_completeness),
            RowScope::LastWindow => self.window.as_ref().map(|frame| frame.completeness),
        }
    }

    /// The rows that are shown, those with the largest measure first if there is one.
    fn ranked(&self) -> Vec<&FrameRow> {
        let rows = match self.shown {
            RowScope::SinceInstall => self.newest.as_ref().map(|frame| &frame.cumulative),
            RowScope::LastWindow => self.window.as_ref().map(|frame| &frame.rows),
        };
        let mut rows: Vec<&FrameRow> = rows.into_iter().flatten().collect();
        if let Some(Measure { column, order: RowOrder::Size, .. }) = self.measure {
            rows.sort_by(|a, b| match (b.get(column), a.get(column)) {
                (Some(b), Some(a)) => b.total_cmp(a),
                _ => std::cmp::Ordering::Equal,
            });
        }
        rows
    }

    /// The rows that have no group of their own.
    fn other(&self) -> Option<&FrameRow> {
        match self.shown {
            RowScope::SinceInstall => self.newest.as_ref()?.cumulative_other.as_ref(),
            RowScope::LastWindow => self.window.as_ref()?.other.as_ref(),
        }
    }

    /// The rows in at most so many lines, with the number of those that do not fit.
    pub(crate) fn body(&self, columns: usize, lines: usize, paint: Paint) -> Vec<String> {
        let (rows, other) = (self.ranked(), self.other());
        if rows.is_empty() && other.is_none() {
            let why = self.status.as_ref().map_or_else(|| "waiting for the first window".to_owned(), waiting);
            return vec![cut(&why, columns)];
        }
        let height = match self.form {
            RowLayout::Table => 1,
            RowLayout::Expanded => self.columns.len() + 1,
        };
        let heading = if self.form == RowLayout::Table { 2 } else { 0 };
        let lines = lines.saturating_sub(if other.is_some() { height } else { 0 });
        let fitting = lines.saturating_sub(heading) / height;
        let fitting =
            if fitting >= rows.len() { rows.len() } else { lines.saturating_sub(heading + 1) / height };
        let top: Vec<FrameRow> = rows.iter().take(fitting).map(|row| (*row).clone()).collect();
        let mut out = match self.form {
            RowLayout::Table => self.table(&top, other, columns).render(columns, paint),
            RowLayout::Expanded => expanded(&self.columns, &top, other, columns, paint),
        };
        if rows.len() > fitting {
            let more = crate::text::grouped(&(rows.len() - fitting).to_string());
            let last = out.len() - if other.is_some() { height } else { 0 };
            out.insert(last, paint.style(TextStyle::Quiet, &cut(&format!("+ {more} more"), columns)));
        }
        out
    }
}

impl QueryView {
    /// The rows with a bar for the measure, and a sparkline if there is room for it too.
    fn table(&self, rows: &[FrameRow], other: Option<&FrameRow>, columns: usize) -> TextTable {
        let measure = self.measure.as_ref().map(|measure| measure.column);
        let mut table = of_rows(&self.columns, rows, other, measure);
        let Some(measure) = self.measure.as_ref().filter(|_| self.trend.len() > 1) else { return table };
        let heading = format!("last {}", count(self.trend.len() as u64, "window"));
        if table.width_with_bar() + GAP + text::width(&heading).max(WINDOWS) <= columns {
            let lines = rows.iter().map(|row| self.trend.of(row, measure));
            table.append(&heading, lines.map(|text| TableCell { text, style: TextStyle::Accent }));
        }
        table
    }
}

/// Why a query has no rows yet.
pub(crate) fn waiting(status: &wire::Query) -> String {
    match (status.pending.as_slice(), status.agents_woven) {
        ([], 0) => "waiting for an agent to weave it".to_owned(),
        ([], woven) if status.rows_emitted == 0 => {
            format!("woven in {}, no event yet", count(woven.into(), "agent"))
        }
        ([], _) => format!("{} emitted, their window is still open", count(status.rows_emitted, "row")),
        (pending, _) => format!("no connected agent exports {}", pending.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result_frame::FrameCompleteness;
    use crate::text::width;
    use pivot_advice::{Type, Value};

    fn view(rows: i64) -> QueryView {
        let mut view = QueryView::new(1, "FROM e IN T\n  GROUP BY e.host SELECT e.host, SUM(e.n)");
        view.measure = Some(Measure { column: 1, keys: vec![0], order: RowOrder::Size });
        view.take(frame(rows));
        view
    }

    fn frame(rows: i64) -> ResultFrame {
        let column = |name: &str, ty| FrameColumn::exact(name, ty);
        let cumulative =
            (0..rows).map(|i| vec![Value::str(format!("host-{i}")), Value::I64(i * 1_000)].into()).collect();
        ResultFrame {
            query: 1,
            end_ns: 1,
            columns: vec![column("e.host", Type::String), column("SUM(e.n)", Type::I64)],
            cumulative,
            cumulative_completeness: FrameCompleteness {
                agents_reporting: 7,
                agents_expected: 8,
                partial: true,
                ..Default::default()
            },
            ..ResultFrame::default()
        }
    }

    #[test]
    fn the_screen_fits_any_terminal() {
        for columns in [1, 10, 40, 80, 300] {
            for rows in [1, 3, 8, 24] {
                for form in [RowLayout::Table, RowLayout::Expanded] {
                    let view = QueryView { form, ..view(50) };
                    let lines = view.screen(Duration::from_secs(65), columns, rows, Paint::Plain);
                    assert!(lines.len() <= rows, "{rows} rows: {lines:#?}");
                    assert!(
                        lines.iter().all(|line| width(line) <= columns.max(7)),
                        "{columns} columns: {lines:#?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_largest_rows_stand_first_and_the_others_are_counted() {
        let lines = view(50).screen(Duration::from_secs(65), 60, 12, Paint::Plain);
        let expected = [
            "query 1  1 min 5 s, 7 of 8 agents reporting, since install",
            "FROM e IN T GROUP BY e.host SELECT e.host, SUM(e.n)",
            "partial: 1 agent silent",
            "",
            "e.host   SUM(e.n)",
            "───────  ────────",
            "host-49    49,000  ████████████████████████",
            "host-48    48,000  ███████████████████████▌",
            "host-47    47,000  ███████████████████████",
            "+ 47 more",
            "",
            "q stop   w last window   x expanded",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn skipped_windows_are_counted_and_what_was_left_out_stays() {
        let mut view = view(50);
        view.take(ResultFrame { sequence: 1, ..frame(50) });
        view.take(ResultFrame { sequence: 5, without_cumulative: true, ..frame(0) });
        let lines = view.screen(Duration::from_secs(65), 90, 12, Paint::Plain);
        assert_eq!(lines[0], "query 1  1 min 5 s, 7 of 8 agents reporting, since install, 3 windows skipped");
        assert!(lines[6].starts_with("host-49    49,000"), "{lines:#?}");
    }

    #[test]
    fn a_sparkline_follows_each_row_where_there_is_room() {
        let mut view = view(2);
        for second in 1..=3 {
            let row = vec![Value::str("host-1"), Value::I64(second * 10)];
            view.take(ResultFrame {
                start_ns: second,
                end_ns: second + 1,
                rows: vec![row.into()],
                ..frame(2)
            });
        }
        let body = view.body(70, 9, Paint::Plain);
        assert_eq!(body[0], "e.host  SUM(e.n)                            last 4 windows");
        assert_eq!(body[2], "host-1     1,000  ████████████████████████   ▃▆█");
        let body = view.body(40, 9, Paint::Plain);
        assert_eq!(body[2], "host-1     1,000  ██████████████████████");
    }

    #[test]
    fn rows_that_the_query_orders_keep_their_order() {
        let mut view = view(3);
        view.measure = Some(Measure { column: 1, keys: vec![0], order: RowOrder::Query });
        let body = view.body(30, 9, Paint::Plain);
        let hosts: Vec<&str> = body[2..].iter().map(|line| &line[..6]).collect();
        assert_eq!(hosts, ["host-0", "host-1", "host-2"]);
    }

    #[test]
    fn without_rows_it_says_what_it_is_waiting_for() {
        let check = |status: wire::Query, expected: &str| assert_eq!(waiting(&status), expected);
        let query = wire::Query::default();
        check(wire::Query { pending: vec!["T".into()], ..query.clone() }, "no connected agent exports T");
        check(wire::Query { agents_woven: 3, ..query.clone() }, "woven in 3 agents, no event yet");
        check(query, "waiting for an agent to weave it");
    }
}
