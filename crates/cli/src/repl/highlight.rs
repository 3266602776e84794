//! Colours of the line that is being typed.

use nu_ansi_term::{Color, Style};
use pivot_query::{TokenClass, classify};
use reedline::{Highlighter, StyledText};

/// Colours keywords, functions, literals and comments.
pub(super) struct SyntaxHighlighter;

impl Highlighter for SyntaxHighlighter {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        for token in classify(line) {
            styled.push((style(token.class), line[token.span].to_owned()));
        }
        styled
    }
}

fn style(class: TokenClass) -> Style {
    match class {
        TokenClass::Keyword => Style::new().bold().fg(Color::Cyan),
        TokenClass::Function => Style::new().fg(Color::Cyan),
        TokenClass::Quoted => Style::new().fg(Color::Green),
        TokenClass::Number => Style::new().fg(Color::Magenta),
        TokenClass::Comment => Style::new().dimmed(),
        TokenClass::Name | TokenClass::Whitespace | TokenClass::Other => Style::new(),
    }
}
