//! Queries without a REPL: install, print windows as they close, uninstall, print the result since install.
//!
//! ```text
//!           install all          --for, Ctrl-C, SIGTERM              last frame of each
//!  statements ─────▶ windows are printed ──────▶ uninstall ─▶ the rest ─────▶ final results
//! ```
//!
//! Queries that follow each other in the input run together; a command or EXPLAIN between them waits until those
//! before it have ended. The frontend keeps merging after an uninstall until all agents have reported, so the last
//! frame is complete.

use crate::arguments::{ANALYZE_DURATION, BatchArguments, OutputFormat};
use crate::batch_statement::BatchStatement;
use crate::client::FrontendConnection;
use crate::client_session::QueryStay;
use crate::detach::install_detached;
use crate::error::CliError;
use crate::format::{FrameWriter, choose_writer};
use crate::frame_reader::{FrameNews, PATIENCE, RETRY_PAUSE};
use crate::frontend_lists::ListedQuery;
use crate::humanize::count;
use crate::input::{InputItem, InputQuery, InputSource};
use crate::live::{RowLayout, waiting};
use crate::outside_notices::outside_notices;
use crate::params::QueryParams;
use crate::query_owner::abandoned;
use crate::repl::commands::{BackslashCommand, parse};
use crate::repl::stateless_commands;
use crate::result_frame::{FrameColumn, ResultFrame};
use crate::sql::{PrintedForm, ask};
use crate::table::StyleMode;
use crate::terminal::stdout_columns;
use futures::stream::{BoxStream, SelectAll, StreamExt};
use pivot_protocol::wire::results_request::Wanted;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Does what the inputs ask for, in their order. Queries run until `--for` has passed, until Ctrl-C, or until all
/// of them have ended.
pub(crate) async fn run(
    connection: &FrontendConnection,
    options: &BatchArguments,
    inputs: &[InputSource],
) -> Result<(), CliError> {
    let mut queries: Vec<BatchStatement<'_>> = Vec::new();
    for input in inputs {
        for step in input.steps()? {
            if let InputItem::Query(statement) = step {
                queries.push(BatchStatement { input, statement });
                continue;
            }

            // A command may depend on the queries before it, so those run to their end first.
            run_queries(connection, options, &std::mem::take(&mut queries)).await?;
            if run_other_step(connection, options, input, step).await?.is_break() {
                return Ok(());
            }
        }
    }
    run_queries(connection, options, &queries).await
}

/// Describes a client with inputs in a word or two: `-c`, `q2.pivot and 3 more`.
pub(crate) fn described(inputs: &[InputSource]) -> String {
    let Some(first) = inputs.first() else { return "batch".to_owned() };
    let name = Path::new(&first.origin).file_name().unwrap_or_default().to_string_lossy();
    match inputs.len() - 1 {
        0 => name.into_owned(),
        others => format!("{name} and {others} more"),
    }
}

/// Does anything but running a query. Breaks if the command is `\q`.
async fn run_other_step(
    connection: &FrontendConnection,
    options: &BatchArguments,
    input: &InputSource,
    step: InputItem,
) -> Result<ControlFlow<()>, CliError> {
    match step {
        InputItem::Command(line) => return run_command(connection, &line).await,

        InputItem::Explain(statement) => {
            explain(connection, input, &statement, &options.params(), None).await?;
        }
        InputItem::Analyze(statement) => {
            let duration = options.duration.unwrap_or(ANALYZE_DURATION);
            explain(connection, input, &statement, &options.params(), Some(duration)).await?;
        }

        InputItem::Sql(statement) => {
            let form = PrintedForm {
                format: options.format,
                columns: stdout_columns(),
                paint: StyleMode::for_stream(&io::stdout()),
                layout: RowLayout::Table,
            };
            match ask(connection, input, &statement, 0, form, &mut io::stdout()).await {
                Err(error) if error.is_closed_pipe() => return Ok(ControlFlow::Break(())),
                done => done?,
            }
        }

        // The caller collects queries, to run them together.
        InputItem::Query(_) => {}
    }
    Ok(ControlFlow::Continue(()))
}

async fn run_command(connection: &FrontendConnection, line: &str) -> Result<ControlFlow<()>, CliError> {
    let command = parse(line).map_err(CliError::Command)?;
    if command == BackslashCommand::Quit {
        return Ok(ControlFlow::Break(()));
    }

    let columns = stdout_columns().unwrap_or(usize::MAX);
    let paint = StyleMode::for_stream(&io::stdout());
    let lines = stateless_commands::answer(connection, &command, columns, paint).await?;
    print_lines(&lines.ok_or_else(|| CliError::Command(format!("`{line}` needs the REPL")))?)?;
    Ok(ControlFlow::Continue(()))
}

async fn explain(
    connection: &FrontendConnection,
    input: &InputSource,
    statement: &InputQuery,
    params: &QueryParams,
    analyze: Option<Duration>,
) -> Result<(), CliError> {
    let reply = connection.explain(&statement.text, params, analyze).await?;
    input.print_diagnostics(statement, &reply.diagnostics);

    if reply.diagnostics.has_errors() {
        return Err(CliError::DoesNotCompile(input.origin.clone()));
    }
    print_lines(&[reply.explanation.trim_end().to_owned()])
}

/// Writes lines to standard output. A reader that has gone is no failure.
fn print_lines(lines: &[String]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match lines.iter().try_for_each(|line| writeln!(out, "{line}")) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// Installs queries, prints their windows, and uninstalls them, whatever happens meanwhile.
async fn run_queries(
    connection: &FrontendConnection,
    options: &BatchArguments,
    statements: &[BatchStatement<'_>],
) -> Result<(), CliError> {
    if statements.is_empty() {
        return Ok(());
    }
    if options.detach {
        return install_detached(connection, options, statements).await;
    }
    // One header cannot serve the columns of two queries.
    if options.format == OutputFormat::Csv && statements.len() > 1 {
        return Err(CliError::CsvOfSeveralQueries(statements.len()));
    }

    let mut batch = QueryBatch::install(connection, options.params(), statements).await?;
    let writer = choose_writer(options.format, stdout_columns(), StyleMode::for_stream(&io::stdout()));
    let printed = batch.print_until_end(writer, options.duration).await;

    // Nobody reads the queries any more, and they would go on costing the agents.
    if printed.is_err() {
        batch.clean_up().await;
    }

    // Tables and JSON documents say what each window lacks; a script that reads rows may not look.
    if matches!(options.format, OutputFormat::Csv | OutputFormat::Ndjson) {
        batch.warn_of_losses();
    }

    // A run that no agent took part in is a failure for scripts: most likely a name is wrong. That agents found
    // nothing is an answer.
    match printed {
        Err(error) if error.is_closed_pipe() => Ok(()),
        Err(error) => Err(error),
        Ok(()) if batch.queries.iter().all(BatchQuery::is_unanswered) => {
            Err(CliError::NothingReported(batch.silence_reason()))
        }
        Ok(()) => Ok(()),
    }
}

/// Queries that run together.
struct QueryBatch<'a> {
    connection: &'a FrontendConnection,
    params: QueryParams,
    queries: Vec<BatchQuery>,
    /// The frames of all queries as they come.
    frames: SelectAll<BoxStream<'static, Result<FrameNews, CliError>>>,
    /// Of how many queries the results are waited for because the frontend is away.
    away: usize,
}

/// An installed query of a batch.
struct BatchQuery {
    number: u32,
    name: String,
    columns: Vec<FrameColumn>,
    /// Begin of the first window; `None` until there is one.
    start_ns: Option<i64>,
    newest: ResultFrame,
    /// Rows of the result since install, known at the end.
    total_rows: usize,
    /// How many agents took part, known at the end.
    agents: u32,
    /// Frames that the frontend had dropped before they were read.
    unread_frames: u64,
    /// Whether the last frame has come.
    ended: bool,
    /// How the frontend saw the query just before it was uninstalled.
    status: Option<ListedQuery>,
}

impl BatchQuery {
    /// Whether nobody has said anything, not even that nothing happened.
    fn is_unanswered(&self) -> bool {
        self.total_rows == 0 && self.agents == 0
    }
}

impl<'a> QueryBatch<'a> {
    /// Installs all statements or, if one does not compile, none.
    async fn install(
        connection: &'a FrontendConnection,
        params: QueryParams,
        statements: &[BatchStatement<'_>],
    ) -> Result<QueryBatch<'a>, CliError> {
        let mut batch =
            QueryBatch { connection, params, queries: Vec::new(), frames: SelectAll::new(), away: 0 };

        for statement in statements {
            if let Err(error) = batch.install_one(statement).await {
                batch.clean_up().await;
                return Err(error);
            }
        }
        Ok(batch)
    }

    async fn install_one(&mut self, query: &BatchStatement<'_>) -> Result<(), CliError> {
        let BatchStatement { input, statement } = query;
        let (text, name) = (&statement.text, &statement.name);
        let reply = self.connection.install(text, name, &self.params, QueryStay::WithClient).await?;
        input.print_diagnostics(statement, &reply.diagnostics);
        let number = reply.query.ok_or_else(|| CliError::DoesNotCompile(input.origin.clone()))?;

        // The query is noted before anything else can fail, so that it is uninstalled then.
        self.queries.push(BatchQuery {
            number,
            name: statement.name.clone(),
            columns: reply.columns,
            start_ns: None,
            newest: ResultFrame::default(),
            total_rows: 0,
            agents: 0,
            unread_frames: 0,
            ended: false,
            status: None,
        });
        self.frames.push(self.connection.results(number, Wanted::Windows).await?);
        Ok(())
    }

    /// Prints windows until all queries have ended. After `duration`, Ctrl-C or SIGTERM the queries are uninstalled,
    /// and what the frontend still sends is printed to its end.
    async fn print_until_end(
        &mut self,
        mut writer: Box<dyn FrameWriter>,
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

        let mut is_ending = false;
        loop {
            tokio::select! {
                news = self.frames.next() => {
                    let Some(news) = news else { return self.check_ended() };
                    self.take_in(&mut *writer, news?)?;
                    continue;
                }
                () = &mut deadline, if !is_ending => {}
                _ = terminate.recv(), if !is_ending => {}
                // A person who presses Ctrl-C twice does not want to wait for the last results.
                _ = interrupt.recv() => if is_ending { return Err(CliError::Interrupted) },
            }

            is_ending = true;
            tokio::select! {
                done = self.uninstall_when_back() => done?,
                _ = interrupt.recv() => return Err(CliError::Interrupted),
            }
        }
    }

    /// Prints a frame, or says that the frontend is away or back: once, however many queries run.
    fn take_in(&mut self, writer: &mut dyn FrameWriter, news: FrameNews) -> Result<(), CliError> {
        match news {
            FrameNews::Frame(frame) => return self.print_frame(writer, *frame),
            FrameNews::Away(reason) => {
                if self.away == 0 {
                    eprintln!("{}", reason.notice());
                }
                self.away += 1;
            }
            FrameNews::Back => {
                self.away = self.away.saturating_sub(1);
                if self.away == 0 {
                    eprintln!("the frontend is back");
                }
            }
        }
        Ok(())
    }

    /// Prints the window of a frame, and the result since install if no frame follows.
    fn print_frame(&mut self, writer: &mut dyn FrameWriter, mut frame: ResultFrame) -> Result<(), CliError> {
        let Some(query) = self.queries.iter_mut().find(|query| query.number == frame.query) else {
            return Ok(());
        };
        // The end of a stream may come without columns, and no frame knows the query's name.
        if frame.columns.is_empty() {
            frame.columns.clone_from(&query.columns);
        }
        frame.name.clone_from(&query.name);

        let mut out = io::stdout().lock();
        if frame.has_window() {
            query.start_ns = Some(query.start_ns.map_or(frame.start_ns, |start| start.min(frame.start_ns)));
            // A last frame may carry a window as well, which is printed like any other before the total.
            writer.write_frame(&mut out, &ResultFrame { last: false, ..frame.clone() })?;
        }

        query.unread_frames += frame.missing_since(query.newest.sequence);
        if frame.last {
            query.total_rows = frame.cumulative.len();
            query.agents = frame.cumulative_completeness.agents_expected;
            query.ended = true;
            if frame.is_abandoned {
                eprintln!("warning: {}", abandoned(query.number));
            }
            let end_ns = frame.end_ns.max(query.newest.end_ns);
            let total = frame.total(query.start_ns.unwrap_or(frame.start_ns));
            writer.write_frame(&mut out, &ResultFrame { end_ns, ..total })?;
        }

        out.flush()?;
        query.newest = frame;
        Ok(())
    }

    /// Checks, when all streams are over, that they ended with their last frames and not because the frontend went
    /// away. Warns of windows that are missing from the output.
    fn check_ended(&self) -> Result<(), CliError> {
        for query in self.queries.iter().filter(|query| query.unread_frames > 0) {
            let windows = count(query.unread_frames, "window");
            eprintln!(
                "warning: {windows} of query {} came faster than they could be read, and are missing here",
                query.number
            );
        }

        // A frontend that stops ends its streams without an error.
        if self.queries.iter().all(|query| query.ended) {
            Ok(())
        } else {
            Err(CliError::Frontend {
                action: "read the last results",
                reason: "the stream ended before them".to_owned(),
            })
        }
    }

    /// Says on standard error what the results since install lack.
    fn warn_of_losses(&self) {
        for query in &self.queries {
            let newest = &query.newest;
            let missing = newest.cumulative_completeness.missing();
            if !missing.is_empty() {
                eprintln!("partial: {missing} in query {}", query.number);
            }
            for notice in outside_notices(&newest.cumulative_completeness.loss, &newest.cumulative_outside) {
                eprintln!("note: {notice} in query {}", query.number);
            }
        }
    }

    /// Uninstalls all queries that have not ended, waiting for a frontend that is away: it will still have them.
    async fn uninstall_when_back(&mut self) -> Result<(), CliError> {
        let since = Instant::now();
        loop {
            match self.uninstall().await {
                Err(CliError::FrontendAway { .. }) if since.elapsed() < PATIENCE => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// Uninstalls all queries because something else has failed, which matters more than whether that succeeds.
    async fn clean_up(&mut self) {
        if let Err(error) = self.uninstall().await {
            let left = self.queries.iter().filter(|query| !query.ended);
            let left: Vec<String> = left.map(|query| query.number.to_string()).collect();
            eprintln!("warning: queries left installed: {} ({error})", left.join(", "));
        }
    }

    /// Uninstalls all queries that have not ended, and notes how they stood.
    async fn uninstall(&mut self) -> Result<(), CliError> {
        let status = self.connection.queries().await?;
        for query in self.queries.iter_mut().filter(|query| !query.ended) {
            query.status = status.iter().find(|found| found.number == query.number).cloned();
            self.connection.uninstall(query.number).await?;
        }
        Ok(())
    }

    /// Returns why nothing was reported, as far as the frontend knew when it was asked.
    fn silence_reason(&self) -> String {
        match self.queries.iter().find_map(|query| query.status.as_ref()) {
            Some(status) => waiting(status),
            None => "no event passed the query's tracepoint".to_owned(),
        }
    }
}
