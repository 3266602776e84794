//! A table of texts, rendered as lines that fit a width.
//!
//! ```text
//! host     SUM(n)                            headings
//! ───────  ──────                            a rule
//! host-49  49,000  ████████████████████████  rows, with a bar beside one column
//! host-48  48,000  ███████████████████████▌
//! ```
//!
//! Bars are what is left out first when the table is too wide, then texts are cut, then columns are left out.

use super::column_widths::{ColumnNeeds, GAP, column_widths, line_width};
use super::paint::{StyleMode, TextRole};
use crate::terminal_text::{cut, width};
use std::ops::RangeInclusive;

/// How long the longest bar is, depending on the room. With less room there are no bars.
const BAR_COLUMNS: RangeInclusive<usize> = 6..=24;

/// Text is cut down to this width before a column on the right is left out.
const LEAST_TEXT: usize = 6;

/// On which side of its column a text stands, and whether it may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alignment {
    /// Left; cut before a column is left out.
    Left,
    /// Left; a column on the right is left out before this one is cut.
    LeftUncut,
    /// Right, for numbers; they are not cut either, as their first digits alone would mislead.
    Right,
}

/// One cell. Its text is free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableCell {
    pub(crate) text: String,
    pub(crate) style: TextRole,
}

impl TableCell {
    /// Returns a cell with secondary text.
    pub(crate) fn quiet(text: impl Into<String>) -> TableCell {
        TableCell { text: text.into(), style: TextRole::Quiet }
    }

    /// Returns a cell that a person should notice.
    pub(crate) fn warning(text: impl Into<String>) -> TableCell {
        TableCell { text: text.into(), style: TextRole::Warning }
    }
}

impl From<String> for TableCell {
    fn from(text: String) -> TableCell {
        TableCell { text, style: TextRole::Normal }
    }
}

impl From<&str> for TableCell {
    fn from(text: &str) -> TableCell {
        TableCell::from(text.to_owned())
    }
}

/// The title of a column.
#[derive(Debug, Clone)]
struct ColumnHeading {
    title: String,
    alignment: Alignment,
}

/// Bars beside one column.
#[derive(Debug, Clone)]
struct BarColumn {
    column: usize,
    /// The length of each row's bar, from 0 to 1; the rows behind the last one have none.
    shares: Vec<f64>,
}

/// Headings, rows, and bars beside one column if there are any.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextTable {
    headings: Vec<ColumnHeading>,
    rows: Vec<Vec<TableCell>>,
    bars: Option<BarColumn>,
}

impl TextTable {
    /// Returns a table without rows.
    pub(crate) fn new(headings: impl IntoIterator<Item = (String, Alignment)>) -> TextTable {
        let headings = headings.into_iter().map(|(title, alignment)| ColumnHeading { title, alignment });
        TextTable { headings: headings.collect(), ..TextTable::default() }
    }

    /// Returns a table without rows, whose headings say how their columns are aligned: `>` before a heading means
    /// [`Alignment::Right`], `!` means [`Alignment::LeftUncut`], anything else [`Alignment::Left`].
    pub(crate) fn with_headings(headings: &[&str]) -> TextTable {
        TextTable::new(headings.iter().map(|heading| match heading.split_at_checked(1) {
            Some((">", title)) => (title.to_owned(), Alignment::Right),
            Some(("!", title)) => (title.to_owned(), Alignment::LeftUncut),
            _ => ((*heading).to_owned(), Alignment::Left),
        }))
    }

    /// Adds a row; it has as many cells as there are headings.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = TableCell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Has a bar drawn beside a column for each share from 0 to 1, where there is room.
    pub(crate) fn set_bars(&mut self, column: usize, shares: Vec<f64>) {
        self.bars = Some(BarColumn { column, shares });
    }

    /// Adds a column on the right, with a cell for each row.
    pub(crate) fn append(&mut self, heading: &str, cells: impl IntoIterator<Item = TableCell>) {
        self.headings.push(ColumnHeading { title: heading.to_owned(), alignment: Alignment::Left });
        self.rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
    }

    /// Returns the width at which nothing is cut, and bars, if there are any, are long enough to compare.
    pub(crate) fn width_with_bar(&self) -> usize {
        let natural: Vec<usize> = (0..self.headings.len()).map(|column| self.needs(column).natural).collect();
        let bar = if self.bars.is_some() { GAP + BAR_COLUMNS.end() / 2 } else { 0 };
        line_width(natural.iter().copied()) + bar
    }

    /// Returns the number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the lines: headings, a rule, and one line per row, none wider than `available`.
    pub(crate) fn render(&self, available: usize, paint: StyleMode) -> Vec<String> {
        let needs: Vec<ColumnNeeds> = (0..self.headings.len()).map(|column| self.needs(column)).collect();
        let widths = column_widths(&needs, available);
        let row_lines =
            LineLayout { table: self, widths: &widths, bar: self.bar_columns(&widths, available), paint };
        let mut lines = Vec::with_capacity(self.rows.len() + 2);

        let titles: Vec<TableCell> = self
            .headings
            .iter()
            .map(|heading| TableCell { text: heading.title.clone(), style: TextRole::Strong })
            .collect();
        // The mark stands behind the last column that is drawn; the widths have left room for it.
        let mut first = row_lines.line(&titles, None);
        if widths.len() < needs.len() {
            first += &paint.style(TextRole::Quiet, "  …");
        }
        lines.push(first);

        let rules: Vec<TableCell> = widths.iter().map(|width| TableCell::quiet("─".repeat(*width))).collect();
        lines.push(row_lines.line(&rules, None));

        for (i, row) in self.rows.iter().enumerate() {
            let share = self.bars.as_ref().and_then(|bars| bars.shares.get(i).copied());
            lines.push(row_lines.line(row, share));
        }
        lines
    }

    /// Returns how wide a column is and how far it can be cut.
    fn needs(&self, column: usize) -> ColumnNeeds {
        let heading = &self.headings[column];
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(&cell.text));
        let widest_cell = cells.max().unwrap_or(0).max(1);
        let natural = widest_cell.max(width(&heading.title));

        // Only cells count for columns that are not cut: a long heading over a number may be.
        let least = match heading.alignment {
            Alignment::Left => LEAST_TEXT,
            Alignment::LeftUncut | Alignment::Right => widest_cell,
        };
        ColumnNeeds { natural, least: least.min(natural) }
    }

    /// Returns how much room the columns leave for bars. `None` if it is too little, or if columns are left out.
    fn bar_columns(&self, widths: &[usize], available: usize) -> Option<usize> {
        let bars = self.bars.as_ref()?;
        let free = available.saturating_sub(line_width(widths.iter().copied()) + GAP).min(*BAR_COLUMNS.end());
        let is_complete = widths.len() == self.headings.len();
        (is_complete && bars.column < widths.len() && free >= *BAR_COLUMNS.start()).then_some(free)
    }
}

/// The layout that all lines of a table share.
struct LineLayout<'a> {
    table: &'a TextTable,
    /// Of the columns that are drawn.
    widths: &'a [usize],
    /// The room for a bar; `None` if no bars are drawn.
    bar: Option<usize>,
    paint: StyleMode,
}

impl LineLayout<'_> {
    fn line(&self, cells: &[TableCell], share: Option<f64>) -> String {
        let mut line = String::new();
        // Blanks wait until something follows them, so that no line ends in blanks.
        let mut pending_blanks = 0;

        for (i, (cell, columns)) in cells.iter().zip(self.widths).enumerate() {
            let text = cut(&cell.text, *columns);
            let free = columns - width(&text);
            let is_right = self.table.headings[i].alignment == Alignment::Right;

            pending_blanks += if is_right { free } else { 0 };
            self.push_text(&mut line, &mut pending_blanks, &text, cell.style);
            pending_blanks += if is_right { 0 } else { free };

            if let (Some(columns), Some(bars)) = (self.bar, &self.table.bars)
                && bars.column == i
            {
                let bar = share.map(|share| bar_text(share, columns)).unwrap_or_default();
                pending_blanks += GAP;
                self.push_text(&mut line, &mut pending_blanks, &bar, TextRole::Accent);
                pending_blanks += columns - width(&bar);
            }
            pending_blanks += GAP;
        }
        line
    }

    /// Appends the blanks and the text. An empty text leaves the blanks waiting.
    fn push_text(&self, line: &mut String, pending_blanks: &mut usize, text: &str, style: TextRole) {
        if !text.is_empty() {
            line.push_str(&" ".repeat(std::mem::take(pending_blanks)));
            line.push_str(&self.paint.style(style, text));
        }
    }
}

/// Returns a bar in eighths of a character. Anything above zero is at least one eighth.
fn bar_text(share: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if share.is_nan() || share <= 0.0 {
        return String::new();
    }
    let eighths = (share.min(1.0) * (columns * 8) as f64).round().max(1.0) as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_the_smallest_share() {
        assert_eq!(bar_text(1.0, 4), "████");
        assert_eq!(bar_text(0.5, 4), "██");
        assert_eq!(bar_text(1e-9, 4), "▏");
        assert_eq!(bar_text(0.0, 4), "");
        assert_eq!(bar_text(f64::NAN, 4), "");
        assert_eq!(bar_text(f64::INFINITY, 2), "██");
    }

    #[test]
    fn bars_go_before_any_cell_is_cut() {
        let mut table = TextTable::with_headings(&["host", ">sum"]);
        table.push(["dn-1".into(), "1,000".into()]);
        table.set_bars(1, vec![1.0]);
        assert_eq!(table.render(24, StyleMode::Plain)[2], "dn-1  1,000  ███████████");
        assert_eq!(table.render(16, StyleMode::Plain)[2], "dn-1  1,000");
        assert_eq!(table.render(10, StyleMode::Plain)[..], ["host  …", "────", "dn-1"]);
    }

    #[test]
    fn colour_does_not_count_as_width() {
        let mut table = TextTable::with_headings(&["a", "b"]);
        table.push([TableCell { text: "x".into(), style: TextRole::Warning }, "y".into()]);
        assert_eq!(table.render(80, StyleMode::Ansi)[2], "\x1b[33mx\x1b[0m  y");
    }
}
