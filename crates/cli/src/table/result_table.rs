//! Rows of a result as a table, or as blocks of lines where a table would be too wide.

use super::paint::{StyleMode, TextRole};
use super::text_table::{Alignment, TableCell, TextTable};
use crate::result_frame::{FrameColumn, FrameRow};
use crate::terminal_text;
use pivot_advice::{Type, Value};

/// The longest rule above a block of expanded lines.
const MAX_RULE: usize = 40;

/// Returns the rows in their order as a table, with bars beside `barred_column`. The row of the groups without room
/// comes last and has no bar: it would dwarf the others.
pub(crate) fn result_table(
    columns: &[FrameColumn],
    rows: &[FrameRow],
    other: Option<&FrameRow>,
    barred_column: Option<usize>,
) -> TextTable {
    let headings = columns.iter().map(|column| (column.heading(), alignment(column.ty)));
    let mut table = TextTable::new(headings);

    rows.iter().for_each(|row| table.push(cells(row)));
    if let Some(other) = other {
        table.push(other_cells(other));
    }

    if let Some(barred) = barred_column {
        let sizes: Vec<f64> = rows.iter().map(|row| row.magnitude(barred)).collect();
        // An infinite average must not shrink all other bars to nothing.
        let largest = sizes.iter().copied().filter(|size| size.is_finite()).fold(0.0, f64::max);
        let shares = sizes.iter().map(|size| if largest > 0.0 { size / largest } else { 0.0 });
        table.set_bars(barred, shares.collect());
    }
    table
}

/// Returns a block of `name  value` lines for each row, for rows that are wider than the terminal.
pub(crate) fn expanded_rows(
    columns: &[FrameColumn],
    rows: &[FrameRow],
    other: Option<&FrameRow>,
    available: usize,
    paint: StyleMode,
) -> Vec<String> {
    let names: Vec<String> = columns.iter().map(FrameColumn::heading).collect();
    let mut blocks: Vec<(String, Vec<TableCell>)> =
        rows.iter().enumerate().map(|(i, row)| (format!("row {}", i + 1), cells(row).collect())).collect();
    if let Some(other) = other {
        blocks.push(("other rows".to_owned(), other_cells(other).collect()));
    }

    // Names take at most half of the width: the values matter more.
    let widest_name =
        names.iter().map(|name| terminal_text::width(name)).max().unwrap_or(0).min(available / 2);
    let mut lines = Vec::new();
    for (title, cells) in blocks {
        let title = format!("── {title} ");
        let rule = "─".repeat(available.min(MAX_RULE).saturating_sub(terminal_text::width(&title)));
        lines.push(paint.style(TextRole::Quiet, &terminal_text::cut(&format!("{title}{rule}"), available)));

        for (name, cell) in names.iter().zip(cells) {
            let name = terminal_text::cut(name, widest_name);
            let blanks = " ".repeat(widest_name - terminal_text::width(&name) + 2);
            let value = terminal_text::cut(&cell.text, available.saturating_sub(widest_name + 2));
            lines.push(format!(
                "{}{blanks}{}",
                paint.style(TextRole::Strong, &name),
                paint.style(cell.style, &value)
            ));
        }
    }
    lines
}

fn alignment(ty: Type) -> Alignment {
    match ty {
        Type::I64 | Type::U64 | Type::F64 | Type::Duration => Alignment::Right,
        _ => Alignment::Left,
    }
}

fn cells(row: &FrameRow) -> impl Iterator<Item = TableCell> {
    row.iter().zip(row.texts()).map(|(value, text)| {
        let style = if value.is_null() { TextRole::Quiet } else { TextRole::Normal };
        TableCell { text, style }
    })
}

/// Returns the texts of the row of all groups for which there was no room. Its keys are null: the first one reads
/// `(other)`, the others are blank. Without a key, `(other)` stands before the first value.
pub(crate) fn other_row_texts(row: &FrameRow) -> impl Iterator<Item = String> {
    let first_key = row.iter().position(Value::is_null);
    row.texts().enumerate().map(move |(i, text)| match first_key {
        Some(key) if key == i => "(other)".to_owned(),
        None if i == 0 => format!("(other) {text}"),
        _ if row[i].is_null() => String::new(),
        _ => text,
    })
}

fn other_cells(row: &FrameRow) -> impl Iterator<Item = TableCell> {
    other_row_texts(row).map(TableCell::quiet)
}
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::Path;

    fn column(name: &str, ty: Type) -> FrameColumn {
        FrameColumn::exact(name, ty)
    }

    /// Compares with a golden file of the same result at three widths; `UPDATE_GOLDEN=1` rewrites it.
    fn check(golden: &str, columns: &[FrameColumn], rows: &[FrameRow]) {
        check_with(golden, columns, rows, None);
    }

    fn check_with(golden: &str, columns: &[FrameColumn], rows: &[FrameRow], other: Option<&FrameRow>) {
        let measure = columns.iter().position(|column| column.ty.is_number());
        let table = result_table(columns, rows, other, measure);
        let mut found = String::new();
        for width in [40, 80, 120] {
            found.push_str(&format!("---- {width} columns\n"));
            for line in table.render(width, StyleMode::Plain) {
                assert!(terminal_text::width(&line) <= width, "{line}");
                found.push_str(&line);
                found.push('\n');
            }
        }
        found.push_str("---- expanded, 40 columns\n");
        expanded_rows(columns, rows, other, 40, StyleMode::Plain).iter().for_each(|line| {
            assert!(terminal_text::width(line) <= 40, "{line}");
            found.push_str(line);
            found.push('\n');
        });
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &found).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), found, "{golden}");
    }

    #[test]
    fn a_grouped_result_shows_bars_for_its_first_aggregate() {
        let columns =
            [column("e.host", Type::String), column("SUM(e.delta)", Type::I64), column("COUNT", Type::U64)];
        let row = |host: &str, sum, count| vec![Value::str(host), Value::I64(sum), Value::U64(count)].into();
        let rows =
            [row("dn-1", 1_234_567_890, 120_003), row("dn-2", 617_283_945, 60_001), row("dn-3", 12, 1)];
        check("grouped.txt", &columns, &rows);
    }

    #[test]
    fn rows_without_a_group_come_last_and_say_so() {
        let mut columns = [
            column("e.path", Type::String),
            column("e.port", Type::I64),
            column("COUNT", Type::U64),
            column("MAX(e.size)", Type::U64),
        ];
        columns[3].estimate = pivot_protocol::wire::column::Estimate::OfSample;
        let row = |path: &str, n| vec![Value::str(path), Value::I64(80), Value::U64(n), Value::U64(7)].into();
        let rows = [row("/a", 4_000), row("/b", 12)];
        let other = vec![Value::Null, Value::Null, Value::U64(90_210), Value::U64(9)].into();
        check_with("other.txt", &columns, &rows, Some(&other));
    }

    #[test]
    fn long_names_and_wide_characters_are_cut_to_fit() {
        let columns = [
            column("a column whose name is longer than anything in it", Type::String),
            column("path", Type::String),
            column("latency", Type::Duration),
            column("数", Type::F64),
        ];
        let path = "/warehouse/2026/11/23/part-00000-of-00128.parquet/with/a/name/that/goes/on/and/on/and/on";
        let rows = [
            vec![Value::str("grün"), Value::str(path), Value::Duration(1_234_567), Value::F64(0.125)],
            vec![Value::str("日本語の名前"), Value::str("a\tb"), Value::Duration(12), Value::F64(1e20)],
        ];
        check("long.txt", &columns, &rows.map(FrameRow::from));
    }

    #[test]
    fn nulls_lists_and_bytes_have_a_form() {
        let columns = [
            column("e.locations", Type::String.list()),
            column("e.checksum", Type::Bytes),
            column("e.time", Type::Timestamp),
            column("MAX(e.size)", Type::U64),
        ];
        let list = Value::List(vec![Value::str("dn-1"), Value::Null, Value::str("dn-3")].into());
        let rows = [
            vec![list, Value::Bytes(vec![0, 255].into()), Value::Timestamp(1), Value::U64(5)],
            vec![Value::Null, Value::Null, Value::Null, Value::Null],
        ];
        check("nulls.txt", &columns, &rows.map(FrameRow::from));
    }

    #[test]
    fn a_result_without_rows_still_has_its_headings() {
        check("empty.txt", &[column("e.host", Type::String), column("COUNT", Type::U64)], &[]);
    }

    #[test]
    fn many_columns_leave_the_last_ones_out() {
        let columns: Vec<FrameColumn> = (1..=12).map(|i| column(&format!("column {i}"), Type::I64)).collect();
        check(
            "many.txt",
            &columns,
            &[(1..=12).map(|i| Value::I64(i * 1_000_000)).collect::<Vec<_>>().into()],
        );
    }
}
