//! Tokens: what a piece of query text is, and where it stands.

use crate::diagnostic::Diagnostic;
use pivot_advice::Value;
use std::ops::Range;

/// A part of a query text, in bytes: from `start` to before `end`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TextSpan {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl TextSpan {
    pub(crate) fn new(start: usize, end: usize) -> TextSpan {
        TextSpan { start, end }
    }

    /// Returns the span of a whole text.
    pub(crate) fn of_text(text: &str) -> TextSpan {
        TextSpan { start: 0, end: text.len() }
    }

    /// Returns the span as a range, to index the text with.
    pub(crate) fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Returns how many bytes there are.
    pub(crate) fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }
}

impl From<TextSpan> for Range<usize> {
    fn from(span: TextSpan) -> Range<usize> {
        span.range()
    }
}

/// A piece of the text. The spans of all tokens of a text follow one another without a gap.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind<'t>,
    pub(crate) span: TextSpan,
}

/// The kinds of tokens. Every text is a sequence of them: what cannot be read is a token too.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind<'t> {
    /// Blanks and ends of lines.
    Whitespace,
    /// `-- to the end of the line` or `/* enclosed */`.
    Comment,
    /// A keyword or a name, as it was written.
    Word(&'t str),
    /// `"a name"`, without its quotes.
    QuotedName(String),
    /// A number, text, duration or size.
    Literal(Value),
    /// `$name`, without the `$`.
    Parameter(&'t str),
    /// `/../`, where a source may stand; without the slashes around it.
    Regex(String),
    /// Punctuation or an operator.
    Symbol(&'static str),
    /// The beginning of a token that goes wrong.
    Malformed(LexicalError),
    /// A character that means nothing.
    Other(char),
}

/// A mistake in one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LexicalError {
    UnclosedComment,
    UnclosedText,
    UnclosedName,
    UnclosedRegex,
    NumberTooLarge,
    UnknownUnit,
}

impl Token<'_> {
    /// Returns the token as messages quote it.
    pub(crate) fn quoted(&self) -> String {
        match &self.kind {
            TokenKind::Word(word) => format!("`{}`", shortened(word)),
            TokenKind::QuotedName(name) => format!("`\"{}\"`", shortened(name)),
            TokenKind::Literal(Value::Str(text)) => format!("`'{}'`", shortened(text)),
            TokenKind::Literal(literal) => format!("`{literal}`"),
            TokenKind::Parameter(name) => format!("`${}`", shortened(name)),
            TokenKind::Regex(source) => format!("`/{}/`", shortened(source)),
            TokenKind::Symbol(symbol) => format!("`{symbol}`"),
            TokenKind::Other(character) => format!("`{}`", character.escape_default()),
            TokenKind::Whitespace | TokenKind::Comment | TokenKind::Malformed(_) => "this".to_owned(),
        }
    }

    /// Returns what is wrong with the token, or `None` if nothing is.
    pub(crate) fn problem(&self) -> Option<Diagnostic> {
        let TokenKind::Malformed(wrong) = self.kind else { return None };
        let span = match wrong {
            // The rest of the text is no help: the caret stands where the comment begins.
            LexicalError::UnclosedComment => TextSpan::new(self.span.start, self.span.start + "/*".len()),
            _ => self.span,
        };
        let hint = wrong.hint().map(str::to_owned);
        Some(Diagnostic { hint, ..Diagnostic::error(span, wrong.message()) })
    }

    /// Returns whether the token is the symbol.
    pub(crate) fn is(&self, symbol: &str) -> bool {
        matches!(&self.kind, TokenKind::Symbol(found) if *found == symbol)
    }

    /// Returns whether the token is the word, in any case.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, TokenKind::Word(found) if found.eq_ignore_ascii_case(word))
    }

    /// Returns whether the token connects the parts of a name: `.`, `::` or `@`.
    pub(crate) fn is_name_separator(&self) -> bool {
        matches!(&self.kind, TokenKind::Symbol("." | "::" | "@"))
    }

    /// Returns whether the token stands before the name of a parameter in other languages: `:limit`, `${limit}`.
    pub(crate) fn begins_parameter(&self) -> bool {
        self.kind == TokenKind::Other(':') || self.is("{")
    }

    /// Returns whether the token is layout: blanks or a comment, closed or not.
    pub(crate) fn is_trivia(&self) -> bool {
        use TokenKind::{Comment, Malformed, Whitespace};
        matches!(self.kind, Whitespace | Comment | Malformed(LexicalError::UnclosedComment))
    }
}

impl LexicalError {
    /// Returns what a diagnostic says.
    pub(crate) fn message(self) -> &'static str {
        match self {
            LexicalError::UnclosedComment => "comment is never closed",
            LexicalError::UnclosedText => "text is never closed",
            LexicalError::UnclosedName => "quoted name is never closed",
            LexicalError::UnclosedRegex => "regular expression is never closed",
            LexicalError::NumberTooLarge => "number is too large",
            LexicalError::UnknownUnit => "number has an unknown unit",
        }
    }

    /// Returns what to write instead, or `None` if there is nothing to suggest.
    pub(crate) fn hint(self) -> Option<&'static str> {
        match self {
            LexicalError::UnclosedComment => Some("close it with `*/`"),
            LexicalError::UnclosedText => Some("close it with `'`"),
            LexicalError::UnclosedName => Some("close it with `\"`"),
            LexicalError::UnclosedRegex => Some("close it with `/`"),
            LexicalError::NumberTooLarge => None,
            LexicalError::UnknownUnit => {
                Some("durations end in ns, us, ms, s, m, h or d; sizes in B, KiB, MiB, GiB, kB, MB or GB")
            }
        }
    }

    /// Returns whether more text could still make the token right, as in a line that is being typed.
    pub(crate) fn is_open_ended(self) -> bool {
        matches!(
            self,
            LexicalError::UnclosedComment | LexicalError::UnclosedText | LexicalError::UnclosedName
        )
    }
}

/// Cuts what a message quotes to 40 characters.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
