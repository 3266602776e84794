//! Colour, or none: `NO_COLOR`, a pipe or a dumb terminal get plain text.

use std::io::IsTerminal;

/// Whether text may carry ANSI escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Ansi,
}

/// What a piece of text is, which decides how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextStyle {
    Normal,
    /// Titles and headings.
    Strong,
    /// What surrounds the figures.
    Quiet,
    /// Bars, keywords, the prompt.
    Accent,
    /// What a person should notice.
    Warning,
    /// What is wrong.
    Error,
}

impl Paint {
    /// What suits a stream of this process.
    pub(crate) fn of(stream: &impl IsTerminal) -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if stream.is_terminal() && !refused && !dumb { Paint::Ansi } else { Paint::Plain }
    }

    /// The text in its style. The text must be free of escapes.
    pub(crate) fn style(self, style: TextStyle, text: &str) -> String {
        let code = match style {
            _ if self == Paint::Plain || text.is_empty() => return text.to_owned(),
            TextStyle::Normal => return text.to_owned(),
            TextStyle::Strong => "1",
            TextStyle::Quiet => "2",
            TextStyle::Accent => "36",
            TextStyle::Warning => "33",
            TextStyle::Error => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
