//! Answers in each format.
//!
//! ```text
//! table    as at the prompt, with the number of rows below       json    one document: columns, rows, cut
//! md       a Markdown table                                      ndjson  one document per row
//! csv      one header, then the rows
//! ```

use super::answer::SqlAnswer;
use crate::arguments::OutputFormat;
use crate::error::CliError;
use crate::format::{csv_field, escaped_markup, quoted, row_object};
use crate::humanize::count;
use crate::live::RowLayout;
use crate::result_frame::{FrameColumn, FrameRow};
use crate::table::{StyleMode, TextRole, expanded_rows, result_table};
use crate::terminal_text::escaped;
use pivot_advice::{Type, Value};
use std::io::Write;

/// How an answer is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PrintedForm {
    pub(crate) format: OutputFormat,
    /// The width of the terminal; nothing is cut without one.
    pub(crate) columns: Option<usize>,
    pub(crate) paint: StyleMode,
    /// How the table format shows rows.
    pub(crate) layout: RowLayout,
}

/// Prints an answer as its rows come; a table waits for all of them, since they decide its widths.
pub(super) async fn print(
    answer: &mut SqlAnswer,
    form: PrintedForm,
    out: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    match form.format {
        OutputFormat::Table => print_table(answer, form, out).await,
        OutputFormat::Json => print_json(answer, out).await,
        OutputFormat::Ndjson => {
            while let Some(rows) = answer.next().await? {
                for row in &rows {
                    writeln!(out, "{}", row_object(&answer.columns, row))?;
                }
            }
            Ok(())
        }

        OutputFormat::Csv => {
            writeln!(out, "{}", joined(answer.columns.iter().map(|column| quoted(&column.name))))?;
            while let Some(rows) = answer.next().await? {
                for row in &rows {
                    let fields = answer.columns.iter().zip(row.iter());
                    writeln!(out, "{}", joined(fields.map(|(column, value)| csv_field(column, value))))?;
                }
            }
            Ok(())
        }

        OutputFormat::Md => print_markdown(answer, out).await,
    }
}

async fn print_table(
    answer: &mut SqlAnswer,
    form: PrintedForm,
    out: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    let mut rows: Vec<FrameRow> = Vec::new();
    while let Some(part) = answer.next().await? {
        rows.extend(part);
    }

    let width = form.columns.unwrap_or(usize::MAX);
    if is_explanation(&answer.columns) {
        return print_explanation(&rows, form, out);
    }
    let lines = match form.layout {
        RowLayout::Expanded => expanded_rows(&answer.columns, &rows, None, width, form.paint),
        RowLayout::Table => result_table(&answer.columns, &rows, None, None).render(width, form.paint),
    };
    for line in lines {
        writeln!(out, "{line}")?;
    }
    let total = count(rows.len() as u64, "row");
    writeln!(out, "{}", form.paint.style(TextRole::Quiet, &format!("({total})")))?;
    Ok(())
}

/// Whether an answer is that to EXPLAIN.
fn is_explanation(columns: &[FrameColumn]) -> bool {
    columns.iter().map(|column| column.name.as_str()).eq(["plan_type", "plan"])
}

/// Prints plans as the trees that they are: a cell of a table has one line.
fn print_explanation(
    rows: &[FrameRow],
    form: PrintedForm,
    out: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    for row in rows {
        let [Value::Str(kind), Value::Str(plan)] = &row[..] else { continue };
        writeln!(out, "{}", form.paint.style(TextRole::Strong, &escaped(kind)))?;
        for line in plan.lines() {
            writeln!(out, "  {}", escaped(line))?;
        }
    }
    Ok(())
}

async fn print_json(answer: &mut SqlAnswer, out: &mut (dyn Write + Send)) -> Result<(), CliError> {
    let columns = answer
        .columns
        .iter()
        .map(|column| serde_json::json!({ "name": column.name, "type": column.ty.to_string() }));
    write!(out, "{{\"columns\":{},\"rows\":[", serde_json::Value::from_iter(columns))?;

    let mut separator = "";
    while let Some(rows) = answer.next().await? {
        for row in &rows {
            write!(out, "{separator}{}", row_object(&answer.columns, row))?;
            separator = ",";
        }
    }
    writeln!(out, "],\"cut\":{}}}", answer.is_cut())?;
    Ok(())
}

async fn print_markdown(answer: &mut SqlAnswer, out: &mut (dyn Write + Send)) -> Result<(), CliError> {
    let columns = answer.columns.iter();
    writeln!(out, "{}", markdown_line(columns.map(|column| escaped_markup(&column.heading()))))?;
    writeln!(out, "{}", markdown_line(answer.columns.iter().map(|column| rule(column).to_owned())))?;

    while let Some(rows) = answer.next().await? {
        for row in &rows {
            writeln!(out, "{}", markdown_line(row.texts().map(|text| escaped_markup(&text))))?;
        }
    }
    Ok(())
}

fn markdown_line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// Returns the rule below a heading, which aligns numbers right.
fn rule(column: &FrameColumn) -> &'static str {
    match column.ty {
        Type::I64 | Type::U64 | Type::F64 | Type::Duration => "---:",
        _ => "---",
    }
}

fn joined(fields: impl Iterator<Item = String>) -> String {
    fields.collect::<Vec<_>>().join(",")
}
