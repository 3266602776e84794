//! What pieces of a text are, for a line that is being typed: its colours, and what could follow.

use super::functions::function;
use super::keywords::is_keyword;
use super::lexer::tokens;
use super::token::{LexicalError, Token, TokenKind};
use pivot_advice::Value;
use std::ops::Range;

/// The classes that pieces of a text are coloured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenClass {
    /// A word with a meaning of its own.
    Keyword,
    /// The name of a function, or of a source such as First.
    Function,
    /// A name with all its parts: `DataNode.read@exit` is one name.
    Name,
    /// A number with its unit.
    Number,
    /// A text, a quoted name, or a regular expression; perhaps not closed yet.
    Quoted,
    /// A comment, perhaps not closed yet.
    Comment,
    /// Blanks and ends of lines.
    Whitespace,
    /// Punctuation, and what means nothing.
    Other,
}

/// A piece of a text and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassifiedToken {
    /// The class of the piece.
    pub class: TokenClass,
    /// The bytes of the text that it covers.
    pub span: Range<usize>,
}

/// Returns the pieces of any text, finished or not; together they cover the text.
pub fn classify(text: &str) -> Vec<ClassifiedToken> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut rest = tokens.as_slice();

    while let Some(first) = rest.first() {
        let count = name_length(rest);
        let last = &rest[count - 1];
        let class = if count > 1 { TokenClass::Name } else { class_of(first) };
        found.push(ClassifiedToken { class, span: first.span.start..last.span.end });
        rest = &rest[count..];
    }
    found
}

/// Returns how many tokens form the name that they begin with; 1 if they do not begin with a longer one.
/// A separator at the end belongs to the name: its next part is still to be typed.
fn name_length(tokens: &[Token<'_>]) -> usize {
    if !tokens.first().is_some_and(is_name_part) {
        return 1;
    }
    // Parts and separators take turns; blanks are tokens of their own and end the name.
    let takes_turn = tokens.windows(2).take_while(|pair| {
        is_name_part(&pair[0]) && pair[1].is_name_separator()
            || pair[0].is_name_separator() && is_name_part(&pair[1])
    });
    1 + takes_turn.count()
}

fn is_name_part(token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Word(_) | TokenKind::QuotedName(_))
}

fn class_of(token: &Token<'_>) -> TokenClass {
    match &token.kind {
        TokenKind::Whitespace => TokenClass::Whitespace,
        TokenKind::Comment | TokenKind::Malformed(LexicalError::UnclosedComment) => TokenClass::Comment,

        // A name may be called like a function; which it is cannot be known before the parenthesis.
        TokenKind::Word(word) if function(word).is_some() => TokenClass::Function,
        TokenKind::Word(word) if is_keyword(word) => TokenClass::Keyword,
        TokenKind::Word(_) | TokenKind::Parameter(_) => TokenClass::Name,
        TokenKind::Literal(Value::Str(_)) | TokenKind::QuotedName(_) | TokenKind::Regex(_) => {
            TokenClass::Quoted
        }
        TokenKind::Literal(_) => TokenClass::Number,
        TokenKind::Malformed(LexicalError::NumberTooLarge | LexicalError::UnknownUnit) => TokenClass::Number,
        // A quote that is not closed yet.
        TokenKind::Malformed(_) => TokenClass::Quoted,
        TokenKind::Symbol(_) | TokenKind::Other(_) => TokenClass::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(TokenClass, &str)]) {
        let pieces = classify(text).into_iter().filter(|piece| piece.class != TokenClass::Whitespace);
        let found: Vec<(TokenClass, &str)> = pieces.map(|piece| (piece.class, &text[piece.span])).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_name_is_one_piece_and_no_keyword() {
        use TokenClass::{Keyword, Name, Other};
        check(
            "FROM f IN rpc::get.from@exit",
            &[(Keyword, "FROM"), (Name, "f"), (Keyword, "IN"), (Name, "rpc::get.from@exit")],
        );
        check("group f. , x", &[(Keyword, "group"), (Name, "f."), (Other, ","), (Name, "x")]);
    }

    #[test]
    fn what_is_not_finished_has_its_class_already() {
        use TokenClass::{Comment, Function, Number, Other, Quoted};
        check("sum(5q 'a", &[(Function, "sum"), (Other, "("), (Number, "5q"), (Quoted, "'a")]);
        check("/* a", &[(Comment, "/* a")]);
    }
}
