//! Colours of the line that is being typed.

use super::scan::{Kind, scan};
use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};

/// Colours keywords, functions, literals and comments.
pub(super) struct Highlight;

impl Highlighter for Highlight {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        for (kind, range) in scan(line) {
            styled.push((style(kind), line[range].to_owned()));
        }
        styled
    }
}

fn style(kind: Kind) -> Style {
    match kind {
        Kind::Keyword => Style::new().bold().fg(Color::Cyan),
        Kind::Function => Style::new().fg(Color::Cyan),
        Kind::Quoted => Style::new().fg(Color::Green),
        Kind::Number => Style::new().fg(Color::Magenta),
        Kind::Comment => Style::new().dimmed(),
        Kind::Name | Kind::Other => Style::new(),
    }
}
