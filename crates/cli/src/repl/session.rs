//! One session at the prompt: reads, does, shows.

use super::commands::{Command, matches, nearest, parse};
use super::completion::Known;
use super::edit::{Plain, editor};
use super::lists;
use crate::client::Connection;
use crate::error::CliError;
use crate::input::{Input, Statement};
use crate::live::{self, Ended, View};
use crate::table::{Paint, Style, Table};
use crate::text::{count, duration, escaped};
use reedline::Signal;
use std::io::{self, Write};
use std::path::Path;
use std::sync::PoisonError;
use std::time::Instant;
use tokio::runtime::Handle;

/// The state of a session.
pub(crate) struct Session {
    runtime: Handle,
    connection: Connection,
    known: Known,
    paint: Paint,
    form: live::Form,
    timing: Timing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timing {
    Off,
    On,
}

/// What to do after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Prompt,
    Quit,
}

impl Session {
    /// A session on a connection. The runtime must not be the one of this very thread.
    pub(crate) fn new(runtime: Handle, connection: Connection) -> Session {
        Session {
            runtime,
            connection,
            known: Known::default(),
            paint: Paint::of(&io::stdout()),
            form: live::Form::Table,
            timing: Timing::Off,
        }
    }

    /// Reads and does, until the end of input or `\q`.
    pub(crate) fn run(&mut self) -> Result<(), CliError> {
        let mut editor = editor(self.known.clone(), self.paint)?;
        loop {
            self.refresh();
            let line = editor.read_line(&Plain).map_err(|error| CliError::Editor(error.to_string()))?;
            let done = match line {
                Signal::Success(text) => self.enter(&text),
                Signal::CtrlD => Ok(Next::Quit),
                _ => Ok(Next::Prompt),
            };
            match done {
                Ok(Next::Prompt) => {}
                Ok(Next::Quit) => return Ok(()),
                // One thing that fails does not end the session.
                Err(error) => eprintln!("{}", self.paint.style(Style::Error, &error.to_string())),
            }
        }
    }

    /// Renews what completion offers.
    fn refresh(&self) {
        if let Ok(found) = self.runtime.block_on(self.connection.tracepoints()) {
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    fn enter(&mut self, text: &str) -> Result<Next, CliError> {
        let text = text.trim();
        let begun = Instant::now();
        match text {
            "" => return Ok(Next::Prompt),
            "quit" | "exit" => return Ok(Next::Quit),
            "help" => self.help()?,
            command if command.starts_with('\\') => match parse(command) {
                Ok(Command::Quit) => return Ok(Next::Quit),
                Ok(command) => self.command(command)?,
                Err(sentence) => self.say(Style::Error, &sentence)?,
            },
            text => self.statements(&Input::text("query", text))?,
        }
        if self.timing == Timing::On {
            let taken = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
            self.say(Style::Quiet, &format!("time: {}", duration(taken)))?;
        }
        Ok(Next::Prompt)
    }

    fn command(&mut self, command: Command) -> Result<(), CliError> {
        match command {
            Command::Quit => Ok(()),
            Command::Help => self.help(),
            Command::Tracepoints(glob) => self.tracepoints(glob.as_deref().unwrap_or("*")),
            Command::Tracepoint(name) => self.tracepoint(&name),
            Command::Queries => {
                let found = self.runtime.block_on(self.connection.queries())?;
                self.list(&lists::queries(&found), "no query is installed")
            }
            Command::Agents => {
                let found = self.runtime.block_on(self.connection.agents())?;
                self.list(&lists::agents(&found), "no agent has connected yet")
            }
            Command::Drop(number) => self.drop_query(number),
            Command::Watch(number) => self.reattach(number),
            Command::Include(path) => self.include(&path),
            Command::Expanded => {
                self.form = self.form.other();
                let form = if self.form == live::Form::Table { "as tables" } else { "expanded" };
                self.say(Style::Quiet, &format!("rows are shown {form}"))
            }
            Command::Timing => {
                self.timing = if self.timing == Timing::On { Timing::Off } else { Timing::On };
                self.say(
                    Style::Quiet,
                    if self.timing == Timing::On { "timing is on" } else { "timing is off" },
                )
            }
        }
    }

    fn help(&self) -> Result<(), CliError> {
        self.print(&lists::help().render(columns(), self.paint))?;
        self.say(
            Style::Normal,
            "\nA statement ends with `;`. It is installed and its result shown live, for example:",
        )?;
        self.say(Style::Accent, EXAMPLE)?;
        self.say(Style::Quiet, "EXPLAIN before a query shows its plan and advice instead.")
    }

    fn tracepoints(&self, glob: &str) -> Result<(), CliError> {
        let found = self.runtime.block_on(self.connection.tracepoints())?;
        let shown: Vec<_> = found.iter().filter(|tracepoint| matches(glob, &tracepoint.name)).collect();
        let none = if found.is_empty() {
            "no agent exports a tracepoint yet"
        } else {
            "no tracepoint has such a name"
        };
        self.list(&lists::tracepoints(&shown), none)
    }

    fn tracepoint(&self, name: &str) -> Result<(), CliError> {
        let found = self.runtime.block_on(self.connection.tracepoints())?;
        let Some(tracepoint) = found.iter().find(|tracepoint| tracepoint.name == name) else {
            let meant = nearest(name, found.iter().map(|tracepoint| tracepoint.name.as_str()));
            let hint = meant.map_or("\\dt lists all".to_owned(), |meant| format!("did you mean {meant}?"));
            return self.say(Style::Error, &format!("no tracepoint {name}; {hint}"));
        };
        let places: Vec<String> = tracepoint.places.iter().map(|place| escaped(place)).collect();
        let about =
            format!("exported by {}, at {}", count(tracepoint.agents.into(), "agent"), places.join(", "));
        self.say(Style::Strong, &escaped(&tracepoint.name))?;
        self.say(Style::Quiet, &about)?;
        self.print(&lists::fields(tracepoint).render(columns(), self.paint))
    }

    fn include(&mut self, path: &Path) -> Result<(), CliError> {
        self.statements(&Input::file(path)?)
    }

    fn statements(&mut self, input: &Input) -> Result<(), CliError> {
        input.statements()?.iter().try_for_each(|statement| match explained(&statement.text) {
            Some(offset) => self.explain(input, statement, offset),
            None => self.install(input, statement),
        })
    }

    fn explain(&self, input: &Input, statement: &Statement, offset: usize) -> Result<(), CliError> {
        let text = &statement.text[offset..];
        let (found, explanation) = self.runtime.block_on(self.connection.explain(text))?;
        let moved = Statement { offset: statement.offset + offset, ..statement.clone() };
        eprint!("{}", input.render(&moved, &found, self.paint.diagnostics()));
        self.print(&[explanation])
    }

    fn install(&mut self, input: &Input, statement: &Statement) -> Result<(), CliError> {
        let since = Instant::now();
        let installed = self.runtime.block_on(self.connection.install(&statement.text, &statement.name))?;
        let rendered = input.render(statement, &installed.diagnostics, self.paint.diagnostics());
        eprint!("{rendered}");
        let Some(number) = installed.query else { return Ok(()) };
        let mut view = View { form: self.form, ..View::new(number, &statement.text) };
        view.columns = installed.columns;
        view.warnings = installed.diagnostics.iter().map(|found| found.message.clone()).collect();
        if self.watch(&mut view, since)? == Ended::Finished {
            return Ok(());
        }
        if self.asks("keep the query running? [y/N] ")? {
            return self.say(
                Style::Quiet,
                &format!("query {number} runs on; \\watch {number} shows it, \\drop {number} ends it"),
            );
        }
        self.drop_query(number)
    }

    fn reattach(&mut self, number: u32) -> Result<(), CliError> {
        let Some(query) = self.runtime.block_on(self.connection.query(number))? else {
            return self.say(Style::Error, &format!("no query {number} is installed; \\dq lists all"));
        };
        let now_ns = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let age = now_ns
            .saturating_sub(std::time::Duration::from_nanos(u64::try_from(query.installed_ns).unwrap_or(0)));
        let since = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        let mut view = View { form: self.form, ..View::new(number, &query.text) };
        let ended = self.watch(&mut view, since)?;
        match ended {
            Ended::Finished => self.say(Style::Quiet, &format!("query {number} has ended")),
            Ended::Stopped => {
                self.say(Style::Quiet, &format!("query {number} runs on; \\drop {number} ends it"))
            }
        }
    }

    /// Shows the live table, and leaves its last state above the next prompt.
    fn watch(&mut self, view: &mut View, since: Instant) -> Result<Ended, CliError> {
        let tracepoints = self.runtime.block_on(self.connection.tracepoints())?;
        let queries = self.runtime.block_on(self.connection.queries())?;
        view.measure = live::measure(&view.text, &tracepoints, &queries);
        let ended = live::watch(&self.runtime, &self.connection, view, since, self.paint)?;
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

    fn drop_query(&self, number: u32) -> Result<(), CliError> {
        self.runtime.block_on(self.connection.uninstall(number))?;
        self.say(Style::Quiet, &format!("query {number} is uninstalled"))
    }

    /// One key from the terminal; anything but `y` is no.
    fn asks(&self, question: &str) -> Result<bool, CliError> {
        print!("\n{question}");
        io::stdout().flush()?;
        let yes = live::key()? == Some('y');
        self.say(Style::Normal, if yes { "yes" } else { "no" })?;
        Ok(yes)
    }

    fn list(&self, table: &Table, none: &str) -> Result<(), CliError> {
        match table.len() {
            0 => self.say(Style::Quiet, none),
            _ => self.print(&table.render(columns(), self.paint)),
        }
    }

    fn say(&self, style: Style, text: &str) -> Result<(), CliError> {
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

/// Where the query begins in a statement that only wants its explanation.
fn explained(text: &str) -> Option<usize> {
    let word = text.get(.."explain".len()).filter(|word| word.eq_ignore_ascii_case("explain"))?;
    text[word.len()..].starts_with(char::is_whitespace).then_some(word.len())
}

fn columns() -> usize {
    crossterm::terminal::size().map_or(80, |(columns, _)| columns.into())
}
