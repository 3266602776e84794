//! The line editor of the prompt: keys, completion, colours, history, and when Enter ends the input.

use super::completion::{CompletionCatalogue, QueryCompleter};
use super::highlight::SyntaxHighlighter;
use super::history_path::history_path;
use crate::error::CliError;
use crate::table::StyleMode;
use reedline::{
    Color, ColumnarMenu, Emacs, FileBackedHistory, KeyCode, KeyModifiers, MenuBuilder, Prompt,
    PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, ValidationResult, Validator,
    default_emacs_keybindings,
};
use std::borrow::Cow;

/// How many lines the history keeps.
const HISTORY_LINES: usize = 10_000;

/// The name that ties Tab to the completion menu.
const MENU: &str = "completion";

/// Words that people type to leave or to ask for help. They work without `;`.
pub(super) const BARE_WORDS: [&str; 3] = ["quit", "exit", "help"];

/// Returns an editor with history, and with completion from the catalogue.
pub(super) fn line_editor(catalogue: CompletionCatalogue, paint: StyleMode) -> Result<Reedline, CliError> {
    let mut keys = default_emacs_keybindings();
    let complete =
        ReedlineEvent::UntilFound(vec![ReedlineEvent::Menu(MENU.to_owned()), ReedlineEvent::MenuNext]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);

    let menu = ColumnarMenu::default().with_name(MENU).with_columns(3);
    let mut editor = Reedline::create()
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_completer(Box::new(QueryCompleter { catalogue }))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
        .with_partial_completions(true)
        .with_quick_completions(true)
        .with_validator(Box::new(StatementValidator))
        .with_ansi_colors(paint == StyleMode::Ansi)
        .use_bracketed_paste(true);
    if paint == StyleMode::Ansi {
        editor = editor.with_highlighter(Box::new(SyntaxHighlighter));
    }

    // A folder that cannot be written costs the history, not the REPL.
    let history = history_path().and_then(|path| FileBackedHistory::with_file(HISTORY_LINES, path).ok());
    if let Some(history) = history {
        editor = editor.with_history(Box::new(history));
    }
    Ok(editor)
}

/// Ends the input at Enter: after `;`, and at once for commands and bare words.
struct StatementValidator;

impl Validator for StatementValidator {
    fn validate(&self, line: &str) -> ValidationResult {
        let text = line.trim();
        let is_complete = text.is_empty()
            || text.starts_with('\\')
            || BARE_WORDS.contains(&text)
            || pivot_query::is_complete(text);
        if is_complete { ValidationResult::Complete } else { ValidationResult::Incomplete }
    }
}

/// `pivot> `, and an indent of the same width for further lines.
pub(super) struct ReplPrompt;

impl Prompt for ReplPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        "pivot".into()
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        "> ".into()
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "    -> ".into()
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        format!(" (history: {}) ", search.term).into()
    }

    fn get_prompt_color(&self) -> Color {
        Color::Cyan
    }

    fn get_indicator_color(&self) -> Color {
        Color::Cyan
    }

    fn get_prompt_multiline_color(&self) -> Color {
        Color::DarkGray
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_ends_statements_and_commands() {
        let check = |line: &str, ends: bool| {
            assert_eq!(
                matches!(StatementValidator.validate(line), ValidationResult::Complete),
                ends,
                "{line}"
            );
        };
        check("FROM e IN T", false);
        check("FROM e IN T\nSELECT COUNT;", true);
        check("FROM e IN T WHERE e.x = ';", false);
        check("\\dt", true);
        check("quit", true);
        check("", true);
    }
}
