//! One session at the prompt: reads a text, does what it asks for, shows the result.
//!
//! The session runs on the thread that owns the terminal, outside the runtime, and waits for the frontend with
//! `block_on`. Whatever fails is printed, and the prompt comes back.

use super::commands::{BackslashCommand, parse};
use super::completion::CompletionCatalogue;
use super::line_editor::{ReplPrompt, line_editor};
use super::text_editor::{edit_file, edit_text};
use super::{known_names, lists, stateless_commands};
use crate::arguments::{ANALYZE_DURATION, OutputFormat};
use crate::client::FrontendConnection;
use crate::client_session::QueryStay;
use crate::error::CliError;
use crate::format::{WindowFile, format_of};
use crate::humanize::{clock, duration};
use crate::input::{InputItem, InputQuery, InputSource};
use crate::live::{QueryView, RowLayout, WatchEnd, read_key, restore_terminal, watch};
use crate::params::QueryParams;
use crate::query_owner::abandoned;
use crate::sql::{PrintedForm, ask};
use crate::statement_kind::is_sql;
use crate::table::{StyleMode, TextRole};
use crate::terminal;
use reedline::Signal;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal as TokioSignal, SignalKind, signal};

/// The least lines for rows of the table that is left above the prompt, also on a low terminal.
const LEAST_BODY_LINES: usize = 4;

/// How often `\watch` asks a statement again.
const REPEAT_INTERVAL: Duration = Duration::from_secs(2);

/// The exit code of a process that SIGTERM ended.
const EXIT_TERMINATED: i32 = 128 + 15;

/// The state of a session.
pub(crate) struct ReplSession {
    runtime: Handle,
    connection: FrontendConnection,
    /// The tracepoints that Tab offers; renewed before each prompt.
    catalogue: CompletionCatalogue,
    paint: StyleMode,
    layout: RowLayout,
    timing: StatementTiming,
    /// Values of `$name`, set by `\set`.
    params: QueryParams,
    /// The statement that `\g` runs again and `\e` edits.
    last: Option<LastStatement>,
}

/// The statement that was run last, with the text that its diagnostics point into.
#[derive(Debug, Clone)]
struct LastStatement {
    input: InputSource,
    statement: InputQuery,
}

impl LastStatement {
    fn is_sql(&self) -> bool {
        is_sql(&self.statement.text)
    }
}

/// Whether the time of each statement is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatementTiming {
    Off,
    On,
}

/// The step that follows a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineOutcome {
    Prompt,
    Quit,
}

impl ReplSession {
    /// Returns a session on a connection. This thread must not be one of the runtime's.
    pub(crate) fn new(runtime: Handle, connection: FrontendConnection) -> ReplSession {
        ReplSession {
            runtime,
            connection,
            catalogue: CompletionCatalogue::default(),
            paint: StyleMode::for_stream(&io::stdout()),
            layout: RowLayout::Table,
            timing: StatementTiming::Off,
            params: QueryParams::default(),
            last: None,
        }
    }

    /// Reads and does, until the end of input or `\q`.
    pub(crate) fn run(&mut self) -> Result<(), CliError> {
        let mut editor = line_editor(self.catalogue.clone(), self.paint)?;

        // Between two prompts the terminal turns Ctrl-C into a signal, which must not end the session.
        let _guard = self.runtime.enter();
        let _interrupts = signal(SignalKind::interrupt())?;
        self.runtime.spawn(exit_on_signal(signal(SignalKind::terminate())?, signal(SignalKind::hangup())?));

        loop {
            self.refresh_catalogue();
            let line =
                editor.read_line(&ReplPrompt).map_err(|error| CliError::LineEditor(error.to_string()))?;
            // A history that cannot be written is no reason to end.
            let _ = editor.sync_history();

            let done = match line {
                Signal::Success(text) => self.do_line(&text),
                Signal::CtrlD => Ok(LineOutcome::Quit),
                _ => Ok(LineOutcome::Prompt),
            };
            match done {
                Ok(LineOutcome::Prompt) => {}
                Ok(LineOutcome::Quit) => return Ok(()),
                // One thing that fails does not end the session.
                Err(error) => eprintln!("{}", self.paint.style(TextRole::Error, &error.to_string())),
            }
        }
    }

    /// Renews what completion offers. If the frontend does not answer, the old catalogue stays.
    fn refresh_catalogue(&self) {
        let (tracepoints, tables) = self.runtime.block_on(async {
            tokio::join!(self.connection.tracepoints(), known_names::tables(&self.connection))
        });
        let mut known = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(tracepoints) = tracepoints {
            known.tracepoints = tracepoints;
        }
        if let Ok(tables) = tables {
            known.tables = tables;
        }
    }

    fn do_line(&mut self, text: &str) -> Result<LineOutcome, CliError> {
        let begun = Instant::now();
        let after = match text.trim() {
            "" => return Ok(LineOutcome::Prompt),
            "quit" | "exit" => Ok(LineOutcome::Quit),
            "help" => self.do_command(BackslashCommand::Commands),
            text => self.do_steps(&InputSource::unnamed("query", text)),
        };

        // A statement that failed took its time too.
        if self.timing == StatementTiming::On {
            let taken_ns = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
            self.print_line(TextRole::Quiet, &format!("time: {}", duration(taken_ns)))?;
        }
        after
    }

    fn do_steps(&mut self, input: &InputSource) -> Result<LineOutcome, CliError> {
        for step in input.steps()? {
            match step {
                // A command may include a file with steps of its own, down to a `\q` that ends everything.
                InputItem::Command(line) => {
                    let command = parse(&line).map_err(CliError::Command)?;
                    if self.do_command(command)? == LineOutcome::Quit {
                        return Ok(LineOutcome::Quit);
                    }
                }

                InputItem::Explain(statement) => self.explain(input, &statement, None)?,
                InputItem::Analyze(statement) => self.explain(input, &statement, Some(ANALYZE_DURATION))?,

                InputItem::Sql(statement) => {
                    self.last = Some(LastStatement { input: input.clone(), statement: statement.clone() });
                    self.ask(input, &statement, None)?;
                }

                InputItem::Query(statement) => {
                    // Noted before it is run: a statement that does not compile is the one to edit.
                    self.last = Some(LastStatement { input: input.clone(), statement: statement.clone() });
                    self.install(input, &statement, None)?;
                }
            }
        }
        Ok(LineOutcome::Prompt)
    }

    fn do_command(&mut self, command: BackslashCommand) -> Result<LineOutcome, CliError> {
        match command {
            BackslashCommand::Quit => return Ok(LineOutcome::Quit),
            BackslashCommand::Include(path) => return self.do_steps(&InputSource::file(&path)?),
            BackslashCommand::Edit(None) => return self.edit_last(),
            BackslashCommand::Edit(Some(path)) => {
                edit_file(&path)?;
                return self.do_steps(&InputSource::file(&path)?);
            }

            BackslashCommand::Watch(None) if self.last.as_ref().is_some_and(LastStatement::is_sql) => {
                self.repeat_last(REPEAT_INTERVAL)?
            }
            BackslashCommand::Repeat(interval) => self.repeat_last(interval)?,
            BackslashCommand::Watch(number) => self.watch_installed(number)?,
            BackslashCommand::Again(path) => self.run_last_again(path.as_deref())?,
            BackslashCommand::Set(name, value) => drop(self.params.insert(name, value)),
            BackslashCommand::Unset(name) => drop(self.params.remove(&name)),
            BackslashCommand::Params => self.list_params()?,
            BackslashCommand::Expanded => self.toggle_layout()?,
            BackslashCommand::Timing => self.toggle_timing()?,

            // All others need nothing of the session.
            other => {
                let columns = terminal::size().columns;
                let answer = stateless_commands::answer(&self.connection, &other, columns, self.paint);
                let lines = self.wait(answer)?;
                self.print_lines(&lines.unwrap_or_default())?;
            }
        }
        Ok(LineOutcome::Prompt)
    }

    fn list_params(&self) -> Result<(), CliError> {
        if self.params.is_empty() {
            return self.print_line(TextRole::Quiet, "no value is set; \\set name value sets one");
        }
        self.print_lines(&lists::params(&self.params).render(terminal::size().columns, self.paint))
    }

    fn toggle_layout(&mut self) -> Result<(), CliError> {
        self.layout = self.layout.toggled();
        let layout = match self.layout {
            RowLayout::Table => "as tables",
            RowLayout::Expanded => "expanded",
        };
        self.print_line(TextRole::Quiet, &format!("rows are shown {layout}"))
    }

    fn toggle_timing(&mut self) -> Result<(), CliError> {
        let (timing, word) = match self.timing {
            StatementTiming::On => (StatementTiming::Off, "off"),
            StatementTiming::Off => (StatementTiming::On, "on"),
        };
        self.timing = timing;
        self.print_line(TextRole::Quiet, &format!("timing is {word}"))
    }

    /// Opens the last statement in the person's editor, and runs what comes back if it was changed.
    fn edit_last(&mut self) -> Result<LineOutcome, CliError> {
        // Without a last statement the editor opens empty, for a first one.
        let text = self.last.as_ref().map(|last| format!("{};\n", last.statement.text));

        match edit_text(&text.unwrap_or_default())? {
            Some(text) => {
                self.print_line(TextRole::Quiet, text.trim_end())?;
                self.do_steps(&InputSource::unnamed("query", &text))
            }
            None => {
                self.print_line(TextRole::Quiet, "nothing was changed, and nothing is run")?;
                Ok(LineOutcome::Prompt)
            }
        }
    }

    /// Runs the last statement again, with its windows into a file if there is a path.
    fn run_last_again(&mut self, path: Option<&Path>) -> Result<(), CliError> {
        let Some(LastStatement { input, statement }) = self.last.clone() else {
            return Err(CliError::Command("there is no statement yet that could be run again".to_owned()));
        };

        if is_sql(&statement.text) {
            return self.ask(&input, &statement, path);
        }
        let mut file = path.map(WindowFile::create).transpose()?;
        self.install(&input, &statement, file.as_mut())?;
        match file {
            Some(file) => self.print_line(TextRole::Quiet, &file.summary()),
            None => Ok(()),
        }
    }

    /// Asks a statement of SQL, and prints the answer, or writes it into a file.
    fn ask(&self, input: &InputSource, statement: &InputQuery, path: Option<&Path>) -> Result<(), CliError> {
        if let Some(path) = path {
            let failed = |source| CliError::WriteFile { path: path.to_owned(), source };
            let mut file = File::create(path).map_err(failed)?;
            let form = PrintedForm {
                format: format_of(path),
                columns: None,
                paint: StyleMode::Plain,
                layout: self.layout,
            };
            return self.wait(ask(&self.connection, input, statement, 0, form, &mut file));
        }

        let form = PrintedForm {
            format: OutputFormat::Table,
            columns: Some(terminal::size().columns),
            paint: self.paint,
            layout: self.layout,
        };
        match self.wait(ask(&self.connection, input, statement, 0, form, &mut io::stdout())) {
            // Its diagnostics say what is wrong.
            Err(CliError::DoesNotCompile(_)) => Ok(()),
            done => done,
        }
    }

    /// Asks the last statement of SQL again and again, until Ctrl-C.
    fn repeat_last(&self, interval: Duration) -> Result<(), CliError> {
        let Some(LastStatement { input, statement }) = self.last.as_ref().filter(|last| last.is_sql()) else {
            let none =
                "the last statement was no SQL, which \\watch could ask again; \\watch n shows query n"
                    .to_owned();
            return Err(CliError::Command(none));
        };

        loop {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = clock(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX));
            self.print_line(TextRole::Quiet, &format!("{now}, every {interval:?}; Ctrl-C ends it"))?;
            self.ask(input, statement, None)?;

            let is_over = self.runtime.block_on(async {
                tokio::select! {
                    () = tokio::time::sleep(interval) => false,
                    _ = tokio::signal::ctrl_c() => true,
                }
            });
            if is_over {
                return Ok(());
            }
        }
    }

    fn explain(
        &self,
        input: &InputSource,
        statement: &InputQuery,
        analyze: Option<Duration>,
    ) -> Result<(), CliError> {
        let reply = self.wait(self.connection.explain(&statement.text, &self.params, analyze))?;
        input.print_diagnostics(statement, &reply.diagnostics);
        self.print_lines(&[reply.explanation.trim_end().to_owned()])
    }

    /// Installs a query and shows it until a person stops it, who then says whether it stays installed.
    fn install(
        &mut self,
        input: &InputSource,
        statement: &InputQuery,
        file: Option<&mut WindowFile>,
    ) -> Result<(), CliError> {
        let installed_at = Instant::now();
        let (text, name) = (&statement.text, &statement.name);
        let install = self.connection.install(text, name, &self.params, QueryStay::WithClient);
        let reply = self.wait(install)?;
        input.print_diagnostics(statement, &reply.diagnostics);
        let Some(number) = reply.query else { return Ok(()) };

        let mut view = QueryView::new(number, &statement.text);
        view.columns = reply.columns;
        // The live table covers the diagnostics that were just printed, so it shows the warnings itself.
        view.warnings = reply.diagnostics.iter().map(|found| found.message.clone()).collect();
        if self.watch(&mut view, installed_at, file)? == WatchEnd::Finished {
            return Ok(());
        }

        if self.confirm("keep the query running? [y/N] ")? {
            self.wait(self.connection.keep(number))?;
            let stays = format!(
                "query {number} runs on, also without this prompt; \\watch {number} shows it, \\drop {number} ends it"
            );
            return self.print_line(TextRole::Quiet, &stays);
        }
        self.do_command(BackslashCommand::Drop(number)).map(drop)
    }

    /// Shows a query that is installed already: the one with the number, or the newest.
    fn watch_installed(&mut self, number: Option<u32>) -> Result<(), CliError> {
        let queries = self.wait(self.connection.queries())?;
        let found = match number {
            Some(number) => queries.into_iter().find(|query| query.number == number),
            None => queries.into_iter().last(),
        };
        let Some(query) = found else {
            return Err(CliError::Command(match number {
                Some(number) => format!("no query {number} is installed; \\dq lists all"),
                None => "no query is installed".to_owned(),
            }));
        };

        // This machine may have started after the query was installed, which no instant can express.
        let installed_at = Instant::now().checked_sub(query.installed_ago).unwrap_or_else(Instant::now);
        let number = query.number;
        let mut view = QueryView::new(number, &query.text);
        let end = match self.watch(&mut view, installed_at, None)? {
            WatchEnd::Finished => format!("query {number} has ended"),
            WatchEnd::Stopped => format!("query {number} runs on; \\drop {number} ends it"),
        };
        self.print_line(TextRole::Quiet, &end)
    }

    /// Shows the live table, and leaves its last state above the next prompt.
    fn watch(
        &mut self,
        view: &mut QueryView,
        installed_at: Instant,
        file: Option<&mut WindowFile>,
    ) -> Result<WatchEnd, CliError> {
        view.layout = self.layout;
        let end = watch(&self.runtime, &self.connection, view, file, installed_at, self.paint)?;
        // A layout that was chosen by a key of the live table stays for the session.
        self.layout = view.layout;

        let size = terminal::size();
        let mut lines = view.heading(installed_at.elapsed(), size.columns, self.paint);
        let body_lines = size.rows.saturating_sub(lines.len() + 2).max(LEAST_BODY_LINES);
        lines.extend(view.body(size.columns, body_lines, self.paint));
        self.print_lines(&lines)?;
        if view.is_abandoned() {
            self.print_line(TextRole::Warning, &abandoned(view.query))?;
        }
        Ok(end)
    }

    /// Waits for the frontend; Ctrl-C ends the waiting.
    fn wait<T>(&self, reply: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        self.runtime.block_on(async {
            tokio::select! {
                done = reply => done,
                _ = tokio::signal::ctrl_c() => Err(CliError::Command("interrupted".to_owned())),
            }
        })
    }

    /// Asks for one key, and returns whether it was `y`.
    fn confirm(&self, question: &str) -> Result<bool, CliError> {
        print!("\n{question}");
        io::stdout().flush()?;

        let is_yes = read_key()? == Some('y');
        self.print_line(TextRole::Normal, if is_yes { "yes" } else { "no" })?;
        Ok(is_yes)
    }

    fn print_line(&self, style: TextRole, text: &str) -> Result<(), CliError> {
        self.print_lines(&[self.paint.style(style, text)])
    }

    fn print_lines(&self, lines: &[String]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// Ends the process at SIGTERM or SIGHUP, with the terminal as it was found. The processes of a demo end with it.
async fn exit_on_signal(mut terminate: TokioSignal, mut hangup: TokioSignal) {
    tokio::select! { _ = terminate.recv() => (), _ = hangup.recv() => () }
    restore_terminal();
    std::process::exit(EXIT_TERMINATED);
}
