//! Backslash commands: their names, their arguments, and what each does in a sentence.

use crate::duration_text::parse_duration;
use crate::params;
use pivot_advice::{CarrierGlob, Value};
use pivot_query::nearest;
use std::path::PathBuf;
use std::time::Duration;

/// How often a statement of SQL may be asked again at most.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

/// A backslash command with its argument.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BackslashCommand {
    /// `\q`
    Quit,
    /// `\?`: lists the commands.
    Commands,
    /// `\h`: explains the language, or a clause or function of it.
    Help(Option<String>),
    /// `\dt`: lists tracepoints, all or those that match a glob.
    Tracepoints(Option<String>),
    /// `\d`: shows one tracepoint.
    Tracepoint(String),
    /// `\dq`: lists installed queries, or shows one.
    Queries(Option<u32>),
    /// `\l`: lists agents.
    Agents,
    /// `\carriers`: lists the spans that carry a request because somebody has named them at the frontend.
    Carriers,
    /// `\carriers glob, ...` and `\carriers off`: names them, in the place of those named before.
    NameCarriers(Vec<CarrierGlob>),
    /// `\drop`: uninstalls a query.
    Drop(u32),
    /// `\keep`: has a query, or the newest, stay when its client has gone.
    Keep(Option<QueryReference>),
    /// `\history`: lists the queries of which windows are kept.
    History,
    /// `\history query [since [step]]`: adds up windows that have closed, all or those of the last time, step by step.
    ReadHistory(QueryReference, Option<Duration>, Option<Duration>),
    /// `\history drop query`: forgets the windows of a query.
    DropHistory(QueryReference),
    /// `\watch`: shows the live table of a query, or of the newest.
    Watch(Option<u32>),
    /// `\watch 5s`: asks the last statement of SQL again and again.
    Repeat(Duration),
    /// `\i`: runs the statements of a file.
    Include(PathBuf),
    /// `\g`: runs the last statement again, with its windows into a file if there is one.
    Again(Option<PathBuf>),
    /// `\e`: edits the last statement or a file, then runs it.
    Edit(Option<PathBuf>),
    /// `\set name value`
    Set(String, Value),
    /// `\unset name`
    Unset(String),
    /// `\set`: lists the values of `$name`.
    Params,
    /// `\x`: toggles expanded rows.
    Expanded,
    /// `\timing`: toggles how long each statement took.
    Timing,
}

/// A query as a person names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum QueryReference {
    Number(u32),
    Name(String),
}

/// A command as `\?` and completion show it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommandHelp {
    /// With the backslash.
    pub(crate) name: &'static str,
    /// In brackets if it may be left out; empty if there is none.
    pub(crate) argument: &'static str,
    pub(crate) meaning: &'static str,
}

const fn help(name: &'static str, argument: &'static str, meaning: &'static str) -> CommandHelp {
    CommandHelp { name, argument, meaning }
}

/// All commands, in the order of the help.
pub(crate) const COMMANDS: [CommandHelp; 19] = [
    help("\\dt", "[glob]", "tracepoints with their fields, agents and places"),
    help("\\d", "name", "one tracepoint: its fields, their types, who exports them"),
    help("\\dq", "[n]", "installed queries and what they cost, or one of them on each agent"),
    help("\\l", "", "agents"),
    help(
        "\\watch",
        "[n | time]",
        "the live table of query n, or of the newest; or the last SQL again, every 2s or time",
    ),
    help("\\keep", "[n | name]", "have a query, or the newest, stay when its client has gone"),
    help("\\drop", "n", "uninstall query n"),
    help(
        "\\history",
        "[[drop] n | name [since [step]]]",
        "windows that have closed: of which queries, or one added up (\\history q2 1h 5m: the last hour, each 5 minutes)",
    ),
    help(
        "\\carriers",
        "[glob, ... | off]",
        "spans that begin a request, in all processes: list them, name others, or none",
    ),
    help("\\g", "[file]", "run the last statement again, its windows also into the file"),
    help("\\e", "[file]", "edit the last statement, or a file, in $EDITOR, then run it"),
    help("\\i", "file", "run the statements of a file"),
    help("\\set", "[name value]", "give $name in queries a value, or list the values"),
    help("\\unset", "name", "take the value of $name away"),
    help("\\x", "", "toggle expanded rows"),
    help("\\timing", "", "toggle how long each statement took"),
    help("\\h", "[word]", "the language, or a clause or function of it, with an example"),
    help("\\?", "", "this help"),
    help("\\q", "", "quit"),
];

/// Reads a line that begins with a backslash. The error is a sentence for the user.
pub(crate) fn parse(line: &str) -> Result<BackslashCommand, String> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = CommandArgument { name, text: argument.trim() };

    match name {
        "\\q" | "\\quit" => Ok(BackslashCommand::Quit),
        "\\?" => Ok(BackslashCommand::Commands),
        "\\h" => Ok(BackslashCommand::Help(argument.optional())),
        "\\dt" => Ok(BackslashCommand::Tracepoints(argument.optional())),
        "\\d" => {
            Ok(argument.optional().map_or(BackslashCommand::Tracepoints(None), BackslashCommand::Tracepoint))
        }
        "\\dq" if argument.text.is_empty() => Ok(BackslashCommand::Queries(None)),
        "\\dq" => Ok(BackslashCommand::Queries(Some(argument.number()?))),
        "\\l" => Ok(BackslashCommand::Agents),
        "\\carriers" => argument.carriers(),
        "\\history" => argument.history(),
        "\\drop" => Ok(BackslashCommand::Drop(argument.number()?)),
        "\\keep" => Ok(BackslashCommand::Keep(argument.optional().map(QueryReference::read))),
        "\\watch" if argument.text.is_empty() => Ok(BackslashCommand::Watch(None)),
        "\\watch" => argument.watched(),
        "\\g" => Ok(BackslashCommand::Again(argument.optional().map(PathBuf::from))),
        "\\e" => Ok(BackslashCommand::Edit(argument.optional().map(PathBuf::from))),
        "\\i" => Ok(BackslashCommand::Include(argument.needed("a file")?.into())),
        "\\set" if argument.text.is_empty() => Ok(BackslashCommand::Params),
        "\\set" => argument.assignment(),
        "\\unset" => Ok(BackslashCommand::Unset(params::parse_name(argument.needed("a name")?)?)),
        "\\x" => Ok(BackslashCommand::Expanded),
        "\\timing" => Ok(BackslashCommand::Timing),
        unknown => Err(match nearest(unknown, COMMANDS.map(|command| command.name)) {
            Some(name) => format!("{unknown} is not a command, did you mean {name}? \\? lists all"),
            None => format!("{unknown} is not a command, \\? lists all"),
        }),
    }
}

impl QueryReference {
    fn read(text: String) -> QueryReference {
        text.parse().map_or(QueryReference::Name(text), QueryReference::Number)
    }
}

/// The text behind the name of a command.
struct CommandArgument<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'a> CommandArgument<'a> {
    fn optional(&self) -> Option<String> {
        Some(self.text.to_owned()).filter(|text| !text.is_empty())
    }

    fn needed(&self, what: &str) -> Result<&'a str, String> {
        if self.text.is_empty() { Err(format!("{} needs {what}", self.name)) } else { Ok(self.text) }
    }

    fn number(&self) -> Result<u32, String> {
        let given = self.needed("the number of a query, see \\dq")?;
        given.parse().map_err(|_| format!("`{given}` is not the number of a query, see \\dq"))
    }

    /// Reads nothing, `drop query`, or `query [since [step]]`.
    fn history(&self) -> Result<BackslashCommand, String> {
        let mut words = self.text.split_whitespace();
        let Some(first) = words.next() else { return Ok(BackslashCommand::History) };
        let rest: Vec<&str> = words.collect();

        match (first, rest.as_slice()) {
            ("drop", []) => Err("\\history drop needs the number or the name of a query".to_owned()),
            ("drop", [query]) => Ok(BackslashCommand::DropHistory(QueryReference::read((*query).to_owned()))),
            (query, [] | [_] | [_, _]) if query != "drop" => {
                let duration = |at: usize| rest.get(at).map(|text| parse_duration(text)).transpose();
                let query = QueryReference::read(query.to_owned());
                Ok(BackslashCommand::ReadHistory(query, duration(0)?, duration(1)?))
            }
            _ => Err("\\history takes a query, how far back, and the length of a step".to_owned()),
        }
    }

    /// Reads the number of a query, or how often a statement of SQL is asked.
    fn watched(&self) -> Result<BackslashCommand, String> {
        let is_number = self.text.chars().all(|c| c.is_ascii_digit());
        match parse_duration(self.text) {
            Ok(interval) if !is_number && interval >= LEAST_INTERVAL => {
                Ok(BackslashCommand::Repeat(interval))
            }
            Ok(_) if !is_number => Err(format!("a statement is asked every {LEAST_INTERVAL:?} at most")),
            _ => Ok(BackslashCommand::Watch(Some(self.number()?))),
        }
    }

    /// Reads globs over the names of spans, `off`, or nothing.
    fn carriers(&self) -> Result<BackslashCommand, String> {
        match self.text {
            "" => Ok(BackslashCommand::Carriers),
            "off" => Ok(BackslashCommand::NameCarriers(Vec::new())),
            globs => {
                let globs = CarrierGlob::list(globs).map_err(|invalid| invalid.to_string())?;
                Ok(BackslashCommand::NameCarriers(globs))
            }
        }
    }

    /// Reads `name value`, `name=value` or `name = value`.
    fn assignment(&self) -> Result<BackslashCommand, String> {
        let end_of_name = self.text.find(|c: char| c.is_whitespace() || c == '=');
        let (name, value) = self.text.split_at(end_of_name.unwrap_or(self.text.len()));
        let value = value.trim_start().trim_start_matches('=').trim();
        match value {
            "" => Err(format!("{} needs a name and a value", self.name)),
            value => Ok(BackslashCommand::Set(params::parse_name(name)?, params::parse_value(value))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_take_their_arguments() {
        let check = |line: &str, expected: BackslashCommand| assert_eq!(parse(line), Ok(expected), "{line}");
        check("\\q;", BackslashCommand::Quit);
        check("\\dt  Data* ", BackslashCommand::Tracepoints(Some("Data*".into())));
        check("\\dt", BackslashCommand::Tracepoints(None));
        check("\\d a b", BackslashCommand::Tracepoint("a b".into()));
        check("\\drop 7", BackslashCommand::Drop(7));
        check("\\dq", BackslashCommand::Queries(None));
        check("\\dq 7;", BackslashCommand::Queries(Some(7)));
        check("\\i my file.pivot", BackslashCommand::Include("my file.pivot".into()));
        check("\\history", BackslashCommand::History);
        let q2 = || QueryReference::Name("q2".into());
        check("\\history drop q2", BackslashCommand::DropHistory(q2()));
        check("\\history q2", BackslashCommand::ReadHistory(q2(), None, None));
        let (hour, minute) = (Some(Duration::from_secs(3_600)), Some(Duration::from_secs(60)));
        check("\\history 7 1h", BackslashCommand::ReadHistory(QueryReference::Number(7), hour, None));
        check("\\history q2 1h 1m;", BackslashCommand::ReadHistory(q2(), hour, minute));
        check("\\keep", BackslashCommand::Keep(None));
        check("\\keep 7", BackslashCommand::Keep(Some(QueryReference::Number(7))));
        check("\\keep q2;", BackslashCommand::Keep(Some(QueryReference::Name("q2".into()))));
        check("\\watch", BackslashCommand::Watch(None));
        check("\\watch 7", BackslashCommand::Watch(Some(7)));
        check("\\watch 500ms", BackslashCommand::Repeat(Duration::from_millis(500)));
        check("\\g out.csv", BackslashCommand::Again(Some("out.csv".into())));
        check("\\set limit 5", BackslashCommand::Set("limit".into(), Value::I64(5)));
        check("\\set $app = 'get it'", BackslashCommand::Set("app".into(), Value::str("get it")));
        check("\\carriers", BackslashCommand::Carriers);
        check("\\carriers off;", BackslashCommand::NameCarriers(vec![]));
        let globs = CarrierGlob::list("app::*::http_request, append").unwrap_or_default();
        check("\\carriers app::*::http_request, append", BackslashCommand::NameCarriers(globs));
        check("\\h group by", BackslashCommand::Help(Some("group by".into())));
    }

    #[test]
    fn a_mistake_is_answered_with_what_was_meant() {
        let check = |line: &str, expected: &str| assert_eq!(parse(line), Err(expected.to_owned()));
        check("\\wacth 3", "\\wacth is not a command, did you mean \\watch? \\? lists all");
        check("\\frobnicate", "\\frobnicate is not a command, \\? lists all");
        check("\\drop", "\\drop needs the number of a query, see \\dq");
        check("\\set limit", "\\set needs a name and a value");
        let no_glob = "`app::{a}` is no glob over `target::name`: `{` has no meaning in it; \
                       one is `app::*::http_request`, or `app::**`";
        check("\\carriers app::{a}", no_glob);
        check("\\drop all", "`all` is not the number of a query, see \\dq");
    }
}
