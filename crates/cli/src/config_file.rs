//! The file of `pivot server --config`: settings by the names of their flags, in TOML.

use crate::error::CliError;
use crate::server_settings::ServerSettings;
use clap::{CommandFactory, Parser};
use pivot_query::nearest;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Settings as arguments, in the form in which a file gives them.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct SettingsAsArguments {
    #[command(flatten)]
    settings: ServerSettings,
}

/// Reads the settings of a file. Those of the environment stand in the place of what is not in it.
pub(crate) fn read_config(path: &Path) -> Result<ServerSettings, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| CliError::ReadFile { path: path.to_owned(), source })?;
    settings(&text).map_err(|Misfit { line, problem }| CliError::Config {
        path: path.to_owned(),
        line,
        problem,
    })
}

/// A place in a file that is wrong.
#[derive(Debug, PartialEq, Eq)]
struct Misfit {
    /// From 1.
    line: usize,
    problem: String,
}

fn settings(text: &str) -> Result<ServerSettings, Misfit> {
    let table = DeTable::parse(text).map_err(|error| Misfit {
        line: line(text, error.span().map_or(0, |span| span.start)),
        problem: error.message().to_owned(),
    })?;

    let mut arguments = Vec::new();
    for (name, value) in table.get_ref() {
        let argument = argument(name.get_ref(), value.get_ref());
        let misfit = |problem| Misfit { line: line(text, name.span().start), problem };
        let argument = argument.map_err(misfit)?;
        // Alone first, so that what is wrong with it is known to be of its line.
        SettingsAsArguments::try_parse_from([&argument]).map_err(|error| misfit(first_line(&error)))?;
        arguments.push(argument);
    }
    let all = SettingsAsArguments::try_parse_from(arguments);
    Ok(all.map_err(|error| Misfit { line: 1, problem: first_line(&error) })?.settings)
}

/// Returns the argument that stands for a setting.
fn argument(name: &str, value: &DeValue<'_>) -> Result<String, String> {
    let command = SettingsAsArguments::command();
    let names: Vec<&str> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
    if !names.contains(&name) {
        return Err(match nearest(name, names) {
            Some(meant) => format!("there is no setting `{name}`, did you mean `{meant}`?"),
            None => format!("there is no setting `{name}`; `pivot server --help` lists all"),
        });
    }

    match value {
        DeValue::String(value) => Ok(format!("--{name}={value}")),
        DeValue::Integer(value) => Ok(format!("--{name}={value}")),
        _ => Err(format!("`{name}` is a text in quotes or a number")),
    }
}

/// Returns what clap says is wrong, without advice about a command line that nobody has typed.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Returns the number of the line, from 1, in which an offset lies.
fn line(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_file_gives_settings_by_the_names_of_their_flags() {
        let found =
            settings("# where\nlisten = '[::1]:7'\nclient-grace = \"5m\"\nkeep-frames = 1_000\n").unwrap();
        assert_eq!(found.listen, Some("[::1]:7".parse().unwrap()));
        assert_eq!((found.client_grace, found.keep_frames), (Some(Duration::from_secs(300)), Some(1_000)));
        assert!(settings("").unwrap().listen.is_none());
    }

    #[test]
    fn whatever_is_wrong_is_named_with_its_line() {
        let check = |text: &str, line: usize, expected: &str| {
            let Misfit { line: found, problem } = settings(text).unwrap_err();
            assert_eq!(found, line, "{text}: {problem}");
            assert!(problem.contains(expected), "{text}: {problem}");
        };
        check("\nclient-grase = '1m'", 2, "did you mean `client-grace`?");
        check("client_grace = '1m'", 1, "did you mean `client-grace`?");
        check("config = 'other.toml'", 1, "there is no setting `config`");
        check("zzzzzz = 1", 1, "`pivot server --help` lists all");
        check("log = 'info'\n[server]\nlisten = 'x'", 2, "there is no setting `server`");
        check("listen = 7468", 1, "invalid value '7468' for '--listen <ADDRESS>'");
        check("log = 'info'\n\nkeep-frames = 0", 3, "a whole number from 1 on");
        check("keep-frames = true", 1, "`keep-frames` is a text in quotes or a number");
        check("client-grace = '100ms'", 1, "at least 1s");
        check("log = 'info'\nlog = 'warn'", 2, "duplicate key");
        check("log = 'info", 1, "");
        check("log-format = 'xml'", 1, "invalid value 'xml'");
    }
}
