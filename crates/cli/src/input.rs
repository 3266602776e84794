//! The statements that a text or a file holds, with the names under which they are installed.

use crate::arguments::Unattended;
use crate::error::CliError;
use pivot_query::{Color, Diagnostic, Diagnostics};
use std::io::Read;
use std::path::Path;

/// One text with statements in it.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// Shown where diagnostics point into the text.
    pub(crate) origin: String,
    /// The name of its query; empty for none.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// One statement, ready to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Where it begins in the input, in bytes.
    pub(crate) offset: usize,
}

impl Input {
    /// The text of `-c`, of `-f`, or else of standard input.
    pub(crate) fn read(options: &Unattended) -> Result<Input, CliError> {
        match (&options.text, &options.file) {
            (Some(text), _) => Ok(Input::text("-c", text)),
            (None, Some(path)) => Input::file(path),
            (None, None) => {
                let mut text = String::new();
                std::io::stdin().lock().read_to_string(&mut text)?;
                Ok(Input::text("stdin", &text))
            }
        }
    }

    /// A text without a name.
    pub(crate) fn text(origin: &str, text: &str) -> Input {
        Input { origin: origin.to_owned(), name: String::new(), text: text.to_owned() }
    }

    /// A file; its stem is its query's name.
    pub(crate) fn file(path: &Path) -> Result<Input, CliError> {
        let failed = |source| CliError::File { path: path.to_owned(), source };
        let stem = path.file_stem().unwrap_or_default();
        Ok(Input {
            origin: path.display().to_string(),
            name: stem.to_string_lossy().into_owned(),
            text: std::fs::read_to_string(path).map_err(failed)?,
        })
    }

    /// The statements; of several in one named text, all but the first get their number.
    pub(crate) fn statements(&self) -> Result<Vec<Statement>, CliError> {
        let name = |i: usize| match (self.name.as_str(), i) {
            ("", _) | (_, 0) => self.name.clone(),
            (name, i) => format!("{name}_{}", i + 1),
        };
        let found = pivot_query::statements(&self.text).into_iter().enumerate();
        let statements: Vec<Statement> = found
            .map(|(i, found)| Statement { name: name(i), text: found.text, offset: found.offset })
            .collect();
        match statements.is_empty() {
            true => Err(CliError::NoStatement(self.origin.clone())),
            false => Ok(statements),
        }
    }

    /// What the frontend says about one of the statements, with carets under the whole input.
    pub(crate) fn render(&self, statement: &Statement, found: &Diagnostics, color: Color) -> String {
        let mut moved = Diagnostics::default();
        for diagnostic in found {
            let span = diagnostic.span.start + statement.offset..diagnostic.span.end + statement.offset;
            moved.push(Diagnostic { span, ..diagnostic.clone() });
        }
        moved.render(&self.text, &self.origin, color)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn several_statements_of_a_file_have_names_that_differ() {
        let input = Input { origin: "q.pivot".into(), name: "q".into(), text: "FROM a; FROM b;".into() };
        let names: Vec<String> = input.statements().unwrap().into_iter().map(|found| found.name).collect();
        assert_eq!(names, ["q", "q_2"]);
    }

    #[test]
    fn diagnostics_point_into_the_whole_input() {
        let input = Input::text("-c", "FROM a;\nFROM b;");
        let second = input.statements().unwrap().remove(1);
        let found = Diagnostics::from(Diagnostic::error(5..6, "`b` is not known"));
        assert!(input.render(&second, &found, Color::Never).contains("-c:2:6"));
    }

    #[test]
    fn a_text_without_a_statement_is_an_error() {
        assert!(matches!(Input::text("-c", " -- nothing\n;").statements(), Err(CliError::NoStatement(_))));
    }
}
