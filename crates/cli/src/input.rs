//! From texts to the steps that they ask for: queries to install, queries to explain, backslash commands.
//!
//! ```text
//! q.pivot:  \dt Data*                           ▶ Command("\\dt Data*")
//!           FROM a SELECT COUNT;                 ▶ Query   { name: "q",   text: "FROM a SELECT COUNT", .. }
//!           FROM b SELECT COUNT;                 ▶ Query   { name: "q_2", text: "FROM b SELECT COUNT", .. }
//!           EXPLAIN FROM a SELECT COUNT;         ▶ Explain { name: "",    text: " FROM a SELECT COUNT", .. }
//!           SELECT * FROM q7                     ▶ Sql     { name: "",    text: "SELECT * FROM q7", .. }
//! ```
//!
//! Each statement knows its offset in its text, so that a diagnostic points at line and column of the whole file.

use crate::arguments::BatchArguments;
use crate::diagnostic_text;
use crate::error::CliError;
use crate::statement_kind::{doubt, is_sql};
use crate::table::StyleMode;
use crate::terminal;
use pivot_query::{Diagnostic, Diagnostics, TokenClass, classify};
use std::collections::HashSet;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A text with statements and commands in it, such as a file, and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct InputSource {
    /// Where the text came from, for diagnostics: a path, `-c`, `stdin`.
    pub(crate) origin: String,
    /// The name of its first query; empty for none.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A statement, ready to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputQuery {
    /// The name under which it is installed; empty for none.
    pub(crate) name: String,
    pub(crate) text: String,
    /// Where it begins in its text, in bytes.
    pub(crate) offset: usize,
}

/// One thing that a text asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputItem {
    /// A backslash command; it has a line of its own.
    Command(String),
    /// A query to install.
    Query(InputQuery),
    /// A statement of SQL.
    Sql(InputQuery),
    /// A query to explain (EXPLAIN).
    Explain(InputQuery),
    /// A query to run for a while and to explain with what it cost (EXPLAIN ANALYZE).
    Analyze(InputQuery),
}

impl InputSource {
    /// Reads the text of `-c`, the files of `-f`, or else standard input.
    pub(crate) fn read(options: &BatchArguments) -> Result<Vec<InputSource>, CliError> {
        if let Some(text) = &options.text {
            return Ok(vec![InputSource::unnamed("-c", text)]);
        }
        if options.files.is_empty() {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text)?;
            return Ok(vec![InputSource::unnamed("stdin", &text)]);
        }

        let paths = options.files.as_slice();
        let mut inputs = paths.iter().map(|path| InputSource::file(path)).collect::<Result<Vec<_>, _>>()?;
        make_names_unique(&mut inputs, paths);
        Ok(inputs)
    }

    /// Returns a text whose queries have no name.
    pub(crate) fn unnamed(origin: &str, text: &str) -> InputSource {
        InputSource { origin: origin.to_owned(), name: String::new(), text: text.to_owned() }
    }

    /// Reads a file. Its stem is the name of its first query.
    pub(crate) fn file(path: &Path) -> Result<InputSource, CliError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| CliError::ReadFile { path: path.to_owned(), source })?;
        let stem = path.file_stem().unwrap_or_default();
        Ok(InputSource {
            origin: path.display().to_string(),
            name: stem.to_string_lossy().into_owned(),
            text,
        })
    }

    /// Returns the statements of a text without commands, in their order. It is an error if there is none.
    pub(crate) fn statements(&self) -> Result<Vec<InputQuery>, CliError> {
        let found = pivot_query::statements(&self.text).into_iter();
        let found: Vec<InputQuery> = found
            .map(|found| InputQuery { name: String::new(), text: found.text, offset: found.offset })
            .collect();
        if found.is_empty() { Err(CliError::NoStatement(self.origin.clone())) } else { Ok(found) }
    }

    /// Returns everything that the text asks for, in its order. It is an error if that is nothing.
    pub(crate) fn steps(&self) -> Result<Vec<InputItem>, CliError> {
        let mut steps = Vec::new();
        // The statements from `begun` to `at` have not been pushed yet.
        let (mut begun, mut at) = (0, 0);

        for line in self.text.split_inclusive('\n') {
            // Within an unfinished statement, as in one with a text over several lines, a backslash is part of it.
            let before = &self.text[begun..at];
            let is_between = pivot_query::is_complete(before) || pivot_query::statements(before).is_empty();
            // A byte order mark may stand before the first.
            let command = line.trim_start_matches('\u{feff}').trim();
            if is_between && command.starts_with('\\') {
                self.push_statements(begun..at, &mut steps);
                steps.push(InputItem::Command(command.to_owned()));
                begun = at + line.len();
            }
            at += line.len();
        }
        self.push_statements(begun..at, &mut steps);

        if steps.is_empty() { Err(CliError::NoStatement(self.origin.clone())) } else { Ok(steps) }
    }

    /// Pushes the statements of a part of the text. Of several queries in one named text, all but the first get
    /// their number behind the name.
    fn push_statements(&self, range: Range<usize>, steps: &mut Vec<InputItem>) {
        for found in pivot_query::statements(&self.text[range.clone()]) {
            let offset = range.start + found.offset;
            if is_sql(&found.text) {
                steps.push(InputItem::Sql(InputQuery { name: String::new(), text: found.text, offset }));
                continue;
            }

            let Some(after_explain) = end_of_leading_word(&found.text, "explain") else {
                // Queries before a command of the same text count too.
                let earlier = steps.iter().filter(|step| matches!(step, InputItem::Query(_))).count();
                let name = match (self.name.as_str(), earlier) {
                    ("", _) | (_, 0) => self.name.clone(),
                    (name, earlier) => format!("{name}_{}", earlier + 1),
                };
                steps.push(InputItem::Query(InputQuery { name, text: found.text, offset }));
                continue;
            };

            // An explained query is not installed, so it needs no name.
            let rest = &found.text[after_explain..];
            steps.push(match end_of_leading_word(rest, "analyze") {
                Some(after_analyze) => InputItem::Analyze(InputQuery {
                    name: String::new(),
                    text: rest[after_analyze..].to_owned(),
                    offset: offset + after_explain + after_analyze,
                }),
                None => InputItem::Explain(InputQuery {
                    name: String::new(),
                    text: rest.to_owned(),
                    offset: offset + after_explain,
                }),
            });
        }
    }

    /// Returns the diagnostics of one of the statements as lines, with carets under the text as a whole.
    pub(crate) fn render_diagnostics(
        &self,
        statement: &InputQuery,
        found: &Diagnostics,
        columns: usize,
        paint: StyleMode,
    ) -> Vec<String> {
        let mut moved = Diagnostics::default();
        // The compiler saw the statement alone, so its spans begin with that.
        for diagnostic in found {
            let span = diagnostic.span.start + statement.offset..diagnostic.span.end + statement.offset;
            moved.push(Diagnostic { span, ..diagnostic.clone() });
        }

        diagnostic_text::render(&moved, &self.text, &self.origin, columns, paint)
    }

    /// Prints the diagnostics of one of the statements to standard error.
    pub(crate) fn print_diagnostics(&self, statement: &InputQuery, found: &Diagnostics) {
        let paint = StyleMode::for_stream(&io::stderr());
        for line in self.render_diagnostics(statement, found, terminal::stderr_columns(), paint) {
            eprintln!("{line}");
        }
        if found.has_errors()
            && let Some(note) = doubt(&statement.text)
        {
            eprintln!("note: {note}");
        }
    }
}

/// Gives files of one stem the name of their folder before it, and a number if that does not tell them apart.
fn make_names_unique(inputs: &mut [InputSource], paths: &[PathBuf]) {
    let stems: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let mut taken = HashSet::new();

    for (input, path) in inputs.iter_mut().zip(paths) {
        let is_shared = stems.iter().filter(|stem| **stem == input.name).count() > 1;
        if is_shared && let Some(folder) = path.parent().and_then(Path::file_name) {
            input.name = format!("{}_{}", folder.to_string_lossy(), input.name);
        }

        // A file that is given twice has the same folder too.
        let name = input.name.clone();
        let mut number = 1;
        while !taken.insert(input.name.clone()) {
            number += 1;
            input.name = format!("{name}_{number}");
        }
    }
}

/// Returns where a text goes on behind a word, or `None` if it does not begin with that word. Comments and blanks
/// may precede the word.
fn end_of_leading_word(text: &str, wanted: &str) -> Option<usize> {
    let tokens = classify(text);
    let first =
        tokens.iter().find(|token| !matches!(token.class, TokenClass::Whitespace | TokenClass::Comment))?;
    let word = &text[first.span.clone()];
    let end = first.span.end;
    (word.eq_ignore_ascii_case(wanted) && text[end..].starts_with(char::is_whitespace)).then_some(end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn steps(text: &str) -> Vec<InputItem> {
        InputSource { origin: "q.pivot".into(), name: "q".into(), text: text.into() }.steps().unwrap()
    }

    fn query(name: &str, text: &str, offset: usize) -> InputItem {
        InputItem::Query(InputQuery { name: name.into(), text: text.into(), offset })
    }

    #[test]
    fn several_statements_of_a_file_have_names_that_differ() {
        assert_eq!(steps("FROM a; FROM b;"), [query("q", "FROM a", 0), query("q_2", "FROM b", 8)]);
    }

    #[test]
    fn files_of_one_stem_have_names_that_differ() {
        let paths = ["a/x.pivot", "b/x.pivot", "y.pivot", "b/x.pivot"].map(PathBuf::from);
        let input = |path: &PathBuf| InputSource {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            ..InputSource::unnamed("", "")
        };
        let mut inputs: Vec<InputSource> = paths.iter().map(input).collect();
        make_names_unique(&mut inputs, &paths);
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, ["a_x", "b_x", "y", "b_x_2"]);
    }

    #[test]
    fn a_backslash_command_is_a_line_between_statements() {
        let command = |text: &str| InputItem::Command(text.into());
        assert_eq!(
            steps("\\dt D*\n-- why\nFROM a\n  SELECT 1;\n  \\l\n\\dq"),
            [
                command("\\dt D*"),
                query("q", "-- why\nFROM a\n  SELECT 1", 7),
                command("\\l"),
                command("\\dq")
            ]
        );
        assert_eq!(steps("FROM a ~\n\\d"), [query("q", "FROM a ~\n\\d", 0)]);
    }

    #[test]
    fn explain_is_no_query_to_install() {
        let explain = |text: &str, offset| {
            InputItem::Explain(InputQuery { name: String::new(), text: text.into(), offset })
        };
        assert_eq!(steps("-- a\nexplain FROM a; FROM b"), [explain(" FROM a", 12), query("q", "FROM b", 21)]);
        assert_eq!(steps("explained IN a"), [query("q", "explained IN a", 0)]);
    }

    #[test]
    fn diagnostics_point_into_the_whole_input() {
        let input = InputSource::unnamed("-c", "FROM a;\nFROM b;");
        let InputItem::Query(second) = input.steps().unwrap().remove(1) else { panic!("a query") };
        let found = Diagnostics::from(Diagnostic::error(5..6, "`b` is not known"));
        assert!(input.render_diagnostics(&second, &found, 80, StyleMode::Plain)[1].ends_with("-c:2:6"));
    }

    #[test]
    fn a_byte_order_mark_at_the_beginning_is_ignored() {
        let input = InputSource::unnamed("f", "\u{feff}\\l\nFROM e IN T SELECT COUNT");
        let steps = input.steps().unwrap();
        assert!(matches!(&steps[0], InputItem::Command(line) if line == "\\l"));
        assert_eq!(steps.len(), 2);
    }

    #[test]
    fn a_text_without_a_statement_is_an_error() {
        assert!(matches!(
            InputSource::unnamed("-c", " -- nothing\n;").steps(),
            Err(CliError::NoStatement(_))
        ));
    }
}
