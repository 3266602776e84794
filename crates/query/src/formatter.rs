//! Query text in its canonical layout: a clause a line, keywords in capitals, subqueries indented.
//!
//! It works on tokens, so comments stay where they are, and a query that does not compile yet can be
//! laid out too. What it gives has the same tokens, and laid out again it is the same text.

use crate::diagnostic::Diagnostics;
use crate::lexical::statements;
use crate::lexical::{Token, TokenKind, tokens};
use crate::resolve::aggregates::is_aggregate;
use crate::syntax::{clause_at, is_reserved, unbalanced};
use std::fmt::Write;

/// A line that would be longer is broken behind a comma, an AND or an OR.
const WIDTH: usize = 100;

/// Words that are written in capitals, besides those that are reserved.
const KEYWORDS: [&str; 4] = ["ASC", "DESC", "UNNEST", "CAST"];
/// Sources with a way of writing of their own.
const TEMPORAL: [&str; 4] = ["First", "MostRecent", "FirstN", "MostRecentN"];

/// Lays out all statements of a text. Fails if quotes, comments or parentheses are not closed.
pub fn format(text: &str) -> Result<String, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let all = tokens(text, &mut diagnostics);
    if let Some(wrong) = unbalanced(&all) {
        diagnostics.push(wrong);
    }
    if diagnostics.has_errors() {
        return Err(diagnostics.sorted());
    }
    let mut out = String::new();
    let mut end = 0;
    for statement in statements(text) {
        end = statement.offset + statement.text.len();
        out.push_str(if out.is_empty() { "" } else { "\n" });
        let (laid_out, open) = QueryFormatter::of(&statement.text);
        out.push_str(&laid_out);
        // A comment to the end of its line would swallow the end of the statement.
        out.push_str(if open { "\n;\n" } else { ";\n" });
    }
    let rest = text[end..].trim_start_matches([' ', '\n', '\t', '\r', ';']).trim_end();
    if !rest.is_empty() {
        // Comments behind the last statement.
        let _ = writeln!(out, "{}{rest}", if out.is_empty() { "" } else { "\n" });
    }
    Ok(out)
}

/// An expression in one line, without comments: as columns that have no other name are called.
pub(crate) fn format_expression(text: &str) -> String {
    let mut layout = QueryFormatter::new(text, usize::MAX);
    for i in 0..layout.tokens.len() {
        let token = layout.tokens[i].clone();
        layout.piece(i, &token);
    }
    layout.out
}

/// The text while tokens are appended.
struct QueryFormatter<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    out: String,
    /// For each open parenthesis, whether a query stands in it.
    open: Vec<bool>,
    /// Whether the source of a FROM or JOIN is being written: names and patterns stand as they are.
    in_source: bool,
    /// Whether the clause has a source.
    has_source: bool,
    /// A line that would be longer is broken.
    width: usize,
}

impl QueryFormatter<'_> {
    fn new(text: &str, width: usize) -> QueryFormatter<'_> {
        let tokens = tokens(text, &mut Diagnostics::default());
        let (out, open) = (String::new(), Vec::new());
        QueryFormatter { text, tokens, out, open, in_source: false, has_source: false, width }
    }

    /// The statement, and whether it ends in a comment to the end of its line.
    fn of(text: &str) -> (String, bool) {
        let mut layout = QueryFormatter::new(text, WIDTH);
        let (mut i, mut end) = (0, 0);
        while let Some(token) = layout.tokens.get(i).cloned() {
            layout.comments(&text[end..token.span.start], i == 0);
            let taken = layout.token(i, &token);
            end = layout.tokens[i + taken - 1].span.end;
            i += taken;
        }
        let open = layout.comments(&text[end..], i == 0);
        (layout.out.trim_end().to_owned(), open)
    }

    fn depth(&self) -> usize {
        self.open.iter().filter(|query| **query).count()
    }

    /// Begins a line, unless one has just begun.
    fn line(&mut self) {
        let trimmed = self.out.trim_end_matches(' ').len();
        self.out.truncate(trimmed);
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.out.push_str(&"  ".repeat(self.depth()));
    }

    /// How long the line is so far.
    fn column(&self) -> usize {
        self.out.rsplit('\n').next().unwrap_or_default().chars().count()
    }

    fn space(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with([' ', '\n', '(']) {
            self.out.push(' ');
        }
    }

    /// Comments between two tokens: one that stood behind a token on its line stays there. Says whether
    /// the last one goes to the end of its line.
    fn comments(&mut self, gap: &str, first: bool) -> bool {
        let (mut rest, mut open) = (gap, false);
        while let Some(start) = rest.find(['-', '/']) {
            let begun = self.out.trim_end_matches(' ').ends_with('\n');
            let own_line = first || begun || rest[..start].contains('\n');
            let comment = &rest[start..];
            let (length, to_end) = match comment.starts_with("--") {
                true => (comment.find('\n').unwrap_or(comment.len()), true),
                false => (comment.find("*/").map_or(comment.len(), |end| end + 2), false),
            };
            if own_line {
                self.line()
            } else {
                self.space()
            }
            self.out.push_str(comment[..length].trim_end());
            if to_end || own_line {
                self.line()
            } else {
                self.space()
            }
            (rest, open) = (&comment[length..], to_end);
        }
        open
    }

    fn is_behind_dot(&self, i: usize) -> bool {
        i > 0 && [".", "::", "@"].iter().any(|symbol| self.tokens[i - 1].is(symbol))
    }

    /// Writes a token, or the words of a clause's beginning; says how many tokens those were.
    fn token(&mut self, i: usize, token: &Token) -> usize {
        let behind_dot = self.is_behind_dot(i);
        let in_query = self.open.last().is_none_or(|query| *query);
        if in_query
            && !behind_dot
            && let Some((text, taken)) = clause_at(&self.tokens[i..])
        {
            self.line();
            self.out.push_str(text);
            self.has_source = matches!(text, "FROM" | "JOIN" | "LEFT JOIN" | "ANTI JOIN");
            self.in_source = false;
            return taken;
        }
        self.piece(i, token);
        1
    }

    /// Writes a token that begins no clause.
    fn piece(&mut self, i: usize, token: &Token) {
        let behind_dot = self.is_behind_dot(i);
        let next_opens = self.tokens.get(i + 1).is_some_and(|next| next.is("("));
        match &token.kind {
            TokenKind::Symbol("(") => self.open(i),
            TokenKind::Symbol(")") => {
                if self.open.pop() == Some(true) {
                    self.line();
                }
                self.out.push(')');
                // Behind a subquery the clause goes on.
                self.in_source |= self.has_source && self.open.is_empty();
            }
            TokenKind::Symbol(",") => {
                let trimmed = self.out.trim_end_matches(' ').len();
                self.out.truncate(trimmed);
                self.out.push(',');
                self.wrap(i);
            }
            TokenKind::Word(word) if !behind_dot => {
                let written = canonical(word, next_opens);
                let joins = ["AND", "OR"].iter().any(|op| written == *op);
                if joins && self.column() > self.width / 3 * 2 {
                    self.line();
                    self.out.push_str("  ");
                }
                self.separate(i);
                self.out.push_str(&written);
                self.in_source = match written.as_str() {
                    "IN" if self.has_source => true,
                    "ON" | "WHERE" => false,
                    _ => self.in_source,
                };
            }
            _ => {
                self.separate(i);
                self.out.push_str(&self.text[token.span.clone()]);
            }
        }
    }

    fn open(&mut self, i: usize) {
        let query = clause_at(&self.tokens[i + 1..]).is_some();
        let call = i > 0
            && match &self.tokens[i - 1].kind {
                TokenKind::Word(word) => {
                    !is_keyword(word)
                        || word.eq_ignore_ascii_case("CAST")
                        || word.eq_ignore_ascii_case("UNNEST")
                }
                TokenKind::Quoted(_) => true,
                _ => false,
            };
        if !call {
            self.space();
        }
        self.out.push('(');
        self.open.push(query);
        if query {
            (self.has_source, self.in_source) = (false, false);
        }
    }

    /// A blank where one belongs: names, patterns and signs are written without.
    fn separate(&mut self, i: usize) {
        let Some(before) = i.checked_sub(1).map(|before| self.tokens[before].clone()) else { return };
        let token = &self.tokens[i];
        let touches = before.span.end == token.span.start;
        let part = |token: &Token| [".", "::", "@"].iter().any(|symbol| token.is(symbol));
        let sign = before.is("-") && i >= 2 && is_operator(&self.tokens[i - 2]) || before.is("-") && i == 1;
        let pattern = self.in_source && touches && (token.is("*") || before.is("*"));
        let bracket = token.is("[") || before.is("[") || token.is("]");
        // Together these would begin a comment.
        let written = &self.text[token.span.clone()];
        let comment = self.out.ends_with('-') && written.starts_with('-')
            || self.out.ends_with('/') && written.starts_with(['*', '/']);
        // And these other tokens.
        let other = !touches && self.out.ends_with(':') && written.starts_with(':');
        if comment || other || !(part(token) || part(&before) || sign || pattern || bracket) {
            self.space();
        }
    }

    fn wrap(&mut self, i: usize) {
        let length = |token: &Token| token.span.len() + 1;
        let item = (i + 1..self.tokens.len()).take_while(|at| clause_at(&self.tokens[*at..]).is_none());
        let item = item.map(|at| &self.tokens[at]).take_while(|token| !token.is(","));
        let next: usize = item.take(12).map(length).sum();
        let outside = self.open.last().is_none_or(|query| *query);
        if outside && self.column() + next > self.width {
            self.line();
            self.out.push_str("  ");
        } else {
            self.space();
        }
    }
}

/// Behind these a minus is a sign.
fn is_operator(token: &Token) -> bool {
    match &token.kind {
        TokenKind::Symbol(symbol) => !matches!(*symbol, ")" | "]"),
        TokenKind::Word(word) => is_keyword(word),
        _ => false,
    }
}

fn is_keyword(word: &str) -> bool {
    is_reserved(word) || KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// A word as it is written: keywords and aggregates in capitals, names as they are.
fn canonical(word: &str, opens: bool) -> String {
    if let Some(temporal) = TEMPORAL.iter().find(|name| name.eq_ignore_ascii_case(word)) {
        return (*temporal).to_owned();
    }
    let count = word.eq_ignore_ascii_case("COUNT");
    match is_keyword(word) || count || (opens && is_aggregate(word)) {
        true => word.to_ascii_uppercase(),
        false => word.to_owned(),
    }
}
