//! A query text as its tokens, to find what the grammar does not know: parentheses, arguments, operands, clauses.

use crate::lexical::{ClauseKind, Token, TokenKind, is_reserved, tokens};
use crate::syntax::clause_at;
use std::ops::Range;

/// A query text and its tokens without blanks and comments. Places are places in the list of tokens.
pub(super) struct WrittenQuery<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: Vec<Token<'t>>,
}

/// A clause of a query, or of one inside it.
#[derive(Debug, Clone)]
pub(super) struct WrittenClause {
    pub(super) kind: ClauseKind,
    /// Its tokens, with the keyword.
    pub(super) tokens: Range<usize>,
    /// The place of the first token behind the keyword.
    pub(super) body: usize,
}

impl WrittenClause {
    /// Returns the tokens behind the keyword.
    pub(super) fn body(&self) -> Range<usize> {
        self.body..self.tokens.end
    }
}

impl<'t> WrittenQuery<'t> {
    pub(super) fn new(text: &'t str) -> WrittenQuery<'t> {
        let mut tokens = tokens(text);
        tokens.retain(|token| !token.is_trivia());
        WrittenQuery { text, tokens }
    }

    /// Returns whether the symbol stands at a place.
    pub(super) fn is(&self, at: usize, symbol: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(symbol))
    }

    /// Returns whether the word stands at a place, in any case.
    pub(super) fn is_word(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is_word(word))
    }

    /// Returns whether one of the words stands at a place, in any case.
    pub(super) fn is_one_of(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(at, word))
    }

    /// Returns whether the single character stands at a place, which is a sign of no meaning.
    pub(super) fn is_sign(&self, at: usize, sign: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == TokenKind::Other(sign))
    }

    /// Returns the word at a place, or `None` if something else stands there.
    pub(super) fn word(&self, at: usize) -> Option<&'t str> {
        match self.tokens.get(at)?.kind {
            TokenKind::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Returns the word at a place that may be a name, or `None` if something else stands there.
    pub(super) fn name(&self, at: usize) -> Option<&'t str> {
        self.word(at).filter(|word| !is_reserved(word))
    }

    /// Returns the literal at a place, or `None` if something else stands there.
    pub(super) fn literal(&self, at: usize) -> Option<&pivot_advice::Value> {
        match &self.tokens.get(at)?.kind {
            TokenKind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the text at a place, or `None` if something else stands there.
    pub(super) fn literal_text(&self, at: usize) -> Option<&str> {
        match self.literal(at)? {
            pivot_advice::Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns whether two tokens touch each other.
    pub(super) fn touches_next(&self, at: usize) -> bool {
        match (self.tokens.get(at), self.tokens.get(at + 1)) {
            (Some(token), Some(next)) => token.span.end == next.span.start,
            _ => false,
        }
    }

    /// Returns the bytes that tokens cover; an empty range is a place before its token.
    pub(super) fn span(&self, tokens: Range<usize>) -> Range<usize> {
        let start =
            self.tokens.get(tokens.start).map_or(self.text.trim_end().len(), |token| token.span.start);
        let last = tokens.end.checked_sub(1).filter(|last| *last >= tokens.start);
        let end = last.and_then(|last| self.tokens.get(last)).map_or(start, |token| token.span.end);
        start..end.max(start)
    }

    /// Returns the byte behind the token before a place: where something is appended.
    pub(super) fn end_before(&self, at: usize) -> usize {
        at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |token| token.span.end)
    }

    /// Returns the tokens as they are written.
    pub(super) fn source(&self, tokens: Range<usize>) -> &'t str {
        &self.text[self.span(tokens)]
    }

    /// Returns the place of the parenthesis that closes the one at a place, or `None` if none does.
    pub(super) fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for at in open..self.tokens.len() {
            if self.is(at, "(") {
                depth += 1;
            } else if self.is(at, ")") {
                depth = depth.checked_sub(1)?;
            }

            if depth == 0 {
                return Some(at);
            }
        }
        None
    }

    /// Returns the place of the parenthesis that opens what is closed at a place, or `None` if none does.
    pub(super) fn opening(&self, close: usize) -> Option<usize> {
        let mut depth = 0usize;
        for at in (0..=close).rev() {
            if self.is(at, ")") {
                depth += 1;
            } else if self.is(at, "(") {
                depth = depth.checked_sub(1)?;
            }

            if depth == 0 {
                return Some(at);
            }
        }
        None
    }

    /// Returns the tokens between commas that no parentheses enclose.
    pub(super) fn items(&self, tokens: Range<usize>) -> Vec<Range<usize>> {
        let mut items = Vec::new();
        let (mut depth, mut start) = (0usize, tokens.start);
        for at in tokens.clone() {
            match &self.tokens[at].kind {
                TokenKind::Symbol("(" | "[" | "{") => depth += 1,
                TokenKind::Symbol(")" | "]" | "}") => depth = depth.saturating_sub(1),
                TokenKind::Symbol(",") if depth == 0 => {
                    items.push(start..at);
                    start = at + 1;
                }
                _ => {}
            }
        }

        items.push(start..tokens.end);
        items.retain(|item| !item.is_empty());
        items
    }

    /// Returns the arguments of the call whose name stands at a place, or `None` if no call does.
    pub(super) fn arguments(&self, name: usize) -> Option<Vec<Range<usize>>> {
        let close = self.closing(name + 1).filter(|_| self.is(name + 1, "("))?;
        Some(self.items(name + 2..close))
    }

    /// Returns the operand that ends before a place: a path, a call, a literal, or what parentheses enclose.
    pub(super) fn operand_before(&self, at: usize) -> Option<Range<usize>> {
        let last = at.checked_sub(1)?;
        let mut start = last;
        if self.is(last, ")") {
            start = self.opening(last)?;
            let called = start.checked_sub(1).filter(|name| self.name(*name).is_some());
            return Some(called.unwrap_or(start)..at);
        }

        match &self.tokens[last].kind {
            TokenKind::Word(word) if is_reserved(word) && !self.is(last.wrapping_sub(1), ".") => return None,
            TokenKind::Word(_) | TokenKind::QuotedName(_) | TokenKind::Literal(_) => {}
            _ => return None,
        }
        while start >= 2 && self.is(start - 1, ".") {
            start -= 2;
        }
        Some(start..at)
    }

    /// Returns the operand that begins at a place.
    pub(super) fn operand_at(&self, at: usize) -> Option<Range<usize>> {
        if self.is(at, "(") {
            return Some(at..self.closing(at)? + 1);
        }
        match &self.tokens.get(at)?.kind {
            TokenKind::Literal(_) => return Some(at..at + 1),
            TokenKind::Word(word) if is_reserved(word) => return None,
            TokenKind::Word(_) | TokenKind::QuotedName(_) => {}
            _ => return None,
        }
        if self.is(at + 1, "(") {
            return Some(at..self.closing(at + 1)? + 1);
        }

        let mut end = at + 1;
        while self.is(end, ".") && end + 1 < self.tokens.len() {
            end += 2;
        }
        Some(at..end)
    }

    /// Returns the tokens of each query: of the whole text, and of every one in parentheses.
    pub(super) fn queries(&self) -> Vec<Range<usize>> {
        let mut end = self.tokens.len();
        while end > 0 && self.is(end - 1, ";") {
            end -= 1;
        }
        let whole = 0..end;
        let inner = (1..self.tokens.len()).filter_map(|at| {
            let begins = self.is_one_of(at, &["FROM", "SELECT", "WITH"]) && self.is(at - 1, "(");
            begins.then(|| self.closing(at - 1)).flatten().map(|close| at..close)
        });
        std::iter::once(whole).chain(inner).collect()
    }

    /// Returns the clauses of the query that some tokens are.
    pub(super) fn clauses(&self, query: Range<usize>) -> Vec<WrittenClause> {
        let mut clauses: Vec<WrittenClause> = Vec::new();
        let mut depth = 0usize;
        let mut at = query.start;

        while at < query.end {
            let before = at.checked_sub(1).map(|before| &self.tokens[before]);
            let is_part =
                before.is_some_and(|before| before.is_name_separator() || before.begins_parameter());
            if depth == 0
                && !is_part
                && let Some((kind, length)) = clause_at(&self.tokens[at..query.end])
            {
                if let Some(before) = clauses.last_mut() {
                    before.tokens.end = at;
                }
                clauses.push(WrittenClause { kind, tokens: at..query.end, body: at + length });
                at += length;
                continue;
            }
            match &self.tokens[at].kind {
                TokenKind::Symbol("(") => depth += 1,
                TokenKind::Symbol(")") => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
        clauses
    }
}

/// Returns a text as it stands in single quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
