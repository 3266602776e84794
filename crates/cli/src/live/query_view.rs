//! The screen of the live table as lines of text. No terminal is touched here.
//!
//! ```text
//! query 1  1 min 5 s, 7 of 8 agents reporting, since install      ┐
//! FROM e IN T GROUP BY e.host SELECT e.host, SUM(e.n)             │ heading: title, query, warnings,
//! partial: 1 agent silent                                         ┘ problems, what is missing
//!
//! e.host   SUM(e.n)                             last 2 windows    ┐
//! ───────  ────────                                               │ body: rows with a bar for the measure
//! host-49    49,000  ████████████████████████   ▃█                │ and, if they fit, sparklines
//! + 49 more                                                       ┘
//!
//! q stop   w last window   x expanded                               footer: the keys
//! ```

use super::measure_column::MeasureColumn;
use super::trend::{MeasureHistory, WINDOWS};
use crate::frame_reader::AwayReason;
use crate::frontend_lists::ListedQuery;
use crate::humanize;
use crate::humanize::{clock, count, elapsed};
use crate::outside_notices::outside_notices;
use crate::result_frame::{FrameColumn, FrameCompleteness, FrameOrder, FrameRow, ResultFrame};
use crate::ruled_out::{count_ruled_out, ruled_out};
use crate::table::{GAP, StyleMode, TableCell, TextRole, TextTable, expanded_rows, result_table};
use crate::terminal::TerminalSize;
use crate::terminal_text;
use crate::terminal_text::{cut, escaped};
use std::cmp::Ordering;
use std::time::Duration;

/// How many problems the heading shows.
const MAX_PROBLEMS: usize = 3;

/// The rows that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShownSpan {
    SinceInstall,
    LastWindow,
}

/// Whether the rows of a result are drawn as a table, or expanded to one line for each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowLayout {
    /// A line per row.
    Table,
    /// A line per value, in a block per row.
    Expanded,
}

impl RowLayout {
    /// Returns the other mode.
    pub(crate) fn toggled(self) -> RowLayout {
        match self {
            RowLayout::Table => RowLayout::Expanded,
            RowLayout::Expanded => RowLayout::Table,
        }
    }
}

/// Everything that is known about a query that is being watched.
#[derive(Debug, Clone)]
pub(crate) struct QueryView {
    /// The number of the query.
    pub(crate) query: u32,
    /// The text of the query.
    pub(crate) text: String,
    /// The warnings of the compiler.
    pub(crate) warnings: Vec<String>,
    pub(crate) columns: Vec<FrameColumn>,
    pub(crate) scope: ShownSpan,
    pub(crate) layout: RowLayout,
    /// How the frontend saw the query last; `None` until it was asked, or once the query is gone.
    pub(crate) status: Option<ListedQuery>,
    /// Why the frontend is away, so that the results stand still; `None` if it is there.
    pub(crate) away: Option<AwayReason>,
    /// The column with the bars, known from the first frame on.
    measure: Option<MeasureColumn>,
    /// The newest frame. It has the result since install, if need be from the frame before.
    newest: Option<ResultFrame>,
    /// The frame with the newest window; a revision of an older window is not one.
    window: Option<ResultFrame>,
    trend: MeasureHistory,
    /// How many windows the frontend left out because they are large and newer ones were there.
    skipped_windows: u64,
}

impl QueryView {
    /// Returns the view of a query of which nothing has come yet.
    pub(crate) fn new(query: u32, text: &str) -> QueryView {
        QueryView {
            query,
            text: text.to_owned(),
            warnings: Vec::new(),
            columns: Vec::new(),
            scope: ShownSpan::SinceInstall,
            layout: RowLayout::Table,
            status: None,
            away: None,
            measure: None,
            newest: None,
            window: None,
            trend: MeasureHistory::default(),
            skipped_windows: 0,
        }
    }

    /// Takes in a frame. A revision of an older window changes the result since install and the sparklines only.
    pub(crate) fn add_frame(&mut self, mut frame: ResultFrame) {
        // The end of a stream may come without columns, which says nothing about the earlier ones.
        if !frame.columns.is_empty() {
            self.columns.clone_from(&frame.columns);
            self.measure = MeasureColumn::find(&frame.columns, frame.order);
        }

        if frame.has_window() {
            if let Some(measure) = &self.measure {
                self.trend.record(&frame, measure);
            }
            if self.window.as_ref().is_none_or(|window| frame.start_ns >= window.start_ns) {
                self.window = Some(frame.clone());
            }
        }

        if let Some(earlier) = self.newest.take() {
            self.skipped_windows += frame.missing_since(earlier.sequence);
            frame.inherit_cumulative(earlier);
        }
        self.newest = Some(frame);
    }

    /// Whether the query has ended because its client was not heard of.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.is_abandoned)
    }

    /// Switches between the rows since install and those of the last window.
    pub(crate) fn toggle_scope(&mut self) {
        self.scope = match self.scope {
            ShownSpan::SinceInstall => ShownSpan::LastWindow,
            ShownSpan::LastWindow => ShownSpan::SinceInstall,
        };
    }

    /// Returns a whole screen, no line of it wider and not more of them than `size` allows. `running` is how long
    /// the query has been installed.
    pub(crate) fn screen(&self, running: Duration, size: TerminalSize, paint: StyleMode) -> Vec<String> {
        let mut lines = self.heading(running, size.columns, paint);

        // Below the body stand a blank line and the footer.
        let body_lines = size.rows.saturating_sub(lines.len() + 2);
        lines.extend(self.body(size.columns, body_lines, paint));

        lines.push(String::new());
        lines.push(paint.style(TextRole::Quiet, &cut(&self.footer(), size.columns)));

        // On a screen too low for everything, the title and the first rows matter most.
        lines.truncate(size.rows);
        lines
    }

    /// Returns title, query, warnings, problems and what is missing, then a blank line.
    pub(crate) fn heading(&self, running: Duration, columns: usize, paint: StyleMode) -> Vec<String> {
        let title = format!("query {}", self.query);
        let facts = format!("  {}{}", elapsed(running), self.facts());
        let facts = cut(&facts, columns.saturating_sub(title.len()));
        let mut lines = vec![format!("{}{facts}", paint.style(TextRole::Strong, &title))];

        let one_line = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.push(paint.style(TextRole::Quiet, &cut(&escaped(&one_line), columns)));

        let mut remarks: Vec<String> = self.warnings.iter().map(|text| format!("warning: {text}")).collect();
        remarks.extend(self.away.map(|reason| reason.notice().to_owned()));
        let problems = self.status.iter().flat_map(|status| &status.problems).take(MAX_PROBLEMS);
        remarks.extend(problems.map(|problem| format!("problem on {}: {}", problem.agent, problem.message)));
        let missing = self.completeness().map(|found| found.missing()).unwrap_or_default();
        if !missing.is_empty() {
            remarks.push(format!("partial: {missing}"));
        }
        let notes = self.completeness().map(|found| found.notes()).unwrap_or_default();
        if !notes.is_empty() {
            remarks.push(format!("note: {notes}"));
        }
        remarks.extend(self.outside_notices());
        // Messages of agents may hold anything, also control characters.
        lines
            .extend(remarks.iter().map(|text| paint.style(TextRole::Warning, &cut(&escaped(text), columns))));

        lines.push(String::new());
        lines
    }

    /// Returns which agents report, which rows are shown, and whether windows were skipped, each after a comma.
    fn facts(&self) -> String {
        let agents = match self.completeness() {
            Some(found) => {
                let expected = count(found.agents_expected.into(), "agent");
                format!(", {} of {expected} reporting", found.agents_reporting)
            }
            None => String::new(),
        };

        let scope = match (self.scope, &self.window) {
            (ShownSpan::SinceInstall, _) => ", since install".to_owned(),
            (ShownSpan::LastWindow, Some(window)) => {
                format!(", window {} to {} UTC", clock(window.start_ns), clock(window.end_ns))
            }
            (ShownSpan::LastWindow, None) => ", last window".to_owned(),
        };

        // Skipped windows are in the result since install, but neither in the sparklines nor on any screen.
        let skipped = match self.skipped_windows {
            0 => String::new(),
            skipped => format!(", {} skipped", count(skipped, "window")),
        };
        let covered = match self.completeness().map(|found| found.covered_part()).unwrap_or_default() {
            covered if covered.is_empty() => covered,
            covered => format!(", {covered}"),
        };
        format!("{agents}{scope}{covered}{skipped}")
    }

    /// Returns the keys and what they do now.
    fn footer(&self) -> String {
        let scope = match self.scope {
            ShownSpan::SinceInstall => "w last window",
            ShownSpan::LastWindow => "w since install",
        };
        let layout = match self.layout {
            RowLayout::Table => "x expanded",
            RowLayout::Expanded => "x table",
        };
        format!("q stop   {scope}   {layout}")
    }

    /// Returns what the rows in scope lack, or `None` before the first frame.
    fn completeness(&self) -> Option<FrameCompleteness> {
        match self.scope {
            ShownSpan::SinceInstall => self.newest.as_ref().map(|frame| frame.cumulative_completeness),
            ShownSpan::LastWindow => self.window.as_ref().map(|frame| frame.completeness),
        }
    }

    /// Returns where events of the rows in scope ran that had no request.
    fn outside_notices(&self) -> Vec<String> {
        match self.scope {
            ShownSpan::SinceInstall => self
                .newest
                .as_ref()
                .map(|frame| outside_notices(&frame.cumulative_completeness.loss, &frame.cumulative_outside)),
            ShownSpan::LastWindow => self.window.as_ref().map(ResultFrame::outside_notices),
        }
        .unwrap_or_default()
    }

    /// Returns the rows in scope: in the order of the query if it has one, else those with the largest measure
    /// first.
    fn rows_in_order(&self) -> Vec<&FrameRow> {
        let rows = match self.scope {
            ShownSpan::SinceInstall => self.newest.as_ref().map(|frame| &frame.cumulative),
            ShownSpan::LastWindow => self.window.as_ref().map(|frame| &frame.rows),
        };
        let mut rows: Vec<&FrameRow> = rows.into_iter().flatten().collect();

        // The sort is stable: groups of one size stay in the order of the frontend.
        if let Some(MeasureColumn { column, order: FrameOrder::Unspecified, .. }) = self.measure {
            rows.sort_by(|a, b| match (b.get(column), a.get(column)) {
                (Some(b), Some(a)) => b.total_cmp(a),
                _ => Ordering::Equal,
            });
        }
        rows
    }

    /// Returns the row of the groups for which there was no room, if the rows in scope have one.
    fn other_row(&self) -> Option<&FrameRow> {
        match self.scope {
            ShownSpan::SinceInstall => self.newest.as_ref()?.cumulative_other.as_ref(),
            ShownSpan::LastWindow => self.window.as_ref()?.other.as_ref(),
        }
    }

    /// Returns the rows in at most `lines` lines, the last of which says how many rows do not fit. Without rows it
    /// returns one line that says what the query is waiting for.
    pub(crate) fn body(&self, columns: usize, lines: usize, paint: StyleMode) -> Vec<String> {
        let (rows, other) = (self.rows_in_order(), self.other_row());
        if rows.is_empty() && other.is_none() {
            let reason = match &self.status {
                Some(status) => waiting(status),
                None => "waiting for the first window".to_owned(),
            };
            return vec![cut(&reason, columns)];
        }

        let (heading_lines, lines_per_row) = match self.layout {
            RowLayout::Table => (2, 1),
            RowLayout::Expanded => (0, self.columns.len() + 1),
        };
        let other_lines = if other.is_some() { lines_per_row } else { 0 };

        // Only if rows are left out, a line is taken from them to say so.
        let row_lines = lines.saturating_sub(heading_lines + other_lines);
        let fitting = match row_lines / lines_per_row {
            fitting if fitting >= rows.len() => rows.len(),
            _ => row_lines.saturating_sub(1) / lines_per_row,
        };
        let shown: Vec<FrameRow> = rows.iter().take(fitting).map(|row| (*row).clone()).collect();

        let mut out = match self.layout {
            RowLayout::Table => self.table(&shown, other, columns).render(columns, paint),
            RowLayout::Expanded => expanded_rows(&self.columns, &shown, other, columns, paint),
        };

        // The other groups stay last: "more" counts rows that have a group of their own.
        if rows.len() > fitting {
            let more = format!("+ {} more", humanize::grouped(&(rows.len() - fitting).to_string()));
            let position = out.len() - other_lines;
            out.insert(position, paint.style(TextRole::Quiet, &cut(&more, columns)));
        }
        out
    }

    /// Returns the rows with a bar for the measure, and with sparklines if there is room for all of them.
    fn table(&self, rows: &[FrameRow], other: Option<&FrameRow>, columns: usize) -> TextTable {
        let barred_column = self.measure.as_ref().map(|measure| measure.column);
        let mut table = result_table(&self.columns, rows, other, barred_column);

        // One window alone is no trend.
        let Some(measure) = self.measure.as_ref().filter(|_| self.trend.windows() > 1) else { return table };

        let heading = format!("last {}", count(self.trend.windows() as u64, "window"));
        // Room is kept for a full sparkline from the start, so that the column does not go away later.
        let sparkline_width = terminal_text::width(&heading).max(WINDOWS);
        if table.width_with_bar() + GAP + sparkline_width <= columns {
            let sparklines = rows.iter().map(|row| self.trend.sparkline(row, measure));
            table.append(&heading, sparklines.map(|text| TableCell { text, style: TextRole::Accent }));
        }
        table
    }
}

/// Returns why a query has no rows yet, as far as the frontend knows.
pub(crate) fn waiting(status: &ListedQuery) -> String {
    if !status.pending.is_empty() {
        return format!("no connected agent exports {}", status.pending.join(", "));
    }
    if status.agents_woven == 0 {
        return "waiting for an agent to weave it".to_owned();
    }
    if status.rows_emitted > 0 {
        return format!("{} emitted, their window is still open", count(status.rows_emitted, "row"));
    }

    // Where constants rule it out, no event is to come.
    let woven = u64::from(status.agents_woven).saturating_sub(count_ruled_out(status));
    let mut reasons = outside_notices(&status.loss, &status.outside);
    if woven > 0 && reasons.is_empty() {
        reasons.push(format!("woven in {}, no event yet", count(woven, "agent")));
    }
    reasons.extend(ruled_out(status));
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend_lists::QueryOnAgent;
    use crate::terminal_text::width;
    use pivot_advice::{LossCounts, QueryState, RuledOutTracepoints, Type, Value};
    use pivot_protocol::wire::column::Role;

    fn view(rows: i64) -> QueryView {
        let mut view = QueryView::new(1, "FROM e IN T\n  GROUP BY e.host SELECT e.host, SUM(e.n)");
        view.add_frame(frame(rows));
        view
    }

    fn frame(rows: i64) -> ResultFrame {
        let key = FrameColumn { role: Role::Key, ..FrameColumn::exact("e.host", Type::String) };
        let measure = FrameColumn { role: Role::Measure, ..FrameColumn::exact("SUM(e.n)", Type::I64) };
        let cumulative =
            (0..rows).map(|i| vec![Value::str(format!("host-{i}")), Value::I64(i * 1_000)].into()).collect();
        ResultFrame {
            query: 1,
            end_ns: 1,
            columns: vec![key, measure],
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
                for layout in [RowLayout::Table, RowLayout::Expanded] {
                    let view = QueryView { layout, ..view(50) };
                    let lines = view.screen(
                        Duration::from_secs(65),
                        TerminalSize { columns, rows },
                        StyleMode::Plain,
                    );
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
        let lines = view(50).screen(
            Duration::from_secs(65),
            TerminalSize { columns: 60, rows: 12 },
            StyleMode::Plain,
        );
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
        view.add_frame(ResultFrame { sequence: 1, ..frame(50) });
        view.add_frame(ResultFrame { sequence: 5, without_cumulative: true, ..frame(0) });
        let lines =
            view.screen(Duration::from_secs(65), TerminalSize { columns: 90, rows: 12 }, StyleMode::Plain);
        assert_eq!(lines[0], "query 1  1 min 5 s, 7 of 8 agents reporting, since install, 3 windows skipped");
        assert!(lines[6].starts_with("host-49    49,000"), "{lines:#?}");
    }

    #[test]
    fn a_sparkline_follows_each_row_where_there_is_room() {
        let mut view = view(2);
        for second in 1..=3 {
            let row = vec![Value::str("host-1"), Value::I64(second * 10)];
            view.add_frame(ResultFrame {
                start_ns: second,
                end_ns: second + 1,
                rows: vec![row.into()],
                ..frame(2)
            });
        }
        let body = view.body(70, 9, StyleMode::Plain);
        assert_eq!(body[0], "e.host  SUM(e.n)                            last 4 windows");
        assert_eq!(body[2], "host-1     1,000  ████████████████████████   ▃▆█");
        let body = view.body(40, 9, StyleMode::Plain);
        assert_eq!(body[2], "host-1     1,000  ██████████████████████");
    }

    #[test]
    fn rows_that_the_query_orders_keep_their_order() {
        let mut view = view(3);
        view.add_frame(ResultFrame { order: FrameOrder::ByQuery, ..frame(3) });
        let body = view.body(30, 9, StyleMode::Plain);
        let hosts: Vec<&str> = body[2..].iter().map(|line| &line[..6]).collect();
        assert_eq!(hosts, ["host-0", "host-1", "host-2"]);
    }

    #[test]
    fn without_rows_it_says_what_it_is_waiting_for() {
        let check = |status: ListedQuery, expected: &str| assert_eq!(waiting(&status), expected);
        let query = ListedQuery::default();
        check(ListedQuery { pending: vec!["T".into()], ..query.clone() }, "no connected agent exports T");
        check(ListedQuery { agents_woven: 3, ..query.clone() }, "woven in 3 agents, no event yet");
        let ruled_out = RuledOutTracepoints {
            condition: "process = 'nobody'".into(),
            values: vec!["api".into()],
            ..Default::default()
        };
        let agent = QueryOnAgent {
            state: Some(QueryState::RuledOut),
            ruled_out: vec![ruled_out],
            ..Default::default()
        };
        check(
            ListedQuery { agents_woven: 1, agents: vec![agent], ..query.clone() },
            "ruled out in 1 of 1 agent: process = 'nobody'; there is: api",
        );
        let loss = LossCounts { without_request: 9, ..LossCounts::default() };
        check(ListedQuery { agents_woven: 1, loss, ..query.clone() }, "9 rows had no request");
        check(query, "waiting for an agent to weave it");
    }
}
