//! A table as lines of text that fit a width.

use super::column_widths::{ColumnNeeds, GAP, total, widths};
use super::paint::{Paint, TextStyle};
use crate::text::{cut, width};

/// Bars are drawn only if they get so many columns, and take at most so many.
const BAR: std::ops::RangeInclusive<usize> = 6..=24;

/// Text is cut down to so many columns before a column on the right is left out.
const LEAST: usize = 6;

/// On which side of its column a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alignment {
    Left,
    /// Left, and not cut while another column can be.
    LeftWhole,
    Right,
}

/// One cell; its text is free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableCell {
    pub(crate) text: String,
    pub(crate) style: TextStyle,
}

impl From<String> for TableCell {
    fn from(text: String) -> TableCell {
        TableCell { text, style: TextStyle::Normal }
    }
}

impl From<&str> for TableCell {
    fn from(text: &str) -> TableCell {
        TableCell::from(text.to_owned())
    }
}

/// Headings, rows, and shares to be drawn as bars beside one column.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextTable {
    headings: Vec<(String, Alignment)>,
    rows: Vec<Vec<TableCell>>,
    bar: Option<(usize, Vec<f64>)>,
}

impl TextTable {
    /// A table without rows.
    pub(crate) fn new(headings: impl IntoIterator<Item = (String, Alignment)>) -> TextTable {
        TextTable { headings: headings.into_iter().collect(), ..TextTable::default() }
    }

    /// A table of texts, with `>` before the headings of columns that are aligned right and `!`
    /// before those of texts that are not cut while another can be.
    pub(crate) fn with_headings(headings: &[&str]) -> TextTable {
        let heading = |heading: &&str| match heading.split_at_checked(1) {
            Some((">", heading)) => (heading.to_owned(), Alignment::Right),
            Some(("!", heading)) => (heading.to_owned(), Alignment::LeftWhole),
            _ => ((*heading).to_owned(), Alignment::Left),
        };
        TextTable::new(headings.iter().map(heading))
    }

    /// Adds a row; it has as many cells as there are headings.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = TableCell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Draws the share of each row, from 0 to 1, beside a column where there is room.
    pub(crate) fn bars(&mut self, column: usize, shares: Vec<f64>) {
        self.bar = Some((column, shares));
    }

    /// Adds a column on the right, with a cell for each row.
    pub(crate) fn append(&mut self, heading: &str, cells: impl IntoIterator<Item = TableCell>) {
        self.headings.push((heading.to_owned(), Alignment::Left));
        self.rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
    }

    /// The width at which nothing is cut, and bars, if there are any, are long enough to compare.
    pub(crate) fn width_with_bar(&self) -> usize {
        let natural: Vec<usize> = (0..self.headings.len()).map(|column| self.needs(column).natural).collect();
        let bar = if self.bar.is_some() { GAP + BAR.end() / 2 } else { 0 };
        total(natural.iter().copied()) + bar
    }

    /// How many rows it has.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The lines: headings, a rule, and one line per row, none wider than `available`.
    pub(crate) fn render(&self, available: usize, paint: Paint) -> Vec<String> {
        let needs: Vec<ColumnNeeds> = (0..self.headings.len()).map(|column| self.needs(column)).collect();
        let widths = widths(&needs, available);
        let bar = self.bar_width(&widths, available);
        let mut lines = Vec::with_capacity(self.rows.len() + 2);
        let headings = self
            .headings
            .iter()
            .map(|(title, _)| TableCell { text: title.clone(), style: TextStyle::Strong });
        let more =
            if widths.len() < needs.len() { paint.style(TextStyle::Quiet, "  …") } else { String::new() };
        lines.push(self.line(&headings.collect::<Vec<_>>(), &widths, None, bar, paint) + &more);
        let rules =
            widths.iter().map(|width| TableCell { text: "─".repeat(*width), style: TextStyle::Quiet });
        lines.push(self.line(&rules.collect::<Vec<_>>(), &widths, None, bar, paint));
        for (i, row) in self.rows.iter().enumerate() {
            let share = self.bar.as_ref().and_then(|(_, shares)| shares.get(i).copied());
            lines.push(self.line(row, &widths, share, bar, paint));
        }
        lines
    }

    /// Numbers are not cut while a heading or a text can be: their first digits alone say nothing.
    fn needs(&self, column: usize) -> ColumnNeeds {
        let (heading, align) = &self.headings[column];
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(&cell.text));
        let cells = cells.max().unwrap_or(0).max(1);
        let natural = cells.max(width(heading));
        let least = if *align == Alignment::Left { LEAST } else { cells };
        ColumnNeeds { natural, least: least.min(natural) }
    }

    /// What the columns leave for bars; none if that is too little, or columns are left out.
    fn bar_width(&self, widths: &[usize], available: usize) -> Option<usize> {
        let (column, _) = self.bar.as_ref()?;
        let left = available.saturating_sub(total(widths.iter().copied()) + GAP).min(*BAR.end());
        let whole = widths.len() == self.headings.len();
        (whole && *column < widths.len() && left >= *BAR.start()).then_some(left)
    }

    fn line(
        &self,
        cells: &[TableCell],
        widths: &[usize],
        share: Option<f64>,
        bar: Option<usize>,
        paint: Paint,
    ) -> String {
        let mut line = String::new();
        // Blanks are owed until something follows them, so that no line ends in blanks.
        let mut owed = 0;
        for (i, (cell, columns)) in cells.iter().zip(widths).enumerate() {
            let text = cut(&cell.text, *columns);
            let free = columns - width(&text);
            let right = self.headings[i].1 == Alignment::Right;
            owed += if right { free } else { 0 };
            if !text.is_empty() {
                line.push_str(&" ".repeat(std::mem::take(&mut owed)));
                line.push_str(&paint.style(cell.style, &text));
            }
            owed += if right { 0 } else { free };
            if let (Some(columns), Some((barred, _))) = (bar, &self.bar)
                && *barred == i
            {
                let drawn = share.map(|share| bar_of(share, columns)).unwrap_or_default();
                owed += GAP;
                if !drawn.is_empty() {
                    line.push_str(&" ".repeat(std::mem::take(&mut owed)));
                }
                line.push_str(&paint.style(TextStyle::Accent, &drawn));
                owed += columns - width(&drawn);
            }
            owed += GAP;
        }
        line
    }
}

/// A bar in eighths of a column; what is not zero is at least one eighth.
fn bar_of(share: f64, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if share.is_nan() || share <= 0.0 {
        return String::new();
    }
    let eighths = (share.min(1.0) * (columns * 8) as f64).round().max(1.0) as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_the_smallest_share() {
        assert_eq!(bar_of(1.0, 4), "████");
        assert_eq!(bar_of(0.5, 4), "██");
        assert_eq!(bar_of(1e-9, 4), "▏");
        assert_eq!(bar_of(0.0, 4), "");
        assert_eq!(bar_of(f64::NAN, 4), "");
        assert_eq!(bar_of(f64::INFINITY, 2), "██");
    }

    #[test]
    fn bars_go_before_any_cell_is_cut() {
        let mut table = TextTable::with_headings(&["host", ">sum"]);
        table.push(["dn-1".into(), "1,000".into()]);
        table.bars(1, vec![1.0]);
        assert_eq!(table.render(24, Paint::Plain)[2], "dn-1  1,000  ███████████");
        assert_eq!(table.render(16, Paint::Plain)[2], "dn-1  1,000");
        assert_eq!(table.render(10, Paint::Plain)[..], ["host  …", "────", "dn-1"]);
    }

    #[test]
    fn colour_does_not_count_as_width() {
        let mut table = TextTable::with_headings(&["a", "b"]);
        table.push([TableCell { text: "x".into(), style: TextStyle::Warning }, "y".into()]);
        assert_eq!(table.render(80, Paint::Ansi)[2], "\x1b[33mx\x1b[0m  y");
    }
}
