//! Queries without a REPL: install, print windows as they close, uninstall, print what came in all.

use crate::arguments::{BatchArguments, OutputFormat};
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::format::{FrameWriter, frame_writer};
use crate::input::{InputStatement, InputStep, InputText};
use crate::params::Params;
use crate::repl::commands::{BackslashCommand, parse};
use crate::repl::stateless_commands;
use crate::result_frame::{FrameColumn, ResultFrame};
use crate::table::Paint;
use futures::stream::{BoxStream, SelectAll, StreamExt};
use pivot_protocol::wire::{self, results_request::Wanted};
use pivot_query::Diagnostics;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Lines of diagnostics are not cut for a file or a pipe, within reason.
const WIDE: usize = 160;

/// How long EXPLAIN ANALYZE runs a query unless `--for` says.
pub(crate) const ANALYSIS: Duration = Duration::from_secs(3);

/// Does what the inputs ask for, in their order: commands at once; all queries that stand together
/// at once, until `--for` has passed, Ctrl-C, or all have ended.
pub(crate) async fn run(
    connection: &FrontendConnection,
    options: &BatchArguments,
    inputs: &[InputText],
) -> Result<(), CliError> {
    let mut together: Vec<(&InputText, InputStatement)> = Vec::new();
    for input in inputs {
        for step in input.steps()? {
            if let InputStep::Query(statement) = step {
                together.push((input, statement));
                continue;
            }
            run_queries(connection, options, &std::mem::take(&mut together)).await?;
            let stop = match step {
                InputStep::Command(line) => command(connection, &line).await?,
                InputStep::Explain(statement) => {
                    explain(connection, input, &statement, &options.params(), None).await?
                }
                InputStep::Analyze(statement) => {
                    let length = options.duration.unwrap_or(ANALYSIS);
                    explain(connection, input, &statement, &options.params(), Some(length)).await?
                }
                InputStep::Query(_) => ControlFlow::Continue(()),
            };
            if stop.is_break() {
                return Ok(());
            }
        }
    }
    run_queries(connection, options, &together).await
}

async fn command(connection: &FrontendConnection, line: &str) -> Result<ControlFlow<()>, CliError> {
    let command = parse(line).map_err(CliError::Command)?;
    if command == BackslashCommand::Quit {
        return Ok(ControlFlow::Break(()));
    }
    let stdout = io::stdout();
    let (columns, paint) = (stdout_columns().unwrap_or(usize::MAX), Paint::of(&stdout));
    let shown = stateless_commands::lines(connection, &command, columns, paint).await?;
    let lines = shown.ok_or_else(|| CliError::Command(format!("`{line}` needs the REPL")))?;
    print(&lines)?;
    Ok(ControlFlow::Continue(()))
}

async fn explain(
    connection: &FrontendConnection,
    input: &InputText,
    statement: &InputStatement,
    params: &Params,
    analyze: Option<Duration>,
) -> Result<ControlFlow<()>, CliError> {
    let (found, explanation) = connection.explain(&statement.text, params, analyze).await?;
    report(input, statement, &found);
    if found.has_errors() {
        return Err(CliError::Query(input.origin.clone()));
    }
    print(&[explanation.trim_end().to_owned()])?;
    Ok(ControlFlow::Continue(()))
}

/// Writes lines to standard output. A reader that has gone is no failure.
fn print(lines: &[String]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match lines.iter().try_for_each(|line| writeln!(out, "{line}")) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// Says on standard error what was found about a statement.
pub(crate) fn report(input: &InputText, statement: &InputStatement, found: &Diagnostics) {
    let stderr = io::stderr();
    let columns = if stderr.is_terminal() { terminal_columns() } else { WIDE };
    for line in input.render(statement, found, columns, Paint::of(&stderr)) {
        eprintln!("{line}");
    }
}

fn stdout_columns() -> Option<usize> {
    io::stdout().is_terminal().then(terminal_columns)
}

fn terminal_columns() -> usize {
    crossterm::terminal::size().map_or(80, |(columns, _)| columns.into())
}

async fn run_queries(
    connection: &FrontendConnection,
    options: &BatchArguments,
    statements: &[(&InputText, InputStatement)],
) -> Result<(), CliError> {
    if statements.is_empty() {
        return Ok(());
    }
    if options.format == OutputFormat::Csv && statements.len() > 1 {
        return Err(CliError::OneQuery(statements.len()));
    }
    let mut run = BatchRun::install(connection, options.params(), statements).await?;
    let output = frame_writer(options.format, stdout_columns(), Paint::of(&io::stdout()));
    let printed = run.print(output, options.duration).await;
    if printed.is_err() {
        run.uninstall().await?;
    }
    match printed {
        Err(error) if error.is_closed_pipe() => Ok(()),
        Err(error) => Err(error),
        Ok(()) if run.queries.iter().all(|query| query.rows == 0) => Err(CliError::Silent(run.reason())),
        Ok(()) => Ok(()),
    }
}

/// The queries of one run and their merged frames.
struct BatchRun<'a> {
    connection: &'a FrontendConnection,
    params: Params,
    queries: Vec<RunningQuery>,
    frames: SelectAll<BoxStream<'static, Result<ResultFrame, CliError>>>,
}

struct RunningQuery {
    number: u32,
    name: String,
    columns: Vec<FrameColumn>,
    /// Where the first window began.
    start_ns: Option<i64>,
    /// The newest frame: the result since install is in it.
    newest: ResultFrame,
    /// Rows of the whole result.
    rows: usize,
    /// Frames that were gone before they were read.
    unread: u64,
    ended: bool,
    /// How the frontend saw it before it was uninstalled.
    status: Option<wire::Query>,
}

/// That windows are missing from the output.
fn gone(query: u32, frames: u64) -> String {
    let windows = crate::text::count(frames, "window");
    format!("{windows} of query {query} came faster than they could be read, and are missing here")
}

impl<'a> BatchRun<'a> {
    /// Installs all statements or, if one does not compile, none.
    async fn install(
        connection: &'a FrontendConnection,
        params: Params,
        statements: &[(&InputText, InputStatement)],
    ) -> Result<BatchRun<'a>, CliError> {
        let mut run = BatchRun { connection, params, queries: Vec::new(), frames: SelectAll::new() };
        for (input, statement) in statements {
            if let Err(error) = run.add(input, statement).await {
                run.uninstall().await?;
                return Err(error);
            }
        }
        Ok(run)
    }

    async fn add(&mut self, input: &InputText, statement: &InputStatement) -> Result<(), CliError> {
        let installed = self.connection.install(&statement.text, &statement.name, &self.params).await?;
        report(input, statement, &installed.diagnostics);
        let number = installed.query.ok_or_else(|| CliError::Query(input.origin.clone()))?;
        self.queries.push(RunningQuery {
            number,
            name: statement.name.clone(),
            columns: installed.columns,
            start_ns: None,
            newest: ResultFrame::default(),
            rows: 0,
            unread: 0,
            ended: false,
            status: None,
        });
        self.frames.push(self.connection.results(number, Wanted::Windows).await?.boxed());
        Ok(())
    }

    async fn print(
        &mut self,
        mut output: Box<dyn FrameWriter>,
        duration: Option<Duration>,
    ) -> Result<(), CliError> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let deadline = async move {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(deadline);
        let mut ending = false;
        loop {
            tokio::select! {
                frame = self.frames.next() => match frame {
                    Some(frame) => self.take(&mut *output, frame?)?,
                    None => return self.finish(),
                },
                () = &mut deadline, if !ending => { ending = true; self.uninstall().await?; }
                _ = interrupt.recv() => {
                    // A person who presses Ctrl-C twice does not want to wait for the last results.
                    if ending { return Err(CliError::Interrupted) }
                    ending = true;
                    self.uninstall().await?;
                }
                _ = terminate.recv(), if !ending => { ending = true; self.uninstall().await?; }
            }
        }
    }

    fn take(&mut self, output: &mut dyn FrameWriter, mut frame: ResultFrame) -> Result<(), CliError> {
        let Some(query) = self.queries.iter_mut().find(|query| query.number == frame.query) else {
            return Ok(());
        };
        if frame.columns.is_empty() {
            frame.columns.clone_from(&query.columns);
        }
        frame.name.clone_from(&query.name);
        let mut out = io::stdout().lock();
        if frame.has_window() {
            query.start_ns = Some(query.start_ns.map_or(frame.start_ns, |start| start.min(frame.start_ns)));
            // A last frame may carry a window as well, which is printed like any other before it.
            output.write_frame(&mut out, &ResultFrame { last: false, ..frame.clone() })?;
        }
        query.unread += frame.missing_since(query.newest.sequence);
        if frame.last {
            query.rows = frame.cumulative.len();
            query.ended = true;
            let end_ns = frame.end_ns.max(query.newest.end_ns);
            let total = ResultFrame { end_ns, ..frame.total(query.start_ns.unwrap_or(frame.start_ns)) };
            output.write_frame(&mut out, &total)?;
        }
        out.flush()?;
        query.newest = frame;
        Ok(())
    }

    /// The streams have ended: by their last frames, or because the frontend has gone.
    fn finish(&self) -> Result<(), CliError> {
        for query in self.queries.iter().filter(|query| query.unread > 0) {
            eprintln!("warning: {}", gone(query.number, query.unread));
        }
        match self.queries.iter().all(|query| query.ended) {
            true => Ok(()),
            false => Err(CliError::Frontend {
                action: "read the last results",
                reason: "the stream ended before them".to_owned(),
            }),
        }
    }

    async fn uninstall(&mut self) -> Result<(), CliError> {
        let status = self.connection.queries().await?;
        for query in self.queries.iter_mut().filter(|query| !query.ended) {
            query.status = status.iter().find(|found| found.number == query.number).cloned();
            self.connection.uninstall(query.number).await?;
        }
        Ok(())
    }

    /// Why nothing came, as far as the frontend knows.
    fn reason(&self) -> String {
        let reason = self.queries.iter().find_map(|query| query.status.as_ref()).map(crate::live::waiting);
        reason.unwrap_or_else(|| "no event passed the query's tracepoint".to_owned())
    }
}
