//! One session at the prompt: reads, does, shows.

use super::commands::{BackslashCommand, parse};
use super::completion::CompletionCatalogue;
use super::line_editor::{ReplPrompt, editor};
use super::text_editor::{WindowFile, edit, edit_file};
use super::{lists, stateless_commands};
use crate::batch::{ANALYSIS, report};
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::input::{InputStatement, InputStep, InputText};
use crate::live::{self, QueryView, WatchEnd};
use crate::params::Params;
use crate::table::{Paint, TextStyle};
use crate::text::duration;
use reedline::Signal;
use std::io::{self, Write};
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal as TokioSignal, SignalKind, signal};

/// The state of a session.
pub(crate) struct ReplSession {
    runtime: Handle,
    connection: FrontendConnection,
    known: CompletionCatalogue,
    paint: Paint,
    form: live::RowLayout,
    timing: Timing,
    params: Params,
    /// What `\g` runs again and `\e` edits.
    last: Option<(InputText, InputStatement)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timing {
    Off,
    On,
}

/// What to do after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterLine {
    Prompt,
    Quit,
}

impl ReplSession {
    /// A session on a connection. The runtime must not be the one of this very thread.
    pub(crate) fn new(runtime: Handle, connection: FrontendConnection) -> ReplSession {
        ReplSession {
            runtime,
            connection,
            known: CompletionCatalogue::default(),
            paint: Paint::of(&io::stdout()),
            form: live::RowLayout::Table,
            timing: Timing::Off,
            params: Params::default(),
            last: None,
        }
    }

    /// Reads and does, until the end of input or `\q`.
    pub(crate) fn run(&mut self) -> Result<(), CliError> {
        let mut editor = editor(self.known.clone(), self.paint)?;
        // Between two prompts the terminal turns Ctrl-C into a signal, which must not end the session.
        let _guard = self.runtime.enter();
        let _interrupts = signal(SignalKind::interrupt())?;
        self.runtime.spawn(end_on(signal(SignalKind::terminate())?, signal(SignalKind::hangup())?));
        loop {
            self.refresh();
            let line = editor.read_line(&ReplPrompt).map_err(|error| CliError::Editor(error.to_string()))?;
            // A history that cannot be written is no reason to end.
            let _ = editor.sync_history();
            let done = match line {
                Signal::Success(text) => self.enter(&text),
                Signal::CtrlD => Ok(AfterLine::Quit),
                _ => Ok(AfterLine::Prompt),
            };
            match done {
                Ok(AfterLine::Prompt) => {}
                Ok(AfterLine::Quit) => return Ok(()),
                // One thing that fails does not end the session.
                Err(error) => eprintln!("{}", self.paint.style(TextStyle::Error, &error.to_string())),
            }
        }
    }

    /// Renews what completion offers.
    fn refresh(&self) {
        if let Ok(found) = self.runtime.block_on(self.connection.tracepoints()) {
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    fn enter(&mut self, text: &str) -> Result<AfterLine, CliError> {
        let begun = Instant::now();
        let next = match text.trim() {
            "" => return Ok(AfterLine::Prompt),
            "quit" | "exit" => Ok(AfterLine::Quit),
            "help" => self.command(BackslashCommand::Commands),
            text => self.steps(&InputText::text("query", text)),
        };
        if self.timing == Timing::On {
            let taken = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
            self.say(TextStyle::Quiet, &format!("time: {}", duration(taken)))?;
        }
        next
    }

    fn steps(&mut self, input: &InputText) -> Result<AfterLine, CliError> {
        for step in input.steps()? {
            match step {
                InputStep::Command(line) => {
                    let command = parse(&line).map_err(CliError::Command)?;
                    if self.command(command)? == AfterLine::Quit {
                        return Ok(AfterLine::Quit);
                    }
                }
                InputStep::Explain(statement) => self.explain(input, &statement, None)?,
                InputStep::Analyze(statement) => self.explain(input, &statement, Some(ANALYSIS))?,
                InputStep::Query(statement) => {
                    self.last = Some((input.clone(), statement.clone()));
                    self.install(input, &statement, None)?;
                }
            }
        }
        Ok(AfterLine::Prompt)
    }

    fn command(&mut self, command: BackslashCommand) -> Result<AfterLine, CliError> {
        match command {
            BackslashCommand::Quit => return Ok(AfterLine::Quit),
            BackslashCommand::Watch(number) => self.reattach(number)?,
            BackslashCommand::Include(path) => return self.steps(&InputText::file(&path)?),
            BackslashCommand::Edit(path) => return self.edit(path.as_deref()),
            BackslashCommand::Again(path) => self.again(path.as_deref())?,
            BackslashCommand::Set(name, value) => drop(self.params.insert(name, value)),
            BackslashCommand::Unset(name) => drop(self.params.remove(&name)),
            BackslashCommand::Params => match self.params.is_empty() {
                true => self.say(TextStyle::Quiet, "no value is set; \\set name value sets one")?,
                false => self.print(&lists::params(&self.params).render(columns(), self.paint))?,
            },
            BackslashCommand::Expanded => {
                self.form = self.form.other();
                let form = if self.form == live::RowLayout::Table { "as tables" } else { "expanded" };
                self.say(TextStyle::Quiet, &format!("rows are shown {form}"))?;
            }
            BackslashCommand::Timing => {
                let (timing, word) = match self.timing {
                    Timing::On => (Timing::Off, "off"),
                    Timing::Off => (Timing::On, "on"),
                };
                self.timing = timing;
                self.say(TextStyle::Quiet, &format!("timing is {word}"))?;
            }
            other => {
                let shown =
                    self.wait(stateless_commands::lines(&self.connection, &other, columns(), self.paint))?;
                self.print(&shown.unwrap_or_default())?;
            }
        }
        Ok(AfterLine::Prompt)
    }

    /// The last statement or a file in the editor; what comes back is run if it was changed.
    fn edit(&mut self, path: Option<&Path>) -> Result<AfterLine, CliError> {
        if let Some(path) = path {
            edit_file(path)?;
            return self.steps(&InputText::file(path)?);
        }
        let last = self.last.as_ref().map(|(_, statement)| format!("{};\n", statement.text));
        match edit(&last.unwrap_or_default())? {
            Some(text) => {
                self.say(TextStyle::Quiet, text.trim_end())?;
                self.steps(&InputText::text("query", &text))
            }
            None => {
                self.say(TextStyle::Quiet, "nothing was changed, and nothing is run")?;
                Ok(AfterLine::Prompt)
            }
        }
    }

    /// Runs the last statement again, with its windows into a file if there is one.
    fn again(&mut self, path: Option<&Path>) -> Result<(), CliError> {
        let Some((input, statement)) = self.last.clone() else {
            return Err(CliError::Command("there is no statement yet that could be run again".to_owned()));
        };
        let mut window_file = path.map(WindowFile::create).transpose()?;
        self.install(&input, &statement, window_file.as_mut())?;
        match window_file {
            Some(window_file) => self.say(TextStyle::Quiet, &window_file.summary()),
            None => Ok(()),
        }
    }

    fn explain(
        &self,
        input: &InputText,
        statement: &InputStatement,
        analyze: Option<Duration>,
    ) -> Result<(), CliError> {
        let explained = self.connection.explain(&statement.text, &self.params, analyze);
        let (found, explanation) = self.wait(explained)?;
        report(input, statement, &found);
        self.print(&[explanation.trim_end().to_owned()])
    }

    fn install(
        &mut self,
        input: &InputText,
        statement: &InputStatement,
        window_file: Option<&mut WindowFile>,
    ) -> Result<(), CliError> {
        let since = Instant::now();
        let installed = self.wait(self.connection.install(&statement.text, &statement.name, &self.params))?;
        report(input, statement, &installed.diagnostics);
        let Some(number) = installed.query else { return Ok(()) };
        let mut view = QueryView::new(number, &statement.text);
        view.form = self.form;
        view.columns = installed.columns;
        view.warnings = installed.diagnostics.iter().map(|found| found.message.clone()).collect();
        if self.watch(&mut view, since, window_file)? == WatchEnd::Finished {
            return Ok(());
        }
        if self.asks("keep the query running? [y/N] ")? {
            return self.say(
                TextStyle::Quiet,
                &format!("query {number} runs on; \\watch {number} shows it, \\drop {number} ends it"),
            );
        }
        self.command(BackslashCommand::Drop(number)).map(drop)
    }

    fn reattach(&mut self, number: Option<u32>) -> Result<(), CliError> {
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
        let number = query.number;
        let now_ns = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let age = now_ns
            .saturating_sub(std::time::Duration::from_nanos(u64::try_from(query.installed_ns).unwrap_or(0)));
        let since = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        let mut view = QueryView::new(number, &query.text);
        view.form = self.form;
        let ended = self.watch(&mut view, since, None)?;
        match ended {
            WatchEnd::Finished => self.say(TextStyle::Quiet, &format!("query {number} has ended")),
            WatchEnd::Stopped => {
                self.say(TextStyle::Quiet, &format!("query {number} runs on; \\drop {number} ends it"))
            }
        }
    }

    /// Shows the live table, and leaves its last state above the next prompt.
    fn watch(
        &mut self,
        view: &mut QueryView,
        since: Instant,
        window_file: Option<&mut WindowFile>,
    ) -> Result<WatchEnd, CliError> {
        let tracepoints = self.wait(self.connection.tracepoints())?;
        let queries = self.wait(self.connection.queries())?;
        view.measure = live::measure(&view.text, &self.params, &tracepoints, &queries);
        let ended = live::watch(&self.runtime, &self.connection, view, window_file, since, self.paint)?;
        self.form = view.form;
        let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 24));
        let mut lines = view.heading(since.elapsed(), columns.into(), self.paint);
        lines.extend(view.body(
            columns.into(),
            usize::from(rows).saturating_sub(lines.len() + 2).max(4),
            self.paint,
        ));
        self.print(&lines)?;
        Ok(ended)
    }

    /// Waits for the frontend; Ctrl-C ends the waiting.
    fn wait<T>(&self, future: impl Future<FrameWriter = Result<T, CliError>>) -> Result<T, CliError> {
        self.runtime.block_on(async {
            tokio::select! {
                done = future => done,
                _ = tokio::signal::ctrl_c() => Err(CliError::Command("interrupted".to_owned())),
            }
        })
    }

    /// One key from the terminal; anything but `y` is no.
    fn asks(&self, question: &str) -> Result<bool, CliError> {
        print!("\n{question}");
        io::stdout().flush()?;
        let yes = live::key()? == Some('y');
        self.say(TextStyle::Normal, if yes { "yes" } else { "no" })?;
        Ok(yes)
    }

    fn say(&self, style: TextStyle, text: &str) -> Result<(), CliError> {
        self.print(&[self.paint.style(style, text)])
    }

    fn print(&self, lines: &[String]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// A query that works on the demo.
pub(crate) const EXAMPLE: &str = "  FROM incr IN DataNodeMetrics.incrBytesRead
  JOIN cl IN First(ClientProtocols) ON cl -> incr
  GROUP BY cl.process
  SELECT cl.process, SUM(incr.delta);";

/// Ends the process at a signal, with the terminal as it was found. Children end with it.
async fn end_on(mut terminate: TokioSignal, mut hangup: TokioSignal) {
    tokio::select! { _ = terminate.recv() => (), _ = hangup.recv() => () }
    live::give_back();
    std::process::exit(128 + 15);
}

fn columns() -> usize {
    crossterm::terminal::size().map_or(80, |(columns, _)| columns.into())
}
