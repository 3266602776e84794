//! `pivot sql`, and a statement of SQL among others.

use super::answer::SqlOutcome;
use super::print::{PrintedForm, print};
use crate::arguments::{OutputFormat, SqlArguments};
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::input::{InputQuery, InputSource};
use crate::live::RowLayout;
use crate::table::StyleMode;
use crate::terminal::stdout_columns;
use std::io::{self, BufWriter, Read, Write};

/// Answers the statements of the command line, of a file, or of standard input.
pub(crate) async fn run(options: &SqlArguments) -> Result<(), CliError> {
    let input = match (&options.text, &options.file) {
        (Some(text), _) => InputSource::unnamed("sql", text),
        (None, Some(path)) => InputSource::file(path)?,
        (None, None) => {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text)?;
            InputSource::unnamed("stdin", &text)
        }
    };
    let statements = input.statements()?;
    // One header cannot serve the columns of two answers.
    if options.format == OutputFormat::Csv && statements.len() > 1 {
        return Err(CliError::CsvOfSeveralQueries(statements.len()));
    }

    let connection = FrontendConnection::open(&options.frontend, "sql").await?;
    let form = PrintedForm {
        format: options.format,
        columns: stdout_columns(),
        paint: StyleMode::for_stream(&io::stdout()),
        layout: RowLayout::Table,
    };
    for statement in &statements {
        match ask(&connection, &input, statement, options.rows.unwrap_or(0), form, &mut io::stdout()).await {
            // The reader has seen enough.
            Err(error) if error.is_closed_pipe() => return Ok(()),
            done => done?,
        }
    }
    Ok(())
}

/// Asks a statement, and prints the answer. What is wrong with it is on standard error when this
/// returns.
pub(crate) async fn ask(
    connection: &FrontendConnection,
    input: &InputSource,
    statement: &InputQuery,
    rows: u64,
    form: PrintedForm,
    out: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    let mut answer = match connection.sql(&statement.text, rows).await? {
        SqlOutcome::Answer(answer) => answer,
        SqlOutcome::Wrong(diagnostics) => {
            input.print_diagnostics(statement, &diagnostics);
            return Err(CliError::DoesNotCompile(input.origin.clone()));
        }
    };

    let mut out = BufWriter::new(out);
    let printed = print(&mut answer, form, &mut out).await;
    out.flush()?;
    printed?;
    if !answer.notice().is_empty() {
        eprintln!("note: {}", answer.notice());
    }
    Ok(())
}
