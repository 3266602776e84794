//! What is wrong with a statement, with its place in the text and what to write instead.

use datafusion::common::{SchemaError, Span};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use pivot_query::{Diagnostic, Diagnostics, nearest};
use std::ops::Range;

/// The most names that a message lists.
const MAX_NAMES: usize = 20;

/// Returns what is wrong with a text, or the error if it is about something else than the text.
pub(super) fn mistake(text: &str, error: DataFusionError) -> Result<Diagnostics, DataFusionError> {
    if let DataFusionError::SchemaError(wrong, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = &**wrong
    {
        let names: Vec<&str> = valid_fields.iter().map(|column| column.name()).collect();
        let span = error.diagnostic().and_then(|found| found.span).map(|span| place(text, span));
        let span = span.or_else(|| find_word(text, field.name())).unwrap_or(0..text.len());
        return Ok(unknown_column(span, field.name(), &names).into());
    }

    let found = error.diagnostic().cloned();
    let span = found.as_ref().and_then(|found| found.span).map(|span| place(text, span));
    let whole = 0..text.len();

    match error.find_root() {
        DataFusionError::SQL(wrong, _) => Ok(syntax_error(text, wrong).into()),
        DataFusionError::ResourcesExhausted(_)
        | DataFusionError::Internal(_)
        | DataFusionError::External(_) => Err(error),
        root => {
            let message = plain_message(root);
            let mut diagnostic = Diagnostic::error(span.unwrap_or(whole), message);
            if let Some(found) = found {
                let notes: Vec<String> = found.notes.into_iter().map(|note| note.message).collect();
                diagnostic.detail = notes.join("; ");
                diagnostic.hint = found.helps.into_iter().next().map(|help| help.message);
            }
            Ok(diagnostic.into())
        }
    }
}

/// Returns what is wrong with a table that there is not; those that there are come as they are written.
pub(super) fn unknown_table(span: Range<usize>, name: &str, tables: &[String]) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(span, format!("there is no table `{name}`"));
    diagnostic.detail = match tables.is_empty() {
        true => "no query is installed, whose windows would be a table".to_owned(),
        false => format!("there are {}", listed(tables.to_vec())),
    };
    let near = nearest(name, tables.iter().map(String::as_str));
    diagnostic.hint = near.map(|near| format!("did you mean {near}?"));
    diagnostic
}

fn unknown_column(span: Range<usize>, name: &str, columns: &[&str]) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(span, format!("there is no column `{name}`"));
    if !columns.is_empty() {
        diagnostic.detail =
            format!("there are {}", listed(columns.iter().map(|name| quoted(name)).collect()));
    }

    // Names with capitals and with points need quotes: what was meant may be there with them.
    let is_meant = |column: &&&str| {
        column.eq_ignore_ascii_case(name) || column.rsplit_once('.').is_some_and(|(_, last)| last == name)
    };
    let meant = columns.iter().find(is_meant).map(|column| (*column).to_owned());
    let near = meant.or_else(|| nearest(name, columns.iter().copied()));
    diagnostic.hint = near.map(|near| format!("did you mean {}?", quoted(&near)));
    diagnostic
}

fn syntax_error(text: &str, wrong: &ParserError) -> Diagnostic {
    let message = match wrong {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "the statement is nested too deeply",
    };

    // The parser writes the place behind its message.
    let (message, at) = match message.rsplit_once(" at Line: ") {
        Some((message, at)) => (message, at),
        None => (message, ""),
    };
    let numbers: Vec<u64> = at.split(", Column: ").filter_map(|number| number.trim().parse().ok()).collect();
    let span = match numbers[..] {
        [line, column] => {
            let start = offset(text, line, column);
            start..end_of_word(text, start)
        }
        _ => 0..text.len(),
    };
    Diagnostic::error(span, format!("this is no SQL: {}", lower_first(message)))
}

/// Returns a name as it is written in a statement.
pub(super) fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '$' | '@'));
    match is_plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// Returns names in a row, the first ones if there are many.
fn listed(names: Vec<String>) -> String {
    match names.len() {
        0..=MAX_NAMES => names.join(", "),
        many => format!("{} and {} more", names[..MAX_NAMES].join(", "), many - MAX_NAMES),
    }
}

/// Returns the message of an error without the kind that stands before it.
pub(super) fn plain_message(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let kinds = [
        "Error during planning: ",
        "This feature is not implemented: ",
        "Schema error: ",
        "Execution error: ",
    ];
    let plain = kinds.iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(&text);
    lower_first(plain)
}

/// Returns a text that goes on behind a colon.
fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        // An abbreviation stays as it is.
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

/// Returns the place of a span in bytes.
pub(super) fn place(text: &str, span: Span) -> Range<usize> {
    let start = offset(text, span.start.line, span.start.column);
    let end = offset(text, span.end.line, span.end.column);
    start..end.max(start)
}

/// Returns the offset in bytes of a line and a column, both from 1.
fn offset(text: &str, line: u64, column: u64) -> usize {
    let mut start = 0;
    for (number, found) in (1..).zip(text.split_inclusive('\n')) {
        if number == line {
            let within =
                found.char_indices().nth(usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX));
            return start + within.map_or(found.len(), |(at, _)| at);
        }
        start += found.len();
    }
    text.len()
}

fn end_of_word(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    start + word.max(rest.chars().next().map_or(0, char::len_utf8))
}

/// Returns where a name stands in a text.
fn find_word(text: &str, name: &str) -> Option<Range<usize>> {
    text.find(name).map(|start| start..start + name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_texts_of_several_lines() {
        assert_eq!(offset("SELECT\n  ä, b", 2, 6), 13);
        assert_eq!(offset("SELECT", 7, 1), 6);
        assert_eq!(end_of_word("FROM x", 0), 4);
        assert_eq!(end_of_word("a", 1), 1);
    }

    #[test]
    fn a_table_that_there_is_not_is_answered_with_what_there_is() {
        let tables = ["pivot.queries", "pivot.agents", "\"Q9\""].map(str::to_owned);
        let found = unknown_table(0..3, "pivot.query", &tables);
        assert_eq!(found.message, "there is no table `pivot.query`");
        assert!(found.detail.contains("\"Q9\""), "{}", found.detail);
        assert_eq!(found.hint.as_deref(), Some("did you mean pivot.queries?"));
    }

    #[test]
    fn a_column_is_found_that_needs_quotes() {
        let found = unknown_column(0..4, "host", &["window_start", "e.host", "COUNT"]);
        assert_eq!(found.hint.as_deref(), Some("did you mean \"e.host\"?"));
        let found = unknown_column(0..5, "count", &["window_start", "e.host", "COUNT"]);
        assert_eq!(found.hint.as_deref(), Some("did you mean \"COUNT\"?"));
    }
}
