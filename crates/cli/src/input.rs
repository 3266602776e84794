//! The statements that a text or a file holds, with the names under which they are installed.

use crate::arguments::BatchArguments;
use crate::diagnostic_text;
use crate::error::CliError;
use crate::table::Paint;
use pivot_query::{Diagnostic, Diagnostics};
use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One text with statements in it.
#[derive(Debug, Clone)]
pub(crate) struct InputText {
    /// Shown where diagnostics point into the text.
    pub(crate) origin: String,
    /// The name of its query; empty for none.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// One statement, ready to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputStatement {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Where it begins in the input, in bytes.
    pub(crate) offset: usize,
}

/// What a text asks for, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputStep {
    /// A backslash command, a line of its own.
    Command(String),
    /// A query to install, and what to call it.
    Query(InputStatement),
    /// A query to explain.
    Explain(InputStatement),
    /// A query to run for a while, and to explain with what it cost.
    Analyze(InputStatement),
}

impl InputText {
    /// The texts of `-c`, of each `-f`, or else of standard input.
    pub(crate) fn read(options: &BatchArguments) -> Result<Vec<InputText>, CliError> {
        match (&options.text, options.files.as_slice()) {
            (Some(text), _) => Ok(vec![InputText::text("-c", text)]),
            (None, []) => {
                let mut text = String::new();
                std::io::stdin().lock().read_to_string(&mut text)?;
                Ok(vec![InputText::text("stdin", &text)])
            }
            (None, paths) => {
                let mut inputs =
                    paths.iter().map(|path| InputText::file(path)).collect::<Result<Vec<_>, _>>()?;
                tell_apart(&mut inputs, paths);
                Ok(inputs)
            }
        }
    }

    /// A text without a name.
    pub(crate) fn text(origin: &str, text: &str) -> InputText {
        InputText { origin: origin.to_owned(), name: String::new(), text: text.to_owned() }
    }

    /// A file; its stem is its query's name.
    pub(crate) fn file(path: &Path) -> Result<InputText, CliError> {
        let failed = |source| CliError::File { path: path.to_owned(), source };
        let stem = path.file_stem().unwrap_or_default();
        Ok(InputText {
            origin: path.display().to_string(),
            name: stem.to_string_lossy().into_owned(),
            text: std::fs::read_to_string(path).map_err(failed)?,
        })
    }

    /// Everything that the text asks for; of several queries in one named text, all but the first
    /// get their number.
    pub(crate) fn steps(&self) -> Result<Vec<InputStep>, CliError> {
        let mut steps = Vec::new();
        let (mut begun, mut at) = (0, 0);
        for line in self.text.split_inclusive('\n') {
            let before = &self.text[begun..at];
            let between = pivot_query::is_complete(before) || pivot_query::statements(before).is_empty();
            if line.trim_start().starts_with('\\') && between {
                self.statements(begun..at, &mut steps);
                steps.push(InputStep::Command(line.trim().to_owned()));
                begun = at + line.len();
            }
            at += line.len();
        }
        self.statements(begun..at, &mut steps);
        match steps.is_empty() {
            true => Err(CliError::NoStatement(self.origin.clone())),
            false => Ok(steps),
        }
    }

    fn statements(&self, range: Range<usize>, steps: &mut Vec<InputStep>) {
        for found in pivot_query::statements(&self.text[range.clone()]) {
            let offset = range.start + found.offset;
            steps.push(match explained(&found.text, "explain") {
                Some(at) => {
                    let analyzed = explained(&found.text[at..], "analyze").map(|end| at + end);
                    let begins = analyzed.unwrap_or(at);
                    let text = found.text[begins..].to_owned();
                    let statement = InputStatement { name: String::new(), text, offset: offset + begins };
                    if analyzed.is_some() {
                        InputStep::Analyze(statement)
                    } else {
                        InputStep::Explain(statement)
                    }
                }
                None => {
                    let earlier = steps.iter().filter(|step| matches!(step, InputStep::Query(_))).count();
                    let name = match (self.name.as_str(), earlier) {
                        ("", _) | (_, 0) => self.name.clone(),
                        (name, earlier) => format!("{name}_{}", earlier + 1),
                    };
                    InputStep::Query(InputStatement { name, text: found.text, offset })
                }
            });
        }
    }

    /// What is found about one of the statements, with carets under the whole input.
    pub(crate) fn render(
        &self,
        statement: &InputStatement,
        found: &Diagnostics,
        columns: usize,
        paint: Paint,
    ) -> Vec<String> {
        let mut moved = Diagnostics::default();
        for diagnostic in found {
            let span = diagnostic.span.start + statement.offset..diagnostic.span.end + statement.offset;
            moved.push(Diagnostic { span, ..diagnostic.clone() });
        }
        diagnostic_text::render(&moved, &self.text, &self.origin, columns, paint)
    }
}

/// Files of one stem get the name of their folder before it; if that does not help, a number.
fn tell_apart(inputs: &mut [InputText], paths: &[PathBuf]) {
    let stems: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let mut taken = HashSet::new();
    for (input, path) in inputs.iter_mut().zip(paths) {
        let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
        if let (true, Some(folder)) = (stems.iter().filter(|stem| **stem == input.name).count() > 1, folder) {
            input.name = format!("{folder}_{}", input.name);
        }
        let name = input.name.clone();
        let mut numbered = (2..).map(|number| format!("{name}_{number}"));
        while !taken.insert(input.name.clone()) {
            input.name = numbered.next().unwrap_or_default();
        }
    }
}

/// Where a statement goes on behind a word that it begins with. Comments may precede it.
fn explained(text: &str, wanted: &str) -> Option<usize> {
    let begins = skip_comments(text);
    let end = begins + wanted.len();
    let word = text.get(begins..end).filter(|word| word.eq_ignore_ascii_case(wanted));
    (word.is_some() && text[end..].starts_with(char::is_whitespace)).then_some(end)
}

/// Where a text begins behind its blanks and comments.
fn skip_comments(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let blanks = rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        let comment = match rest {
            rest if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            rest if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ => return at + blanks,
        };
        at += blanks + comment;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn steps(text: &str) -> Vec<InputStep> {
        InputText { origin: "q.pivot".into(), name: "q".into(), text: text.into() }.steps().unwrap()
    }

    fn query(name: &str, text: &str, offset: usize) -> InputStep {
        InputStep::Query(InputStatement { name: name.into(), text: text.into(), offset })
    }

    #[test]
    fn several_statements_of_a_file_have_names_that_differ() {
        assert_eq!(steps("FROM a; FROM b;"), [query("q", "FROM a", 0), query("q_2", "FROM b", 8)]);
    }

    #[test]
    fn files_of_one_stem_have_names_that_differ() {
        let paths = ["a/x.pivot", "b/x.pivot", "y.pivot", "b/x.pivot"].map(PathBuf::from);
        let input = |path: &PathBuf| InputText {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            ..InputText::text("", "")
        };
        let mut inputs: Vec<InputText> = paths.iter().map(input).collect();
        tell_apart(&mut inputs, &paths);
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, ["a_x", "b_x", "y", "b_x_2"]);
    }

    #[test]
    fn a_backslash_command_is_a_line_between_statements() {
        let command = |text: &str| InputStep::Command(text.into());
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
            InputStep::Explain(InputStatement { name: String::new(), text: text.into(), offset })
        };
        assert_eq!(steps("-- a\nexplain FROM a; FROM b"), [explain(" FROM a", 12), query("q", "FROM b", 21)]);
        assert_eq!(steps("explained IN a"), [query("q", "explained IN a", 0)]);
    }

    #[test]
    fn diagnostics_point_into_the_whole_input() {
        let input = InputText::text("-c", "FROM a;\nFROM b;");
        let InputStep::Query(second) = input.steps().unwrap().remove(1) else { panic!("a query") };
        let found = Diagnostics::from(Diagnostic::error(5..6, "`b` is not known"));
        assert!(input.render(&second, &found, 80, Paint::Plain)[1].ends_with("-c:2:6"));
    }

    #[test]
    fn a_text_without_a_statement_is_an_error() {
        assert!(matches!(InputText::text("-c", " -- nothing\n;").steps(), Err(CliError::NoStatement(_))));
    }
}
