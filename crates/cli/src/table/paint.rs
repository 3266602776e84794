//! Colours of the terminal. With `NO_COLOR`, in a pipe and on a dumb terminal text stays plain.

use std::io::IsTerminal;

/// How styles are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StyleMode {
    /// Not at all.
    Plain,
    /// By ANSI escapes.
    Ansi,
}

/// The meaning of a piece of text, which decides how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextRole {
    Normal,
    /// Titles and headings.
    Strong,
    /// Secondary text, such as rules and file names.
    Quiet,
    /// Bars, keywords, the prompt.
    Accent,
    /// Something that a person should notice.
    Warning,
    /// Something that is wrong.
    Error,
}

impl StyleMode {
    /// Returns what suits a stream of this process.
    pub(crate) fn for_stream(stream: &impl IsTerminal) -> StyleMode {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if stream.is_terminal() && !refused && !dumb { StyleMode::Ansi } else { StyleMode::Plain }
    }

    /// Returns the text in its style. Text from outside must be escaped before.
    pub(crate) fn style(self, style: TextRole, text: &str) -> String {
        let code = match style {
            _ if self == StyleMode::Plain || text.is_empty() => return text.to_owned(),
            TextRole::Normal => return text.to_owned(),
            TextRole::Strong => "1",
            TextRole::Quiet => "2",
            TextRole::Accent => "36",
            TextRole::Warning => "33",
            TextRole::Error => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
